//! A watched table that is fed by logical replication, where Postgres fires nothing but row triggers marked ALWAYS.

use super::fired;
use tradeflow_tests::database::Database;

#[tokio::test]
async fn replicated_changes_fire() {
    let publisher = Database::empty().await;
    // Another server: a subscription to the same one would wait for itself.
    let db = Database::with_store_on_own_server().await;
    const TABLE: &str = "create table t (id int primary key, company int, n int)";
    publisher
        .sql(&format!("{TABLE}; create publication shop for table t; insert into t values (1, 7, 11)"))
        .await;
    db.sql(&format!(
        "{TABLE};
         create view gold as select company as subject, sum(n) as total from t group by company having sum(n) >= 100;
         select tradeflow.watch('public.t');
         insert into tradeflow.rules (name, source, condition) values ('big', 'public.t', 'new.n > 10');
         insert into tradeflow.rules (name, source, events, fires) values ('gone', 'public.t', '{{delete}}', 'always');
         insert into tradeflow.rules (name, view) values ('gold', 'public.gold');
         insert into tradeflow.rule_inputs values ('gold', 'public.t', 'new.company');"
    ))
    .await;
    db.sql(&format!("create subscription shop connection '{}' publication shop", publisher.url())).await;
    db.until("select count(*) = 1 from t").await;
    db.until("select bool_and(srsubstate = 'r') from pg_subscription_rel").await;
    assert_eq!(fired(&db).await, ["big 1"], "the first copy fires as a load does");

    publisher.sql("insert into t values (2, 7, 1), (3, 8, 12)").await;
    publisher.sql("update t set n = 80 where id = 2").await;
    publisher.sql("update t set n = 100 where id = 2").await;
    publisher.sql("delete from t where id = 3").await;
    publisher.sql("insert into t values (4, 9, 11)").await;
    db.until("select exists (select from t where id = 4)").await;
    assert_eq!(fired(&db).await, ["big 1", "big 3", "big 2", "gold 7", "gone 3", "big 4"]);

    publisher.sql("truncate t").await;
    db.until("select not exists (select from t)").await;
    db.sql("drop subscription shop").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 0);
}
