//! Random rules over random changes, against what SQL itself says about them.
//!
//! The index finds the rules that a row may concern without asking them; whatever it leaves out must be a rule that
//! would have said no. So: what fires must be what `condition(new) and not coalesce(condition(old), false)` says,
//! whichever statement brought the change.

use std::fmt::Write;

use futures_util::SinkExt;
use tradeflow_tests::database::Database;
use tradeflow_tests::random::Random;

const COLUMNS: &str = "id int primary key, i int, n numeric, s text, v varchar(9), b boolean, d date, at timestamptz, m mood, arr int[], j jsonb, k smallint, u uuid";

/// A literal for a column, often NULL, from few enough values that equality happens.
fn literal(random: &mut Random, column: &str) -> String {
    if random.below(5) == 0 {
        return "null".to_string();
    }
    match column {
        "i" | "k" => random.pick(&["-2147", "-1", "0", "1", "2", "3", "2000"]).to_string(),
        "n" => random
            .pick(&[
                "-1.5",
                "0",
                "0.0001",
                "1",
                "1.00",
                "2.5",
                "99.9999",
                "100",
                "100.0001",
                "1e30",
                "'NaN'",
                "'Infinity'",
                "-1e-20",
            ])
            .to_string(),
        "s" | "v" => random.pick(&["''", "'a'", "'A'", "'ab'", "'ä'", "'open'", "' a'", "'a '"]).to_string(),
        "b" => random.pick(&["true", "false"]).to_string(),
        "d" => random.pick(&["'2026-01-01'", "'2026-06-30'", "'1999-12-31'", "'infinity'"]).to_string(),
        "at" => random
            .pick(&[
                "now()",
                "now() - interval '1 day'",
                "now() + interval '3 days'",
                "now() - interval '29 days'",
                "now() + interval '31 days'",
                "'2020-02-29 12:00+00'",
                "'-infinity'",
            ])
            .to_string(),
        "m" => random.pick(&["'sad'", "'fine'", "'glad'"]).to_string(),
        "arr" => random.pick(&["'{}'", "'{1}'", "'{1,2}'", "'{null,3}'"]).to_string(),
        "j" => random.pick(&["'{}'", "'{\"a\": 1}'", "'{\"a\": \"x\", \"b\": null}'", "'[1]'"]).to_string(),
        _ => random
            .pick(&["'00000000-0000-4000-8000-000000000001'", "'ffffffff-0000-4000-8000-000000000001'"])
            .to_string(),
    }
}

const NAMES: [&str; 12] = ["i", "n", "s", "v", "b", "d", "at", "m", "arr", "j", "k", "u"];

fn cast(column: &str) -> &'static str {
    match column {
        "i" => "int",
        "k" => "smallint",
        "n" => "numeric",
        "s" => "text",
        "v" => "varchar",
        "b" => "boolean",
        "d" => "date",
        "at" => "timestamptz",
        "m" => "mood",
        "arr" => "int[]",
        "j" => "jsonb",
        _ => "uuid",
    }
}

/// One test of a column, in one of the forms that the index looks for, or in one that it must leave alone.
fn test(random: &mut Random, old: bool) -> String {
    let column = random.pick(&NAMES);
    let side = if old && random.below(2) == 0 { "old" } else { "new" };
    let c = format!("{side}.{column}");
    let typed = |random: &mut Random| format!("({})::{}", literal(random, column), cast(column));
    match random.below(16) {
        0..=2 => format!("{c} = {}", typed(random)),
        3 => format!("{} {} {c}", typed(random), random.pick(&["=", "<", ">=", "<>"])),
        4 | 5 => format!("{c} {} {}", random.pick(&["<", "<=", ">", ">=", "<>"]), typed(random)),
        6 => format!("{c} between {} and {}", typed(random), typed(random)),
        7 => format!("{c} in ({}, {}, {})", typed(random), typed(random), typed(random)),
        8 => format!("{c} not in ({}, {})", typed(random), typed(random)),
        9 => format!("({c} = {} or {c} = {})", typed(random), typed(random)),
        10 => format!("{c} is {}null", random.pick(&["", "not "])),
        11 => format!(
            "{side}.b {}",
            random.pick(&["", "is true", "is false", "is not true", "is unknown", "= false"])
        ),
        12 => format!("not {side}.b"),
        13 => format!("{c} is {}distinct from {}", random.pick(&["", "not "]), typed(random)),
        14 if old => {
            format!("new.{column} {} old.{column}", random.pick(&["<>", "=", "<", ">", "is distinct from"]))
        }
        14 => format!(
            "{side}.at {} now() {} interval '{} days'",
            random.pick(&["<", ">=", ">"]),
            random.pick(&["+", "-"]),
            random.below(40)
        ),
        _ => computed(random, side, old),
    }
}

