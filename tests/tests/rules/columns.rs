//! Columns of every kind, and tables that change under their rules.

use tradeflow_tests::database::Database;

#[tokio::test]
async fn generated_columns_are_read_and_seen_to_change() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, price numeric, quantity int, total numeric generated always as (price * quantity) stored").await;
    db.rule("large", "public.t", "new.total >= 100").await;
    db.sql("insert into tradeflow.rules (name, source, condition, columns) values ('changed', 'public.t', 'new.total > 0', '{total}')").await;
    db.sql("insert into t values (1, 10, 5)").await;
    assert_eq!(db.fired().await, ["changed 1"]);
    db.sql("update t set quantity = 10").await;
    assert_eq!(db.one::<String>("select facts ->> 'total' from tradeflow.outbox").await, "100");
    assert_eq!(db.fired().await, ["large 1"]);
}

#[tokio::test]
async fn columns_dropped_before_and_after_watching() {
    let db = Database::with_extension().await;
    db.sql(
        "create table t (gone int, id int primary key, also_gone text, n int, later text, last text);
            alter table t drop column gone, drop column also_gone; select tradeflow.watch('t')",
    )
    .await;
    db.rule("r", "public.t", "new.n > 1 and new.last = 'x'").await;
    db.sql("insert into tradeflow.rules (name, source, query) values ('q', 'public.t', 'select new.*, old.n as before')").await;
    db.sql("insert into t values (1, 2, 'y', 'x')").await;
    assert_eq!(db.fired().await, ["r 1", "q 1"]);
    db.sql("alter table t drop column later; update t set n = 1; update t set n = 5").await;
    let facts: Vec<String> =
        db.column("select facts::text from tradeflow.outbox where rule = 'q' order by id").await;
    assert_eq!(
        facts,
        [r#"{"n": 1, "id": 1, "last": "x", "before": 2}"#, r#"{"n": 5, "id": 1, "last": "x", "before": 1}"#]
    );
    assert_eq!(db.fired().await, ["q 1", "r 1", "q 1"]);
    assert_eq!(db.incidents().await, Vec::<String>::new());
}

/// A row stored before the column came holds the column's default, though it is not in the row.
#[tokio::test]
async fn a_column_added_with_a_default_is_there_in_rows_stored_before() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int").await;
    db.sql("insert into t values (1, 1); alter table t add column flag text default 'yes'").await;
    db.rule("entered", "public.t", "new.flag = 'yes' and new.n > 0").await;
    db.rule("edge", "public.t", "old.flag is null or new.flag is distinct from old.flag").await;
    db.sql("insert into tradeflow.rules (name, source, events) values ('gone', 'public.t', '{delete}')")
        .await;
    db.sql("update t set n = 2").await;
    assert_eq!(db.fired().await, Vec::<String>::new());
    db.sql("delete from t").await;
    assert_eq!(db.one::<String>("select facts ->> 'flag' from tradeflow.outbox").await, "yes");
}

#[tokio::test]
async fn a_table_altered_between_statements_with_a_warm_cache() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int, s varchar(20)").await;
    db.rule("n", "public.t", "new.n > 5").await;
    db.rule("s", "public.t", "new.s = 'x'").await;
    db.sql("insert into t values (1, 6, 'x')").await;
    assert_eq!(db.fired().await, ["n 1", "s 1"]);
    db.sql("alter table t alter n type bigint, alter s type text, add column extra text; insert into t values (2, 6000000000, 'x', 'e')").await;
    assert_eq!(db.fired().await, ["n 2", "s 2"]);
    db.sql("alter table t alter n type numeric; insert into t values (3, 6.5, 'y'), (4, 5, 'x')").await;
    assert_eq!(db.fired().await, ["n 3", "s 4"]);
    db.sql("alter table t drop column extra; insert into t values (5, 6, 'x')").await;
    assert_eq!(db.fired().await, ["n 5", "s 5"]);
    // The same in one transaction.
    db.sql("delete from t; begin; insert into t values (6, 6, 'x'); alter table t alter n type int; insert into t values (7, 6, 'x'); commit").await;
    assert_eq!(db.fired().await, ["n 6", "s 6", "n 7", "s 7"]);
    assert_eq!(db.incidents().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_column_renamed_away_and_back_quarantines_its_rules_alone() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int, m int").await;
    db.rule("n", "public.t", "new.n > 5").await;
    db.rule("m", "public.t", "new.m > 5").await;
    db.sql("insert into t values (1, 6, 6); alter table t rename n to k; insert into t values (2, 6, 6)")
        .await;
    assert_eq!(db.fired().await, ["m 1", "n 1", "m 2"]);
    let incidents = db.incidents().await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(
        incidents[0],
        "rule_invalid n - 42703 1: rule \"n\" no longer compiles: column new.n does not exist"
    );
    db.sql("alter table t rename k to n; insert into t values (3, 6, 6)").await;
    assert_eq!(db.fired().await, ["m 3", "n 3"]);
}

