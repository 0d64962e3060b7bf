//! What a rule can say beside its condition: fires, columns, events, mode, max_firings; and what a firing's actions do.

use tradeflow_tests::database::Database;

async fn table() -> Database {
    let db = Database::with_extension().await;
    db.sql(
        "create table t (id int primary key, n int, s text, synced_at timestamptz, raw jsonb);
            select tradeflow.watch('t', ignore => '{synced_at,raw}')",
    )
    .await;
    db
}

#[tokio::test]
async fn enter_fires_when_it_begins_to_hold_and_always_at_every_change_while_it_holds() {
    let db = table().await;
    db.rule("enter", "public.t", "new.n > 5").await;
    db.sql("insert into tradeflow.rules (name, source, condition, fires) values ('always', 'public.t', 'new.n > 5', 'always')").await;
    db.sql("insert into t values (1, 6)").await;
    assert_eq!(db.fired().await, ["always 1", "enter 1"]);
    db.sql("update t set n = 7").await;
    assert_eq!(db.fired().await, ["always 1"]);
    db.sql("update t set s = 'x'").await;
    assert_eq!(db.fired().await, ["always 1"]);
    db.sql("update t set n = 7; update t set synced_at = now(), raw = '{}'; update t set n = 5").await;
    assert_eq!(db.fired().await, Vec::<String>::new());
    db.sql("update t set n = 6").await;
    assert_eq!(db.fired().await, ["always 1", "enter 1"]);
}

#[tokio::test]
async fn a_condition_over_old_is_its_own_edge() {
    let db = table().await;
    db.rule("up", "public.t", "new.n > old.n").await;
    db.rule("any", "public.t", "old.n is null or new.n > 5").await;
    db.sql("insert into t values (1, 6)").await;
    assert_eq!(db.fired().await, ["any 1"]);
    db.sql("update t set n = 7; update t set s = 'x'; update t set n = 8").await;
    assert_eq!(db.fired().await, ["any 1", "up 1", "any 1", "any 1", "up 1"]);
}

#[tokio::test]
async fn no_condition_means_every_real_change() {
    let db = table().await;
    db.sql("insert into tradeflow.rules (name, source) values ('r', 'public.t')").await;
    assert_eq!(db.one::<String>("select fires from tradeflow.rules").await, "always");
    db.sql("insert into t values (1, 1); update t set n = 1; update t set raw = '[]'; update t set n = 2; delete from t").await;
    assert_eq!(db.fired_in_detail().await, ["r 1 insert done", "r 1 update done"]);
}

