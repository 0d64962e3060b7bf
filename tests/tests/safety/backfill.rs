//! `tradeflow.backfill`: firings for what was there before the rule.

use tradeflow_tests::database::Database;

async fn orders() -> Database {
    let db = Database::with_extension().await;
    db.watch("orders", "id int primary key, total numeric(12,2), placed timestamptz").await;
    db.sql("insert into orders select g, g * 10, '2026-11-01' from generate_series(1, 5) g").await;
    db.target().await;
    db.rule("big", "public.orders", "new.total >= 30 and old.total is distinct from new.total").await;
    db.action("big").await;
    assert!(db.fired().await.is_empty());
    db
}

async fn backfill(db: &Database, arguments: &str) -> i32 {
    db.one(&format!("select tradeflow.backfill('big'{arguments})")).await
}

#[tokio::test]
async fn every_row_fires_as_if_it_had_just_become_so() {
    let db = orders().await;
    assert_eq!(backfill(&db, "").await, 3);
    let facts: Vec<String> = db.column("select concat_ws(' ', event, edge, state, lane, facts ->> 'total') from tradeflow.outbox order by id").await;
    assert_eq!(
        facts,
        [
            "backfill enter ready public.orders:3 30.00",
            "backfill enter ready public.orders:4 40.00",
            "backfill enter ready public.orders:5 50.00"
        ]
    );
}

#[tokio::test]
async fn where_and_limit_choose() {
    let db = orders().await;
    assert_eq!(backfill(&db, ", 'id <> 4'").await, 2);
    assert_eq!(db.fired().await, ["big 3", "big 5"]);
    assert_eq!(backfill(&db, ", 'new.total > 35', 1").await, 1);
    assert_eq!(db.fired().await, ["big 4"]);
    assert_eq!(
        backfill(&db, ", 'id in (select 5)'").await,
        1,
        "it runs as the caller: a subquery is welcome"
    );
    assert_eq!(db.error("select tradeflow.backfill('big', 'idd = 1')").await.code, "42703");
    assert_eq!(db.error("select tradeflow.backfill('big', null, 0)").await.code, "22023");
    assert_eq!(db.error("select tradeflow.backfill('none')").await.code, "42704");
    // It cannot write, whoever calls it.
    db.sql("create function wipe() returns boolean language plpgsql as $$ begin delete from orders; return true; end $$").await;
    assert_eq!(db.error("select tradeflow.backfill('big', 'wipe()')").await.code, "25006");
}

