//! The tables under load: what an old transaction keeps from being cleaned, and what waits in millions.

use tradeflow_tests::database::Database;

use super::{claim, jobs};

/// Executes everything that is ready, and says how many entries of the ready index the last claim read.
async fn drain(db: &Database) -> i64 {
    let client = db.connect().await;
    let mut entries = 0;
    loop {
        client.batch_execute("begin").await.expect("it begins");
        // The session's count, until it is reported some time.
        let count = "select pg_stat_get_xact_tuples_returned('tradeflow.outbox_ready'::regclass)";
        let before: i64 = client.query_one(count, &[]).await.expect("it counts").get(0);
        let rows = client
            .query("select id, attempt from tradeflow.claim('w', 500, '1 minute')", &[])
            .await
            .expect("it claims");
        let read = client.query_one(count, &[]).await.expect("it counts").get::<_, i64>(0) - before;
        client.batch_execute("commit").await.expect("it ends");
        if rows.is_empty() {
            return entries;
        }
        entries = read;
        let ids: Vec<i64> = rows.iter().map(|r| r.get(0)).collect();
        let attempts: Vec<i32> = rows.iter().map(|r| r.get(1)).collect();
        client
            .query(
                "select tradeflow.complete($1::bigint[], $2::int[], array_fill('{}'::jsonb, array[cardinality($1::bigint[])]))",
                &[&ids, &attempts],
            )
            .await
            .expect("it completes");
    }
}

#[tokio::test]
async fn a_claim_goes_past_what_an_old_transaction_keeps_from_being_cleaned() {
    let db = jobs().await;
    let old = db.connect().await;
    old.batch_execute("begin isolation level repeatable read; select from tradeflow.rules")
        .await
        .expect("it begins");
    for round in 0..4 {
        db.sql(&format!("insert into jobs select generate_series({0} + 1, {0} + 5000)", round * 5000)).await;
        let entries = drain(&db).await;
        assert!(entries < 15_000, "round {round}: a claim of 500 read {entries} entries");
    }
    assert!(
        db.one::<bool>("select from_at > '-infinity' from tradeflow.channels where target = 'there'").await
    );

    // Of a transaction that began before and commits after everybody had gone past.
    let late = db.connect().await;
    late.batch_execute("begin; insert into jobs values (100001)").await.expect("it fires");
    // What began a moment ago is not gone past.
    db.until("select max(xact_start) < clock_timestamp() - interval '0.5 seconds' from pg_stat_activity where datname = current_database() and state = 'idle in transaction'").await;
    db.sql("insert into jobs select generate_series(200001, 204000)").await;
    drain(&db).await;
    drain(&db).await;
    late.batch_execute("commit").await.expect("it commits");
    assert_eq!(claim(&db, 10).await, Vec::<String>::new(), "claims are past it");
    db.sql("update tradeflow.channels set swept_at = null; select tradeflow.tick()").await;
    assert_eq!(claim(&db, 10).await.len(), 1, "tick() finds it");
    old.batch_execute("rollback").await.expect("it ends");
    db.sql("vacuum (index_cleanup on) tradeflow.outbox").await;
    db.sql("update tradeflow.channels set swept_at = null; select tradeflow.tick()").await;
    assert!(
        db.one::<bool>("select from_at = '-infinity' from tradeflow.channels where target = 'there'").await,
        "it begins at the beginning again"
    );
}

#[tokio::test]
async fn leases_that_ended_well_are_looked_through_once() {
    let db = jobs().await;
    let old = db.connect().await;
    old.batch_execute("begin isolation level repeatable read; select from tradeflow.rules")
        .await
        .expect("it begins");
    db.sql("insert into jobs select generate_series(1, 3000)").await;
    drain(&db).await;
    // Their time has passed meanwhile.
    db.sql("insert into jobs select generate_series(10001, 13000); select from tradeflow.claim('w', 3000, '1 second')").await;
    db.until("select not exists (select from tradeflow.outbox where lease_until > clock_timestamp())").await;
    for _ in 0..4 {
        db.sql("select tradeflow.tick()").await;
    }
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.outbox where state = 'ready' and attempt = 1").await,
        3000
    );
    assert!(db.one::<bool>("select from_at > '-infinity' from tradeflow.upkeep where task = 'leases'").await);
    db.sql("insert into jobs values (20001); select from tradeflow.claim('w', 10000, '1 second')").await;
    db.until("select not exists (select from tradeflow.outbox where lease_until > clock_timestamp())").await;
    for _ in 0..5 {
        db.sql("select tradeflow.tick()").await;
    }
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.outbox where state = 'running'").await,
        0,
        "later ones are found"
    );
}

