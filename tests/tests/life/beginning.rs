//! Creating the extension.

use tradeflow_tests::cluster::Cluster;
use tradeflow_tests::eventually::eventually;

/// Roles belong to the server: the second of two databases finds them made while it makes them.
#[tokio::test]
async fn two_databases_may_create_it_at_the_same_moment() {
    let cluster = Cluster::start();
    let admin = cluster.connect("postgres").await;
    for name in ["one", "two"] {
        admin.batch_execute(&format!("create database {name}")).await.expect("a database");
    }
    let (one, two) = (cluster.connect("one").await, cluster.connect("two").await);
    one.batch_execute("begin; create extension tradeflow").await.expect("the first creates it");
    let second = tokio::spawn(async move {
        two.batch_execute("create extension tradeflow").await.map_err(|e| format!("{e:?}"))?;
        two.batch_execute("select tradeflow.tick()").await.map_err(|e| format!("{e:?}"))
    });
    eventually("the second to wait for the first one's roles", || async {
        let waiting = "select 1 from pg_stat_activity where datname = 'two' and wait_event_type = 'Lock'";
        admin.query(waiting, &[]).await.is_ok_and(|rows| !rows.is_empty()).then_some(())
    })
    .await;
    one.batch_execute("commit").await.expect("the first commits");
    assert_eq!(second.await.expect("it ends"), Ok(()));
}
