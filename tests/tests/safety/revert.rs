//! `tradeflow.revert`: an earlier definition of a rule is its definition again.

use tradeflow_tests::database::Database;

async fn edited() -> Database {
    let db = Database::with_extension().await;
    db.watch("rows", "id int primary key, n int").await;
    db.sql("insert into tradeflow.rules (name, source, condition, description) values ('big', 'public.rows', 'new.n > 10', 'first');
            update tradeflow.rules set condition = 'new.n > 20', description = null, max_firings = 5;
            update tradeflow.rules set mode = 'off'").await;
    db
}

const RULE: &str =
    "select concat_ws(' | ', condition, description, max_firings, mode, version) from tradeflow.rules";

#[tokio::test]
async fn it_is_a_new_version_with_the_old_definition() {
    let db = edited().await;
    assert_eq!(db.one::<String>(RULE).await, "new.n > 20 | 5 | off | 3");
    assert_eq!(db.one::<i32>("select tradeflow.revert('big', 1)").await, 4);
    assert_eq!(db.one::<String>(RULE).await, "new.n > 10 | first | 1000 | live | 4");
    db.sql("insert into rows values (1, 11)").await;
    assert_eq!(db.fired().await, ["big 1"]);
    db.sql("select tradeflow.revert('big', 3)").await;
    assert_eq!(db.one::<String>(RULE).await, "new.n > 20 | 5 | off | 5");
    let versions: Vec<i32> = db.column("select version from tradeflow.rule_versions order by 1").await;
    assert_eq!(versions, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_definition_from_before_a_column_was_there_has_its_default() {
    let db = edited().await;
    db.sql("update tradeflow.rule_versions set definition = definition - 'max_per_subject' - 'schedule' - 'view';
            update tradeflow.rules set max_per_subject = 7").await;
    db.sql("select tradeflow.revert('big', 1)").await;
    assert_eq!(db.one::<i32>("select max_per_subject from tradeflow.rules").await, 20);
}

#[tokio::test]
async fn a_deleted_rule_comes_back() {
    let db = edited().await;
    db.sql("delete from tradeflow.rules").await;
    assert_eq!(db.one::<i32>("select tradeflow.revert('big', 1)").await, 4);
    db.sql("insert into rows values (1, 11)").await;
    assert_eq!(db.fired().await, ["big 1"]);
}

#[tokio::test]
async fn it_says_what_cannot_be() {
    let db = edited().await;
    let error = db.error("select tradeflow.revert('big', 9)").await;
    assert_eq!(error.code, "42704");
    assert_eq!(error.hint, "earlier versions: 1, 2");
    assert_eq!(db.error("select tradeflow.revert('none', 1)").await.code, "42704");
    db.sql("alter table rows drop column n").await;
    assert_eq!(db.error("select tradeflow.revert('big', 1)").await.code, "42703");
    // Only who may write the rule may put it back.
    let author = db.role(&["tradeflow_author"]).await;
    let session = db.connect_as(&author, &author).await;
    let error =
        session.batch_execute("select tradeflow.revert('big', 2)").await.expect_err("not the author's rule");
    assert_eq!(error.code().expect("an SQL error").code(), "42501");
}
