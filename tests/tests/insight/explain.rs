//! `tradeflow.explain`.

use serde_json::Value;
use tradeflow_tests::database::Database;

use super::quotes;

async fn explain(db: &Database, rule: &str, key: &str) -> Value {
    let text = db.one::<String>(&format!("select tradeflow.explain('{rule}', {key})::text")).await;
    serde_json::from_str(&text).expect("explain() returns JSON")
}

#[tokio::test]
async fn the_first_part_that_said_no() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, condition) values ('parts', 'quotes', $$ new.status between 1 and 3 and (new.total > 5 or new.name = 'a and b') and new.name is not null $$)").await;
    db.sql("insert into quotes (id, status, total) values (1, 2, 10), (2, 0, null)").await;
    let one = explain(&db, "parts", "1").await;
    let parts: Vec<(&str, Option<bool>)> = one["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["part"].as_str().unwrap(), p["value"].as_bool()))
        .collect();
    assert_eq!(
        parts,
        [
            ("new.status between 1 and 3", Some(true)),
            ("(new.total > 5 or new.name = 'a and b')", Some(true)),
            ("new.name is not null", Some(false))
        ]
    );
    assert_eq!(one["first_no"], "new.name is not null");
    assert!(one["verdict"].as_str().unwrap().contains("new.name is not null"), "{one}");
    assert_eq!(one["firings"], Value::Array(vec![]));
    let two = explain(&db, "parts", "'2'").await;
    assert_eq!(two["first_no"], "new.status between 1 and 3");
    assert_eq!(two["parts"][1]["value"], Value::Null, "NULL is no answer");
}

#[tokio::test]
async fn what_fired_and_what_became_of_it() {
    let db = quotes().await;
    db.sql(
        "insert into tradeflow.targets (name, system, base_url) values ('erp', 'http', 'https://erp.example.com');
         insert into tradeflow.actions (rule, step, name, kind, target, params) values ('big', 1, 'tell', 'http', 'erp', '{\"path\": \"/x\"}');
         insert into quotes (id, status, total) values (7, 1, 150)",
    )
    .await;
    db.sql("select tradeflow.fail(c.id, c.attempt, 'no such quote', 'dead') from tradeflow.claim('w', 1, '60 s') c").await;
    let seven = explain(&db, "big", "7").await;
    assert!(seven["verdict"].as_str().unwrap().starts_with("It fired 1 time(s)"), "{seven}");
    let action = &seven["firings"][0]["actions"][0];
    assert_eq!(
        (action["action"].as_str(), action["state"].as_str(), action["error"].as_str()),
        (Some("tell"), Some("dead"), Some("no such quote"))
    );
    assert_eq!(seven["firings"][0]["event"], "insert");
}

#[tokio::test]
async fn what_reads_old_is_explained_by_the_last_change() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, condition) values ('won', 'quotes', 'old.status = 0 and new.status = 1')").await;
    db.sql("insert into quotes (id, status) values (1, 5); update quotes set status = 1").await;
    let won = explain(&db, "won", "1").await;
    assert_eq!(
        won["parts"][0],
        serde_json::json!({"part": "old.status = 0", "value": null, "reads_old": true})
    );
    assert_eq!(won["last_change"]["parts"][0]["value"], false);
    assert_eq!(won["last_change"]["first_no"], "old.status = 0");
    assert!(won["verdict"].as_str().unwrap().contains("old.status = 0"), "{won}");
}

