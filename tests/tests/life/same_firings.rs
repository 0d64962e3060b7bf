//! One stream of changes fires the same, however it arrives: row by row, in batches, by upsert, by copy and merge.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use tradeflow_tests::database::Database;

/// A row of the table, without its key; None: deleted.
type Row = Option<(i32, Option<i32>, &'static str)>;

/// Numbers that look random and are the same at every run of one seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Batches of changes; within one, each key at most once.
fn stream(seed: u64) -> Vec<BTreeMap<i32, Row>> {
    let mut numbers = Numbers(seed);
    (0..12)
        .map(|_| {
            let size = numbers.below(30) + 1;
            (0..size)
                .map(|_| {
                    let id = numbers.below(40) as i32;
                    let n = numbers.below(20) as i32;
                    let company = (numbers.below(5) > 0).then(|| numbers.below(6) as i32);
                    let note = ["", "x", "yes"][numbers.below(3) as usize];
                    (id, (numbers.below(6) > 0).then_some((n, company, note)))
                })
                .collect()
        })
        .collect()
}

async fn rules() -> Database {
    let db = Database::with_extension().await;
    db.sql(
        "create table t (id int primary key, n int, company int, note text, seen timestamptz);
         create table staging (like t);
         create view busy as select company as subject, count(*) as rows from t group by company having count(*) >= 3;
         select tradeflow.watch('public.t', ignore => '{seen}');
         insert into tradeflow.rules (name, source, condition, fires, events, columns, max_per_subject) values
           ('enter', 'public.t', 'new.n > 10', null, '{insert,update}', null, 1000),
           ('always', 'public.t', 'new.n > 15', 'always', '{insert,update}', null, 1000),
           ('column', 'public.t', $$ new.note = 'x' $$, 'always', '{insert,update}', '{note}', 1000),
           ('edge', 'public.t', 'new.n > old.n + 5', null, '{update}', null, 1000),
           ('company', 'public.t', 'new.company is distinct from old.company', null, '{insert,update}', null, 1000),
           ('once', 'public.t', 'new.n = 7', 'once', '{insert,update}', null, 1000),
           ('gone', 'public.t', null, 'always', '{delete}', null, 1000);
         insert into tradeflow.rules (name, source, condition, query, max_per_subject) values
           ('query', 'public.t', 'new.n < 5', $$ select s as occurrence, new.n * s as product from generate_series(1, 2) s $$, 1000);
         insert into tradeflow.rules (name, source, condition, fire_at, max_per_subject) values
           ('timer', 'public.t', $$ new.note = 'yes' $$, $$ '2100-01-01'::timestamptz + make_interval(days => new.n) $$, 1000);
         insert into tradeflow.rules (name, view, max_per_subject) values ('busy', 'public.busy', 1000);
         insert into tradeflow.rule_inputs values ('busy', 'public.t', 'new.company')",
    )
    .await;
    db
}

fn tuple(id: i32, row: (i32, Option<i32>, &str)) -> String {
    let company = row.1.map_or("null".to_owned(), |c| c.to_string());
    format!("({id}, {}, {company}, '{}', clock_timestamp())", row.0, row.2)
}

const UPSERT: &str = "on conflict (id) do update set n = excluded.n, company = excluded.company, note = excluded.note, seen = excluded.seen";

/// Plain statements, one a row, the batch one transaction: the sync looks first whether a row is there.
fn row_by_row(batch: &BTreeMap<i32, Row>) -> String {
    let mut sql = "begin;\n".to_owned();
    for (id, row) in batch {
        let _ = match row {
            None => writeln!(sql, "delete from t where id = {id};"),
            Some(values) => writeln!(
                sql,
                "update t set (id, n, company, note, seen) = {0} where id = {id};
                 insert into t select * from (values {0}) v(id, n, company, note, seen) where not exists (select from t where id = {id});",
                tuple(*id, *values).replace("null", "null::int")
            ),
        };
    }
    sql + "commit;\n"
}

/// Single upserts, each behind a savepoint, some rolled back and done again.
fn with_savepoints(batch: &BTreeMap<i32, Row>) -> String {
    let mut sql = "begin;\n".to_owned();
    for (id, row) in batch {
        let change = match row {
            None => format!("delete from t where id = {id}"),
            Some(values) => format!("insert into t values {} {UPSERT}", tuple(*id, *values)),
        };
        let _ = writeln!(sql, "savepoint s; {change}; rollback to s; {change}; release s;");
    }
    sql + "commit;\n"
}

/// One upsert and one delete a batch.
fn by_upsert(batch: &BTreeMap<i32, Row>) -> String {
    let rows: Vec<String> = batch.iter().filter_map(|(id, row)| row.map(|r| tuple(*id, r))).collect();
    let gone: Vec<String> =
        batch.iter().filter(|(_, row)| row.is_none()).map(|(id, _)| id.to_string()).collect();
    let mut sql = "begin;\n".to_owned();
    if !rows.is_empty() {
        let _ = writeln!(sql, "insert into t values {} {UPSERT};", rows.join(", "));
    }
    let _ = writeln!(sql, "delete from t where id = any ('{{{}}}');\ncommit;", gone.join(","));
    sql
}

/// Copied to a staging table, then merged; the first batch, which finds nothing, is copied straight in.
fn by_copy(batch: &BTreeMap<i32, Row>, first: bool) -> String {
    let into = if first { "t" } else { "staging" };
    let mut sql = format!("begin;\ncopy {into} (id, n, company, note) from stdin;\n");
    for (id, row) in batch {
        if let Some((n, company, note)) = row {
            let company = company.map_or("\\N".to_owned(), |c| c.to_string());
            let _ = writeln!(sql, "{id}\t{n}\t{company}\t{note}");
        }
    }
    sql.push_str("\\.\n");
    let gone: Vec<String> =
        batch.iter().filter(|(_, row)| row.is_none()).map(|(id, _)| id.to_string()).collect();
    let _ = writeln!(
        sql,
        "merge into t using staging s on t.id = s.id
           when matched then update set n = s.n, company = s.company, note = s.note, seen = now()
           when not matched then insert values (s.id, s.n, s.company, s.note, now());
         delete from t where id = any ('{{{}}}'); truncate staging;\ncommit;",
        gone.join(",")
    );
    sql
}

/// Everything that fired and what became of it, in no order.
async fn outcome(db: &Database) -> Vec<String> {
    db.sql("select tradeflow.tick()").await;
    db.column(
        "select concat_ws(' ', rule, event, subject, occurrence, edge, state, (facts - 'seen')::text, reason, fire_at)
         from (select rule, event, subject, occurrence, edge, state, facts, reason, fire_at from tradeflow.outbox
               union all
               select rule, event, subject, occurrence, edge, state, facts, reason, fire_at from tradeflow.outbox_history) f
         order by 1",
    )
    .await
}

async fn arrive(seed: u64, write: impl Fn(&BTreeMap<i32, Row>, bool) -> String) -> Vec<String> {
    let db = rules().await;
    let mut psql = db.program("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = psql.spawn().expect("psql runs");
    {
        let mut input = child.stdin.take().expect("it has one");
        for (number, batch) in stream(seed).iter().enumerate() {
            input.write_all(write(batch, number == 0).as_bytes()).expect("psql reads");
        }
    }
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 0);
    outcome(&db).await
}

#[tokio::test]
async fn a_stream_fires_the_same_however_it_arrives() {
    for seed in 1..=5 {
        let expected = arrive(seed, |batch, _| row_by_row(batch)).await;
        for rule in ["enter", "always", "column", "edge", "company", "once", "gone", "query", "timer", "busy"]
        {
            assert!(expected.iter().any(|f| f.starts_with(&format!("{rule} "))), "seed {seed}: {rule} fired");
        }
        assert!(
            expected.iter().any(|f| f.contains("cancelled"))
                && expected.iter().any(|f| f.contains("waiting"))
        );
        let ways: [(&str, Vec<String>); 3] = [
            ("with savepoints", arrive(seed, |batch, _| with_savepoints(batch)).await),
            ("by upsert", arrive(seed, |batch, _| by_upsert(batch)).await),
            ("by copy", arrive(seed, by_copy).await),
        ];
        for (way, got) in ways {
            let missing: Vec<_> = expected.iter().filter(|f| !got.contains(f)).collect();
            let more: Vec<_> = got.iter().filter(|f| !expected.contains(f)).collect();
            assert!(got == expected, "seed {seed}, {way}: missing {missing:#?}, more {more:#?}");
        }
    }
}