#[tokio::test]
async fn queries_give_facts_subjects_and_times() {
    let db = orders().await;
    db.sql(r#"update tradeflow.rules set condition = 'new.id > 3', fire_at = 'new.placed',
              query = $$ select 'week ' || g as occurrence, new.total * g as total, case g when 2 then now() + interval '1 week' end as fire_at from generate_series(1, 2) g; $$"#).await;
    assert_eq!(backfill(&db, ", 'id = 4'").await, 2);
    let rows: Vec<String> = db
        .column(
            "select concat_ws(' ', subject, occurrence, state, key, facts) from tradeflow.outbox order by id",
        )
        .await;
    assert_eq!(
        rows,
        [r#"4 week 1 ready {"id": 4} {"total": 40.00}"#, r#"4 week 2 waiting {"id": 4} {"total": 80.00}"#]
    );
    // Again: what waits is replaced.
    backfill(&db, ", 'id = 4'").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'waiting'").await, 1);
}

#[tokio::test]
async fn composite_keys_and_views() {
    let db = Database::with_extension().await;
    db.watch("lines", "quote int, line int, n int, primary key (quote, line)").await;
    db.sql("insert into lines values (1, 1, 5), (1, 2, 6), (2, 1, 1);
            create view v as select quote as subject, sum(n) as n from lines group by quote having sum(n) > 10").await;
    db.rule("line", "public.lines", "new.n > 5").await;
    db.sql("insert into tradeflow.rules (name, view) values ('quote', 'public.v');
            select tradeflow.backfill('line'), tradeflow.backfill('quote'), tradeflow.backfill('quote', 'n > 100')").await;
    let rows: Vec<String> = db
        .column(
            "select concat_ws(' ', rule, source, subject, event, facts) from tradeflow.outbox order by id",
        )
        .await;
    assert_eq!(
        rows,
        [
            r#"line public.lines {1,2} backfill {"n": 6, "line": 2, "quote": 1}"#,
            r#"quote public.v 1 backfill {"n": 11}"#
        ]
    );
}

#[tokio::test]
async fn it_sends_nothing_that_the_rule_would_not() {
    let db = orders().await;
    assert_eq!(backfill(&db, ", mode => 'held'").await, 3);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'held' and reason = 'to be looked at before it runs'").await, 3);
    assert_eq!(db.one::<i32>("select tradeflow.discard_held('big')").await, 3);
    assert_eq!(backfill(&db, ", mode => 'shadow'").await, 3);
    assert_eq!(db.fired_in_detail().await[0], "big 3 backfill shadow");
    db.sql("update tradeflow.rules set mode = 'shadow'").await;
    backfill(&db, "").await;
    assert_eq!(db.fired_in_detail().await[0], "big 3 backfill shadow");
    assert_eq!(db.error("select tradeflow.backfill('big', mode => 'live')").await.code, "55000");
    assert_eq!(db.error("select tradeflow.backfill('big', mode => 'loud')").await.code, "22023");
    db.sql("update tradeflow.rules set mode = 'off'").await;
    assert_eq!(db.error("select tradeflow.backfill('big')").await.code, "55000");
}

#[tokio::test]
async fn more_than_max_firings_are_held() {
    let db = orders().await;
    db.sql("update tradeflow.rules set max_firings = 2").await;
    assert_eq!(backfill(&db, "").await, 3);
    assert_eq!(
        db.incidents().await,
        ["held_burst big - - 3: rule \"big\" fired 3 times in one statement; more than 2 are held"]
    );
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'held'").await, 3);
}

#[tokio::test]
async fn a_hundred_thousand_rows_take_one_statement() {
    let db = orders().await;
    db.sql("truncate orders; alter table orders disable trigger tradeflow_insert; insert into orders select g, 100 from generate_series(1, 100001) g").await;
    assert_eq!(db.error("select tradeflow.backfill('big', mode => 'shadow')").await.code, "54000");
    assert_eq!(backfill(&db, ", 'id > 1', mode => 'shadow'").await, 100_000);
}

#[tokio::test]
async fn it_takes_the_rules_owner_and_reads_as_the_caller() {
    let db = orders().await;
    let owner = db.role(&["tradeflow_author"]).await;
    let member = db.role(&["tradeflow_author", &owner]).await;
    let other = db.role(&["tradeflow_author"]).await;
    db.sql(&format!("grant select on orders to {owner}; update tradeflow.rules set owner = '{owner}'")).await;
    let refused = db
        .connect_as(&other, &other)
        .await
        .batch_execute("select tradeflow.backfill('big')")
        .await
        .expect_err("no member");
    assert_eq!(refused.code().expect("an SQL error").code(), "42501");
    // A member that does not inherit reads with its own rights, which are none.
    db.sql(&format!("alter role {member} noinherit; grant tradeflow_author to {member}; grant usage on schema tradeflow to {member}")).await;
    let session = db.connect_as(&owner, &owner).await;
    let fired: i32 =
        session.query_one("select tradeflow.backfill('big')", &[]).await.expect("it is the owner's").get(0);
    assert_eq!(fired, 3);
    let session = db.connect_as(&member, &member).await;
    session.batch_execute("set role tradeflow_author").await.expect("it is a member");
    let refused = session
        .batch_execute("select tradeflow.backfill('big')")
        .await
        .expect_err("authors as such are no members of the owner");
    assert_eq!(refused.code().expect("an SQL error").code(), "42501");
    db.sql(&format!("delete from tradeflow.rules; revoke all on orders from {owner}; revoke usage on schema tradeflow from {member}")).await;
}
