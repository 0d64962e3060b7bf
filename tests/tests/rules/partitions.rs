//! Partitioned tables: one table to a rule, whatever lies below it.

use tradeflow_tests::database::Database;

/// Partitions whose columns are in another order and have had other ones, at two levels.
async fn orders() -> Database {
    let db = Database::with_extension().await;
    db.sql("create table orders (region text, id int, amount numeric, note text, primary key (region, id)) partition by list (region);
            create table orders_eu (gone int, amount numeric, note text, id int not null, region text not null, also_gone text);
            alter table orders_eu drop column gone, drop column also_gone;
            alter table orders attach partition orders_eu for values in ('eu');
            create table orders_us partition of orders for values in ('us') partition by range (id);
            create table orders_us_low partition of orders_us for values from (0) to (100);
            select tradeflow.watch('orders', key => '{id}');
            create table orders_rest partition of orders default;
            create table orders_us_high (note text, region text not null, amount numeric, id int not null);
            alter table orders_us attach partition orders_us_high for values from (100) to (1000)")
        .await;
    db.rule("large", "public.orders", "new.amount >= 100").await;
    db.rule("moved", "public.orders", "new.region <> old.region").await;
    db.sql("insert into tradeflow.rules (name, source, events) values ('gone', 'public.orders', '{delete}')")
        .await;
    db
}

#[tokio::test]
async fn rows_of_every_partition_fire_with_the_facts_of_the_parent() {
    let db = orders().await;
    db.sql("insert into orders values ('eu', 1, 100, 'a'), ('us', 2, 100, 'b'), ('us', 200, 100, 'c'), ('xx', 3, 100, 'd'), ('eu', 4, 99, 'e')")
        .await;
    let facts: Vec<String> =
        db.column("select facts::text from tradeflow.outbox order by (facts ->> 'id')::int").await;
    assert_eq!(
        facts,
        [
            r#"{"id": 1, "note": "a", "amount": 100, "region": "eu"}"#,
            r#"{"id": 2, "note": "b", "amount": 100, "region": "us"}"#,
            r#"{"id": 3, "note": "d", "amount": 100, "region": "xx"}"#,
            r#"{"id": 200, "note": "c", "amount": 100, "region": "us"}"#,
        ]
    );
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.outbox where source = 'public.orders'").await,
        4
    );
    db.fired().await;
    db.sql("update orders set amount = amount + 1").await;
    assert_eq!(db.fired().await, ["large 4"]);
}