#[tokio::test]
async fn retention_drops_no_failure_that_nobody_saw() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (-1), (2); insert into tradeflow.settings (name, value) values ('history_days', '1')").await;
    claim(&db, 10).await;
    db.sql("select tradeflow.fail(1, 1, 'no', 'dead'), tradeflow.fail(2, 1, 'lost', 'uncertain'), tradeflow.complete('{3}', '{1}', array['{}'::jsonb])").await;
    db.sql("update tradeflow.outbox set created_at = now() - interval '1 year'; select tradeflow.tick(); select tradeflow.tick()").await;
    assert_eq!(
        db.column::<String>("select state from tradeflow.outbox order by id").await,
        ["dead", "uncertain"]
    );
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents where acked_at is null").await, 2);
}

#[tokio::test]
async fn the_hot_tables_are_vacuumed_early() {
    let db = Database::with_extension().await;
    for table in ["outbox", "channels", "target_states"] {
        let options: String = db
            .one(&format!("select reloptions::text from pg_class where oid = 'tradeflow.{table}'::regclass"))
            .await;
        assert!(options.contains("autovacuum_vacuum_scale_factor=0.0"), "{table}: {options}");
    }
}

/// Attaching a day's partition, and dropping an old one, lock the whole history. A dump, or a session that somebody forgot, may
/// have read it: nothing may queue behind that.
#[tokio::test]
async fn a_transaction_that_read_the_history_holds_up_neither_ticks_nor_completions() {
    let db = jobs().await;
    db.sql(
        "select tradeflow.tick(); insert into tradeflow.settings (name, value) values ('history_days', '7')",
    )
    .await;
    db.sql(
        "do $$ declare tomorrow text := to_char(now() at time zone 'UTC' + interval '1 day', 'YYYYMMDD'); begin
           execute 'drop table tradeflow.outbox_history_' || tomorrow;
           execute 'drop table tradeflow.change_log_' || tomorrow;
           create table tradeflow.outbox_history_20200101 partition of tradeflow.outbox_history for values from ('2020-01-01 00:00+00') to ('2020-01-02 00:00+00');
         end $$;
         insert into jobs values (1), (2)",
    )
    .await;
    let reader = db.connect().await;
    reader
        .batch_execute(
            "begin; select count(*) from tradeflow.outbox_history; select count(*) from tradeflow.change_log",
        )
        .await
        .expect("it reads");
    assert_eq!(claim(&db, 10).await, ["1.1 1", "2.1 2"]);
    let partitions =
        "select count(*) from pg_class where relname ~ '^(outbox_history|change_log)_20[0-9]{6}$'";
    // Nobody is patient here: whoever waits for the reader fails.
    db.sql("set statement_timeout = '5s'").await;
    assert_eq!(db.one::<i32>("select (tradeflow.tick() ->> 'partitions')::int").await, 0);
    db.sql("select tradeflow.complete('{1}', '{1}', array['{}'::jsonb])").await;
    db.sql("select tradeflow.tick()").await;
    db.sql("select tradeflow.complete('{2}', '{1}', array['{}'::jsonb])").await;
    assert_eq!(db.one::<i64>(partitions).await, 1, "the day of long ago");
    reader.batch_execute("commit").await.expect("it ends");
    assert_eq!(
        db.one::<i32>("select (tradeflow.tick() ->> 'partitions')::int").await,
        0,
        "not at once again"
    );
    db.sql("update tradeflow.upkeep set done_at = done_at - interval '1 minute' where task = 'partitions'")
        .await;
    assert_eq!(db.one::<i32>("select (tradeflow.tick() ->> 'partitions')::int").await, 2);
    assert_eq!(db.one::<i64>(partitions).await, 2, "tomorrow of both, and the old day is gone");
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox_history where state = 'done'").await, 2);
}
