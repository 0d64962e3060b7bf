//! Every way in which SQL changes rows.

use futures_util::SinkExt;
use tradeflow_tests::database::Database;

async fn quotes() -> Database {
    let db = Database::with_extension().await;
    db.sql("create table quotes (id int primary key, status text, total numeric(20,4), synced_at timestamptz default now());
            select tradeflow.watch('quotes', ignore => '{synced_at}')")
        .await;
    db.rule("large", "public.quotes", "new.total >= 100").await;
    db.rule("sent", "public.quotes", "new.status = 'sent'").await;
    db
}

#[tokio::test]
async fn insert_with_several_rows() {
    let db = quotes().await;
    db.sql(
        "insert into quotes values (1, 'new', 100), (2, 'sent', 99.9999), (3, 'sent', 1e6), (4, null, null)",
    )
    .await;
    assert_eq!(db.fired().await, ["large 1", "sent 2", "large 3", "sent 3"]);
}

#[tokio::test]
async fn on_conflict_do_update_is_an_insert_for_new_rows_and_an_update_for_known_ones() {
    let db = quotes().await;
    db.sql("insert into quotes values (1, 'new', 1), (2, 'sent', 1)").await;
    assert_eq!(db.fired().await, ["sent 2"]);
    db.sql(
        "insert into quotes (id, status, total) values (1, 'sent', 100), (2, 'sent', 100), (3, 'sent', 1)
            on conflict (id) do update set status = excluded.status, total = excluded.total",
    )
    .await;
    assert_eq!(
        db.fired_in_detail().await,
        ["large 1 update done", "sent 1 update done", "large 2 update done", "sent 3 insert done"]
    );
}

#[tokio::test]
async fn on_conflict_do_update_where_false_and_do_nothing_change_nothing() {
    let db = quotes().await;
    db.sql("insert into quotes values (1, 'new', 1)").await;
    db.sql("insert into quotes values (1, 'sent', 100) on conflict do nothing").await;
    db.sql("insert into quotes values (1, 'sent', 100) on conflict (id) do update set status = 'sent' where quotes.total > 5")
        .await;
    assert_eq!(db.fired().await, Vec::<String>::new());
    db.sql("insert into quotes values (1, 'sent', 100), (2, 'sent', 1) on conflict do nothing").await;
    assert_eq!(db.fired().await, ["sent 2"]);
}

#[tokio::test]
async fn the_same_rows_again_fire_nothing() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source) values ('any', 'public.quotes')").await;
    let sync = "insert into quotes (id, status, total, synced_at) values (1, 'sent', 100, clock_timestamp()), (2, 'new', 5, clock_timestamp())
                on conflict (id) do update set status = excluded.status, total = excluded.total, synced_at = excluded.synced_at";
    db.sql(sync).await;
    assert_eq!(db.fired().await, ["any 1", "large 1", "sent 1", "any 2"]);
    db.sql(sync).await;
    db.sql("update quotes set status = status, total = total, synced_at = '2001-01-01'").await;
    assert_eq!(db.fired().await, Vec::<String>::new());
}

#[tokio::test]
async fn copy_fires_like_insert() {
    let db = quotes().await;
    let sink = db.client().copy_in("copy quotes (id, status, total) from stdin").await.expect("it copies");
    let mut sink = std::pin::pin!(sink);
    let lines: String = (1..=3000)
        .map(|i| format!("{i}\t{}\t{}\n", if i % 1000 == 0 { "sent" } else { "new" }, i % 101))
        .collect();
    sink.send(axum::body::Bytes::from(lines)).await.expect("it is read");
    assert_eq!(sink.finish().await.expect("it ends"), 3000);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where rule = 'sent'").await, 3);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where rule = 'large'").await, 29);
}

