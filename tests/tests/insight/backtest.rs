//! `tradeflow.backtest`.

use tradeflow_tests::database::Database;

use super::quotes;

/// `difference subject` of a backtest, one a firing.
async fn backtest(db: &Database, arguments: &str) -> Vec<String> {
    db.column(&format!(
        "select concat_ws(' ', difference, event, subject, nullif(occurrence, ''), facts ->> 'total', error) from tradeflow.backtest({arguments})"
    ))
    .await
}

#[tokio::test]
async fn a_draft_against_what_fired() {
    let db = quotes().await;
    db.sql("insert into quotes (id, status, total) values (1, 1, 100), (2, 1, 200), (3, 0, 50)").await;
    db.sql("update quotes set status = 1 where id = 3").await;
    db.sql("delete from quotes where id = 2").await;
    assert_eq!(backtest(&db, "'big'").await, ["same insert 1 100.00", "same insert 2 200.00"]);
    assert_eq!(
        backtest(&db, r#"'{"name": "big", "condition": "new.status = 1 and new.total <> 100"}'::jsonb"#)
            .await,
        ["missing insert 1 100.00", "same insert 2 200.00", "added update 3 50.00"]
    );
    assert_eq!(
        backtest(&db, r#"'{"source": "quotes", "events": ["delete"]}'::jsonb"#).await,
        ["added delete 2 200.00"]
    );
    assert_eq!(backtest(&db, "'big', until => '2020-01-01'").await, [""; 0]);
    assert_eq!(backtest(&db, "'big', since => now() + interval '1 hour'").await, [""; 0]);
}

#[tokio::test]
async fn facts_are_the_row_as_it_was() {
    let db = quotes().await;
    db.sql(r#"insert into quotes values (1, 1, 123456789.10, 'ä', '{a,"b c"}', '2026-03-29 01:30+00', '{"x": [1, null]}')"#).await;
    assert!(db.one::<bool>("select b.facts = f.facts from tradeflow.backtest('big') b join tradeflow.firings f using (firing_id)").await);
    // Whatever type a condition reads.
    let draft = r#"{"source": "quotes", "condition": "new.tags @> array['b c'] and new.raw -> 'x' ->> 0 = '1' and new.at < '2026-03-29 02:00+00' and new.name = 'ä'"}"#;
    assert_eq!(backtest(&db, &format!("$${draft}$$::jsonb")).await, ["added insert 1 123456789.10"]);
}

#[tokio::test]
async fn queries_read_all_of_the_row() {
    let db = quotes().await;
    db.sql(
        "insert into tradeflow.rules (name, source, condition, query) values ('q', 'quotes', 'new.status = 1',
           $$ select new.total, t as occurrence from unnest(new.tags) t where new.name is not null $$);
         insert into quotes (id, status, total, name, tags) values (1, 1, 5, 'x', '{a,b}'), (2, 1, 6, null, '{a}'), (3, 0, 7, 'x', '{c}')",
    )
    .await;
    assert_eq!(backtest(&db, "'q'").await, ["same insert 1 a 5.00", "same insert 1 b 5.00"]);
}

#[tokio::test]
async fn once_is_once_in_a_backtest_too() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, condition, fires) values ('o', 'quotes', 'new.status = 1', 'once')").await;
    db.sql("insert into quotes (id, status) values (1, 1)").await;
    db.sql("update quotes set status = 0").await;
    db.sql("update quotes set status = 1").await;
    assert_eq!(backtest(&db, "'o'").await, ["same insert 1"]);
}

/// Time is that of the change, not that of the backtest.
#[tokio::test]
async fn the_clock_is_the_changes_own() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, condition, fires) values ('soon', 'quotes', 'new.at < tradeflow.now() + interval $$1 day$$ and new.at > now() - interval $$1 hour$$ and current_date <= now()', 'always')").await;
    db.sql("insert into quotes (id, at) values (1, now())").await;
    db.sql("select tradeflow.set_clock('2031-01-01'); insert into quotes (id, at) values (2, '2031-01-01 12:00'), (3, '2031-02-01'); select tradeflow.set_clock(null)").await;
    // As if it had happened two days ago.
    db.sql("update tradeflow.change_log set changed_at = changed_at - interval '2 days', new = jsonb_set(new, '{at}', to_jsonb((new ->> 'at')::timestamptz - interval '2 days')) where subject = '1'").await;
    db.sql("update tradeflow.outbox set created_at = created_at - interval '2 days' where subject = '1'")
        .await;
    db.sql("update tradeflow.watched_tables set logged_since = logged_since - interval '3 days'").await;
    assert_eq!(backtest(&db, "'soon'").await, ["same insert 1", "same insert 2"]);
}

#[tokio::test]
async fn silent_changes_are_left_out() {
    let db = quotes().await;
    db.sql("begin; set local tradeflow.mode = 'silent'; insert into quotes (id, status, total) values (1, 1, 500); commit").await;
    assert!(db.one::<bool>("select silent from tradeflow.change_log").await);
    assert_eq!(backtest(&db, "'big'").await, [""; 0]);
}

