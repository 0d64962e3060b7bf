//! Who is measured, each in a database of its own on the same server, with the same jobs.

use super::worker::Worker;
use anyhow::{bail, Context, Result};
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio_postgres::Client;
use tradeflow_tests::cluster::Cluster;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    Tradeflow,
    GraphileBatched,
    Graphile,
    PgBoss,
}

impl Contender {
    pub const ALL: [Contender; 4] =
        [Contender::Tradeflow, Contender::GraphileBatched, Contender::Graphile, Contender::PgBoss];

    /// As the table shows it, and as benches/peers/worker.mjs knows the peers.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Tradeflow => "tradeflow",
            Contender::GraphileBatched => "graphile-batched",
            Contender::Graphile => "graphile",
            Contender::PgBoss => "pg-boss",
        }
    }

    /// Jobs number $1 to $2, in one transaction.
    fn insert(self) -> &'static str {
        match self {
            // Through a rule, as every action comes about.
            Contender::Tradeflow => "insert into public.jobs select generate_series($1::bigint, $2::bigint)",
            Contender::GraphileBatched | Contender::Graphile => {
                "select count(*) from graphile_worker.add_jobs(array(
                   select json_populate_record(null::graphile_worker.job_spec,
                            json_build_object('identifier', 'bench', 'payload', json_build_object('n', n)))
                   from generate_series($1::bigint, $2::bigint) n))"
            }
            // What its own insert() writes, with the notification that it sends.
            Contender::PgBoss => {
                "with q as (select * from pgboss.queue where name = 'bench'), added as (
                   insert into pgboss.job (name, data, policy, expire_seconds, deletion_seconds, retry_limit, retry_delay, retry_backoff)
                   select q.name, jsonb_build_object('n', n), q.policy, q.expire_seconds, q.deletion_seconds, q.retry_limit, q.retry_delay, q.retry_backoff
                   from q cross join generate_series($1::bigint, $2::bigint) n
                   returning 1)
                 select pg_notify('pgboss_' || left(encode(sha224('pgboss'::bytea), 'hex'), 24), 'bench') from added limit 1"
            }
        }
    }

    /// Whether a job is still to be done or being done.
    fn left(self) -> &'static str {
        match self {
            Contender::Tradeflow => {
                "select exists (select from tradeflow.outbox where state in ('ready', 'running'))"
            }
            Contender::GraphileBatched | Contender::Graphile => {
                "select exists (select from graphile_worker._private_jobs)"
            }
            Contender::PgBoss => "select exists (select from pgboss.job where state < 'completed')",
        }
    }

    /// The table that its workers take jobs from.
    fn table(self) -> &'static str {
        match self {
            Contender::Tradeflow => "tradeflow.outbox",
            Contender::GraphileBatched | Contender::Graphile => "graphile_worker._private_jobs",
            Contender::PgBoss => "pgboss.job",
        }
    }

    /// The schema of all its tables.
    fn schema(self) -> &'static str {
        match self {
            Contender::Tradeflow => "tradeflow",
            Contender::GraphileBatched | Contender::Graphile => "graphile_worker",
            Contender::PgBoss => "pgboss",
        }
    }
}

/// A contender's database.
pub struct Queue<'a> {
    pub contender: Contender,
    cluster: &'a Cluster,
    database: String,
    pub client: Client,
    deliver_to: Option<String>,
    /// How many jobs there have been.
    jobs: i64,
}

/// What the tables hold.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sizes {
    /// Dead rows, as the statistics have them.
    pub dead: i64,
    /// The tables with their indexes, in bytes; finished jobs that are kept in tables of their own aside.
    pub bytes: i64,
}