#[tokio::test]
async fn merge_fires_for_each_of_its_arms() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, events) values ('gone', 'public.quotes', '{delete}')")
        .await;
    db.sql("insert into quotes values (1, 'new', 1), (2, 'new', 1), (3, 'sent', 200)").await;
    db.fired().await;
    db.sql("merge into quotes q using (values (1, 'sent'), (2, 'drop'), (3, 'keep'), (4, 'sent')) s(id, status) on q.id = s.id
            when matched and s.status = 'drop' then delete
            when matched and s.status = 'keep' then do nothing
            when matched then update set status = s.status
            when not matched then insert (id, status, total) values (s.id, s.status, 100)")
        .await;
    let mut fired = db.fired_in_detail().await;
    fired.sort();
    assert_eq!(
        fired,
        ["gone 2 delete done", "large 4 insert done", "sent 1 update done", "sent 4 insert done"]
    );
}

#[tokio::test]
async fn an_update_of_many_rows_judges_each_on_its_own() {
    let db = quotes().await;
    db.sql("insert into quotes select i, 'new', i * 10 from generate_series(1, 20) i").await;
    assert_eq!(db.fired().await.len(), 11);
    db.sql("update quotes set total = total + 50").await;
    // 60…140: entered for 5 to 9; the others were large before, or are not yet.
    assert_eq!(db.fired().await, ["large 5", "large 6", "large 7", "large 8", "large 9"]);
    db.sql("update quotes set total = total - 1000; update quotes set total = total + 1000 where id = 20")
        .await;
    assert_eq!(db.fired().await, ["large 20"]);
}

#[tokio::test]
async fn update_from_join_and_returning_and_common_table_expressions() {
    let db = quotes().await;
    db.sql("insert into quotes values (1, 'new', 1), (2, 'new', 1)").await;
    db.sql("update quotes q set status = s.status from (values (1, 'sent')) s(id, status) where s.id = q.id")
        .await;
    db.sql("with up as (update quotes set total = 500 where id = 1 returning id), ins as (insert into quotes values (3, 'sent', 1) returning id)
            insert into quotes select id + 10, 'sent', 1 from up")
        .await;
    let mut fired = db.fired().await;
    fired.sort();
    assert_eq!(fired, ["large 1", "sent 1", "sent 11", "sent 3"]);
}

#[tokio::test]
async fn delete_fires_only_for_rules_that_listen_and_takes_key_and_facts_from_old() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, events, condition) values
              ('any', 'public.quotes', '{delete}', null),
              ('old_large', 'public.quotes', '{delete}', 'old.total >= 100'),
              ('new_large', 'public.quotes', '{delete}', 'new.total >= 100'),
              ('new_null', 'public.quotes', '{delete}', 'new.total is null and old.total is not null'),
              ('both', 'public.quotes', '{insert,delete}', 'coalesce(new.total, 0) >= 100 or coalesce(old.total, 0) >= 100')")
        .await;
    db.sql("insert into quotes values (1, 'sent', 100), (2, 'sent', 1)").await;
    assert_eq!(db.fired().await, ["both 1", "large 1", "sent 1", "sent 2"]);
    db.sql("delete from quotes").await;
    let facts: Vec<String> =
        db.column("select facts ->> 'total' from tradeflow.outbox where rule = 'any' order by id").await;
    assert_eq!(facts, ["100.0000", "1.0000"]);
    // A condition over new alone holds for nobody any more.
    assert_eq!(
        db.fired_in_detail().await,
        [
            "any 1 delete done",
            "both 1 delete done",
            "new_null 1 delete done",
            "old_large 1 delete done",
            "any 2 delete done",
            "new_null 2 delete done"
        ]
    );
}

#[tokio::test]
async fn truncate_is_harmless() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, events) values ('any', 'public.quotes', '{insert,delete}')").await;
    db.sql("insert into quotes values (1, 'new', 1)").await;
    assert_eq!(db.fired().await, ["any 1"]);
    db.sql("truncate quotes").await;
    assert_eq!(db.fired().await, Vec::<String>::new());
    db.sql("insert into quotes values (1, 'new', 1)").await;
    assert_eq!(db.fired().await, ["any 1"]);
}

