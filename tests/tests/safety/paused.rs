//! A rule that keeps failing is paused, and resumed by a person.

use tradeflow_tests::database::Database;

async fn failing() -> Database {
    let db = Database::with_extension().await;
    db.watch("rows", "id int primary key, n int").await;
    db.rule("ratio", "public.rows", "10 / new.n > 1").await;
    db.rule("good", "public.rows", "new.n = 0").await;
    db
}

async fn fail(db: &Database, from: i32, rows: i32) {
    db.sql(&format!("insert into rows select g, 0 from generate_series({from}, {}) g", from + rows - 1))
        .await;
}

const PAUSED: &str = "select coalesce(string_agg(name || ': ' || paused_reason, ', '), '') from tradeflow.rules where paused_at is not null";

async fn tick(db: &Database) -> String {
    db.sql("select tradeflow.tick()").await;
    db.one(PAUSED).await
}

#[tokio::test]
async fn a_hundred_failures_within_an_hour_pause_a_rule() {
    let db = failing().await;
    fail(&db, 1, 60).await;
    assert_eq!(tick(&db).await, "");
    fail(&db, 101, 39).await;
    assert_eq!(tick(&db).await, "");
    fail(&db, 201, 1).await;
    assert_eq!(tick(&db).await, "ratio: it failed for 100 rows within an hour");
    let incidents = db.incidents().await;
    assert!(
        incidents.iter().any(|i| i
            == "rule_paused ratio - - 100: rule \"ratio\" is paused: it failed for 100 rows within an hour"),
        "{incidents:?}"
    );
    // It is not asked any more; the others are; the rows came in.
    db.fired().await;
    fail(&db, 301, 1).await;
    assert!(db.incidents().await.is_empty());
    assert_eq!(db.fired().await, ["good 301"]);
    assert_eq!(db.one::<i64>("select count(*) from rows").await, 101);
    assert_eq!(
        db.one::<i32>("select version from tradeflow.rules where name = 'ratio'").await,
        1,
        "it is the same definition"
    );
}

#[tokio::test]
async fn old_failures_do_not_add_up() {
    let db = failing().await;
    fail(&db, 1, 90).await;
    tick(&db).await;
    db.sql("update tradeflow.rule_failures set since = since - interval '61 minutes'").await;
    fail(&db, 101, 90).await;
    assert_eq!(tick(&db).await, "");
    // What somebody took note of is forgiven.
    db.sql("select tradeflow.ack(id) from tradeflow.incidents").await;
    fail(&db, 201, 90).await;
    assert_eq!(tick(&db).await, "");
}

#[tokio::test]
async fn the_threshold_is_a_setting() {
    let db = failing().await;
    db.sql("insert into tradeflow.settings (name, value) values ('pause_after_errors', '5')").await;
    fail(&db, 1, 4).await;
    assert_eq!(tick(&db).await, "");
    fail(&db, 11, 1).await;
    assert_eq!(tick(&db).await, "ratio: it failed for 5 rows within an hour");
}

#[tokio::test]
async fn resuming_asks_again_and_counts_anew() {
    let db = failing().await;
    let operator = db.role(&["tradeflow_operator"]).await;
    let author = db.role(&["tradeflow_author"]).await;
    fail(&db, 1, 100).await;
    tick(&db).await;
    let as_author = db.connect_as(&author, &author).await;
    let refused =
        as_author.batch_execute("select tradeflow.resume('ratio')").await.expect_err("not the author's rule");
    assert_eq!(refused.code().expect("an SQL error").code(), "42501");
    let as_operator = db.connect_as(&operator, &operator).await;
    let row = as_operator
        .query_one("select tradeflow.resume('ratio'), tradeflow.resume('ratio')", &[])
        .await
        .expect("it may");
    assert_eq!((row.get(0), row.get(1)), (true, false));
    as_operator.batch_execute("update tradeflow.rules set mode = 'off'").await.expect_err("nothing else");
    assert_eq!(tick(&db).await, "", "the old errors are done with");
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents where acked_at is null").await, 0);
    fail(&db, 201, 99).await;
    assert_eq!(tick(&db).await, "");
    assert_eq!(db.error("select tradeflow.resume('none')").await.code, "42704");
}
