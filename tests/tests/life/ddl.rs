//! Tables are swapped, renamed, dropped, truncated and partitioned; columns go.

use super::{fired, open_incidents};
use tradeflow_tests::database::Database;

/// A watched table with two rules, one of which reads the column `note`.
async fn watched() -> Database {
    let db = Database::with_extension().await;
    db.sql(
        "create table public.t (id int primary key, n int, note text);
         select tradeflow.watch('public.t');
         insert into tradeflow.rules (name, source, condition) values
           ('big', 'public.t', 'new.n > 10'), ('noted', 'public.t', $$ new.note = 'x' $$)",
    )
    .await;
    db
}

#[tokio::test]
async fn a_table_swapped_by_rename_stays_watched() {
    let db = watched().await;
    db.sql(
        "insert into t values (1, 5, '');
         begin;
         create table t__tmp as select * from t;
         alter table t rename to t__backup;
         alter table t__tmp rename to t;
         drop table t__backup;
         commit;
         insert into t values (2, 11, 'x');
         update t set n = 12 where id = 1",
    )
    .await;
    assert_eq!(fired(&db).await, ["big 2", "noted 2", "big 1"]);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 0, "nothing was lost");
}

#[tokio::test]
async fn a_swap_by_a_role_that_may_do_nothing_else_works_too() {
    let db = watched().await;
    let dbt = db.role(&[]).await;
    db.sql(&format!("grant create, usage on schema public to {dbt}; alter table t owner to {dbt}")).await;
    let session = db.connect_as(&dbt, &dbt).await;
    session
        .batch_execute(
            "create table t__tmp as select * from t;
             alter table t rename to t__backup;
             alter table t__tmp rename to t;
             drop table t__backup;
             insert into t values (2, 11, '')",
        )
        .await
        .expect("it needs no right in tradeflow");
    assert_eq!(fired(&db).await, ["big 2"]);
    session.batch_execute("drop table t").await.expect("it is its own");
    db.sql("drop schema public cascade; create schema public").await;
}

#[tokio::test]
async fn a_dropped_table_is_an_incident_until_it_comes_back() {
    let db = watched().await;
    db.sql("drop table t").await;
    assert_eq!(open_incidents(&db).await, ["watch_lost public.t"]);
    let told = db.rows("select message, detail, hint from tradeflow.incidents").await;
    assert!(told[0].get::<_, &str>(0).contains("there is no table of this name"));
    assert_eq!(told[0].get::<_, &str>(1), "rules: big, noted");
    assert!(told[0].get::<_, &str>(2).contains("bring a table with its key back"));

    // Without its key it cannot be watched; without a column that a rule reads, that rule cannot be asked.
    db.sql("create table t (n int, note text)").await;
    let lost: String = db.one("select lost from tradeflow.watched_tables").await;
    assert!(lost.contains("\"id\""), "{lost}");
    db.sql("drop table t; create table t (id int, n int)").await;
    assert_eq!(open_incidents(&db).await, ["rule_invalid noted"]);
    db.sql("insert into t values (1, 11)").await;
    assert_eq!(fired(&db).await, ["big 1"]);
    db.sql("alter table t add column note text").await;
    assert_eq!(open_incidents(&db).await, Vec::<String>::new());
    db.sql("update t set note = 'x'").await;
    assert_eq!(fired(&db).await, ["big 1", "noted 1"]);
}

#[tokio::test]
async fn a_renamed_table_or_schema_is_an_incident_until_it_is_renamed_back() {
    let db = watched().await;
    db.sql("alter table t rename to u; insert into u values (1, 11, '')").await;
    assert_eq!(open_incidents(&db).await, ["watch_lost public.t"]);
    assert_eq!(fired(&db).await, Vec::<String>::new(), "tables are known by name");
    db.sql("alter table u rename to t; insert into t values (2, 11, '')").await;
    assert_eq!(open_incidents(&db).await, Vec::<String>::new());
    assert_eq!(fired(&db).await, ["big 2"]);
    db.sql("alter schema public rename to elsewhere").await;
    assert_eq!(open_incidents(&db).await, ["watch_lost public.t"]);
    db.sql("alter schema elsewhere rename to public; insert into public.t values (3, 11, '')").await;
    assert_eq!(open_incidents(&db).await, Vec::<String>::new());
    assert_eq!(fired(&db).await, ["big 2", "big 3"]);
}

#[tokio::test]
async fn the_hint_of_a_renamed_table_works() {
    let db = watched().await;
    db.sql(
        "alter table t rename to u;
         select tradeflow.watch('public.u');
         update tradeflow.rules set source = 'public.u';
         delete from tradeflow.watched_tables where name = 'public.t';
         insert into u values (1, 11, '')",
    )
    .await;
    assert_eq!(fired(&db).await, ["big 1"]);
}

