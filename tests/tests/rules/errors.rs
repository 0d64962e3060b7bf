//! A rule's error is an incident, never the statement's; what must end the statement does.

use std::time::Duration;

use tradeflow_tests::database::Database;

async fn table() -> Database {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int, s text").await;
    db.rule("good", "public.t", "new.n >= 0").await;
    db.sql("update tradeflow.rules set max_firings = 1000000").await;
    db
}

async fn memory(db: &Database) -> i64 {
    db.one("select sum(total_bytes)::bigint from pg_backend_memory_contexts").await
}

#[tokio::test]
async fn one_bad_row_of_a_thousand_costs_that_row_alone() {
    let db = table().await;
    db.rule("ratio", "public.t", "10 / new.n >= 0").await;
    db.sql("update tradeflow.rules set max_firings = 1000000; insert into t select i, case when i = 500 then 0 else i end from generate_series(1, 1000) i").await;
    assert_eq!(db.one::<i64>("select count(*) from t").await, 1000);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where rule = 'good'").await, 1000);
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.outbox where rule = 'ratio' and subject <> '500'")
            .await,
        999
    );
    assert_eq!(
        db.incidents().await,
        ["rule_error ratio 500 22012 1: rule \"ratio\" for 500: division by zero"]
    );
}

#[tokio::test]
async fn a_rule_that_fails_for_every_row_leaves_the_others_their_answers() {
    let db = table().await;
    db.rule("bad", "public.t", "10 / (new.n - new.n) > 0").await;
    db.sql("insert into t select i, i from generate_series(1, 2500) i").await;
    assert_eq!(db.fired().await.len(), 2500);
    let told: String = db.one("select detail || '. ' || hint from tradeflow.incidents").await;
    assert_eq!(told, "it failed for 100 rows of the statement, and was not asked about 2400 more. mend it, then ask about those rows: select tradeflow.backfill('bad', '…')");
    let incidents = db.incidents().await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert!(incidents[0].starts_with("rule_error bad 1 22012 100: "), "{incidents:?}");
    // A later statement asks it again; tick() adds up.
    db.sql("insert into t values (5000, 1); insert into t values (5001, 1); select tradeflow.tick()").await;
    assert_eq!(db.incidents().await.len(), 2);
}