/// A test of something computed from a column, or of several columns.
fn computed(random: &mut Random, side: &str, old: bool) -> String {
    let text = random.pick(&["''", "'a'", "'A'", "'ab'", "'ä'", "'x'", "'1'"]);
    match random.below(12) {
        0 => format!("length({side}.s) {} {}", random.pick(&[">", "<=", "="]), random.below(3)),
        1 => format!("{side}.i = any ('{{1,2,null}}'::int[])"),
        2 => format!("{side}.arr @> '{{1}}'"),
        3 => format!("{side}.j ->> 'a' {} {text}", random.pick(&["=", "<>", ">"])),
        4 => format!("{side}.j {} {text}", random.pick(&["#>> '{a}' =", "-> 'a' ->> 'x' =", "->> 0 ="])),
        5 => format!(
            "{}({side}.{}) = {text}",
            random.pick(&["lower", "upper", "btrim"]),
            random.pick(&["s", "v"])
        ),
        6 => format!("lower(btrim({side}.s)) in ({text}, 'b')"),
        7 => format!("(lower({side}.v) = {text} or lower({side}.v) = 'b')"),
        8 => format!("({side}.j ->> 'a') is {}null", random.pick(&["", "not "])),
        9 | 10 => {
            let pattern =
                random.pick(&["a%", "%b", "%A%", "_", "%_b%", "a\\%", "%", "", "op_n", "%ä%", "\\a%"]);
            format!("{side}.{} {}like '{pattern}'", random.pick(&["s", "v"]), random.pick(&["", "", "not "]))
        }
        _ => {
            let other = if old { random.pick(&["new", "old"]) } else { side };
            let (a, b) = (random.pick(&["i", "n", "k"]), random.pick(&["i", "n", "k"]));
            let factor = random.pick(&["1", "0.5", "-2", "1e-9", "1e300"]);
            let sum = random.pick(&["+", "-", "*"]);
            format!(
                "{side}.{a} {} {other}.n {sum} {side}.{b} * {factor}",
                random.pick(&["<", "<=", ">", ">=", "=", "<>"])
            )
        }
    }
}

fn condition(random: &mut Random, old: bool) -> String {
    let mut text = test(random, old);
    for _ in 0..random.below(3) {
        let next = test(random, old);
        text = match random.below(6) {
            0 => format!("({text} or {next})"),
            1 => format!("{text} and not ({next})"),
            2 => format!("({text}) is not false and {next}"),
            _ => format!("{text} and {next}"),
        };
    }
    text
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Single,
    Batch,
    Upsert,
    Copy,
}

struct Oracle {
    db: Database,
    rules: Vec<(String, String, bool)>,
    random: Random,
    seed: u64,
}