#[tokio::test]
async fn a_dropped_column_is_reported_with_the_rules_that_read_it() {
    let db = watched().await;
    db.sql("alter table t drop column note; insert into t values (1, 11)").await;
    assert_eq!(open_incidents(&db).await, ["rule_invalid noted"]);
    let message: String = db.one("select message from tradeflow.incidents").await;
    assert!(message.contains("rule \"noted\" no longer compiles") && message.contains("note"), "{message}");
    assert_eq!(fired(&db).await, ["big 1"], "the others go on, and so does the sync");
    db.sql("select tradeflow.tick(); select tradeflow.tick()").await;
    let invalid: Option<String> = db.one("select invalid from tradeflow.rules where name = 'noted'").await;
    assert!(invalid.is_some());
    // Another type breaks the other one.
    db.sql("alter table t alter n type text").await;
    assert_eq!(open_incidents(&db).await, ["rule_invalid noted", "rule_invalid big"]);
}

#[tokio::test]
async fn what_a_query_needs_is_looked_after_as_well() {
    let db = watched().await;
    db.sql(
        "create table names (id int, name text);
         create function shout(text) returns text language sql immutable as 'select upper($1)';
         insert into tradeflow.rules (name, source, query) values
           ('named', 'public.t', 'select n.name from public.names n where n.id = new.id'),
           ('loud', 'public.t', $$ select public.shout(new.note) as said $$)",
    )
    .await;
    db.sql("alter table names drop column name").await;
    assert_eq!(open_incidents(&db).await, ["rule_invalid named"]);
    db.sql("drop function shout").await;
    assert_eq!(open_incidents(&db).await, ["rule_invalid named", "rule_invalid loud"]);
    db.sql(
        "alter table names add column name text; insert into names values (1, 'one');
         create function shout(text) returns text language sql immutable as 'select upper($1)';
         insert into t values (1, 1, 'hey')",
    )
    .await;
    assert_eq!(open_incidents(&db).await, Vec::<String>::new());
    assert_eq!(fired(&db).await, ["loud 1", "named 1"]);
}

#[tokio::test]
async fn truncate_cancels_what_waits_for_its_rows() {
    let db = watched().await;
    db.sql(
        "insert into tradeflow.rules (name, source, fire_at) values ('later', 'public.t', $$ now() + interval '1 day' $$);
         insert into t values (1, 1, ''), (2, 2, '');
         truncate t",
    )
    .await;
    let reasons: Vec<String> =
        db.column("select state || ': ' || reason from tradeflow.outbox_history where rule = 'later'").await;
    assert_eq!(reasons, ["cancelled: table truncated"; 2]);
    // A reload in the same way waits once, not twice.
    db.sql("begin; insert into t values (1, 1, ''); truncate t; insert into t values (1, 1, ''); commit")
        .await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'waiting'").await, 1);
}

#[tokio::test]
async fn a_view_rule_survives_truncate_and_the_loss_of_its_view() {
    let db = watched().await;
    const VIEW: &str = "create view many as select n as subject, count(*) as rows from public.t group by n having count(*) >= 2";
    db.sql(&format!(
        "delete from tradeflow.rules; {VIEW};
         insert into tradeflow.rules (name, view) values ('many', 'public.many');
         insert into tradeflow.rule_inputs values ('many', 'public.t', 'new.n');
         insert into t values (1, 5, ''), (2, 5, '')"
    ))
    .await;
    assert_eq!(fired(&db).await, ["many 5"]);
    db.sql("truncate t").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.members").await, 0);
    db.sql("insert into t values (1, 5, ''), (2, 5, '')").await;
    assert_eq!(fired(&db).await, ["many 5", "many 5"], "it left, and entered again");

    db.sql("drop view many").await;
    assert_eq!(open_incidents(&db).await, ["rule_invalid many"]);
    db.sql("insert into t values (3, 6, ''), (4, 6, '')").await;
    db.sql(VIEW).await;
    assert_eq!(open_incidents(&db).await, Vec::<String>::new());
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.members").await, 2, "seeded, silently");
    db.sql("insert into t values (5, 7, ''), (6, 7, '')").await;
    assert_eq!(fired(&db).await, ["many 5", "many 5", "many 7"]);
}

