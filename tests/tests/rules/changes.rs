//! Rules, settings and actions that change while others write: every backend follows at its next statement.

use tradeflow_tests::database::Database;

async fn table() -> Database {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int").await;
    db.rule("r", "public.t", "new.n > 5").await;
    db
}

#[tokio::test]
async fn a_rule_edited_by_another_session_takes_effect_at_the_next_statement() {
    let db = table().await;
    let editor = db.connect().await;
    for (isolation, id) in [("read committed", 10), ("repeatable read", 20), ("serializable", 30)] {
        db.sql(&format!("begin isolation level {isolation}; insert into t values ({id}, 5), ({id} + 1, 6)"))
            .await;
        editor
            .batch_execute("update tradeflow.rules set condition = 'new.n < 5' where name = 'r'; insert into tradeflow.rules (name, source) values ('fresh', 'public.t')")
            .await
            .expect("it edits");
        db.sql(&format!("insert into t values ({id} + 2, 4), ({id} + 3, 6); commit")).await;
        let expected = [
            format!("r {}", id + 1),
            format!("fresh {}", id + 2),
            format!("r {}", id + 2),
            format!("fresh {}", id + 3),
        ];
        assert_eq!(db.fired().await, expected, "{isolation}");
        editor
            .batch_execute("update tradeflow.rules set condition = 'new.n > 5' where name = 'r'; delete from tradeflow.rules where name = 'fresh'")
            .await
            .expect("it edits");
    }
}

#[tokio::test]
async fn mode_and_actions_of_another_session_count_under_repeatable_read_too() {
    let db = table().await;
    db.target().await;
    let editor = db.connect().await;
    db.sql("begin isolation level repeatable read; insert into t values (1, 6)").await;
    editor.batch_execute("update tradeflow.rules set mode = 'shadow'").await.expect("it edits");
    db.sql("insert into t values (2, 6)").await;
    editor
        .batch_execute("update tradeflow.rules set mode = 'live'; insert into tradeflow.actions (rule, kind, target) values ('r', 'http', 'there')")
        .await
        .expect("it edits");
    db.sql("insert into t values (3, 6); commit").await;
    let rows: Vec<String> = db
        .column("select concat_ws(' ', subject, rule_version, state) from tradeflow.outbox order by id")
        .await;
    assert_eq!(rows, ["1 1 done", "2 2 shadow", "3 3 ready"]);
}

#[tokio::test]
async fn an_edit_that_is_not_committed_is_its_own_sessions_alone() {
    let db = table().await;
    let editor = db.connect().await;
    editor
        .batch_execute(
            "begin; update tradeflow.rules set condition = 'new.n < 5'; insert into t values (1, 4)",
        )
        .await
        .expect("it edits");
    db.sql("insert into t values (2, 4), (3, 6)").await;
    assert_eq!(db.fired().await, ["r 3"]);
    editor.batch_execute("rollback; insert into t values (4, 4), (5, 6)").await.expect("it takes it back");
    db.sql("insert into t values (6, 4), (7, 6)").await;
    assert_eq!(db.fired().await, ["r 5", "r 7"]);
}

#[tokio::test]
async fn a_setting_is_a_constant_that_follows_its_change_in_every_backend() {
    let db = table().await;
    db.sql("insert into tradeflow.settings (name, value) values ('limit', '10'), ('other', 'x')").await;
    db.rule("s", "public.t", "new.n > tradeflow.setting('limit')::int").await;
    let other = db.connect().await;
    other.batch_execute("insert into t values (1, 5), (2, 11)").await.expect("it writes");
    assert_eq!(db.fired().await, ["r 2", "s 2"]);
    db.sql("update tradeflow.settings set value = '3' where name = 'limit'").await;
    other.batch_execute("insert into t values (3, 4)").await.expect("it writes");
    assert_eq!(db.fired().await, ["s 3"]);
    other.batch_execute("begin isolation level repeatable read; select 1").await.expect("it begins");
    db.sql("update tradeflow.settings set value = '100' where name = 'limit'").await;
    other.batch_execute("insert into t values (4, 99), (5, 101); commit").await.expect("it writes");
    assert_eq!(db.fired().await, ["r 4", "r 5", "s 5"]);
    let written: Vec<String> = db
        .column("select name from tradeflow.settings where updated_at = (select max(updated_at) from tradeflow.settings)")
        .await;
    assert_eq!(written, ["limit"]);
}

