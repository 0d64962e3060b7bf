//! The facts of a firing are `to_jsonb(row)`, whatever the row holds; and its place in the outbox is the same, whichever way
//! it came there.

use tradeflow_tests::database::Database;

/// More columns than jsonb has between two offsets, of every sort of type, with names whose order is not that of the table.
async fn wide() -> Database {
    let db = Database::with_extension().await;
    let many: Vec<String> = (0..40).map(|i| format!("n{i} int default {i}")).collect();
    db.sql(&format!(
        "create type mood as enum ('sad', 'ok'); create type pair as (a int, b text);
         create domain cents as numeric(12,2); create domain name_of as text; create domain doc as jsonb;
         create table w (
           id int primary key, gone text, b boolean, i2 smallint, i8 bigint, num numeric, money numeric(20,4), c cents, f4 real, f8 double precision,
           t text, v varchar(50), ch char(6), d date, ts timestamp, tz timestamptz, tm time, iv interval, j json, jb jsonb, jd doc, u uuid, e mood, p pair,
           ia int[], ta text[], nm name_of, bin bytea, ip inet, r int4range, \"Weird \"\"Name\" text, {},
           made numeric generated always as (num * 2) stored);
         alter table w drop column gone;
         alter table w add column later text default 'was not there';
         select tradeflow.watch('public.w', log => true);
         insert into tradeflow.rules (name, source, fires, max_firings) values ('every', 'public.w', 'always', 100000)",
        many.join(", ")
    ))
    .await;
    db
}

const ROWS: &str = r#"insert into w (id, b, i2, i8, num, money, c, f4, f8, t, v, ch, d, ts, tz, tm, iv, j, jb, jd, u, e, p, ia, ta, nm, bin, ip, r, "Weird ""Name") values
  (1, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
  (2, true, -32768, 9223372036854775807, 0, 0, 1.5, 1.5, 'NaN', '', '', '', '2026-11-25', 'infinity', '-infinity', '12:00:01.5', '1 month 2 days', '{"b": 1, "a":  2}', '{}', '[]', gen_random_uuid(), 'ok', (1, 'x'), '{}', '{}', 'n', '\x00ff', '10.0.0.1/8', '[1,5)', 'w'),
  (3, false, 1, -9223372036854775808, 1e100, 0.0001, -0.01, 'Infinity', 1e300, 'ünï "quoted" \ ' || chr(10), 'x', 'ab', '0044-03-15 BC', '2026-11-25 12:00:00.123456', '2026-03-29 01:30:00+00', '00:00', '-1 day', 'null', 'null', '5.00', null, 'sad', row(null, null), '{1,null,3}', '{"a b",null}', '', '', '::1', 'empty', '"'),
  (4, true, 7, 42, 123456789012345678901234567890.000100, 12.5000, 0, 0, -0.0, repeat('long text ', 2000), 'y', 'abcdef', null, null, '9999-12-31 23:59:59+00', null, null, '"text"', '"a string"', '{"deep": {"er": [1, 2.50, {"x": null}]}}', null, null, null, '{{1,2},{3,4}}', null, 'm', null, null, null, null),
  (5, true, 7, 42, 'NaN', 1, 1, 1, 1, (select string_agg(md5(i::text), '') from generate_series(1, 400) i), 'z', 'z', null, null, null, null, null, '[]', 'true', '"s"', null, null, null, null, null, null, null, null, null, null),
  (6, true, 7, 42, -0.50, 1, 1, 1, 1, 'x', 'z', 'z', null, null, null, null, null, '[1]', '[1, "two", [3.10], {"four": 4}]', '7', null, null, null, null, null, null, null, null, null, null),
  (7, true, 7, 42, 10, 1, 1, 1, 1, 'x', 'z', 'z', null, null, null, null, null, '[1]', (select jsonb_object_agg('key' || i, i * 1.5) from generate_series(1, 100) i), 'false', null, null, null, null, null, null, null, null, null, null)"#;

#[tokio::test]
async fn they_are_what_to_jsonb_says() {
    let db = wide().await;
    for zone in ["UTC", "Europe/Berlin", "America/St_Johns"] {
        db.sql(&format!("set timezone = '{zone}'; set datestyle = 'German, DMY'")).await;
        db.sql(&ROWS.replace("insert into w", "delete from w; insert into w")).await;
        let differ: Vec<String> = db
            .column(
                "select o.subject from tradeflow.outbox o join w on w.id::text = o.subject
                 where o.event = 'insert' and (o.facts <> to_jsonb(w) or o.facts::text <> to_jsonb(w)::text
                   -- Every key is found, wherever it stands.
                   or exists (select from jsonb_object_keys(to_jsonb(w)) k where o.facts -> k is distinct from to_jsonb(w) -> k)
                   or not o.facts @> to_jsonb(w) or jsonb_strip_nulls(o.facts) <> jsonb_strip_nulls(to_jsonb(w))
                   or hashtext(o.facts::text) <> hashtext(to_jsonb(w)::text) or jsonb_hash(o.facts) <> jsonb_hash(to_jsonb(w)))",
            )
            .await;
        assert_eq!(differ, [""; 0], "{zone}");
        assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 7, "{zone}");
        let logged = "select count(*) from tradeflow.change_log l join w on w.id::text = l.subject where l.event = 'insert' and l.new::text = to_jsonb(w)::text";
        assert_eq!(db.one::<i64>(logged).await, 7, "{zone}: the log");
        db.sql("delete from tradeflow.outbox; delete from tradeflow.change_log").await;
        assert_eq!(db.incidents().await, [""; 0]);
    }
}