#[tokio::test]
async fn writing_to_a_partition_itself_fires() {
    let db = orders().await;
    db.sql("insert into orders_eu (id, region, amount) values (1, 'eu', 100); update orders_us_low set amount = 100;
            insert into orders_us_high (id, region, amount) values (300, 'us', 5); update orders_us_high set amount = 100;
            delete from orders_eu")
        .await;
    assert_eq!(db.fired().await, ["large 1", "large 300", "gone 1"]);
}

#[tokio::test]
async fn a_row_that_moves_between_partitions_is_one_update() {
    let db = orders().await;
    db.sql("insert into orders values ('eu', 1, 100, 'a'), ('eu', 2, 1, 'b')").await;
    assert_eq!(db.fired().await, ["large 1"]);
    // Large before, so not entered; moved, and not gone.
    db.sql("update orders set region = 'us' where id = 1").await;
    assert_eq!(db.fired_in_detail().await, ["moved 1 update done"]);
    db.sql("update orders set region = 'xx', amount = 100 where id = 2").await;
    assert_eq!(db.fired_in_detail().await, ["large 2 update done", "moved 2 update done"]);
    assert_eq!(db.incidents().await, Vec::<String>::new());
}

#[tokio::test]
async fn many_rows_that_move_at_once_are_each_one_update() {
    let db = orders().await;
    db.sql("update tradeflow.rules set max_firings = 1000000; insert into orders select 'eu', i, i % 2 * 100, null from generate_series(1, 900) i")
        .await;
    assert_eq!(db.fired().await.len(), 450);
    db.sql("update orders set region = case when id % 3 = 0 then 'us' else region end, amount = 100").await;
    let fired: Vec<String> = db.column("select rule || ' ' || event || ' ' || count(*) from tradeflow.outbox group by rule, event order by 1").await;
    assert_eq!(fired, ["large update 450", "moved update 300"]);
}

#[tokio::test]
async fn moves_to_and_from_a_multi_level_partition_and_back_in_one_transaction() {
    let db = orders().await;
    db.sql(
        "begin;
            insert into orders values ('us', 50, 1, null);
            update orders set id = 500 where id = 50;
            update orders set region = 'eu', id = 50 where id = 500;
            savepoint a;
            update orders set region = 'us';
            rollback to a;
            update orders set amount = 100;
            delete from orders;
            commit",
    )
    .await;
    // A move that changes the key looks like a row that goes and another that comes.
    assert_eq!(
        db.fired_in_detail().await,
        ["gone 50 delete done", "gone 500 delete done", "large 50 update done", "gone 50 delete done"]
    );
}

#[tokio::test]
async fn deletes_and_inserts_of_other_rows_are_not_taken_for_moves() {
    let db = orders().await;
    db.sql("insert into orders values ('eu', 1, 100, null), ('us', 2, 100, null), ('eu', 3, 1, null)").await;
    db.fired().await;
    db.sql("delete from orders where id <= 2").await;
    assert_eq!(db.fired().await, ["gone 1", "gone 2"]);
    db.sql("delete from orders where id = 3; insert into orders values ('us', 3, 100, null)").await;
    assert_eq!(db.fired_in_detail().await, ["gone 3 delete done", "large 3 insert done"]);
}

#[tokio::test]
async fn a_row_that_moves_beside_a_foreign_key_is_one_update() {
    let db = orders().await;
    db.sql("create table lines (id int primary key, region text, o int, foreign key (region, o) references orders on update cascade);
            insert into orders values ('eu', 1, 100, null);
            insert into lines values (1, 'eu', 1)")
        .await;
    db.fired().await;
    db.sql("update orders set region = 'us' where id = 1").await;
    assert_eq!(db.fired_in_detail().await, ["moved 1 update done"]);
    assert_eq!(db.one::<String>("select region from lines").await, "us");
}

#[tokio::test]
async fn on_conflict_and_copy_into_a_partitioned_table() {
    let db = orders().await;
    let upsert = "insert into orders values ('eu', 1, 1, null), ('us', 2, 100, null) on conflict (region, id) do update set amount = excluded.amount + 100";
    db.sql(upsert).await;
    assert_eq!(db.fired().await, ["large 2"]);
    db.sql(upsert).await;
    assert_eq!(db.fired().await, ["large 1"]);
}

#[tokio::test]
async fn a_partition_that_is_detached_fires_no_more() {
    let db = orders().await;
    db.sql("alter table orders detach partition orders_eu; insert into orders_eu (id, region, amount) values (1, 'eu', 100)").await;
    assert_eq!(db.fired().await, Vec::<String>::new());
    db.sql("alter table orders attach partition orders_eu for values in ('eu'); update orders set amount = 99; update orders set amount = 100")
        .await;
    assert_eq!(db.fired().await, ["large 1"]);
}

#[tokio::test]
async fn a_query_reads_new_and_old_by_name_in_every_partition() {
    let db = orders().await;
    db.sql("insert into tradeflow.rules (name, source, condition, query) values
              ('q', 'public.orders', 'new.amount <> old.amount', 'select new.note, old.amount as before, new.amount as after, x.n from (select count(*) as n from orders) x')")
        .await;
    db.sql("insert into orders values ('eu', 1, 1, 'a'), ('us', 200, 1, 'b'); update orders set amount = id")
        .await;
    let facts: Vec<String> = db.column("select facts::text from tradeflow.outbox where rule = 'q'").await;
    assert_eq!(facts, [r#"{"n": 2, "note": "b", "after": 200, "before": 1}"#]);
}
