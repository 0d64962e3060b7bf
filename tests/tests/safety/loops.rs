//! `max_per_subject`: what its own consequences set off again is held.

use tradeflow_tests::database::Database;

async fn sheet() -> Database {
    let db = Database::with_extension().await;
    db.watch("sheet", "id int primary key, n int").await;
    db.target().await;
    db.sql(
        "insert into tradeflow.rules (name, source, max_per_subject) values ('copied', 'public.sheet', 3)",
    )
    .await;
    db.action("copied").await;
    db
}

const STATES: &str = "select string_agg(format('%s %s', state, n), ', ' order by state) from (select state, count(*) as n from tradeflow.firings group by state) s";

#[tokio::test]
async fn the_further_firings_about_a_subject_are_held_and_named() {
    let db = sheet().await;
    db.sql("insert into sheet values (1, 0), (2, 0)").await;
    for _ in 0..4 {
        db.sql("update sheet set n = n + 1 where id = 1").await;
    }
    assert_eq!(db.one::<String>(STATES).await, "held 2, ready 4");
    let held: Vec<String> =
        db.column("select subject || ': ' || reason from tradeflow.outbox where state = 'held'").await;
    assert_eq!(held, ["1: more than 3 firings about one subject within an hour"; 2]);
    db.sql("select tradeflow.tick()").await;
    assert_eq!(
        db.incidents().await,
        ["held_loop copied 1 - 2: rule \"copied\" fired more than 3 times about one subject within an hour; the further firings are held"]
    );
    assert_eq!(db.one::<i32>("select tradeflow.release_held('copied')").await, 2);
    assert_eq!(db.one::<String>(STATES).await, "ready 6");
}

#[tokio::test]
async fn what_was_executed_meanwhile_counts() {
    let db = sheet().await;
    db.sql("insert into sheet values (1, 0)").await;
    for _ in 0..3 {
        // As a sidecar does, whose request has the row changed again.
        db.sql("select tradeflow.complete(array[id], array[attempt], array['{}'::jsonb]) from tradeflow.claim('w', 1, '1 minute');
                update sheet set n = n + 1").await;
    }
    assert_eq!(db.one::<String>(STATES).await, "done 3, held 1");
}

/// Each writes what the other watches; executed by somebody who does what they say until there is nothing more to do.
#[tokio::test]
async fn two_rules_that_feed_each_other_are_held_and_named() {
    let db = sheet().await;
    db.watch("copy", "id int primary key, n int").await;
    db.sql("insert into tradeflow.rules (name, source, max_per_subject) values ('back', 'public.copy', 3)")
        .await;
    db.action("back").await;
    db.sql("insert into sheet values (1, 0)").await;
    let mut executed = Vec::new();
    loop {
        let claimed = db.rows("select id, attempt, rule from tradeflow.claim('w', 10, '1 minute')").await;
        let Some(row) = claimed.first() else { break };
        let (id, attempt, rule): (i64, i32, String) = (row.get(0), row.get(1), row.get(2));
        db.sql(match rule.as_str() {
            "copied" => {
                "insert into copy select id, n + 1 from sheet on conflict (id) do update set n = excluded.n"
            }
            _ => "update sheet s set n = c.n from copy c where c.id = s.id",
        })
        .await;
        db.execute(
            "select tradeflow.complete(array[$1::bigint], array[$2::int], array['{}'::jsonb])",
            &[&id, &attempt],
        )
        .await;
        executed.push(rule);
        assert!(executed.len() < 20, "nobody stops them: {executed:?}");
    }
    assert_eq!(executed, ["copied", "back", "copied", "back", "copied", "back"]);
    db.sql("select tradeflow.tick()").await;
    let incidents = db.incidents().await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert!(incidents[0].starts_with("held_loop copied 1 "), "{incidents:?}");
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'held'").await, 1);
}

#[tokio::test]
async fn after_an_hour_it_may_fire_again() {
    let db = sheet().await;
    db.sql("select tradeflow.set_clock('2026-11-22 12:00+00'); insert into sheet values (1, 0)").await;
    for _ in 0..3 {
        db.sql("update sheet set n = n + 1").await;
    }
    db.sql("select tradeflow.set_clock('2026-11-22 13:01+00'); update sheet set n = n + 1").await;
    assert_eq!(db.one::<String>(STATES).await, "held 1, ready 4");
    db.sql("select tradeflow.tick()").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.recent_firings").await, 1, "swept");
}

#[tokio::test]
async fn one_statement_counts_its_own_and_others_subjects_do_not() {
    let db = sheet().await;
    db.sql("update tradeflow.rules set query = 'select g as line from generate_series(1, new.n) g'").await;
    db.sql("insert into sheet values (1, 5), (2, 3), (3, 1)").await;
    let held: Vec<String> = db.column("select subject || ' ' || (facts ->> 'line') from tradeflow.outbox where state = 'held' order by id").await;
    assert_eq!(held, ["1 4", "1 5"]);
}

#[tokio::test]
async fn a_timer_that_is_replaced_again_and_again_is_no_loop() {
    let db = sheet().await;
    db.sql("update tradeflow.rules set fire_at = 'now() + new.n * interval ''1 day'''; insert into sheet values (1, 1)").await;
    for _ in 0..6 {
        db.sql("update sheet set n = n + 1").await;
    }
    assert_eq!(db.one::<String>("select string_agg(state, ', ') from tradeflow.outbox").await, "waiting");
}

#[tokio::test]
async fn a_burst_of_a_hundred_thousand_held_takes_no_longer_than_one_that_is_not() {
    let db = sheet().await;
    db.sql("update tradeflow.rules set max_firings = 200000, max_per_subject = 1, query = 'select 1 as one from generate_series(1, 2)'").await;
    // Every subject is over its limit: what compares all with all would take hours.
    db.sql("set statement_timeout = '120s'; insert into sheet select g, 0 from generate_series(1, 50000) g")
        .await;
    assert_eq!(db.one::<String>(STATES).await, "held 50000, ready 50000");
}