#[tokio::test]
async fn errors_of_the_rule_are_rows_and_those_of_the_call_are_errors() {
    let db = quotes().await;
    db.sql("insert into quotes (id, status) values (1, 0), (2, 1), (3, 0)").await;
    assert_eq!(
        backtest(&db, r#"'{"source": "quotes", "condition": "1 / new.status > 0"}'::jsonb"#).await,
        ["added insert 2", "error 1 division by zero (and 1 more)"]
    );
    for (arguments, code) in [
        ("'nope'", "42704"),
        (r#"'{"condition": "true"}'::jsonb"#, "0A000"),
        (r#"'{"source": "nope", "condition": "true"}'::jsonb"#, "42P01"),
        (r#"'{"source": "quotes", "condition": "new.nope"}'::jsonb"#, "42703"),
        (r#"'{"source": "quotes", "conditoin": "true"}'::jsonb"#, "42703"),
    ] {
        assert_eq!(
            db.error(&format!("select * from tradeflow.backtest({arguments})")).await.code,
            code,
            "{arguments}"
        );
    }
    db.sql("select tradeflow.watch('quotes')").await;
    let unlogged = db.error("select * from tradeflow.backtest('big')").await;
    assert_eq!(unlogged.code, "55000");
}

#[tokio::test]
async fn a_draft_runs_as_the_caller() {
    let db = quotes().await;
    db.sql("insert into quotes (id, status, total) values (1, 1, 500)").await;
    let author = db.role(&["tradeflow_author"]).await;
    let client = db.connect_as(&author, &author).await;
    let draft = r#"select * from tradeflow.backtest('{"source": "public.quotes", "condition": "new.status = 1"}'::jsonb)"#;
    for refused in [draft, "select * from tradeflow.backtest('big')"] {
        let error = client.query(refused, &[]).await.unwrap_err();
        assert_eq!(error.code().map(|c| c.code().to_string()).as_deref(), Some("42501"), "{refused}");
    }
    db.sql(&format!("grant select on quotes to {author}")).await;
    assert_eq!(client.query(draft, &[]).await.unwrap().len(), 1);
    db.sql(&format!("drop owned by {author}")).await;
}

/// A random stream of changes, several a transaction: what a replay says is what happened.
#[tokio::test]
async fn a_replay_of_the_log_is_what_really_fired() {
    let db = quotes().await;
    db.sql(
        "insert into tradeflow.rules (name, source, condition, fires, columns, query, fire_at, events, max_firings, max_per_subject) values
           ('always', 'quotes', 'new.total > 50', 'always', null, null, null, '{insert,update}', 100000, 100000),
           ('filtered', 'quotes', 'new.total > 50', 'always', '{status}', null, null, '{insert,update}', 100000, 100000),
           ('edge', 'quotes', 'old.status is distinct from new.status and new.status = 2', null, null, null, null, '{update}', 100000, 100000),
           ('timed', 'quotes', 'new.status in (1, 2)', null, null, null, 'new.at', '{insert,update}', 100000, 100000),
           ('gone', 'quotes', 'old.total > 80', null, null, null, null, '{delete}', 100000, 100000),
           ('each', 'quotes', 'new.status = 3', null, null, 'select g as occurrence, new.total from generate_series(1, new.id % 3) g', null, '{insert,update}', 100000, 100000),
           ('nulls', 'quotes', 'new.name is null or new.total is null', null, null, null, null, '{insert,update}', 100000, 100000);
         update tradeflow.rules set max_firings = 100000, max_per_subject = 100000",
    )
    .await;
    db.sql("select setseed(0.4711)").await;
    for _ in 0..60 {
        db.sql(
            "begin;
             insert into quotes (id, status, total, name, at)
             select distinct on (id) id, (random() * 4)::int, case when random() < 0.1 then null else round((random() * 150)::numeric, 2) end,
                    case when random() < 0.2 then null else 'n' end, now() + interval '1 day' * (random() * 3)::int
             from (select (random() * 40)::int as id from generate_series(1, 15)) i
             on conflict (id) do update set status = excluded.status, total = excluded.total, name = excluded.name, at = excluded.at;
             update quotes set status = (random() * 4)::int where random() < 0.2;
             delete from quotes where random() < 0.05;
             update quotes set total = total + 1 where random() < 0.2;
             commit",
        )
        .await;
    }
    for rule in ["big", "always", "filtered", "edge", "timed", "gone", "each", "nulls"] {
        let differences = db
            .column::<String>(&format!("select concat_ws(' ', difference, event, subject, occurrence, changed_at) from tradeflow.backtest('{rule}') where difference <> 'same'"))
            .await;
        assert_eq!(differences, [""; 0], "{rule}");
        let (fired, same) = (
            db.one::<i64>(&format!("select count(*) from tradeflow.firings where rule = '{rule}'")).await,
            db.one::<i64>(&format!("select count(*) from tradeflow.backtest('{rule}') b join tradeflow.firings f using (firing_id) where b.facts = f.facts")).await,
        );
        assert!(fired > 20, "{rule} fired {fired} times: the stream says nothing about it");
        assert_eq!(same, fired, "{rule}");
    }
}