#[tokio::test]
async fn a_function_that_raises_keeps_its_sqlstate_detail_and_hint() {
    let db = table().await;
    db.sql("create function strict_check(int) returns boolean language plpgsql stable as $$
            begin
              raise exception 'no % today', $1 using errcode = 'TF777', detail = 'the detail', hint = 'the hint';
            end $$")
        .await;
    db.rule("raises", "public.t", "public.strict_check(new.n)").await;
    db.sql("insert into t values (1, 7)").await;
    let row: String = db.one("select concat_ws('|', kind, rule, source, subject, sqlstate, message, detail, hint) from tradeflow.incidents").await;
    assert_eq!(
        row,
        "rule_error|raises|public.t|1|TF777|rule \"raises\" for 1: no 7 today|the detail|the hint"
    );
    assert_eq!(db.fired().await, ["good 1"]);
}

/// The same of a query, which is asked row by row once it has failed for all.
#[tokio::test]
async fn a_query_that_fails_for_every_row_is_given_up_too() {
    let db = table().await;
    db.sql("insert into tradeflow.rules (name, source, query) values ('bad', 'public.t', 'select 1 / (new.n - new.n) as x')").await;
    db.sql("insert into t select i, i from generate_series(1, 1500) i").await;
    assert_eq!(db.fired().await.len(), 1500);
    assert_eq!(
        db.column::<String>("select count || ' ' || detail from tradeflow.incidents").await,
        ["100 it failed for 100 rows of the statement, and was not asked about 1400 more"]
    );
}

/// Postgres means it when it says that a statement is cancelled or must be tried again; a function that says so does not.
#[tokio::test]
async fn a_function_that_raises_what_ends_statements_ends_none() {
    let db = table().await;
    db.sql(
        "create function says(text) returns boolean language plpgsql stable as $$
         begin raise exception 'it says %', $1 using errcode = $1; end $$",
    )
    .await;
    db.rule("says", "public.t", "public.says(new.s)").await;
    let codes = ["57014", "57P01", "57P02", "53200", "40001", "40P01"];
    for (id, code) in codes.iter().enumerate() {
        db.sql(&format!("insert into t values ({id}, 1, '{code}')")).await;
    }
    assert_eq!(db.fired().await.len(), codes.len(), "the good rule's");
    let incidents: Vec<String> =
        db.column("select sqlstate || ': ' || message from tradeflow.incidents order by id").await;
    for (id, code) in codes.iter().enumerate() {
        assert_eq!(incidents[id], format!("{code}: rule \"says\" for {id}: it says {code}"));
    }
}

/// What a function finds in tables does not depend on how many rows the statement has, or where in it they are.
#[tokio::test]
async fn a_function_that_reads_sees_all_that_its_statement_wrote() {
    let db = table().await;
    db.sql(
        "create function alone(text) returns boolean language sql stable as $$ select count(*) = 1 from public.t where s = $1 $$;
         create function among(text, int) returns boolean language plpgsql stable as $$ begin return (select count(*) from public.t where s = $1) = $2; end $$;
         update tradeflow.rules set mode = 'off' where name = 'good';
         insert into tradeflow.rules (name, source, condition, max_firings) values
           ('alone', 'public.t', 'public.alone(new.s)', 10000), ('among', 'public.t', 'public.among(new.s, 2500)', 10000)",
    )
    .await;
    db.sql("insert into t values (1, 1, 'a')").await;
    assert_eq!(db.fired().await, ["alone 1"]);
    db.sql("insert into t select 10 + i, i, 'b' from generate_series(1, 2500) i").await;
    let fired: Vec<String> =
        db.column("select rule || ' ' || count(*) from tradeflow.outbox group by rule").await;
    assert_eq!(fired, ["among 2500"]);
    db.fired().await;
    // Also after a savepoint, in a transaction that sees no others.
    db.sql("begin isolation level repeatable read; savepoint a; insert into t values (2, 1, 'c'); release a; commit").await;
    assert_eq!(db.fired().await, ["alone 2"]);
}

#[tokio::test]
async fn errors_in_due_times_and_in_the_condition_before_are_incidents_too() {
    let db = table().await;
    db.sql(
        "insert into tradeflow.rules (name, source, condition, fire_at) values
              ('due', 'public.t', 'new.n > 0', 'new.s::timestamptz'),
              ('edge', 'public.t', 'new.s::int > 0', null)",
    )
    .await;
    db.sql("insert into t values (1, 1, 'tomorrow-ish'), (2, 1, '5')").await;
    let incidents = db.incidents().await;
    assert_eq!(incidents.len(), 2, "{incidents:?}");
    assert!(
        incidents[0].starts_with("rule_error due 1 22007 2")
            && incidents[1].starts_with("rule_error edge 1 22P02 1"),
        "{incidents:?}"
    );
    assert_eq!(db.fired().await, ["good 1", "edge 2", "good 2"]);
}

#[tokio::test]
async fn errors_of_every_kind_end_no_statement() {
    let db = table().await;
    db.sql(
        "create function boom(text) returns boolean language plpgsql stable as $$
            begin
              case $1
                when 'assert' then assert false, 'asserted';
                when 'overflow' then perform 2147483647 + length($1);
                when 'recursion' then return public.boom($1);
                when 'big' then return length(repeat('x', 2000000000)) > 0;
                when 'regex' then return 'a' ~ '(';
                when 'json' then return $1::jsonb is null;
                when 'write' then execute 'create table x (id int)';
                when 'commit' then commit;
                when 'lock' then execute 'lock table public.t in access exclusive mode nowait';
                when 'table' then return (select true from public.no_such_table);
                else return true;
              end case;
              return true;
            end $$",
    )
    .await;
    db.rule("boom", "public.t", "public.boom(new.s)").await;
    let kinds =
        ["assert", "overflow", "recursion", "big", "regex", "json", "write", "commit", "table", "fine"];
    for (i, kind) in kinds.iter().enumerate() {
        db.sql(&format!("insert into t values ({i}, 1, '{kind}')")).await;
        let incidents = db.incidents().await;
        assert_eq!(incidents.len(), usize::from(*kind != "fine"), "{kind}: {incidents:?}");
    }
    let fired = db.fired().await;
    assert_eq!(fired.len(), kinds.len() + 1, "{fired:?}");
    // All of them at once, in one statement.
    let values: Vec<String> =
        kinds.iter().enumerate().map(|(i, k)| format!("({}, 1, '{k}')", 100 + i)).collect();
    db.sql(&format!("insert into t values {}", values.join(", "))).await;
    let fired = db.fired().await;
    assert_eq!(fired.len(), kinds.len() + 1, "{fired:?}");
    assert_eq!(db.one::<i32>("select count from tradeflow.incidents").await, 9);
}

#[tokio::test]
async fn statement_timeout_and_cancel_end_the_statement_and_leave_the_session_usable() {
    let db = table().await;
    db.sql("create function slow() returns boolean language plpgsql stable as $$ begin perform pg_sleep(30); return true; end $$").await;
    db.rule("slow", "public.t", "new.n > 100 and public.slow()").await;
    db.sql("insert into t values (1, 1)").await;
    assert_eq!(db.fired().await, ["good 1"]);
    let error = db.error("set statement_timeout = '200ms'; insert into t values (2, 101)").await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("57014", "canceling statement due to statement timeout")
    );
    db.sql("set statement_timeout = 0; insert into t values (3, 3)").await;
    assert_eq!(db.fired().await, ["good 3"]);

    let pid: i32 = db.one("select pg_backend_pid()").await;
    let other = db.connect().await;
    let cancel = async {
        tradeflow_tests::eventually::eventually("the condition to be asked", || async {
            let row = other
                .query_one("select wait_event = 'PgSleep' from pg_stat_activity where pid = $1", &[&pid])
                .await
                .expect("it is seen");
            row.get::<_, Option<bool>>(0).filter(|sleeps| *sleeps)
        })
        .await;
        other.execute("select pg_cancel_backend($1)", &[&pid]).await.expect("it cancels");
    };
    let (error, ()) = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::join!(db.error("insert into t values (4, 101)"), cancel)
    })
    .await
    .expect("the statement ends");
    assert_eq!(error.code, "57014");
    db.sql("insert into t values (5, 3)").await;
    assert_eq!(db.fired().await, ["good 5"]);
    assert_eq!(db.incidents().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_thousand_failed_compiles_leave_no_memory_behind() {
    let db = table().await;
    let attempts = |n: i32| {
        format!(
            "do $$ begin for i in 1..{n} loop
               begin
                 insert into tradeflow.rules (name, source, condition, query) values
                   ('bad', 'public.t', case i % 3 when 0 then 'new.nothing > 1' when 1 then 'new.n >' else 'new.n > 1' end, case i % 3 when 2 then 'select nothing from t' end);
                 raise 'it was accepted';
               exception when undefined_column or syntax_error then null;
               end;
             end loop; end $$"
        )
    };
    db.sql(&attempts(100)).await;
    let before = memory(&db).await;
    db.sql(&attempts(1000)).await;
    let grown = memory(&db).await - before;
    assert!(grown < 300_000, "{grown} bytes more after 1,000 failed compiles");

    // The same where a backend compiles for itself: a rule that no longer compiles.
    db.sql("create function f(int) returns boolean language sql stable as 'select $1 > 5'").await;
    db.rule("f", "public.t", "public.f(new.n)").await;
    db.sql("drop function f(int)").await;
    let rounds = |n: i32| {
        format!("do $$ begin for i in 1..{n} loop perform tradeflow._invalidate('t'); update t set n = i where id = 1; end loop; end $$")
    };
    db.sql("insert into t values (1, 1)").await;
    db.sql(&rounds(50)).await;
    let before = memory(&db).await;
    db.sql(&rounds(500)).await;
    let grown = memory(&db).await - before;
    assert!(grown < 300_000, "{grown} bytes more after 500 compiles by the cache");
}

#[tokio::test]
async fn a_hundred_thousand_rows_leave_no_memory_behind() {
    let db = table().await;
    db.rule("text", "public.t", "length(new.s || new.n) > 100 and new.s like 'x%' || new.n").await;
    db.rule("bad", "public.t", "10 / (new.n % 1000) > 1000000").await;
    db.sql("delete from tradeflow.rules where name = 'good'; insert into t select i, i, 'x' from generate_series(1, 2000) i").await;
    let before = memory(&db).await;
    db.sql("insert into t select i, i, repeat('x', 200) from generate_series(10001, 110000) i").await;
    let grown = memory(&db).await - before;
    assert!(grown < 500_000, "{grown} bytes more after 100,000 rows");
    // In mid-transaction as well: what was answered is freed at the statement's end.
    db.sql("begin; update t set n = n + 1 where id <= 2000").await;
    let before = memory(&db).await;
    db.sql("update t set n = n + 1 where id > 10000").await;
    let grown = memory(&db).await - before;
    db.sql("commit").await;
    assert!(grown < 500_000, "{grown} bytes more in the transaction");
}
