//! `tradeflow dead`.

use super::{bury, jobs, states, tradeflow};

#[tokio::test]
async fn lists_dead_and_uncertain_and_nothing_else() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (3)").await;
    bury(&db, 1).await;
    db.sql("select tradeflow.fail(2, 1, 'lost', 'uncertain')").await;
    let json = tradeflow(&db, ["dead", "list", "--json"]).json();
    let found: Vec<&str> =
        json["actions"].as_array().unwrap().iter().map(|a| a["state"].as_str().unwrap()).collect();
    assert_eq!(found, ["uncertain", "dead"]);
    let said = tradeflow(&db, ["dead", "list"]);
    assert!(said.success().contains("the ERP said no"), "{}", said.stdout);
}

#[tokio::test]
async fn retries_by_id_rule_and_target_and_all_with_consent() {
    let db = jobs().await;
    for (id, arguments) in [
        (1, &["dead", "retry", "1"][..]),
        (2, &["dead", "retry", "--rule", "job"]),
        (3, &["dead", "retry", "--target", "erp"]),
        (4, &["dead", "retry", "--all", "--yes"]),
    ] {
        db.sql(&format!("insert into jobs values ({id})")).await;
        bury(&db, id).await;
        assert_eq!(tradeflow(&db, arguments.iter().copied()).success().trim(), "1 action made ready again");
        assert!(states(&db).await.contains(&format!("{id} ready")));
        db.sql("select tradeflow.cancel(array(select id from tradeflow.outbox))").await;
    }
    assert_eq!(tradeflow(&db, ["dead", "retry", "--all"]).success().trim(), "0 actions made ready again");
}

#[tokio::test]
async fn uncertain_ones_only_by_id() {
    let db = jobs().await;
    db.sql(
        "insert into jobs values (1), (2); select tradeflow.claim('w', 2, '1 minute');
            select tradeflow.fail(1, 1, 'lost', 'uncertain'), tradeflow.fail(2, 1, 'no', 'dead')",
    )
    .await;
    tradeflow(&db, ["dead", "discard", "--rule", "job", "--reason", "the customer is gone"]).success();
    assert_eq!(states(&db).await, ["1 uncertain"]);
    tradeflow(&db, ["outbox", "retry", "--all", "--yes"]).success();
    assert_eq!(states(&db).await, ["1 uncertain"]);
    tradeflow(&db, ["dead", "retry", "1"]).success();
    assert_eq!(states(&db).await, ["1 ready"]);
    let reason: String = db.one("select reason from tradeflow.outbox_history where id = 2").await;
    assert_eq!(reason, "the customer is gone");
}
