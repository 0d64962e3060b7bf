//! View rules that change while sessions have asked them: what a session keeps of them follows.

use super::members::{both_edges, edges, gold, MEMBERS};

#[tokio::test]
async fn whatever_is_said_of_a_rule_elsewhere_counts_at_the_next_commit() {
    let db = gold().await;
    let other = db.connect().await;
    let elsewhere = |sql: &'static str| {
        let other = &other;
        async move { other.batch_execute(sql).await.expect(sql) }
    };
    let states = "with gone as (delete from tradeflow.outbox returning *) select concat_ws(' ', subject, kind, state, rule_version) from gone order by id";
    db.sql("insert into orders values (1, 1, 1000)").await;
    assert_eq!(db.column::<String>(states).await, ["1 done 1"]);
    both_edges(&db, "gold").await;
    db.sql("insert into orders values (2, 2, 1000)").await;
    assert_eq!(db.column::<String>(states).await, ["2 http ready 1"]);
    elsewhere("update tradeflow.actions set kind = 'noop', target = null, params = '{}'").await;
    db.sql("insert into orders values (3, 3, 1000)").await;
    assert_eq!(db.column::<String>(states).await, ["3 noop ready 1"]);
    elsewhere("update tradeflow.rules set mode = 'shadow'").await;
    db.sql("insert into orders values (4, 4, 1000)").await;
    assert_eq!(db.column::<String>(states).await, ["4 noop shadow 2"]);
    elsewhere("update tradeflow.rules set mode = 'live', max_firings = 1").await;
    db.sql("insert into orders values (5, 5, 1000), (6, 6, 1000)").await;
    assert_eq!(db.column::<String>(states).await, ["5 noop held 3", "6 noop held 3"]);
    elsewhere("update tradeflow.actions set delay = '1 day'; update tradeflow.rules set max_firings = 100")
        .await;
    db.sql("insert into orders values (7, 7, 1000)").await;
    assert_eq!(db.column::<String>(states).await, ["7 noop waiting 4"]);
    elsewhere("update tradeflow.actions set delay = '0'").await;
    // The view gets a column, which says how often somebody may be in it.
    elsewhere(
        "create or replace view gold as
           select company as subject, sum(total) as spent, min(placed) + interval '90 days' as recheck_at, 'x' || n as occurrence
           from orders, generate_series(1, 2) n where placed > tradeflow.now() - interval '90 days'
           group by company, n having sum(total) >= 1000",
    )
    .await;
    db.sql("insert into orders values (8, 8, 1000)").await;
    let eight = "select subject || ' ' || occurrence from tradeflow.outbox order by 1";
    assert_eq!(db.column::<String>(eight).await, ["8 x1", "8 x2"]);
    db.sql("delete from tradeflow.outbox").await;
    elsewhere("update tradeflow.rules set mode = 'off'").await;
    db.sql("insert into orders values (9, 9, 1000)").await;
    assert!(edges(&db).await.is_empty());
    elsewhere("update tradeflow.rules set mode = 'live', name = 'golden'").await;
    db.sql("insert into orders values (10, 10, 1000)").await;
    let golden = "select distinct rule || ' ' || subject from tradeflow.outbox";
    assert_eq!(db.column::<String>(golden).await, ["golden 10"]);
    // In the session's own transaction, and back with it.
    db.sql("delete from tradeflow.outbox").await;
    db.sql("begin; update tradeflow.rules set max_firings = 1; insert into orders values (11, 11, 1000); set constraints all immediate").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'held'").await, 2);
    db.sql("rollback; insert into orders values (11, 11, 1000)").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'ready'").await, 2);
}

#[tokio::test]
async fn of_many_views_those_that_fail_cost_the_others_nothing() {
    let db = gold().await;
    for n in 0..6 {
        // Every second one divides by nothing for a company whose least order is 10.
        let having = if n % 2 == 0 { "min(total) > 0" } else { "100 / (min(total) - 10) <> 0" };
        db.sql(&format!(
            "create view v{n} as select company as subject, count(*) as n from orders group by company having {having};
             insert into tradeflow.rules (name, view) values ('v{n}', 'v{n}');
             insert into tradeflow.rule_inputs values ('v{n}', 'orders', 'new.company')"
        ))
        .await;
    }
    db.sql("insert into orders values (1, 1, 10)").await;
    let fired = "with gone as (delete from tradeflow.outbox returning *) select rule || ' ' || subject from gone order by 1";
    assert_eq!(db.column::<String>(fired).await, ["v0 1", "v2 1", "v4 1"]);
    let failed = "select distinct rule from tradeflow.incidents order by 1";
    assert_eq!(db.column::<String>(failed).await, ["v1", "v3", "v5"]);
    db.sql("insert into orders values (2, 2, 20)").await;
    assert_eq!(db.column::<String>(fired).await, ["v0 2", "v1 2", "v2 2", "v3 2", "v4 2", "v5 2"]);
}

#[tokio::test]
async fn what_a_transaction_changes_in_silence_and_aloud_is_loud() {
    let db = gold().await;
    db.sql(
        "begin; set local tradeflow.mode = 'silent'; insert into orders values (1, 1, 600), (2, 2, 2000);
         set local tradeflow.mode = 'normal'; insert into orders values (3, 1, 600); commit",
    )
    .await;
    assert_eq!(db.fired().await, ["gold 1"]);
    assert_eq!(db.column::<String>(MEMBERS).await, ["1", "2"]);
}