impl Oracle {
    async fn new(salt: u64) -> Oracle {
        let (mut random, seed) = Random::seeded(salt);
        let db = Database::with_extension().await;
        db.sql("create type mood as enum ('sad', 'fine', 'glad')").await;
        db.watch("t", COLUMNS).await;
        db.sql(&format!("create table before ({COLUMNS})")).await;
        let mut rules = Vec::new();
        for number in 0..150 {
            let mentions_old = number % 4 == 0;
            let always = number % 7 == 0;
            let text = condition(&mut random, mentions_old);
            let name = format!("r{number}");
            let columns = (number % 11 == 0)
                .then(|| vec![random.pick(&NAMES).to_string(), random.pick(&NAMES).to_string()]);
            db.execute(
                "insert into tradeflow.rules (name, source, condition, fires, columns, max_firings) values ($1, 'public.t', $2, $3, $4, 1000000)",
                &[&name, &text, &if always { "always" } else { "enter" }, &columns],
            )
            .await;
            // What SQL says: on insert old is all NULL and nothing held before.
            let edge = if text.contains("old.") || always {
                "true".to_string()
            } else {
                format!("(old.id is null or not coalesce(({}), false))", text.replace("new.", "old."))
            };
            let mut says = format!("({text}) and {edge}");
            if let Some(columns) = &columns {
                let changed: Vec<String> =
                    columns.iter().map(|c| format!("new.{c}::text is distinct from old.{c}::text")).collect();
                let _ = write!(says, " and (old.id is null or {})", changed.join(" or "));
            }
            rules.push((name, says, text.contains("old.")));
        }
        Oracle { db, rules, random, seed }
    }

    fn row(&mut self, id: i32) -> String {
        let values: Vec<String> =
            NAMES.iter().map(|c| format!("({})::{}", literal(&mut self.random, c), cast(c))).collect();
        format!("({id}, {})", values.join(", "))
    }

    /// Rows for these ids: NULL-ridden, and some as they are already.
    fn rows(&mut self, ids: std::ops::Range<i32>) -> Vec<String> {
        ids.map(|id| self.row(id)).collect()
    }

    async fn check(&self, what: &str) {
        for (name, says, _) in &self.rules {
            let query = format!(
                "select coalesce(e.id::text, o.subject) || case when o.id is null then ' is missing' when e.id is null then ' is too much' else ' fired twice' end
                 from (select new.id from t as new left join before as old using (id)
                       where new is distinct from old and ({says})) e
                 full join (select min(id) as id, subject, count(*) as times from tradeflow.outbox where rule = '{name}' group by subject) o
                   on o.subject = e.id::text
                 where e.id is null or o.id is null or o.times > 1"
            );
            let wrong: Vec<String> = self.db.column(&query).await;
            assert!(wrong.is_empty(), "TRADEFLOW_SEED={} {what}: rule {name}, {says}: {wrong:?}", self.seed);
        }
        assert_eq!(self.db.incidents().await, Vec::<String>::new(), "TRADEFLOW_SEED={}", self.seed);
    }

    /// Changes rows in one way and compares. One transaction, so that now() is one moment for all.
    async fn round(&mut self, way: Way, from: i32, to: i32) {
        let rows = self.rows(from..to);
        let assignments: Vec<String> = NAMES.iter().map(|c| format!("{c} = excluded.{c}")).collect();
        let upsert = format!("on conflict (id) do update set {}", assignments.join(", "));
        self.db
            .sql("delete from tradeflow.outbox; truncate before; insert into before select * from t; begin")
            .await;
        match way {
            Way::Single => {
                for row in rows {
                    self.db.sql(&format!("insert into t values {row} {upsert}")).await;
                }
            }
            Way::Upsert => self.db.sql(&format!("insert into t values {} {upsert}", rows.join(", "))).await,
            Way::Batch => {
                let sets: Vec<String> = NAMES.iter().map(|c| format!("{c} = s.{c}")).collect();
                self.db
                    .sql(&format!(
                        "update t set {} from (values {}) s(id, {}) where s.id = t.id",
                        sets.join(", "),
                        rows.join(", "),
                        NAMES.join(", ")
                    ))
                    .await;
            }
            Way::Copy => {
                self.db
                    .sql(&format!(
                        "create temp table c on commit drop as select * from (values {}) s(id, {})",
                        rows.join(", "),
                        NAMES.join(", ")
                    ))
                    .await;
                let stream = self.db.client().copy_out("copy c to stdout").await.expect("it copies out");
                let lines: Vec<_> =
                    futures_util::TryStreamExt::try_collect(stream).await.expect("it is read");
                let sink = self.db.client().copy_in("copy t from stdin").await.expect("it copies in");
                let mut sink = std::pin::pin!(sink);
                for line in lines {
                    sink.send(line).await.expect("it is written");
                }
                sink.finish().await.expect("it ends");
            }
        }
        self.check(&format!("{way:?}")).await;
        self.db.sql("commit").await;
    }
}

