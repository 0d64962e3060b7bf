//! Half-open connections: the network forgets them and tells nobody. A sidecar gives up what does not answer.

use std::net::{Ipv4Addr, SocketAddr};

use tradeflow_tests::database::Database;
use tradeflow_tests::http::HttpSink;
use tradeflow_tests::jobs::{watch_jobs, Target, POST};
use tradeflow_tests::proxy::Proxy;
use tradeflow_tests::sidecar::Sidecar;

/// A sidecar that reaches its database through a proxy.
fn behind(proxy: &Proxy, db: &Database) -> Sidecar {
    let (server, there) = (format!(":{}/", db.cluster().port()), format!(":{}/", proxy.address().port()));
    let url = db.url().replace(&server, &there);
    Sidecar::command(db).env("TRADEFLOW_DATABASE_URL", &url).env("TRADEFLOW_LEASE", "3s").start()
}

/// The database hears that an action was done, and its answer is lost: it is told again, and that is no lost lease.
#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_not_called_a_lost_lease() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    db.sql(
        "create function public.slowly() returns trigger language plpgsql as 'begin perform pg_sleep(1); return new; end';
         create trigger slowly before insert on tradeflow.outbox_history for each row execute function public.slowly()",
    )
    .await;
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, db.cluster().port())));
    let mut sidecar = behind(&proxy, &db);
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    db.until("select exists (select from pg_stat_activity where datname = current_database() and state = 'active' and query like '%tradeflow.complete(%' and pid <> pg_backend_pid())").await;
    proxy.deafen();
    sidecar.wait_for_log("completions could not be written yet");
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
    // Whatever it has to say of the first has been said when the second is done.
    db.sql("insert into jobs (id, n) values (2, 2)").await;
    db.until("select count(*) = 2 from tradeflow.outbox_history where state = 'done'").await;
    sidecar.terminate();
    sidecar.wait(std::time::Duration::from_secs(30));
    assert_eq!(sink.requests().len(), 2, "each was sent once");
    assert!(!sidecar.log().contains("completion refused"), "{}", sidecar.log());
}

#[tokio::test]
async fn a_sidecar_whose_connections_fall_silent_opens_others() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, db.cluster().port())));
    let _sidecar = behind(&proxy, &db);
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    sink.wait_for(1).await;
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;

    proxy.silence();
    db.sql("insert into jobs (id, n) values (2, 2)").await;
    sink.wait_for(2).await;
    db.until("select count(*) = 2 from tradeflow.outbox_history where state = 'done'").await;
}