#[tokio::test]
async fn columns_limit_updates_to_those_that_change_them() {
    let db = table().await;
    db.sql("insert into tradeflow.rules (name, source, condition, columns, fires) values
              ('n', 'public.t', 'new.n > 0', '{n}', 'always'), ('ns', 'public.t', null, '{n,s}', 'always'), ('raw', 'public.t', null, '{raw}', 'always')")
        .await;
    db.sql("insert into t values (1, 1)").await;
    assert_eq!(db.fired().await, ["n 1", "ns 1", "raw 1"]);
    db.sql("update t set s = 'x'").await;
    assert_eq!(db.fired().await, ["ns 1"]);
    db.sql("update t set n = 2").await;
    assert_eq!(db.fired().await, ["n 1", "ns 1"]);
    // An ignored column counts when it changes beside another one, not alone.
    db.sql("update t set raw = '{}'; update t set raw = '[]', s = 'y'").await;
    assert_eq!(db.fired().await, ["ns 1", "raw 1"]);
}

#[tokio::test]
async fn a_table_with_more_columns_than_a_word_has_bits() {
    let db = Database::with_extension().await;
    let columns: Vec<String> = (1..=150).map(|i| format!("c{i} int default 0")).collect();
    db.watch("wide", &format!("id int primary key, {}", columns.join(", "))).await;
    for i in [1, 63, 64, 65, 127, 128, 150] {
        db.rule(&format!("c{i}"), "public.wide", &format!("new.c{i} > 0")).await;
        db.sql(&format!("insert into tradeflow.rules (name, source, columns) values ('only{i}', 'public.wide', '{{c{i}}}')")).await;
    }
    db.sql("insert into wide (id) values (1)").await;
    db.fired().await;
    for i in [1, 63, 64, 65, 127, 128, 150] {
        db.sql(&format!("update wide set c{i} = 1")).await;
        assert_eq!(db.fired().await, [format!("c{i} 1"), format!("only{i} 1")]);
    }
}

#[tokio::test]
async fn keys_of_several_columns_and_of_other_types_name_the_subject() {
    let db = Database::with_extension().await;
    db.sql("create table t (a text, b int, \"C d\" date, n int, primary key (a, b, \"C d\"));
            create table u (id uuid primary key);
            create table \"Odd \"\"name\" (\"Key\" text primary key, n int);
            create table keyless (x int, y int);
            select tradeflow.watch('t'), tradeflow.watch('u'), tradeflow.watch('\"Odd \"\"name\"'), tradeflow.watch('keyless', key => '{y}');
            insert into tradeflow.rules (name, source) select 'r' || n, name from (select row_number() over (order by name) as n, name from tradeflow.watched_tables) w;
            insert into t values ('x,y', 1, '2026-01-01', 1);
            insert into u values ('6f2f8d0e-0000-4000-8000-000000000001');
            insert into \"Odd \"\"name\" values ('ü \"q\"', 1);
            insert into keyless values (1, null)")
        .await;
    let subjects: Vec<String> =
        db.column("select source || ' ' || subject from tradeflow.outbox order by id").await;
    assert_eq!(
        subjects,
        [
            "public.t {\"x,y\",1,2026-01-01}",
            "public.u 6f2f8d0e-0000-4000-8000-000000000001",
            "public.\"Odd \"\"name\" ü \"q\"",
            "public.keyless ",
        ]
    );
}

/// Its schema has another name in each session, so no golden file shows this.
#[tokio::test]
async fn a_temporary_table_is_refused() {
    let db = Database::with_extension().await;
    let error = db.error("create temp table s (id int primary key); select tradeflow.watch('s')").await;
    assert_eq!(error.code, "42809");
    assert!(
        error.message.ends_with(".s is a temporary table") && error.hint.contains("permanent"),
        "{error:?}"
    );
}

#[tokio::test]
async fn watching_again_changes_key_and_ignored_columns_at_once() {
    let db = table().await;
    db.sql("insert into tradeflow.rules (name, source) values ('r', 'public.t'); insert into t values (1, 1, 'a')").await;
    assert_eq!(db.fired().await, ["r 1"]);
    db.sql("select tradeflow.watch('t', key => '{s}', ignore => '{n}'); update t set n = 2; update t set raw = '{}'").await;
    assert_eq!(db.fired().await, ["r a"]);
    db.sql("delete from tradeflow.rules; select tradeflow.unwatch('t'); insert into t values (2)").await;
    assert_eq!(db.fired().await, Vec::<String>::new());
    assert_eq!(db.one::<i64>("select count(*) from pg_trigger where tgrelid = 't'::regclass").await, 0);
}

#[tokio::test]
async fn shadow_is_recorded_and_never_executed_and_off_is_not_evaluated() {
    let db = table().await;
    db.target().await;
    db.sql("insert into tradeflow.rules (name, source, mode) values ('live', 'public.t', 'live'), ('off', 'public.t', 'off'), ('shadow', 'public.t', 'shadow')").await;
    for rule in ["live", "off", "shadow"] {
        db.action(rule).await;
    }
    db.sql("insert into t values (1)").await;
    let states: Vec<String> =
        db.column("select rule || ' ' || state from tradeflow.outbox order by id").await;
    assert_eq!(states, ["live ready", "shadow shadow"]);
    assert_eq!(db.column::<String>("select rule from tradeflow.claim('w', 10, '1 minute')").await, ["live"]);
    db.sql("select tradeflow.tick()").await;
    assert_eq!(db.one::<String>("select state from tradeflow.outbox_history").await, "shadow");
    db.sql("update tradeflow.rules set mode = 'live'; insert into t values (2)").await;
    assert_eq!(
        db.column::<String>("select rule from tradeflow.outbox where subject = '2' order by id").await,
        ["live", "off", "shadow"]
    );
}

#[tokio::test]
async fn more_than_max_firings_of_one_statement_are_held_all_of_them() {
    let db = table().await;
    db.target().await;
    db.sql("insert into tradeflow.rules (name, source, max_firings) values ('few', 'public.t', 2), ('many', 'public.t', 2500), ('bare', 'public.t', 1)").await;
    db.action("few").await;
    db.action("many").await;
    db.sql("insert into t select generate_series(1, 2)").await;
    let states = "select rule || ' ' || state || ' ' || count(*) from tradeflow.outbox group by rule, state order by 1";
    assert_eq!(db.column::<String>(states).await, ["bare held 2", "few ready 2", "many ready 2"]);
    db.fired().await;
    db.incidents().await;
    // Also when they come from several batches of one statement.
    db.sql("insert into t select generate_series(11, 2510)").await;
    assert_eq!(db.column::<String>(states).await, ["bare held 2500", "few held 2500", "many ready 2500"]);
    let mut incidents = db.incidents().await;
    incidents.sort();
    assert_eq!(
        incidents,
        [
            "held_burst bare - - 2500: rule \"bare\" fired 2500 times in one statement; more than 1 are held",
            "held_burst few - - 2500: rule \"few\" fired 2500 times in one statement; more than 2 are held",
        ]
    );
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.claim('w', 10000, '1 minute') where rule <> 'many'")
            .await,
        0
    );
    assert_eq!(db.one::<i32>("select tradeflow.discard_held('few', array(select id from tradeflow.outbox where rule = 'few' limit 2498))").await, 2498);
    assert_eq!(db.one::<i32>("select tradeflow.release_held('few')").await, 2);
    assert_eq!(db.one::<i32>("select tradeflow.release_held('bare')").await, 2500);
    // A firing without an action is the record itself: there is nothing to execute.
    assert_eq!(db.column::<String>(states).await, ["bare done 2500", "few ready 2", "many running 2500"]);
}

#[tokio::test]
async fn many_rules_on_one_table_each_find_their_rows() {
    let db = table().await;
    db.sql("insert into tradeflow.rules (name, source, condition)
            select 'eq' || i, 'public.t', format('new.n = %s', i) from generate_series(0, 199) i;
            insert into tradeflow.rules (name, source, condition)
            select 'gt' || i, 'public.t', format('new.n > %s and new.s = ''s%s''', i, i % 3) from generate_series(0, 199) i")
        .await;
    db.sql("insert into t select i, i, 's' || i % 3 from generate_series(0, 220) i").await;
    let wrong: i64 = db
        .one("select count(*) from (
                (select rule, subject::int from tradeflow.outbox)
                except
                (select 'eq' || i, i from generate_series(0, 199) i
                 union all select 'gt' || i, t.id from generate_series(0, 199) i join t on t.n > i and t.s = 's' || i % 3)) x")
        .await;
    assert_eq!(wrong, 0);
    let expected: i64 = db
        .one("select 200 + count(*) from generate_series(0, 199) i join t on t.n > i and t.s = 's' || i % 3")
        .await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, expected);
}

#[tokio::test]
async fn one_notification_for_a_transaction_and_none_when_nothing_is_ready() {
    let db = table().await;
    db.target().await;
    db.sql("insert into tradeflow.rules (name, source, condition, fire_at) values
              ('now', 'public.t', 'new.n = 1', null), ('later', 'public.t', 'new.n = 2', 'now() + interval ''1 day''')")
        .await;
    db.action("now").await;
    db.action("later").await;
    let (client, mut notified) = db.listen("tradeflow").await;
    db.sql("insert into t values (1, 2); insert into t values (2, 3); begin; insert into t values (10, 1); rollback").await;
    db.sql("begin; insert into t values (3, 1), (4, 1); insert into t values (5, 1); commit").await;
    db.sql("notify tradeflow, 'end'").await;
    let mut payloads = Vec::new();
    while payloads.last().map(String::as_str) != Some("end") {
        payloads.push(notified.recv().await.expect("the session lives"));
    }
    assert_eq!(payloads, ["", "end"]);
    drop(client);
}
