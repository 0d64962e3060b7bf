//! Behind pgbouncer in transaction mode: no session state survives there, and nothing is heard but what is asked for.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use tradeflow_tests::database::Database;
use tradeflow_tests::process::Process;
use tradeflow_tests::sidecar::Tradeflow;

/// A pgbouncer of one test. It ends with it.
struct Pooler {
    _process: Process,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Pooler {
    fn start(db: &Database) -> Pooler {
        let folder = tempfile::tempdir().expect("a folder");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        let cluster = db.cluster();
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={} password={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\nserver_reset_query_always = 1\nserver_reset_query = DISCARD ALL\n\
             default_pool_size = 3\n{}",
            cluster.port(),
            cluster.password(),
            // Root it refuses to be.
            if std::fs::metadata("/proc/self").expect("us").uid() == 0 { "user = nobody\n" } else { "" },
        );
        let config = config.replace("* = host", &format!("{} = user=postgres host", db.name()));
        let path = folder.path().join("pgbouncer.ini");
        std::fs::write(&path, config).expect("its configuration");
        for (path, mode) in [(folder.path(), 0o755), (path.as_path(), 0o644)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its rights");
        }
        let mut command = Command::new("/usr/sbin/pgbouncer");
        command.arg(&path);
        let process = Process::start("pgbouncer", &command);
        Pooler { _process: process, _folder: folder, port }
    }

    fn url(&self, db: &Database) -> String {
        format!("postgresql://postgres:any@127.0.0.1:{}/{}", self.port, db.name())
    }
}

#[tokio::test]
async fn a_sidecar_that_only_polls_works_through_a_pooler_in_transaction_mode() {
    let db = Database::with_extension().await;
    db.watch("jobs", "id int primary key, n int").await;
    db.sql(
        "insert into tradeflow.targets (name, system, base_url, allow_private) values ('there', 'http', 'http://localhost', true);
         insert into tradeflow.rules (name, source, max_firings) values ('job', 'public.jobs', 100000);
         insert into tradeflow.actions (rule, kind, target) values ('job', 'noop', 'there')",
    )
    .await;
    let pooler = Pooler::start(&db);
    let mut sidecar =
        Tradeflow::new(["run", "--poll-only"]).env("TRADEFLOW_DATABASE_URL", &pooler.url(&db)).start();
    sidecar.wait_for_log("sidecar is running");
    db.sql("insert into jobs select generate_series(1, 3000)").await;
    db.until("select (select count(*) from tradeflow.outbox_history where state = 'done') = 3000").await;
    db.sql("update jobs set n = 1 where id <= 10").await;
    db.until("select (select count(*) from tradeflow.outbox_history where state = 'done') = 3010 and not exists (select from tradeflow.outbox)").await;
    sidecar.terminate();
    assert_eq!(sidecar.wait(std::time::Duration::from_secs(20)), 0);
    assert_eq!(
        db.one::<i64>("select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen%'").await,
        0
    );
}
