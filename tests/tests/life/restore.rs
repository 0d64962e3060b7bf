//! Dump and restore keep everything: rules, who is a member, what waits and what is ready.

use std::io::Write;
use std::process::{Command, Stdio};

use super::fired;
use tradeflow_tests::database::Database;

/// Every table of tradeflow's with its rows, as text; but for what counts the last hour's firings, which a crash empties too.
async fn contents(db: &Database) -> Vec<String> {
    let tables: Vec<String> = db
        .column(
            "select c.oid::regclass::text from pg_class c where c.relnamespace = 'tradeflow'::regnamespace
             and c.relkind = 'r' and c.relpersistence = 'p' and not c.relispartition order by 1",
        )
        .await;
    let mut all = Vec::new();
    for table in
        tables.iter().chain(&["tradeflow.outbox_history".to_owned(), "tradeflow.change_log".to_owned()])
    {
        let rows: Vec<String> =
            db.column(&format!("select to_jsonb(x)::text from {table} x order by 1")).await;
        all.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    all
}

fn output(mut command: Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("it has one");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer does not panic").expect("it reads all");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Rules of every sort, who is a member, what waits and what is ready.
async fn fill(db: &Database) {
    let author = db.role(&["tradeflow_author"]).await;
    db.sql(&format!(
        "create table t (id int primary key, company int, n int, due timestamptz);
         create table extra (id int, name text);
         grant select on t, extra to {author};
         create view gold as select company as subject, sum(n) as total from t group by company having sum(n) >= 100;
         alter view gold owner to {author};
         select tradeflow.watch('public.t', ignore => '{{due}}');
         insert into tradeflow.settings (name, value) values ('limit', '10');
         insert into tradeflow.targets (name, system, base_url) values ('erp', 'http', 'https://erp.example.com');
         set role {author};
         insert into tradeflow.rules (name, source, condition, query) values
           ('big', 'public.t', $$ new.n > tradeflow.setting('limit')::int $$, $$ select new.n, e.name from extra e where e.id = new.id $$);
         insert into tradeflow.rules (name, source, condition, fire_at) values ('timer', 'public.t', 'new.n > 0', 'new.due');
         insert into tradeflow.rules (name, source, condition, fires) values ('first', 'public.t', 'new.n > 0', 'once');
         insert into tradeflow.rules (name, view) values ('gold', 'public.gold');
         insert into tradeflow.rule_inputs values ('gold', 'public.t', 'new.company');
         insert into tradeflow.rules (name, schedule, query) values ('daily', '0 9 * * * Europe/Berlin', 'select count(*) from t');
         insert into tradeflow.actions (rule, kind, target, params) values ('big', 'http', 'erp', '{{\"path\": \"/\"}}');
         update tradeflow.rules set description = 'for version 2' where name = 'big';
         reset role;
         insert into extra values (1, 'one'), (2, 'two');
         insert into t values (1, 7, 60, now() + interval '1 hour'), (2, 7, 50, now() + interval '2 hours');
         insert into tradeflow.action_kinds (name, repeatable, description) values ('own', true, 'of a client of ours');
         insert into tradeflow.actions (rule, kind) values ('first', 'own');
         select tradeflow.pause_kind('email', 'the footer is wrong'), tradeflow.pause_kind('own');
         select tradeflow.tick()"
    ))
    .await;
}

/// Two lists of contents must be the same.
fn same(before: &[String], after: &[String]) {
    assert!(before.len() > 20, "there is something to keep");
    let lost: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
    let more: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(after == before, "lost {lost:#?}, more {more:#?}");
}

#[tokio::test]
async fn a_dump_restored_by_several_at_once_is_the_same() {
    let db = Database::with_extension().await;
    fill(&db).await;
    let before = contents(&db).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut dump = db.program("pg_dump");
    dump.args(["--format=custom", "--file"]).arg(file.path());
    output(dump, b"");
    // Which of its tables come first is chance.
    for _ in 0..4 {
        let copy = Database::empty().await;
        let mut restore = copy.program("pg_restore");
        restore.args(["--jobs=6", "--exit-on-error", "--dbname", copy.name()]).arg(file.path());
        output(restore, b"");
        same(&before, &contents(&copy).await);
    }
}

#[tokio::test]
async fn pg_upgrade_takes_everything_along() {
    let mut db = Database::with_store_on_own_server().await;
    fill(&db).await;
    let before = contents(&db).await;
    db.cluster_mut().upgrade();
    db.reconnect().await;
    same(&before, &contents(&db).await);
    let known = fired(&db).await.len();
    db.sql("update t set n = n, due = due; select tradeflow.tick()").await;
    assert_eq!(fired(&db).await.len(), known, "nothing fires by itself");
    db.sql("insert into extra values (3, 'three'); insert into t values (3, 7, 11, null)").await;
    assert_eq!(fired(&db).await[known..], ["big 3", "first 3", "timer 3"]);
    db.sql("select tradeflow.set_clock(now() + interval '90 minutes'); select tradeflow.tick()").await;
    let timers: Vec<String> =
        db.column("select subject || ' ' || state from tradeflow.firings where rule = 'timer' and facts ->> 'due' is not null order by 1").await;
    assert_eq!(timers, ["1 done", "2 waiting"]);
    // DDL is still looked after.
    db.sql("alter table t rename column n to m").await;
    assert!(super::open_incidents(&db).await.contains(&"rule_invalid big".to_owned()));
}

#[tokio::test]
async fn a_restored_dump_goes_on_where_it_was() {
    let db = Database::with_extension().await;
    fill(&db).await;
    let dump = output(db.program("pg_dump"), b"");
    let copy = Database::empty().await;
    let mut psql = copy.program("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
    output(psql, &dump);

    same(&contents(&db).await, &contents(&copy).await);
    assert_eq!(fired(&copy).await.iter().filter(|f| f.starts_with("gold")).count(), 1);

    // Nothing fires again by itself; what changes fires, by the same rules.
    let known = fired(&copy).await.len();
    copy.sql("update t set n = n, due = due; select tradeflow.tick()").await;
    assert_eq!(fired(&copy).await.len(), known);
    copy.sql("insert into extra values (3, 'three'); insert into t values (3, 7, 11, null)").await;
    assert_eq!(fired(&copy).await[known..], ["big 3", "first 3", "timer 3"], "gold is one already");
    copy.sql("select tradeflow.set_clock(now() + interval '90 minutes'); select tradeflow.tick()").await;
    let timers: Vec<String> =
        copy.column("select subject || ' ' || state from tradeflow.firings where rule = 'timer' and facts ->> 'due' is not null order by 1").await;
    assert_eq!(timers, ["1 done", "2 waiting"]);
    copy.sql("select tradeflow.resume_kind('own')").await;
    assert_eq!(
        copy.column::<String>("select subject from tradeflow.claim('me', 10, '1 minute') order by id").await,
        ["1", "2", "3"]
    );
    // What its owner may no longer do, it does no longer.
    let invalid: i64 = copy.one("select count(*) from tradeflow.rules where invalid is not null").await;
    assert_eq!(invalid, 0);
}