/// Tables are known by name: a table renamed away is no longer the one that was watched.
#[tokio::test]
async fn a_table_renamed_away_fires_nothing_until_it_is_back() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int").await;
    db.rule("n", "public.t", "new.n > 5").await;
    db.sql("insert into t values (1, 6); alter table t rename to other; insert into other values (2, 6)")
        .await;
    assert_eq!(db.fired().await, ["n 1"]);
    db.sql("alter table other rename to t; insert into t values (3, 6)").await;
    assert_eq!(db.fired().await, ["n 3"]);
    db.sql("create schema s; alter table t set schema s; insert into s.t values (4, 6)").await;
    assert_eq!(db.fired().await, Vec::<String>::new());
}

#[tokio::test]
async fn domains_enums_arrays_json_and_other_types_in_conditions() {
    let db = Database::with_extension().await;
    db.sql(
        "create type mood as enum ('sad', 'fine', 'glad');
            create domain percent as numeric check (value between 0 and 100);
            create domain code as text;
            create type address as (street text, city text)",
    )
    .await;
    db.watch(
        "t",
        "id int primary key, mood mood, share percent, code code, tags text[], doc jsonb, u uuid, v varchar(8), c char(5), flag boolean, day date,
         at timestamp, span interval, raw bytea, ip inet, place address, small smallint, big bigint, f double precision, r int4range, n name",
    )
    .await;
    for (name, condition) in [
        ("address", "(new.place).city = 'Berlin'"),
        ("array", "'b' = any (new.tags) and cardinality(new.tags) = 2"),
        ("big", "new.big = 9007199254740993"),
        ("bytea", r"new.raw = '\xdead'"),
        ("char", "new.c = 'ab'"),
        ("code", "new.code = 'x'"),
        ("date", "new.day between '2026-01-01' and '2026-01-31'"),
        ("enum", "new.mood = 'fine'"),
        ("enum_in", "new.mood in ('sad', 'glad')"),
        ("enum_order", "new.mood > 'sad'"),
        ("false", "not new.flag"),
        ("float", "new.f > 1.5"),
        ("inet", "new.ip << '10.0.0.0/8'"),
        ("interval", "new.span > '1 hour'"),
        ("json", "new.doc ->> 'status' = 'open' and (new.doc -> 'n')::int > 3"),
        ("name", "new.n = 'me'"),
        ("percent", "new.share >= 50"),
        ("range", "new.r @> 5"),
        ("small", "new.small in (1, 2, -3)"),
        ("timestamp", "new.at < timestamp '2026-01-01 12:00'"),
        ("true", "new.flag"),
        ("uuid", "new.u = '6f2f8d0e-0000-4000-8000-000000000001'"),
        ("varchar", "new.v in ('a', 'ab')"),
    ] {
        db.rule(name, "public.t", condition).await;
    }
    db.sql(
        r#"insert into t values (1, 'fine', 50, 'x', '{a,b}', '{"status": "open", "n": 4}', '6f2f8d0e-0000-4000-8000-000000000001', 'ab', 'ab', true,
             '2026-01-31', '2026-01-01 11:59', '61 minutes', '\xdead', '10.1.2.3', row('x', 'Berlin'), -3, 9007199254740993, 1.6, '[1,6)', 'me')"#,
    )
    .await;
    let all = [
        "address",
        "array",
        "big",
        "bytea",
        "char",
        "code",
        "date",
        "enum",
        "enum_order",
        "float",
        "inet",
        "interval",
        "json",
        "name",
        "percent",
        "range",
        "small",
        "timestamp",
        "true",
        "uuid",
        "varchar",
    ];
    let fired = |rules: &[&str], id: i32| rules.iter().map(|r| format!("{r} {id}")).collect::<Vec<_>>();
    assert_eq!(db.fired().await, fired(&all, 1));
    // Everything beside it by the least: nothing but what it is.
    db.sql(
        r#"insert into t values (2, 'sad', 49.999, 'X', '{b}', '{"status": "open", "n": 3}', '6f2f8d0e-0000-4000-8000-000000000002', 'abc', 'abc', false,
             '2026-02-01', '2026-01-01 12:00', '1 hour', '\xdeae', '11.1.2.3', row('Berlin', 'x'), 3, 9007199254740992, 1.5, '[1,5)', 'ME')"#,
    )
    .await;
    assert_eq!(db.fired().await, fired(&["enum_in", "false"], 2));
    db.sql("insert into t (id) values (3)").await;
    assert_eq!(db.fired().await, Vec::<String>::new());
    assert_eq!(db.incidents().await, Vec::<String>::new());
}