#[tokio::test]
async fn partitions_attached_later_are_watched() {
    let db = Database::with_extension().await;
    db.sql(
        "create table p (id int, region text, n int, primary key (id, region)) partition by list (region);
         create table p_eu partition of p for values in ('eu');
         select tradeflow.watch('public.p');
         insert into tradeflow.rules (name, source, condition) values ('big', 'public.p', 'new.n > 10');
         create table p_us partition of p for values in ('us');
         create table p_asia (n int, id int not null, region text not null);
         alter table p attach partition p_asia for values in ('asia');
         insert into p values (1, 'eu', 11), (2, 'us', 11), (3, 'asia', 11), (4, 'us', 1);
         update p set n = 12 where id = 4;
         insert into p_asia (n, id, region) values (20, 5, 'asia')",
    )
    .await;
    let mut rows: Vec<String> = db.column("select facts ->> 'id' from tradeflow.firings").await;
    rows.sort();
    assert_eq!(rows, ["1", "2", "3", "4", "5"]);
    assert_eq!(
        db.column::<String>("select distinct tgenabled::text from pg_trigger where tgname in ('tradeflow_insert', 'tradeflow_update', 'tradeflow_delete')").await,
        ["A"],
        "those of partitions fire for replicated rows too"
    );
    let refused = db.error("select tradeflow.watch('public.p_us')").await;
    assert_eq!(refused.code, "42809");
    assert!(refused.hint.contains("tradeflow.watch('public.p')"), "{refused:?}");
    db.sql("alter table p detach partition p_us; insert into p_us values (9, 'us', 99)").await;
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.firings").await,
        5,
        "it is no part of p any more"
    );
}

#[tokio::test]
async fn truncate_of_one_partition_asks_the_views_and_ends_the_timers_of_its_rows() {
    let db = Database::with_extension().await;
    db.sql(
        "create table p (id int, region text, n int, primary key (id, region)) partition by list (region);
         create table p_eu partition of p for values in ('eu');
         create view large as select region as subject, sum(n) as total from p group by region having sum(n) > 10;
         select tradeflow.watch('public.p');
         create table p_us partition of p for values in ('us') partition by range (id);
         create table p_us_low partition of p_us for values from (0) to (100);
         insert into tradeflow.rules (name, view) values ('large', 'public.large');
         insert into tradeflow.rule_inputs values ('large', 'public.p', 'new.region');
         insert into tradeflow.rules (name, source, condition, fire_at) values ('timer', 'public.p', 'new.n > 0', $$ now() + interval '1 day' $$);
         insert into p values (1, 'eu', 11), (2, 'us', 11)",
    )
    .await;
    let members = "select string_agg(subject, ' ' order by subject) from tradeflow.members";
    assert_eq!(db.one::<String>(members).await, "eu us");
    db.sql("truncate p_us_low").await;
    assert_eq!(db.one::<String>(members).await, "eu");
    db.sql("select tradeflow.set_clock(now() + interval '2 days'); select tradeflow.tick()").await;
    let timers: Vec<String> = db
        .column("select subject || ' ' || state from tradeflow.firings where rule = 'timer' order by 1")
        .await;
    assert_eq!(timers, ["{1,eu} done", "{2,us} cancelled"]);
    // A partition that goes its own way is nothing to tradeflow, and one that is not watched has nothing of it.
    db.sql("alter table p detach partition p_eu; truncate p_eu").await;
    assert_eq!(db.one::<String>(members).await, "eu", "nothing of p has changed");
    db.sql("delete from tradeflow.rules; select tradeflow.unwatch('public.p')").await;
    let left: Vec<String> =
        db.column("select tgrelid::regclass::text from pg_trigger where tgname = 'tradeflow_truncate'").await;
    assert_eq!(left, ["p_eu"]);
    db.sql("truncate p_us").await;
}

#[tokio::test]
async fn disabled_triggers_are_an_incident() {
    let db = watched().await;
    db.sql("alter table t disable trigger all").await;
    assert_eq!(open_incidents(&db).await, ["watch_lost public.t"]);
    db.sql("alter table t enable trigger all; insert into t values (1, 11, '')").await;
    assert_eq!(open_incidents(&db).await, Vec::<String>::new());
    assert_eq!(fired(&db).await, ["big 1"]);
    db.sql("drop trigger tradeflow_insert on t; insert into t values (2, 11, '')").await;
    assert_eq!(fired(&db).await, ["big 1", "big 2"], "a dropped one is made again");
}

#[tokio::test]
async fn other_peoples_ddl_never_fails_and_the_extension_can_be_dropped() {
    let db = watched().await;
    db.sql(
        "create temp table mine (id int); alter table mine add column n int; drop table mine;
         create table other (id int); create view v as select * from other; drop table other cascade;
         drop extension tradeflow cascade;
         create table after (id int); drop table after;
         insert into t values (1, 11, '')",
    )
    .await;
}