async fn run(salt: u64, ways: &[Way]) {
    let mut oracle = Oracle::new(salt).await;
    for (round, way) in ways.iter().enumerate() {
        let (from, to) = match way {
            Way::Copy => (1000 + round as i32 * 100, 1060 + round as i32 * 100),
            Way::Single => (0, 25),
            _ => (0, 60),
        };
        oracle.round(*way, from, to).await;
    }
}

#[tokio::test]
async fn single_rows_fire_what_sql_says() {
    run(1, &[Way::Single, Way::Single, Way::Single]).await;
}

#[tokio::test]
async fn upserts_and_updates_of_many_rows_fire_what_sql_says() {
    run(2, &[Way::Upsert, Way::Upsert, Way::Batch, Way::Batch, Way::Upsert]).await;
}

#[tokio::test]
async fn copied_rows_fire_what_sql_says() {
    run(3, &[Way::Copy, Way::Copy]).await;
}

/// The same rows, one by one and in one statement, fire the same.
#[tokio::test]
async fn each_way_of_writing_fires_the_same() {
    let mut oracle = Oracle::new(4).await;
    let assignments: Vec<String> = NAMES.iter().map(|c| format!("{c} = excluded.{c}")).collect();
    let upsert = format!("on conflict (id) do update set {}", assignments.join(", "));
    let (first, second) = (oracle.rows(0..40).join(", "), oracle.rows(0..40).join(", "));
    let all = "select coalesce(string_agg(rule || ' ' || subject, ',' order by rule, subject), '') from tradeflow.outbox";
    let db = &oracle.db;
    db.sql(&format!("create table rows as select 1 as round, * from (values {first}) a(id, {names}) union all select 2, * from (values {second}) b(id, {names})", names = NAMES.join(", "))).await;
    let mut answers = Vec::new();
    for way in ["statement", "loop", "update", "cursor"] {
        db.sql(&format!("truncate t; insert into t select id, {names} from rows where round = 1; delete from tradeflow.outbox", names = NAMES.join(", "))).await;
        let select = format!("select id, {} from rows where round = 2", NAMES.join(", "));
        let sets: Vec<String> = NAMES.iter().map(|c| format!("{c} = r.{c}")).collect();
        db.sql(&match way {
            "statement" => format!("insert into t {select} {upsert}"),
            "loop" => format!("do $$ declare r record; begin for r in {select} loop insert into t select (r).* {upsert}; end loop; end $$")
                .replace("select (r).*", &format!("values (r.id, {})", NAMES.map(|c| format!("r.{c}")).join(", "))),
            "update" => format!("update t set {} from ({select}) r where r.id = t.id", sets.join(", ")),
            _ => format!(
                "do $$ declare r record; begin for r in {select} loop begin update t set {} where id = r.id; exception when division_by_zero then null; end; end loop; end $$",
                sets.join(", ")
            ),
        })
        .await;
        answers.push(db.one::<String>(all).await);
    }
    assert!(answers[0].contains("r1"), "something fires: {}", answers[0]);
    for answer in &answers[1..] {
        assert_eq!(&answers[0], answer, "TRADEFLOW_SEED={}", oracle.seed);
    }
}