#[tokio::test]
async fn long_texts_compressed_and_stored_elsewhere() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, body text, plain text, n int").await;
    db.sql("alter table t alter plain set storage external").await;
    let long = "(select string_agg(md5(i::text), '') from generate_series(1, 300) i)";
    db.sql("create function long() returns text language sql immutable as $$ select string_agg(md5(i::text), '') from generate_series(1, 300) i $$").await;
    db.rule("compressed", "public.t", "new.body = repeat('x', 100000)").await;
    db.rule("external", "public.t", "new.plain = public.long()").await;
    db.rule("one_of", "public.t", "new.body in ('short', repeat('x', 100000))").await;
    db.sql("insert into tradeflow.rules (name, source) values ('any', 'public.t')").await;
    db.sql(&format!("insert into t values (1, repeat('x', 100000), {long}, 0)")).await;
    assert_eq!(db.fired().await, ["any 1", "compressed 1", "external 1", "one_of 1"]);
    // Written anew with the same content: no change.
    db.sql(&format!("update t set body = repeat('x', 50000) || repeat('x', 50000), plain = {long}")).await;
    assert_eq!(db.fired().await, Vec::<String>::new());
    // Another content of the same length is one, and equality is not taken for granted.
    db.sql("update t set plain = 'y' || substr(plain, 2)").await;
    assert_eq!(db.fired().await, ["any 1"]);
    db.sql("update t set n = 1").await;
    assert_eq!(db.one::<i32>("select length(facts ->> 'plain') from tradeflow.outbox").await, 9600);
    db.fired().await;
    db.sql("update t set body = 'short'").await;
    assert_eq!(db.fired().await, ["any 1"]);
}

#[tokio::test]
async fn numbers_at_the_edge_of_what_can_be_told_apart() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, x numeric").await;
    let bounds = [
        "0",
        "0.1",
        "-0.1",
        "1000000000000000000000.000000000000000001",
        "-1e-30",
        "1e-30",
        "9999.9999",
        "10000",
        "1e400",
        "-1e400",
        "'NaN'",
        "'Infinity'",
        "'-Infinity'",
        "123456789012345678901234567890.5",
    ];
    for (i, bound) in bounds.iter().enumerate() {
        for (j, operator) in ["<", "<=", "=", ">=", ">", "<>"].iter().enumerate() {
            db.rule(&format!("r{i}_{j}"), "public.t", &format!("new.x {operator} {bound}::numeric")).await;
        }
    }
    db.sql("update tradeflow.rules set fires = 'always'").await;
    let values: Vec<String> = bounds
        .iter()
        .map(|b| format!("({b}::numeric)"))
        .chain(bounds[..8].iter().flat_map(|b| [format!("({b} + 1e-25)"), format!("({b} - 1e-25)")]))
        .chain(["(('1' || repeat('0', 330) || '1')::numeric)".to_string(), "(null)".to_string()])
        .collect();
    db.sql(&format!("insert into t select row_number() over (), x from (values {}) v(x)", values.join(", ")))
        .await;
    for (i, bound) in bounds.iter().enumerate() {
        for (j, operator) in ["<", "<=", "=", ">=", ">", "<>"].iter().enumerate() {
            let wrong: Vec<String> = db
                .column(&format!(
                    "select left(x::text, 60) || ': ' || case when o.id is null then 'did not fire' else 'fired' end
                     from t left join tradeflow.outbox o on o.subject = t.id::text and o.rule = 'r{i}_{j}'
                     where coalesce(x {operator} {bound}::numeric, false) <> (o.id is not null)"
                ))
                .await;
            assert_eq!(wrong, Vec::<String>::new(), "{operator} {bound}");
        }
    }
}