#[tokio::test]
async fn a_setting_that_a_rule_needs_can_neither_go_nor_become_nonsense() {
    let db = table().await;
    db.sql("insert into tradeflow.settings (name, value) values ('limit', '10')").await;
    db.rule("s", "public.t", "new.n > tradeflow.setting('limit')::int").await;
    let error = db.error("update tradeflow.settings set value = 'ten'").await;
    assert_eq!(
        (error.code.as_str(), error.message.contains("breaks rule \"s\"")),
        ("22P02", true),
        "{error:?}"
    );
    let error = db.error("delete from tradeflow.settings").await;
    assert_eq!(
        (error.code.as_str(), error.message.contains("breaks rule \"s\"")),
        ("2BP01", true),
        "{error:?}"
    );
    let error = db.error("update tradeflow.settings set name = 'limits'").await;
    assert!(error.message.contains("breaks rule \"s\""), "{error:?}");
    db.sql("insert into t values (1, 11); delete from tradeflow.rules where name = 's'; delete from tradeflow.settings").await;
    assert_eq!(db.fired().await, ["r 1", "s 1"]);
}

#[tokio::test]
async fn a_rule_whose_setting_or_target_is_missing_waits_for_it() {
    let db = table().await;
    db.rule("s", "public.t", "new.n > tradeflow.setting('limit')::int").await;
    db.sql("insert into tradeflow.rules (name, source) values ('t', 'public.t'); insert into tradeflow.actions (rule, kind, target) values ('t', 'http', 'there')").await;
    let invalid = "select name || ': ' || invalid from tradeflow.rules where invalid is not null order by 1";
    assert_eq!(
        db.column::<String>(invalid).await,
        ["s: setting \"limit\" does not exist", "t: action 1 wants target \"there\", which does not exist"]
    );
    db.sql("insert into t values (1, 11)").await;
    assert_eq!(db.fired().await, ["r 1"]);
    db.sql("insert into tradeflow.settings (name, value) values ('limit', '10')").await;
    db.target().await;
    assert_eq!(db.column::<String>(invalid).await, Vec::<String>::new());
    db.sql("insert into t values (2, 11)").await;
    assert_eq!(db.fired().await, ["r 2", "s 2", "t 2"]);
    let error = db.error("delete from tradeflow.targets").await;
    assert_eq!(error.code, "2BP01");
}

/// Where event triggers are off, nothing tells that something a rule needs is gone: the backends find out by themselves.
const NOBODY_TELLS: &str =
    "alter event trigger tradeflow_drop disable; alter event trigger tradeflow_ddl disable";

/// What a rule stands on goes: writes go on, an incident says so once, and the rule comes back with its part.
#[tokio::test]
async fn a_rule_that_stops_compiling_is_quarantined_and_writes_go_on() {
    let db = table().await;
    db.sql(NOBODY_TELLS).await;
    db.sql("create function f(int) returns boolean language sql stable as 'select $1 > 5'").await;
    db.rule("f", "public.t", "public.f(new.n)").await;
    db.sql("insert into t values (1, 6); drop function f(int); insert into t values (2, 6); insert into t values (3, 6), (4, 6)").await;
    assert_eq!(db.fired().await, ["f 1", "r 1", "r 2", "r 3", "r 4"]);
    let kinds: Vec<String> =
        db.column("select concat_ws(' ', kind, rule, sqlstate) from tradeflow.incidents").await;
    assert_eq!(kinds, ["rule_invalid f 42883"]);
    assert_eq!(db.one::<Option<String>>("select invalid from tradeflow.rules where name = 'f'").await, None);
    db.sql("select tradeflow.tick()").await;
    let invalid: String = db.one("select invalid from tradeflow.rules where name = 'f'").await;
    assert!(invalid.contains("function public.f(integer) does not exist"), "{invalid}");
    // The function comes back, the rule is written again.
    db.sql("create function f(int) returns boolean language sql stable as 'select $1 > 6'; update tradeflow.rules set description = 'again' where name = 'f'").await;
    assert_eq!(db.one::<Option<String>>("select invalid from tradeflow.rules where name = 'f'").await, None);
    db.sql("insert into t values (5, 7)").await;
    assert_eq!(db.fired().await, ["f 5", "r 5"]);
}

