//! What an operator stops: a target, a kind, a rule. Nothing is lost meanwhile, and the others go on.

use super::{claim, jobs};

#[tokio::test]
async fn a_paused_target_gets_nothing_until_it_is_resumed() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (-1)").await;
    assert!(db.one::<bool>("select tradeflow.pause_target('there', 'their maintenance')").await);
    assert!(!db.one::<bool>("select tradeflow.pause_target('there', 'again')").await, "it is paused already");
    assert_eq!(
        db.one::<String>("select paused_reason from tradeflow.targets where paused_at is not null").await,
        "their maintenance"
    );
    assert_eq!(claim(&db, 10).await, ["2.1 -1"]);
    assert_eq!(claim(&db, 10).await, Vec::<String>::new());
    let (_client, mut heard) = db.listen("tradeflow").await;
    assert!(db.one::<bool>("select tradeflow.resume_target('there')").await);
    assert_eq!(heard.recv().await.as_deref(), Some(""), "sidecars are told");
    assert!(!db.one::<bool>("select tradeflow.resume_target('there')").await);
    assert_eq!(claim(&db, 10).await, ["1.1 1"]);
    assert_eq!(db.error("select tradeflow.pause_target('nowhere')").await.code, "42704");
    assert_eq!(db.error("select tradeflow.resume_target('nowhere')").await.code, "42704");
}

#[tokio::test]
async fn a_paused_kind_is_not_executed() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (-1)").await;
    assert!(db.one::<bool>("select tradeflow.pause_kind('email', 'the text is wrong')").await);
    assert!(!db.one::<bool>("select tradeflow.pause_kind('email')").await);
    assert_eq!(claim(&db, 10).await, ["1.1 1"]);
    assert!(db.one::<bool>("select tradeflow.resume_kind('email')").await);
    assert!(!db.one::<bool>("select tradeflow.resume_kind('email')").await);
    assert_eq!(claim(&db, 10).await, ["2.1 -1"]);
    assert_eq!(db.error("select tradeflow.pause_kind('fax')").await.code, "42704");
    assert_eq!(db.error("select tradeflow.resume_kind('fax')").await.code, "42704");
}

#[tokio::test]
async fn a_paused_rule_is_not_asked_and_its_actions_stay() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (-1)").await;
    assert!(db.one::<bool>("select tradeflow.pause('job', 'to be looked at')").await);
    assert!(!db.one::<bool>("select tradeflow.pause('job')").await);
    db.sql("insert into jobs values (2)").await;
    assert_eq!(claim(&db, 10).await, ["2.1 -1"]);
    assert_eq!(claim(&db, 10).await, Vec::<String>::new());
    assert!(db.one::<bool>("select tradeflow.resume('job')").await);
    db.sql("insert into jobs values (3)").await;
    assert_eq!(claim(&db, 10).await, ["1.1 1", "3.1 3"], "what changed meanwhile did not fire");
    assert_eq!(db.error("select tradeflow.pause('nobody')").await.code, "42704");
}

#[tokio::test]
async fn a_target_that_asks_for_patience_gets_nothing_before_that_time() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (-1)").await;
    assert_eq!(claim(&db, 1).await, ["1.1 1"]);
    assert_eq!(
        db.one::<String>("select tradeflow.fail(1, 1, '429', 'retry', '1 hour', throttle => true)").await,
        "ready"
    );
    assert_eq!(claim(&db, 10).await, ["3.1 -1"], "the other target goes on");
    assert!(
        db.one::<bool>(
            "select throttled_until between clock_timestamp() + interval '59 minutes' and clock_timestamp() + interval '61 minutes' and last_error = '429'
             from tradeflow.target_states where target = 'there'"
        )
        .await
    );
    db.sql("update tradeflow.target_states set throttled_until = clock_timestamp() - interval '1 second'")
        .await;
    assert_eq!(claim(&db, 10).await, ["2.1 2"], "the action itself waits for its own retry");
}

/// What a target said of itself (a Retry-After of a day, failures in a row) holds until a person knows better.
#[tokio::test]
async fn a_person_may_end_a_targets_patience_and_have_its_breaker_try() {
    let db = jobs().await;
    db.sql("update tradeflow.targets set breaker_failures = 2, breaker_cooldown = '1 hour' where name = 'there'; insert into jobs values (1), (2), (3), (4)").await;
    assert_eq!(claim(&db, 1).await, ["1.1 1"]);
    db.sql("select tradeflow.fail(1, 1, '429', 'retry', '1 day', throttle => true)").await;
    assert_eq!(claim(&db, 10).await, Vec::<String>::new());
    let (_client, mut heard) = db.listen("tradeflow").await;
    assert!(db.one::<bool>("select tradeflow.resume_target('there')").await);
    assert_eq!(heard.recv().await.as_deref(), Some(""), "sidecars are told");
    assert!(
        !db.one::<bool>("select tradeflow.resume_target('there')").await,
        "there is nothing more to lift"
    );
    assert_eq!(claim(&db, 2).await, ["2.1 2", "3.1 3"], "the first waits for its own time");

    db.sql("select tradeflow.fail(2, 1, '503', 'retry', '1 hour'), tradeflow.fail(3, 1, '503', 'retry', '1 hour')").await;
    assert_eq!(claim(&db, 10).await, Vec::<String>::new(), "its breaker is open");
    assert!(db.one::<bool>("select tradeflow.resume_target('there')").await);
    assert_eq!(claim(&db, 10).await, ["4.1 4"], "one tries");
    assert!(
        !db.one::<bool>("select tradeflow.resume_target('there')").await,
        "while it is tried, that decides"
    );
    db.sql("select tradeflow.fail(4, 1, '503', 'retry', '1 hour')").await;
    assert_eq!(
        db.one::<String>("select status from tradeflow.target_health where target = 'there'").await,
        "open"
    );
    let refused = db.error("select tradeflow.resume_target('their')").await;
    assert_eq!(refused.code, "42704");
    assert!(refused.hint.contains("targets: smtp, there"), "{}", refused.hint);
}
