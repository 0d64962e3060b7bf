//! `fires = 'once'`: the first answer ever about a subject.

use tradeflow_tests::database::Database;

async fn welcome() -> Database {
    let db = Database::with_extension().await;
    db.watch("users", "id int primary key, active boolean, since timestamptz").await;
    db.target().await;
    db.sql("insert into tradeflow.rules (name, source, condition, fires) values ('welcome', 'public.users', 'new.active', 'once')").await;
    db.action("welcome").await;
    db
}

#[tokio::test]
async fn a_subject_is_told_once_however_often_it_comes_back() {
    let db = welcome().await;
    db.sql("insert into users values (1, true), (2, false)").await;
    assert_eq!(db.fired().await, ["welcome 1"]);
    db.sql("update users set active = false; update users set active = true").await;
    assert_eq!(db.fired().await, ["welcome 2"]);
    db.sql("delete from users; insert into users values (1, true), (2, true), (3, true)").await;
    assert_eq!(db.fired().await, ["welcome 3"]);
    // Nothing of it is left but members: fired() took the actions away, and no history was kept.
    let told: Vec<String> =
        db.column("select subject from tradeflow.members where rule = 'welcome' order by 1").await;
    assert_eq!(told, ["1", "2", "3"]);
    db.sql("delete from tradeflow.rules").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.members").await, 0);
}

#[tokio::test]
async fn what_is_rolled_back_was_not_told() {
    let db = welcome().await;
    db.sql("begin; insert into users values (1, true); savepoint s; insert into users values (2, true); rollback to s; commit").await;
    db.sql("insert into users values (2, true)").await;
    assert_eq!(db.fired().await, ["welcome 1", "welcome 2"]);
}

#[tokio::test]
async fn occurrences_are_told_each_on_its_own_and_once_within_a_statement() {
    let db = welcome().await;
    db.sql("update tradeflow.rules set query = 'select x as occurrence from unnest(array[''a'', ''b'', ''a'']) x'").await;
    db.sql("insert into users values (1, true)").await;
    assert_eq!(db.fired().await, ["welcome 1", "welcome 1"]);
    db.sql("update tradeflow.rules set query = 'select x as occurrence from unnest(array[''a'', ''c'']) x'")
        .await;
    db.sql("update users set active = false; update users set active = true").await;
    let facts: Vec<String> = db.column("select occurrence from tradeflow.outbox").await;
    assert_eq!(facts, ["c"]);
}

#[tokio::test]
async fn a_timer_that_was_withdrawn_told_nothing_yet() {
    let db = welcome().await;
    db.sql(
        "select tradeflow.set_clock('2026-11-22 12:00+00');
            update tradeflow.rules set fire_at = 'new.since + interval ''1 day''';
            insert into users values (1, true, '2026-11-22 12:00+00')",
    )
    .await;
    let waiting = "select string_agg(state || to_char(run_at at time zone 'UTC', ' MM-DD'), ', ') from tradeflow.outbox";
    assert_eq!(db.one::<String>(waiting).await, "waiting 11-23");
    // A new time replaces it; a no cancels it; a later yes is the first again.
    db.sql("update users set since = '2026-11-24 12:00+00'").await;
    assert_eq!(db.one::<String>(waiting).await, "waiting 11-25");
    db.sql("update users set active = false").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 0);
    db.sql("update users set active = true").await;
    assert_eq!(db.one::<String>(waiting).await, "waiting 11-25");
    db.sql("select tradeflow.set_clock('2026-11-26 12:00+00'); select tradeflow.tick()").await;
    assert_eq!(db.fired_in_detail().await, ["welcome 1 update ready"]);
    db.sql("update users set since = '2026-12-24 12:00+00'; update users set active = false; update users set active = true").await;
    assert!(db.fired().await.is_empty(), "it was told");
}

#[tokio::test]
async fn what_is_only_recorded_is_not_remembered() {
    let db = welcome().await;
    db.sql("update tradeflow.rules set mode = 'shadow'; insert into users values (1, true)").await;
    assert_eq!(db.fired_in_detail().await, ["welcome 1 insert shadow"]);
    db.sql("update tradeflow.rules set mode = 'live'; update users set active = false; update users set active = true").await;
    assert_eq!(db.fired_in_detail().await, ["welcome 1 update ready"]);
    db.sql("update tradeflow.rules set mode = 'shadow'; update users set active = false; update users set active = true").await;
    assert!(db.fired().await.is_empty(), "it would not fire");
}

#[tokio::test]
async fn two_transactions_tell_a_subject_once() {
    let db = welcome().await;
    // Two rows about one subject, each in a transaction of its own.
    db.sql("update tradeflow.rules set query = 'select ''the company'' as subject'").await;
    let other = db.connect().await;
    db.sql("begin; insert into users values (1, true)").await;
    let second = async {
        other.batch_execute("insert into users values (2, true)").await.expect("it waits, and goes on")
    };
    let first = async {
        db.until("select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())").await;
        db.sql("commit").await;
    };
    tokio::join!(second, first);
    assert_eq!(db.fired().await, ["welcome the company"]);
}

#[tokio::test]
async fn a_view_has_its_own_memory() {
    let db = Database::with_extension().await;
    db.sql("create view v as select 1 as subject").await;
    let error =
        db.error("insert into tradeflow.rules (name, view, fires) values ('v', 'public.v', 'once')").await;
    assert_eq!(error.code, "22023");
}

#[tokio::test]
async fn a_backfill_tells_those_who_were_not_told() {
    let db = welcome().await;
    db.sql("insert into users values (1, true); alter table users disable trigger user; insert into users values (2, true)").await;
    assert_eq!(db.fired().await, ["welcome 1"]);
    assert_eq!(db.one::<i32>("select tradeflow.backfill('welcome')").await, 1);
    assert_eq!(db.fired().await, ["welcome 2"]);
}