#[tokio::test]
async fn why_nothing_was_asked() {
    let db = quotes().await;
    db.sql("insert into quotes (id, status, total) values (1, 1, 500)").await;
    // The row was there before the rule.
    db.sql(
        "insert into tradeflow.rules (name, source, condition) values ('late', 'quotes', 'new.total > 400')",
    )
    .await;
    assert!(explain(&db, "late", "1").await["verdict"]
        .as_str()
        .unwrap()
        .contains("tradeflow.backfill('late')"));
    assert_eq!(explain(&db, "late", "99").await["verdict"], "There is no such row.");
    db.sql("update tradeflow.rules set mode = 'off' where name = 'late'").await;
    assert_eq!(explain(&db, "late", "1").await["verdict"], "The rule is off.");
    db.sql("insert into tradeflow.rules (name, source, condition, query) values ('none', 'quotes', 'new.total > 1', 'select 1 as x where false')").await;
    assert_eq!(
        explain(&db, "none", "1").await["verdict"],
        "Its condition holds, and its query returns no row."
    );
    db.sql("insert into tradeflow.rules (name, source, condition) values ('bad', 'quotes', '1 / new.status > 0 and new.id > 0')").await;
    db.sql("update quotes set status = 0").await;
    let bad = explain(&db, "bad", "1").await;
    assert_eq!(bad["parts"][0]["error"], "division by zero");
    assert_eq!(bad["parts"][1]["value"], true);
    assert_eq!(bad["incidents"][0]["kind"], "rule_error");
}

#[tokio::test]
async fn keys_of_several_columns_and_bad_ones() {
    let db = quotes().await;
    db.sql(
        "create table lines (quote int, n int, price numeric, primary key (quote, n)); select tradeflow.watch('lines');
         insert into tradeflow.rules (name, source, condition) values ('line', 'lines', 'new.price < 1');
         insert into lines values (1, 2, 0.5)",
    )
    .await;
    for key in ["'{1,2}'", r#"'{"quote": 1, "n": 2}'"#, r#"'{"quote": 1, "n": 2}'::jsonb"#] {
        let line = explain(&db, "line", key).await;
        assert_eq!(
            (line["subject"].as_str(), line["firings"].as_array().map(Vec::len)),
            (Some("{1,2}"), Some(1)),
            "{key}: {line}"
        );
    }
    assert_eq!(db.error("select tradeflow.explain('line', '1')").await.code, "22023");
    assert_eq!(db.error("select tradeflow.explain('nope', '1')").await.code, "42704");
    assert_eq!(db.error("select tradeflow.explain('big', 'x')").await.code, "22P02");
}

#[tokio::test]
async fn a_view_rule_by_its_subject() {
    let db = quotes().await;
    db.sql(
        "create view busy as select name as subject, count(*) as n from quotes group by name having count(*) > 1;
         insert into tradeflow.rules (name, view) values ('busy', 'busy');
         insert into tradeflow.rule_inputs (rule, source, subject) values ('busy', 'quotes', 'new.name');
         insert into quotes (id, name) values (1, 'a'), (2, 'a'), (3, 'b')",
    )
    .await;
    let a = explain(&db, "busy", "'a'").await;
    assert_eq!((a["in_view"].as_bool(), a["members"].as_array().map(Vec::len)), (Some(true), Some(1)), "{a}");
    assert_eq!(a["view_rows"][0]["n"], 2);
    assert_eq!(a["firings"].as_array().map(Vec::len), Some(1));
    let b = explain(&db, "busy", "'b'").await;
    assert_eq!(b["verdict"], "It is not in the view.");
}

#[tokio::test]
async fn who_may_not_read_the_rows_gets_no_explanation() {
    let db = quotes().await;
    db.sql("insert into quotes (id, status) values (1, 0)").await;
    let author = db.role(&["tradeflow_author"]).await;
    let operator = db.role(&["tradeflow_operator"]).await;
    let ask = "select tradeflow.explain('big', '1')";
    let client = db.connect_as(&author, &author).await;
    let refused = client.query(ask, &[]).await.unwrap_err();
    assert_eq!(refused.code().map(|c| c.code().to_string()).as_deref(), Some("42501"));
    db.sql(&format!("grant select on quotes to {author}")).await;
    client.query(ask, &[]).await.unwrap();
    db.connect_as(&operator, &operator).await.query(ask, &[]).await.unwrap();
    let nobody = db.role(&[]).await;
    assert!(db.connect_as(&nobody, &nobody).await.query(ask, &[]).await.is_err());
    db.sql(&format!("drop owned by {author}")).await;
}