#[tokio::test]
async fn null_is_neither_true_nor_false() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int, s text, flag boolean").await;
    for (name, condition) in [
        ("a_gt", "new.n > 5"),
        ("b_not_gt", "not (new.n > 5)"),
        ("c_is_null", "new.n is null"),
        ("d_distinct", "new.n is distinct from 5"),
        ("e_not_in", "new.s not in ('a', 'b')"),
        ("f_in_null", "new.s in ('a', null)"),
        ("g_not_true", "new.flag is not true"),
        ("h_unknown", "new.flag is unknown"),
        ("i_or", "new.n > 5 or new.s is null"),
        ("j_null", "null"),
        ("k_left_null", "old.n is null and new.n > 0"),
    ] {
        db.rule(name, "public.t", condition).await;
    }
    // On insert nothing held before, whatever NULLs make of the condition over old.
    db.sql("insert into t (id) values (1)").await;
    assert_eq!(db.fired().await, ["c_is_null 1", "d_distinct 1", "g_not_true 1", "h_unknown 1", "i_or 1"]);
    db.sql("update t set n = 6, s = 'c', flag = false").await;
    assert_eq!(db.fired().await, ["a_gt 1", "e_not_in 1", "k_left_null 1"]);
    db.sql("update t set n = 5, s = 'a'").await;
    assert_eq!(db.fired().await, ["b_not_gt 1", "f_in_null 1"]);
    db.sql("update t set n = null").await;
    assert_eq!(db.fired().await, ["c_is_null 1", "d_distinct 1"]);
}

#[tokio::test]
async fn times_are_compared_with_now_and_intervals() {
    let db = Database::with_extension().await;
    db.watch("t", "id text primary key, at timestamptz").await;
    for (name, condition) in [
        ("a_past", "new.at < now()"),
        ("b_week", "new.at > now() - interval '7 days' and new.at <= now()"),
        ("c_soon", "new.at between now() and now() + interval '1 month'"),
        ("d_left", "now() - interval '1 year 2 months' > new.at"),
        ("e_clock", "new.at >= tradeflow.now() + '36 hours'"),
        ("f_current", "new.at = current_timestamp"),
        ("g_sum", "new.at < now() + interval '1 month' - interval '40 days'"),
    ] {
        db.rule(name, "public.t", condition).await;
    }
    db.sql("begin; insert into t values ('never', null), ('now', now()), ('yesterday', now() - interval '1 day'), ('old', now() - interval '500 days'),
            ('tomorrow', now() + interval '1 day'), ('in_27_days', now() + interval '27 days'), ('in_32_days', now() + interval '32 days'),
            ('infinity', 'infinity'), ('ever', '-infinity'), ('8_days', now() - interval '8 days 1 second')")
        .await;
    let mut fired = db.fired().await;
    fired.sort();
    let days = ["b_week now", "b_week yesterday"];
    assert_eq!(fired.iter().filter(|f| f.starts_with("b_week")).collect::<Vec<_>>(), days);
    for (condition, prefix) in [
        ("at < now()", "a_past"),
        ("at between now() and now() + interval '1 month'", "c_soon"),
        ("now() - interval '1 year 2 months' > at", "d_left"),
        ("at >= now() + interval '36 hours'", "e_clock"),
        ("at < now() + interval '1 month' - interval '40 days'", "g_sum"),
    ] {
        let expected: Vec<String> = db
            .column(&format!("select '{prefix} ' || id from t where {condition} order by id collate \"C\""))
            .await;
        let found: Vec<&String> = fired.iter().filter(|f| f.starts_with(prefix)).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>(), "{condition}");
    }
    db.sql("commit").await;
    assert_eq!(fired.iter().filter(|f| f.starts_with("f_current")).collect::<Vec<_>>(), ["f_current now"]);
    assert!(fired.contains(&"e_clock infinity".to_string()) && fired.contains(&"a_past ever".to_string()));
}
