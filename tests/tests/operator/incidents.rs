//! `tradeflow incidents`.

use serde_json::json;

use super::{bury, jobs, tradeflow};

#[tokio::test]
async fn lists_open_ones_with_what_to_do_and_takes_note() {
    let db = jobs().await;
    assert_eq!(tradeflow(&db, ["incidents", "list"]).success().trim(), "there is none");
    db.sql("insert into jobs values (1), (2), (3)").await;
    for id in [1, 2, 3] {
        bury(&db, id).await;
    }
    let said = tradeflow(&db, ["incidents", "list"]);
    for words in [
        "1  dead_action (",
        "action call of rule \"job\" for 1: the ERP said no",
        "rule job, subject 1, action 1",
        "→ mend the cause, then select tradeflow.retry(1)",
    ] {
        assert!(said.success().contains(words), "{words} is missing in:\n{}", said.stdout);
    }

    let said = tradeflow(&db, ["incidents", "ack", "1", "99"]);
    assert_eq!(said.code, 1);
    assert_eq!(said.stdout.trim(), "1 incident noted");
    assert!(said.stderr.contains("incident 99 is not open"), "{}", said.stderr);
    let ids = |arguments: &[&str]| -> Vec<i64> {
        let json = tradeflow(&db, ["incidents", "list", "--json"].iter().chain(arguments).copied()).json();
        json["incidents"].as_array().unwrap().iter().map(|i| i["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&[]), [3, 2]);
    assert_eq!(ids(&["--noted"]), [3, 2, 1]);
    assert_eq!(ids(&["--kind", "held_burst"]), Vec::<i64>::new());
    assert_eq!(ids(&["--rule", "job", "--limit", "1", "--since", "1h"]), [3]);
    assert!(tradeflow(&db, ["incidents", "list", "--noted"]).stdout.contains("noted by postgres"));

    assert_eq!(tradeflow(&db, ["incidents", "ack"]).code, 1);
    assert!(tradeflow(&db, ["incidents", "ack", "--all"]).failure().contains("say --yes"));
    assert_eq!(tradeflow(&db, ["incidents", "ack", "--rule", "later"]).success().trim(), "0 incidents noted");
    assert_eq!(
        tradeflow(&db, ["incidents", "ack", "--kind", "dead_action", "--json"]).json(),
        json!({"noted": [2, 3]})
    );
    assert_eq!(ids(&[]), Vec::<i64>::new());
}

fn open(db: &tradeflow_tests::database::Database) -> Vec<String> {
    let json = tradeflow(db, ["incidents", "list", "--json"]).json();
    let kind = |i: &serde_json::Value| i["kind"].as_str().unwrap_or_default().to_owned();
    json["incidents"].as_array().expect("a list").iter().map(kind).collect()
}

/// Whoever decided about an action need not say so twice; and doctor tells only of what is still to be done.
#[tokio::test]
async fn what_a_person_decided_about_is_noted_with_it() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (3), (4)").await;
    for id in [1, 2, 3] {
        bury(&db, id).await;
    }
    db.sql("select tradeflow.fail(4, 1, 'silence', 'uncertain')").await;
    assert_eq!(open(&db), ["uncertain_action", "dead_action", "dead_action", "dead_action"]);
    tradeflow(&db, ["dead", "retry", "1"]).success();
    assert_eq!(open(&db), ["uncertain_action", "dead_action", "dead_action"]);
    tradeflow(&db, ["dead", "discard", "2"]).success();
    assert_eq!(open(&db), ["uncertain_action", "dead_action"]);
    tradeflow(&db, ["outbox", "cancel", "4", "--reason", "it arrived"]).success();
    assert_eq!(open(&db), ["dead_action"], "the third is nobody's business yet");
    assert_eq!(
        db.column::<String>("select outbox_id || ' ' || acked_by from tradeflow.incidents where acked_at is not null order by 1").await,
        ["1 postgres", "2 postgres", "4 postgres"]
    );
    // It dies again: that is news.
    db.sql("select tradeflow.claim('w', 10, '1 minute'); select tradeflow.fail(1, 2, 'still no', 'dead')")
        .await;
    assert_eq!(open(&db), ["dead_action", "dead_action"]);
    // What runs is not decided about.
    db.sql("insert into jobs values (5); select tradeflow.claim('w', 10, '1 minute'); select tradeflow.cancel(5)").await;
    assert_eq!(open(&db), ["dead_action", "dead_action"]);
}

#[tokio::test]
async fn a_burst_is_noted_when_nothing_of_it_is_held_any_more() {
    let db = jobs().await;
    db.sql("update tradeflow.rules set max_firings = 2 where name = 'job'; insert into jobs select generate_series(1, 4)").await;
    assert_eq!(open(&db), ["held_burst"]);
    tradeflow(&db, ["outbox", "release", "1", "2"]).success();
    assert_eq!(open(&db), ["held_burst"]);
    tradeflow(&db, ["outbox", "cancel", "3"]).success();
    assert_eq!(open(&db), ["held_burst"]);
    db.sql("select tradeflow.discard_held('job')").await;
    assert_eq!(open(&db), Vec::<String>::new());
}

#[tokio::test]
async fn a_breaker_that_closes_takes_its_incident_along() {
    let db = jobs().await;
    db.sql("update tradeflow.targets set breaker_failures = 1 where name = 'erp';
            insert into jobs values (1); select tradeflow.claim('w', 1, '1 minute'); select tradeflow.fail(1, 1, '503', 'retry')")
        .await;
    let tick = "update tradeflow.upkeep set done_at = '-infinity'; select tradeflow.tick()";
    db.sql(tick).await;
    assert_eq!(open(&db), ["breaker_open"]);
    tradeflow(&db, ["targets", "resume", "erp"]).success();
    tradeflow(&db, ["outbox", "retry", "--target", "erp"]).success();
    db.sql("select tradeflow.claim('w', 1, '1 minute'); select tradeflow.complete('{1}', '{2}', array['{}'::jsonb])").await;
    db.sql(tick).await;
    assert_eq!(open(&db), Vec::<String>::new());
}

#[tokio::test]
async fn noted_ones_are_forgotten_with_the_history_and_open_ones_never() {
    let db = jobs().await;
    db.sql("insert into tradeflow.settings (name, value) values ('history_days', '7'); insert into jobs values (1), (2), (3)").await;
    for id in [1, 2, 3] {
        bury(&db, id).await;
    }
    db.sql(
        "select tradeflow.ack(1), tradeflow.ack(2);
         update tradeflow.incidents set created_at = now() - interval '1 year', last_seen_at = now() - interval '1 year';
         update tradeflow.incidents set acked_at = now() - interval '8 days' where id = 1;
         update tradeflow.upkeep set done_at = '-infinity'; select tradeflow.tick()",
    )
    .await;
    assert_eq!(db.column::<i64>("select id from tradeflow.incidents order by id").await, [2, 3]);
}