/// What a column's cast to json raises is its rule's incident, and a row too large to be jsonb as well.
#[tokio::test]
async fn what_cannot_be_jsonb_is_an_incident() {
    let db = Database::with_extension().await;
    db.sql(
        "create type odd as enum ('lucky', 'unlucky');
         create function odd_json(odd) returns json language plpgsql as $$ begin if $1 = 'unlucky' then raise 'unlucky'; end if; return '1'; end $$;
         create cast (odd as json) with function odd_json(odd)",
    )
    .await;
    db.watch("t", "id int primary key, o odd").await;
    db.sql("insert into tradeflow.rules (name, source) values ('every', 'public.t')").await;
    db.sql("insert into t values (1, 'lucky'), (2, 'unlucky'), (3, 'lucky')").await;
    assert_eq!(db.one::<String>("select facts ->> 'o' from tradeflow.outbox limit 1").await, "1");
    assert_eq!(db.fired().await, ["every 1", "every 3"]);
    assert_eq!(db.incidents().await, ["rule_error every 2 P0001 1: rule \"every\" for 2: unlucky"]);
}

/// Firings that are due at once are put into the outbox without the statement that all others take: by the same rules.
#[tokio::test]
async fn a_firing_is_the_same_with_a_statement_and_without() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key, n int, due timestamptz").await;
    db.watch("u", "id int primary key, n int, due timestamptz").await;
    db.target().await;
    db.sql(
        r#"insert into tradeflow.rules (name, source, condition, fires, mode, query, max_firings, fire_at, max_per_subject) values
             ('recorded', 'public.t', 'new.n > 0', 'always', 'live', null, 1000, null, 1000),
             ('at_once', 'public.u', 'new.n > 1', null, 'live', null, 1000, null, 1000),
             ('acts', 'public.t', 'new.n > 1', null, 'live', null, 1000, null, 1000),
             ('shadow', 'public.t', 'new.n > 0', 'always', 'shadow', null, 1000, null, 1000),
             ('asks', 'public.t', 'new.n > 0', 'always', 'live', 'select g as occurrence, new.n * g as x from generate_series(1, 2) g', 1000, null, 1000),
             ('bursts', 'public.t', 'new.n > 0', 'always', 'live', null, 1, null, 1000),
             ('loops', 'public.t', 'new.n > 0', 'always', 'live', null, 1000, null, 2),
             ('once', 'public.t', 'new.n > 0', 'once', 'live', null, 1000, null, 1000),
             ('delayed', 'public.t', 'new.n > 0', 'always', 'live', null, 1000, null, 1000),
             ('laned', 'public.t', 'new.n > 0', 'always', 'live', null, 1000, null, 1000),
             ('timed', 'public.t', 'new.n > 0', 'always', 'live', null, 1000, 'new.due', 1000);
           insert into tradeflow.actions (rule, step, edge, name, kind, target, params, max_attempts, delay, lane) values
             ('acts', 2, 'enter', 'second', 'http', 'there', '{"path": "/"}', 3, '0', null), ('acts', 1, 'enter', 'first', 'http', 'there', '{"path": "/"}', 7, '0', null),
             ('acts', 5, 'leave', null, 'http', 'there', '{"path": "/"}', 9, '0', null),
             ('at_once', 1, 'enter', null, 'http', 'there', '{"path": "/"}', 9, '0', null), ('at_once', 1, 'leave', null, 'http', 'there', '{"path": "/"}', 9, '0', null),
             ('delayed', 1, 'enter', null, 'http', 'there', '{"path": "/"}', 9, '1 hour', null),
             ('laned', 1, 'enter', null, 'http', 'there', '{"path": "/"}', 9, '0', 'lane {{ facts.n }}'),
             ('asks', 1, 'enter', null, 'http', 'there', '{"path": "/"}', 9, '0', null)"#,
    )
    .await;
    let changes = "begin;
        insert into t select g, g % 3, now() + interval '1 day' from generate_series(1, 5) g;
        update t set n = n + 1; update t set n = 0 where id < 3; update t set n = 5; delete from t; commit";
    let rows = "select (to_jsonb(o) - '{id,firing_id,run_at,created_at,traceparent,key,fire_at,facts}'::text[])::text || (facts - 'due')::text || (run_at > now()) || (fire_at > now() is true) || (created_at < now()) || coalesce(key::text, '')
                from tradeflow.outbox o order by 1";
    let mut outcomes = Vec::new();
    for trace in ["", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] {
        let session = db.connect().await;
        session.batch_execute(&format!("set tradeflow.traceparent = '{trace}'")).await.expect("a setting");
        session
            .batch_execute(
                "insert into tradeflow.settings (name, value) values ('unused', '') on conflict do nothing",
            )
            .await
            .expect("a setting");
        // What is due at once is written without the statement.
        let statement =
            "select count(*) from pg_backend_memory_contexts where ident like '-- Firings become actions%'";
        session
            .batch_execute("insert into u values (1, 3, null); update u set n = 0; delete from u")
            .await
            .expect("a change");
        let used: i64 = session.query_one(statement, &[]).await.expect("contexts").get(0);
        assert_eq!(used > 0, !trace.is_empty(), "with {trace:?}");
        session.batch_execute("delete from tradeflow.outbox; delete from tradeflow.recent_firings; delete from tradeflow.members").await.expect("clean");
        session.batch_execute(changes).await.expect("changes");
        outcomes.push(db.column::<String>(rows).await);
        let counted: i64 = db.one("select count(*) from tradeflow.recent_firings").await;
        outcomes.push(vec![counted.to_string()]);
        outcomes.push(db.column("select concat_ws(' ', kind, rule, subject, count, message) from tradeflow.incidents order by 1").await);
        db.sql("delete from tradeflow.outbox; delete from tradeflow.recent_firings; delete from tradeflow.members; delete from tradeflow.incidents").await;
    }
    assert!(outcomes[0].len() > 50, "{}", outcomes[0].len());
    for n in 0..3 {
        let (direct, statement) = (&outcomes[n], &outcomes[n + 3]);
        let less: Vec<_> = statement.iter().filter(|row| !direct.contains(row)).collect();
        let more: Vec<_> = direct.iter().filter(|row| !statement.contains(row)).collect();
        assert!(direct == statement, "less: {less:#?}, more: {more:#?}");
    }
}