#[tokio::test]
async fn a_function_replaced_or_dropped_is_noticed_with_a_warm_cache() {
    let db = table().await;
    db.sql(
        "create function f(int) returns boolean language sql immutable as 'select $1 > 5';
            create function k() returns int language sql immutable as 'select 100';
            delete from tradeflow.rules",
    )
    .await;
    db.rule("f", "public.t", "public.f(new.n)").await;
    db.rule("k", "public.t", "new.n > public.k()").await;
    let other = db.connect().await;
    other.batch_execute("insert into t values (1, 6), (2, 101)").await.expect("it writes");
    assert_eq!(db.fired().await, ["f 1", "f 2", "k 2"]);
    // The first was inlined, the second is a constant of the compiled rule.
    db.sql("create or replace function f(int) returns boolean language sql immutable as 'select $1 < 5'")
        .await;
    other.batch_execute("insert into t values (3, 6), (4, 4)").await.expect("it writes");
    assert_eq!(db.fired().await, ["f 4"]);
}

#[tokio::test]
async fn the_only_rule_of_a_table_quarantined_is_reported_once() {
    let db = Database::with_extension().await;
    db.sql(NOBODY_TELLS).await;
    db.watch("t", "id int primary key, n int, m int").await;
    db.rule("m", "public.t", "new.m > 5").await;
    db.sql("alter table t drop column m; insert into t values (1, 1); insert into t values (2, 2), (3, 3)")
        .await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 1);
    // Other backends say it as well; tick() adds up.
    db.connect().await.batch_execute("insert into t values (4, 1)").await.expect("it writes");
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 2);
    db.sql("select tradeflow.tick()").await;
    assert_eq!(
        db.incidents().await,
        ["rule_invalid m - 42703 2: rule \"m\" no longer compiles: column new.m does not exist"]
    );
}

/// An incident that was rolled back is said again.
#[tokio::test]
async fn a_quarantine_noticed_in_a_transaction_that_fails_is_noticed_again() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int, m int").await;
    db.rule("m", "public.t", "new.m > 5").await;
    db.sql("alter table t drop column m").await;
    db.sql("begin; insert into t values (1, 1); rollback").await;
    db.sql(
        "begin; savepoint a; insert into t values (1, 1); rollback to a; insert into t values (2, 2); commit",
    )
    .await;
    db.sql("insert into t values (3, 3)").await;
    assert_eq!(db.incidents().await.len(), 1);
}

#[tokio::test]
async fn every_definition_is_kept_with_who_and_when() {
    let db = table().await;
    db.sql("update tradeflow.rules set condition = 'new.n > 6'; update tradeflow.rules set description = 'd'; update tradeflow.rules set description = 'd'; delete from tradeflow.rules").await;
    let versions: Vec<String> = db.column("select concat_ws(' ', version, definition ->> 'condition', replaced_by) from tradeflow.rule_versions order by version").await;
    assert_eq!(versions, ["1 new.n > 5 postgres", "2 new.n > 6 postgres", "3 new.n > 6 postgres"]);
    // A rule of the same name begins where the last one ended, so that no version means two things.
    db.rule("r", "public.t", "new.n > 7").await;
    db.sql("insert into t values (1, 8); delete from tradeflow.rules").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.rule_versions").await, 4);
}
