//! Change and firings commit, or are rolled back, together: transactions, savepoints, exception blocks.

use tradeflow_tests::database::Database;

/// A watched table, a rule for n > 0, and a second one with a query, which is asked at another time.
async fn counters() -> Database {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int").await;
    db.rule("positive", "public.t", "new.n > 0").await;
    db.sql(
        "insert into tradeflow.rules (name, source, condition, query, max_firings)
            values ('queried', 'public.t', 'new.n > 0', 'select new.n as doubled', 1000000)",
    )
    .await;
    db.sql("update tradeflow.rules set max_firings = 1000000").await;
    db
}

async fn counts(db: &Database) -> (i64, i64) {
    let of = |rule: &'static str| async move {
        db.one::<i64>(&format!("select count(*) from tradeflow.outbox where rule = '{rule}'")).await
    };
    (of("positive").await, of("queried").await)
}

#[tokio::test]
async fn a_commit_keeps_the_firings_and_a_rollback_leaves_none() {
    let db = counters().await;
    db.sql("begin; insert into t values (1, 1); rollback").await;
    assert_eq!(counts(&db).await, (0, 0));
    db.sql("begin; insert into t values (1, 1); commit").await;
    assert_eq!(db.fired().await, ["positive 1", "queried 1"]);
}

#[tokio::test]
async fn others_see_a_firing_only_when_its_change_is_committed() {
    let db = counters().await;
    let other = db.connect().await;
    other.batch_execute("begin; insert into t values (1, 1)").await.expect("it writes");
    assert_eq!(counts(&db).await, (0, 0));
    other.batch_execute("commit").await.expect("it commits");
    assert_eq!(counts(&db).await, (1, 1));
}

#[tokio::test]
async fn a_statement_that_fails_leaves_no_firing() {
    let db = counters().await;
    let error = db.error("insert into t values (1, 1), (2, 1), (1, 1)").await;
    assert_eq!(error.code, "23505");
    assert_eq!(counts(&db).await, (0, 0));
    // What it had kept for its end is gone as well: the next statement fires for its own rows alone.
    db.sql("insert into t values (3, 1)").await;
    assert_eq!(db.fired().await, ["positive 3", "queried 3"]);
}

#[tokio::test]
async fn a_savepoint_rolled_back_takes_its_firings_and_no_others() {
    let db = counters().await;
    db.sql(
        "begin;
            insert into t values (1, 1);
            savepoint a;
            insert into t values (2, 1);
            savepoint b;
            insert into t values (3, 1);
            release b;
            rollback to a;
            insert into t values (4, 1);
            savepoint c;
            insert into t values (5, 1);
            release c;
            commit",
    )
    .await;
    assert_eq!(
        db.fired().await,
        ["positive 1", "queried 1", "positive 4", "queried 4", "positive 5", "queried 5"]
    );
}

#[tokio::test]
async fn a_statement_that_fails_under_a_savepoint_leaves_the_rest() {
    let db = counters().await;
    let client = db.client();
    client.batch_execute("begin; insert into t values (1, 1); savepoint a").await.expect("it works");
    // More rows than are answered at once: answers exist already when the statement fails.
    let failing = "insert into t select i, case when i = 3500 then 1 / (i - 3500) else 1 end from generate_series(2, 4000) i";
    assert!(client.batch_execute(failing).await.is_err());
    client.batch_execute("rollback to a; insert into t values (5000, 1); commit").await.expect("it goes on");
    assert_eq!(db.fired().await, ["positive 1", "queried 1", "positive 5000", "queried 5000"]);
}

#[tokio::test]
async fn an_exception_block_takes_its_own_firings_along() {
    let db = counters().await;
    db.sql(
        "do $$
            begin
              insert into t values (1, 1);
              begin
                insert into t values (2, 1);
                insert into t select i, 1 from generate_series(100, 2600) i;
                raise exception 'no';
              exception when others then null;
              end;
              begin
                insert into t values (3, 1);
              exception when others then null;
              end;
              insert into t values (4, 1);
            end $$",
    )
    .await;
    assert_eq!(
        db.fired().await,
        ["positive 1", "queried 1", "positive 3", "queried 3", "positive 4", "queried 4"]
    );
}

/// A BEFORE trigger with an exception block runs in the middle of a statement whose earlier rows wait to be answered.
#[tokio::test]
async fn an_exception_block_in_mid_statement_keeps_the_rows_before_and_after_it() {
    let db = counters().await;
    db.watch("log", "id int primary key, n int").await;
    db.rule("logged", "public.log", "new.n > 0").await;
    db.sql(
        "create function note() returns trigger language plpgsql as $$
            begin
              begin
                insert into log values (new.id, 1);
                if new.id % 2 = 0 then raise exception 'even'; end if;
              exception when raise_exception then null;
              end;
              return new;
            end $$;
            create trigger note before insert on t for each row execute function note();
            insert into t select i, 1 from generate_series(1, 2500) i",
    )
    .await;
    assert_eq!(counts(&db).await, (2500, 2500));
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where rule = 'logged'").await, 1250);
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.outbox o join log on o.rule = 'logged' and log.id::text = o.subject").await,
        1250
    );
}

#[tokio::test]
async fn a_large_statement_fires_once_for_each_row() {
    let db = counters().await;
    db.sql("insert into t select i, i % 2 from generate_series(1, 5000) i").await;
    assert_eq!(counts(&db).await, (2500, 2500));
    let query = "select count(distinct subject) from tradeflow.outbox where rule = 'positive'";
    assert_eq!(db.one::<i64>(query).await, 2500);
    db.sql("delete from tradeflow.outbox; update t set n = n + 1").await;
    // Only those that were not positive before.
    assert_eq!(counts(&db).await, (2500, 2500));
}

#[tokio::test]
async fn a_transaction_prepared_for_two_phase_commit_carries_its_firings() {
    let db = counters().await;
    // Only where the server allows it; the run's private server keeps Postgres' default, which does not.
    if db.one::<String>("show max_prepared_transactions").await == "0" {
        let error = db.error("begin; insert into t values (1, 1); prepare transaction 'a'").await;
        assert_eq!(error.code, "55000");
        db.sql("rollback; insert into t values (2, 1)").await;
        assert_eq!(db.fired().await, ["positive 2", "queried 2"]);
    } else {
        db.sql("begin; insert into t values (1, 1); prepare transaction 'a'").await;
        assert_eq!(counts(&db).await, (0, 0));
        db.sql("commit prepared 'a'").await;
        assert_eq!(counts(&db).await, (1, 1));
    }
}

#[tokio::test]
async fn a_deferred_constraint_that_fails_at_commit_leaves_no_firing() {
    let db = counters().await;
    db.sql(
        "create table child (id int primary key, t int references t deferrable initially deferred);
            select tradeflow.watch('child')",
    )
    .await;
    db.rule("child", "public.child", "new.id > 0").await;
    let error =
        db.error("begin; insert into t values (1, 1); insert into child values (1, 99); commit").await;
    assert_eq!(error.code, "23503");
    assert_eq!(db.fired().await, Vec::<String>::new());
}
