//! The schema as a whole: comments, dump and restore, dropping and creating it.

use std::io::Write;
use std::process::Stdio;

use tradeflow_tests::database::Database;

#[tokio::test]
async fn everything_in_the_schema_has_a_comment() {
    let db = Database::with_extension().await;
    let missing: Vec<String> = db
        .column(
            "select what from (
               select 'relation ' || c.oid::regclass as what, obj_description(c.oid, 'pg_class') as says
               from pg_class c where c.relnamespace = 'tradeflow'::regnamespace and c.relkind in ('r', 'p', 'v', 'S') and not (c.relkind = 'S' and exists (
                 select from pg_depend d where d.objid = c.oid and d.deptype = 'i'))
               union all
               select 'column ' || a.attrelid::regclass || '.' || a.attname, col_description(a.attrelid, a.attnum)
               from pg_attribute a join pg_class c on c.oid = a.attrelid
               where c.relnamespace = 'tradeflow'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition and a.attnum > 0 and not a.attisdropped
               union all
               select 'function ' || p.oid::regprocedure, obj_description(p.oid, 'pg_proc') from pg_proc p where p.pronamespace = 'tradeflow'::regnamespace
               union all
               select 'type ' || t.oid::regtype, obj_description(t.oid, 'pg_type') from pg_type t
               where t.typnamespace = 'tradeflow'::regnamespace and t.typrelid = 0 and t.typelem = 0
               union all
               select 'schema', obj_description('tradeflow'::regnamespace, 'pg_namespace')
             ) x where coalesce(says, '') = '' order by 1",
        )
        .await;
    assert_eq!(missing, Vec::<String>::new());
}

/// Security: a definer function without a path of its own could be led to others' objects.
#[tokio::test]
async fn every_function_pins_its_path_and_few_are_everybodys() {
    let db = Database::with_extension().await;
    let loose: Vec<String> = db
        .column(
            "select p.oid::regprocedure::text from pg_proc p
             where p.pronamespace = 'tradeflow'::regnamespace and p.prolang in (select oid from pg_language where lanname in ('sql', 'plpgsql'))
               and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false) order by 1",
        )
        .await;
    // These look names up by the writer's path, run the caller's statement as the caller, or are written out in it (a path
    // of its own would forbid that to matches): that is what they are for. None of them is a definer's.
    assert_eq!(
        loose,
        [
            "tradeflow._as_written(text)",
            "tradeflow._rule_inputs_source()",
            "tradeflow._rules_search_path()",
            "tradeflow.backfill(text,text,integer,text)",
            "tradeflow.backtest(jsonb,timestamp with time zone,timestamp with time zone)",
            "tradeflow.matches(anycompatible,anycompatible)",
            "tradeflow.matches(anycompatiblearray,anycompatible)",
            "tradeflow.matches(anycompatiblerange,anycompatible)",
            "tradeflow.simulate(text)",
        ]
    );
    let definers =
        "select count(*) from pg_proc p where p.oid::regprocedure::text = any ($1) and p.prosecdef";
    let definers: i64 = db.client().query_one(definers, &[&loose]).await.expect("a count").get(0);
    assert_eq!(definers, 0);
    let public: Vec<String> = db
        .column("select p.proname::text from pg_proc p where p.pronamespace = 'tradeflow'::regnamespace and has_function_privilege('public', p.oid, 'execute') order by 1")
        .await;
    assert_eq!(
        public,
        [
            "_flush",
            "matches",
            "matches",
            "matches",
            "now",
            "observer_in",
            "observer_out",
            "observer_subscript",
            "version"
        ]
    );
}

fn output(command: &mut std::process::Command, what: &str) -> Vec<u8> {
    let said = command.output().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(said.status.success(), "{what}: {}", String::from_utf8_lossy(&said.stderr));
    said.stdout
}

const TABLES: [&str; 13] = [
    "actions",
    "action_kinds",
    "clock",
    "incidents",
    "installation",
    "outbox",
    "outbox_history",
    "rule_versions",
    "rules",
    "settings",
    "targets",
    "templates",
    "watched_tables",
];

async fn contents(db: &Database) -> Vec<String> {
    let mut all = Vec::new();
    for table in TABLES {
        let rows: String = db
            .one(&format!(
                "select coalesce(string_agg(t::text, e'\\n' order by t::text), '') from tradeflow.{table} t"
            ))
            .await;
        all.push(format!("{table}:\n{rows}"));
    }
    all
}

