//! Half-open connections: the network forgets them and tells nobody. A sidecar gives up what does not answer.

use std::net::{Ipv4Addr, SocketAddr};

use tradeflow_tests::database::Database;
use tradeflow_tests::http::HttpSink;
use tradeflow_tests::jobs::{watch_jobs, Target, POST};
use tradeflow_tests::proxy::Proxy;
use tradeflow_tests::sidecar::Sidecar;

#[tokio::test]
async fn a_sidecar_whose_connections_fall_silent_opens_others() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, db.cluster().port())));
    let url =
        db.url().replace(&format!(":{}/", db.cluster().port()), &format!(":{}/", proxy.address().port()));
    let _sidecar =
        Sidecar::command(&db).env("TRADEFLOW_DATABASE_URL", &url).env("TRADEFLOW_LEASE", "2s").start();
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    sink.wait_for(1).await;
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;

    proxy.silence();
    db.sql("insert into jobs (id, n) values (2, 2)").await;
    sink.wait_for(2).await;
    db.until("select count(*) = 2 from tradeflow.outbox_history where state = 'done'").await;
}