#[tokio::test]
async fn a_before_trigger_that_returns_null_leaves_nothing_to_fire_for() {
    let db = quotes().await;
    db.sql("create function veto() returns trigger language plpgsql as $$
            begin
              if tg_op = 'DELETE' then return case when old.id % 2 = 0 then old end; end if;
              return case when new.id % 2 = 0 then new end;
            end $$;
            create trigger veto before insert or update or delete on quotes for each row execute function veto();
            insert into tradeflow.rules (name, source, events) values ('gone', 'public.quotes', '{delete}')")
        .await;
    db.sql("insert into quotes values (1, 'sent', 1), (2, 'sent', 1)").await;
    assert_eq!(db.fired().await, ["sent 2"]);
    db.sql("alter table quotes disable trigger veto; insert into quotes values (1, 'new', 1); alter table quotes enable trigger veto").await;
    db.sql("update quotes set total = 500").await;
    assert_eq!(db.fired().await, ["large 2"]);
    db.sql("delete from quotes").await;
    assert_eq!(db.fired().await, ["gone 2"]);
}

#[tokio::test]
async fn rules_see_what_a_before_trigger_made_of_the_row() {
    let db = quotes().await;
    db.sql("create function fill() returns trigger language plpgsql as $$ begin new.total := 777; return new; end $$;
            create trigger fill before insert or update on quotes for each row execute function fill();
            insert into quotes values (1, 'new', 1)")
        .await;
    assert_eq!(
        db.one::<String>("select facts ->> 'total' from tradeflow.outbox where rule = 'large'").await,
        "777.0000"
    );
}

#[tokio::test]
async fn writing_through_a_view_fires() {
    let db = quotes().await;
    db.sql("create view v as select id, status, total from quotes; insert into v values (1, 'sent', 1); update v set total = 100")
        .await;
    assert_eq!(db.fired().await, ["sent 1", "large 1"]);
}

#[tokio::test]
async fn replica_mode_fires() {
    let db = quotes().await;
    db.sql("set session_replication_role = replica; insert into quotes values (1, 'sent', 1); update quotes set total = 100")
        .await;
    assert_eq!(db.fired().await, ["sent 1", "large 1"]);
}

/// Rows that logical replication applies fire row triggers only; both tables are on one server here.
#[tokio::test]
async fn rows_that_logical_replication_applies_fire() {
    let publisher = Database::empty().await;
    let db = quotes().await;
    publisher
        .sql("create table quotes (id int primary key, status text, total numeric(20,4), synced_at timestamptz);
              create publication p for table quotes")
        .await;
    let slot = format!("slot_{}", publisher.name());
    publisher.sql(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    db.sql(&format!(
        "create subscription s connection 'host={} port={} user=postgres dbname={}' publication p
           with (create_slot = false, slot_name = '{slot}', copy_data = false)",
        db.cluster().socket_folder().display(),
        db.cluster().port(),
        publisher.name()
    ))
    .await;
    publisher.sql("insert into quotes values (1, 'sent', 1), (2, 'new', 1); update quotes set total = 100 where id = 2").await;
    db.until("select count(*) = 2 from tradeflow.outbox").await;
    assert_eq!(db.fired().await, ["sent 1", "large 2"]);
    db.sql("alter subscription s disable; alter subscription s set (slot_name = none); drop subscription s")
        .await;
    publisher.until(&format!("select not active from pg_replication_slots where slot_name = '{slot}'")).await;
    publisher.sql(&format!("select pg_drop_replication_slot('{slot}')")).await;
}

#[tokio::test]
async fn a_foreign_key_that_cascades_fires_for_the_children() {
    let db = quotes().await;
    db.sql("create table lines (id int primary key, quote int references quotes on delete cascade on update cascade, price numeric);
            select tradeflow.watch('lines');
            insert into tradeflow.rules (name, source, events) values ('line_gone', 'public.lines', '{delete}');
            insert into tradeflow.rules (name, source, condition) values ('line_moved', 'public.lines', 'new.quote <> old.quote');
            insert into quotes values (1, 'new', 1), (2, 'new', 1);
            insert into lines values (1, 1, 1), (2, 1, 1), (3, 2, 1);
            update quotes set id = 3 where id = 2")
        .await;
    assert_eq!(db.fired().await, ["line_moved 3"]);
    db.sql("delete from quotes where id = 1").await;
    assert_eq!(db.fired().await, ["line_gone 1", "line_gone 2"]);
}