async fn full() -> Database {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int, due timestamptz").await;
    db.sql("create table p (id int, region text, n int) partition by list (region);
            create table p1 partition of p for values in ('x');
            select tradeflow.watch('p', key => '{id}', ignore => '{n}');
            create schema app;
            create function app.large(int) returns boolean language sql stable as 'select $1 > 5';
            set search_path = app, public;
            insert into tradeflow.settings (name, value, description) values ('limit', '5', 'how much'), ('history_days', '30', null);
            insert into tradeflow.targets (name, system, base_url, secret, auth) values ('there', 'http', 'https://api.example.com', 'env:TOKEN', 'bearer');
            insert into tradeflow.targets (name, system, base_url) values ('post', 'smtp', 'smtp://localhost');
            insert into tradeflow.templates (name, subject, text, html) values ('hello', 'Hi {{ facts.n }}', 'text', '<p>html</p>');
            insert into tradeflow.action_kinds (name, repeatable, params, description) values ('fax', false, '{\"type\": \"object\", \"required\": [\"number\"]}', 'Sends a fax.');
            insert into tradeflow.rules (name, source, condition, fire_at, description) values ('timer', 'public.t', 'large(new.n)', 'new.due', 'one'), ('limit', 'public.t', 'new.n > tradeflow.setting(''limit'')::int', null, 'two');
            insert into tradeflow.rules (name, source, query, mode) values ('q', 'public.p', 'select new.region, t.n from t where t.id = new.id', 'shadow');
            insert into tradeflow.rules (name, source, condition, max_firings) values ('waits', 'public.t', 'new.n > tradeflow.setting(''missing'')::int', 7), ('fails', 'public.t', '1 / new.n > 5', 8);
            insert into tradeflow.actions (rule, step, name, kind, target, params, delay) values
              ('timer', 1, 'a', 'http', 'there', '{\"path\": \"/{{ facts.id }}\"}', '1 hour'), ('limit', 1, null, 'fax', null, '{\"number\": \"1\"}', '0'), ('timer', 2, null, 'email', 'post', '{\"to\": \"x\", \"template\": \"hello\"}', '0');
            update tradeflow.rules set description = 'changed' where name = 'timer';
            insert into t values (1, 6, '2099-01-01'), (2, 7, null), (3, 0, null), (4, 1, null);
            insert into p values (1, 'x', 1), (2, 'x', 1);
            select tradeflow.complete(array_agg(id), array_agg(attempt), array_agg('{\"request\": {\"a\": 1}, \"b\": 2}'::jsonb)) from tradeflow.claim('w', 1, '1 minute');
            select tradeflow.tick()")
        .await;
    db
}

#[tokio::test]
async fn dump_and_restore_keep_everything_and_the_copy_fires() {
    let db = full().await;
    let before = contents(&db).await;
    for (table, rows) in TABLES.iter().zip(&before) {
        assert!(
            rows.contains('\n') && (!rows.ends_with(":\n") || *table == "clock"),
            "{table} has rows to be kept"
        );
    }
    let dump = output(db.program("pg_dump").arg("--format=plain"), "pg_dump");
    let copy = Database::empty().await;
    let mut psql = copy
        .program("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql runs");
    psql.stdin.take().expect("a pipe").write_all(&dump).expect("psql reads");
    let said = psql.wait_with_output().expect("psql ends");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    for (now, before) in contents(&copy).await.iter().zip(&before) {
        assert_eq!(now, before);
    }
    check_copy(&copy).await;
}

#[tokio::test]
async fn a_restore_from_an_archive_keeps_everything_too() {
    let db = full().await;
    let before = contents(&db).await;
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("archive");
    output(db.program("pg_dump").args(["--format=directory", "--jobs=2", "--file"]).arg(&archive), "pg_dump");
    let copy = Database::empty().await;
    output(
        copy.program("pg_restore").args(["--exit-on-error", "--dbname", copy.name()]).arg(&archive),
        "pg_restore",
    );
    for (now, before) in contents(&copy).await.iter().zip(&before) {
        assert_eq!(now, before);
    }
    check_copy(&copy).await;
}

async fn check_copy(copy: &Database) {
    let pending =
        "select string_agg(concat_ws(' ', rule, subject, state), ', ' order by id) from tradeflow.outbox";
    assert_eq!(copy.one::<String>(pending).await, "limit 2 ready, timer 1 waiting, timer 2 waiting");
    let last: i64 = copy.one("select max(id) from (select id from tradeflow.outbox union all select id from tradeflow.outbox_history) x").await;
    copy.sql("insert into t values (10, 60, '2099-01-01'); insert into p values (10, 'x', 1)").await;
    let fresh: Vec<String> = copy.column(&format!("select rule || ' ' || subject || ' ' || state from tradeflow.outbox where id > {last} order by id")).await;
    assert_eq!(fresh, ["limit 10 ready", "timer 10 waiting", "q 10 shadow"]);
    copy.sql("insert into t values (11, 5, null); insert into p values (11, 'x', 1); insert into tradeflow.settings (name, value) values ('missing', '1'); insert into t values (12, 2, null)").await;
    assert_eq!(copy.column::<String>("select rule || ' ' || subject || ' ' || state from tradeflow.outbox where subject in ('11', '12') order by id").await, ["q 11 shadow", "waits 12 done"]);
    copy.sql(
        "update tradeflow.rules set condition = 'new.n > 100' where name = 'timer'; select tradeflow.tick()",
    )
    .await;
    assert_eq!(copy.one::<i32>("select version from tradeflow.rules where name = 'timer'").await, 3);
}

#[tokio::test]
async fn the_extension_can_be_dropped_with_what_hangs_on_it_and_made_again() {
    let db = full().await;
    let other = db.connect().await;
    other.batch_execute("insert into t values (100, 6, null)").await.expect("it writes");
    let error = db.error("drop extension tradeflow").await;
    assert_eq!(error.code, "2BP01");
    db.sql("drop extension tradeflow cascade").await;
    for client in [&other, db.client()] {
        client.batch_execute("update public.t set n = n + 1").await.expect("writes go on");
    }
    db.sql("drop table if exists tradeflow.outbox_history_default; drop schema if exists tradeflow cascade; create extension tradeflow; set search_path = public; select tradeflow.watch('t')").await;
    db.rule("r", "public.t", "new.n > 5").await;
    other.batch_execute("insert into public.t values (101, 6, null)").await.expect("it writes");
    assert_eq!(db.fired().await, ["r 101"]);
}