impl<'a> Queue<'a> {
    /// Makes the database anew. A delivery is nothing at all, or a POST to `deliver_to`/<number of the job>.
    pub async fn create(
        cluster: &'a Cluster,
        contender: Contender,
        deliver_to: Option<String>,
    ) -> Result<Queue<'a>> {
        Queue::named(cluster, contender, deliver_to, contender.name()).await
    }

    /// The same, for a second one of a contender.
    pub async fn named(
        cluster: &'a Cluster,
        contender: Contender,
        deliver_to: Option<String>,
        name: &str,
    ) -> Result<Queue<'a>> {
        let database = format!("queue_{}", name.replace('-', "_"));
        let admin = cluster.connect("postgres").await;
        admin.batch_execute(&format!("drop database if exists {database} with (force)")).await?;
        admin.batch_execute(&format!("create database {database} template template0")).await?;
        let client = cluster.connect(&database).await;
        let queue = Queue { contender, cluster, database, client, deliver_to, jobs: 0 };
        match contender {
            Contender::Tradeflow => queue.set_up().await?,
            _ => Worker::set_up_peer(contender, &queue.url())?,
        }
        Ok(queue)
    }

    async fn set_up(&self) -> Result<()> {
        self.client.batch_execute(include_str!("../../sql/queue.sql")).await?;
        let (kind, params) = match self.deliver_to {
            None => ("noop", r#"{}"#),
            Some(_) => ("http", r#"{"path": "/{{ facts.n }}", "body": {"n": "{{ facts.n }}"}}"#),
        };
        let base_url = self.deliver_to.as_deref().unwrap_or("http://localhost");
        self.client
            .execute("update tradeflow.targets set base_url = $1 where name = 'there'", &[&base_url])
            .await?;
        self.client
            .execute(
                "insert into tradeflow.actions (rule, kind, target, params) values ('bench', $1, 'there', $2::text::jsonb)",
                &[&kind, &params],
            )
            .await?;
        Ok(())
    }

    fn url(&self) -> String {
        self.cluster.url(&self.database)
    }

    /// A further session in the database.
    pub async fn connect(&self) -> Client {
        self.cluster.connect(&self.database).await
    }

    /// Adds so many jobs.
    pub async fn fill(&mut self, jobs: i64) -> Result<()> {
        let (from, to) = (self.jobs + 1, self.jobs + jobs);
        self.client.query(self.contender.insert(), &[&from, &to]).await?;
        self.jobs = to;
        Ok(())
    }

    /// Adds one job in a transaction of its own; when its commit began, and its number.
    pub async fn add(&mut self) -> Result<(i64, Instant)> {
        self.client.batch_execute("begin").await?;
        self.fill(1).await?;
        let commits = Instant::now();
        self.client.batch_execute("commit").await?;
        Ok((self.jobs, commits))
    }

    /// Vacuums and analyzes, as autovacuum would have before long.
    pub async fn vacuum(&self) -> Result<()> {
        Ok(self.client.batch_execute("vacuum (analyze)").await?)
    }

    pub async fn is_empty(&self) -> Result<bool> {
        let left: bool = self.client.query_one(self.contender.left(), &[]).await?.get(0);
        Ok(!left)
    }

    /// Waits until every job is done.
    pub async fn drained(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            let asked = Instant::now();
            if self.is_empty().await? {
                return Ok(());
            }
            if began.elapsed() > Duration::from_secs(600) {
                bail!("{}: jobs were left after ten minutes", self.contender.name());
            }
            // Among many dead rows the question itself takes time: it shall not take what is measured more than a twentieth.
            tokio::time::sleep((asked.elapsed() * 20).max(Duration::from_millis(20))).await;
        }
    }

    /// Starts worker processes behind a closed gate: they are ready, and each waits to take its first jobs.
    pub async fn line_up(&self, processes: usize) -> Result<(Vec<Worker>, Gate)> {
        let gate = self.connect().await;
        gate.batch_execute(&format!("begin; lock table {} in access exclusive mode", self.contender.table()))
            .await?;
        let workers = self.start(processes)?;
        let waiting = "select count(distinct pid) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())";
        let began = Instant::now();
        while gate.query_one(waiting, &[]).await?.get::<_, i64>(0) < processes as i64 {
            if began.elapsed() > Duration::from_secs(60) {
                bail!("{}: its workers do not come to the start", self.contender.name());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The first of the last process's statements waits; what else it does when it starts is over soon.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok((workers, Gate(gate)))
    }

    /// Starts worker processes, and waits until they say that they are ready.
    pub fn start(&self, processes: usize) -> Result<Vec<Worker>> {
        (0..processes)
            .map(|_| Worker::start(self.contender, &self.url(), self.deliver_to.as_deref()))
            .collect()
    }

    pub async fn sizes(&self) -> Result<Sizes> {
        let row = self
            .client
            .query_one(
                "select coalesce(sum(s.n_dead_tup), 0)::bigint, coalesce(sum(pg_total_relation_size(s.relid)), 0)::bigint
                 from pg_stat_user_tables s
                 where s.schemaname = $1 and s.relname !~ '^(outbox_history|change_log)'",
                &[&self.contender.schema()],
            )
            .await
            .context("the sizes of the tables")?;
        Ok(Sizes { dead: row.get(0), bytes: row.get(1) })
    }
}

/// Behind it the workers of a queue wait.
pub struct Gate(Client);

impl Gate {
    pub async fn open(self) -> Result<()> {
        Ok(self.0.batch_execute("commit").await?)
    }
}
