//! `tradeflow kinds`.

use super::{jobs, tradeflow};

#[tokio::test]
async fn lists_kinds_with_who_executes_them() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (-2); select tradeflow.present('w', '{http}')").await;
    let json = tradeflow(&db, ["kinds", "list", "--json"]).json();
    let of =
        |name: &str| json["kinds"].as_array().unwrap().iter().find(|k| k["kind"] == name).unwrap().clone();
    let (http, email) = (of("http"), of("email"));
    assert_eq!(
        (&http["status"], &http["ready"], &http["delivery"]),
        (&"ok".into(), &1.into(), &"idempotency_key".into())
    );
    assert_eq!((&email["status"], &email["waiting"]), (&"no_sidecar".into(), &1.into()));
    let said = tradeflow(&db, ["kinds", "list"]);
    assert!(said.success().contains("claim_once"), "{}", said.stdout);
}

#[tokio::test]
async fn pauses_and_resumes() {
    let db = jobs().await;
    db.sql("insert into jobs values (1); select tradeflow.present('w', '{http}')").await;
    let said = tradeflow(&db, ["kinds", "pause", "http", "--reason", "their API changed"]);
    assert_eq!(said.success().trim(), "kind \"http\" is paused; `tradeflow kinds resume http` ends it");
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.claim('w', 10, '1 minute')").await, 0);
    let list = tradeflow(&db, ["kinds", "list"]);
    assert!(list.stdout.contains("paused") && list.stdout.contains("their API changed"), "{}", list.stdout);
    for (command, paused, changed) in
        [("pause", true, false), ("resume", false, true), ("resume", false, false)]
    {
        let said = tradeflow(&db, ["kinds", command, "http", "--json"]).json();
        assert_eq!(said, serde_json::json!({"kind": "http", "paused": paused, "changed": changed}));
    }
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.claim('w', 10, '1 minute')").await, 1);
    let none = tradeflow(&db, ["kinds", "pause", "fax"]);
    assert!(
        none.failure().contains("there is no kind \"fax\"") && none.stderr.contains("email"),
        "{}",
        none.stderr
    );
}
