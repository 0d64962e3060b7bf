//! Two transactions at once: none may miss what both together did, and none may wait for the other for ever.

use super::members::gold;

/// 600 + 600 ≥ 1,000: each transaction alone is below the threshold, and neither sees the other's order.
async fn both_at_once(isolation: &str) -> Vec<String> {
    let db = gold().await;
    let (first, second) = (db.connect().await, db.connect().await);
    let begin = format!("begin isolation level {isolation}");
    for (session, id) in [(&first, 1), (&second, 2)] {
        session.batch_execute(&begin).await.expect("it begins");
        session
            .batch_execute(&format!("insert into orders values ({id}, 7, 600)"))
            .await
            .expect("it inserts");
    }
    let (one, two) = tokio::join!(first.batch_execute("commit"), second.batch_execute("commit"));
    one.expect("the first commits");
    two.expect("the second commits");
    db.sql("select tradeflow.tick()").await;
    // tick() has moved to the history what needs no action.
    db.column("select rule || ' ' || subject from tradeflow.firings").await
}

#[tokio::test]
async fn a_threshold_that_two_transactions_reach_together_is_not_lost() {
    assert_eq!(both_at_once("read committed").await, ["gold 7"]);
}

#[tokio::test]
async fn nor_under_repeatable_read_and_serializable() {
    assert_eq!(both_at_once("repeatable read").await, ["gold 7"]);
    // Inserts of different rows do not conflict; what the views see is asked about after the commit.
    assert_eq!(both_at_once("serializable").await, ["gold 7"]);
}

#[tokio::test]
async fn syncs_in_opposite_orders_do_not_deadlock_and_take_few_locks() {
    let db = gold().await;
    db.sql("update tradeflow.rules set max_firings = 1000000").await;
    let (first, second) = (db.connect().await, db.connect().await);
    for round in 0..5 {
        let base = round * 20_000;
        let insert = |from: i32, order: &str| {
            format!(
                "begin; insert into orders select {base} + {from} + i, i, 600 from generate_series(1, 5000) i order by i {order}; commit"
            )
        };
        let (forwards, backwards) = (insert(0, "asc"), insert(10_000, "desc"));
        let (one, two) = tokio::join!(first.batch_execute(&forwards), second.batch_execute(&backwards));
        one.expect("no deadlock");
        two.expect("no deadlock");
        if round == 0 {
            assert_eq!(db.one::<i64>("select count(distinct subject) from tradeflow.outbox").await, 5000);
        }
    }
    // Each subject entered once.
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 5000);
    db.sql("begin; insert into orders select 1000000 + i, i, 1 from generate_series(1, 5000) i; set constraints all immediate").await;
    let locks: i64 =
        db.one("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()").await;
    assert!((1..=1024).contains(&locks), "{locks} advisory locks");
    db.sql("rollback").await;
}

#[tokio::test]
async fn many_rules_about_one_subject_take_one_lock_and_others_do_not_wait() {
    let db = gold().await;
    for n in 0..40 {
        db.sql(&format!(
            "create view v{n} as select company as subject from orders group by company;
             insert into tradeflow.rules (name, view) values ('v{n}', 'v{n}');
             insert into tradeflow.rule_inputs values ('v{n}', 'orders', 'new.company')"
        ))
        .await;
    }
    db.sql("begin; insert into orders values (1, 1, 1); set constraints all immediate").await;
    let locks: i64 =
        db.one("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()").await;
    assert_eq!(locks, 1);
    let other = db.connect().await;
    other
        .batch_execute("set lock_timeout = '1s'; insert into orders values (2, 2, 1)")
        .await
        .expect("no wait");
    // About the same subject it waits: whoever asked first has committed by the time that the next one asks.
    other.batch_execute("set lock_timeout = '10ms'").await.expect("it sets");
    let error = other.batch_execute("insert into orders values (3, 1, 1)").await.expect_err("it waits");
    assert_eq!(error.code().map(|code| code.code()), Some("55P03"));
    db.sql("commit").await;
    other.batch_execute("insert into orders values (3, 1, 1)").await.expect("no wait");
}

#[tokio::test]
async fn what_is_rolled_back_is_not_asked_about() {
    let db = gold().await;
    db.sql("begin; insert into orders values (1, 7, 2000); savepoint a; insert into orders values (2, 8, 2000); rollback to a; commit").await;
    assert_eq!(db.fired().await, ["gold 7"]);
    db.sql("begin; insert into orders values (3, 9, 2000); rollback").await;
    assert!(db.fired().await.is_empty());
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.view_checks").await, 0);
}
