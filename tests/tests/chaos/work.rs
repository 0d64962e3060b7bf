//! What the storm finds at work: a table whose rows are actions, in many lanes, which keep coming.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tradeflow_tests::database::Database;
use tradeflow_tests::mail::MailSink;

use crate::destination::Destination;
use crate::trace::Action;

/// The lanes; each is one of the rules'.
const LANES: i32 = 60;
/// Every tenth of them sends mails.
const MAILS: i32 = 10;
/// Rows in one transaction.
const ROWS: i32 = 30;

pub struct Work {
    pub db: Database,
    /// How many actions were asked for.
    asked: Arc<AtomicI32>,
    /// How many of transactions that took their time.
    asked_late: Arc<AtomicI32>,
    enough: Arc<AtomicBool>,
}

impl Work {
    /// The rules: calls whose lane waits for dead ones, calls whose lane goes on, mails.
    pub async fn set_up(destination: &Destination, mails: &MailSink) -> Work {
        let db = Database::with_store_on_own_server().await;
        let call = r#"{"path": "/{{ facts.lane }}/{{ facts.n }}", "headers": {"x-attempt": "{{ attempt }}"}, "body": {"n": "{{ facts.n }}"}}"#;
        let mail = r#"{"to": "{{ facts.n }}@example.com", "subject": "{{ facts.lane }}", "text": "{{ facts.n }}",
                       "headers": {"X-Key": "{{ idempotency_key }}", "X-Attempt": "{{ attempt }}"}}"#;
        db.sql(&format!(
            "select tradeflow.tick();
             create table jobs (lane int, n int, primary key (lane, n));
             select tradeflow.watch('jobs');
             insert into tradeflow.targets (name, system, base_url, sender, allow_private, timeout) values
               ('calls', 'http', '{}', null, true, '2 seconds'), ('mails', 'smtp', '{}', 'shop@example.com', true, '5 seconds');
             insert into tradeflow.rules (name, source, condition) values
               ('waits', 'public.jobs', 'new.lane % {MAILS} <> 0 and new.lane % 2 = 1'),
               ('goes_on', 'public.jobs', 'new.lane % {MAILS} <> 0 and new.lane % 2 = 0'),
               ('mails', 'public.jobs', 'new.lane % {MAILS} = 0');
             insert into tradeflow.actions (rule, kind, target, lane, max_attempts, on_dead, params) values
               ('waits', 'http', 'calls', 'lane {{{{ facts.lane }}}}', 100, 'block', '{call}'),
               ('goes_on', 'http', 'calls', 'lane {{{{ facts.lane }}}}', 100, 'continue', '{call}'),
               ('mails', 'email', 'mails', 'lane {{{{ facts.lane }}}}', 100, 'block', '{mail}');",
            destination.url(),
            mails.url(),
        ))
        .await;
        db.sql(include_str!("trace.sql")).await;
        Work { db, asked: Arc::default(), asked_late: Arc::default(), enough: Arc::default() }
    }

    pub fn lanes(&self) -> impl Iterator<Item = i32> {
        1..=LANES
    }

    /// How many actions were asked for so far.
    pub fn asked(&self) -> i32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// The same of transactions that committed late.
    pub fn asked_late(&self) -> i32 {
        self.asked_late.load(Ordering::Relaxed)
    }

    /// No more come.
    pub fn enough(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    /// Whether a dead or uncertain action holds up its lane.
    pub fn blocks(lane: i32) -> bool {
        lane % 2 == 1 || lane % MAILS == 0
    }

    /// Makes changes, a transaction at a time, until [`Work::enough`], whatever becomes of the server. A transaction whose end
    /// was not heard of is made again: the rows that are there already fire nothing.
    pub fn feed(&self) -> JoinHandle<()> {
        let config = self.db.cluster().config(self.db.name());
        let (asked, enough) = (self.asked.clone(), self.enough.clone());
        tokio::spawn(async move {
            let insert = "insert into jobs select 1 + i % $3, 1 + i / $3 from generate_series($1::int, $2::int) i on conflict do nothing";
            // As much as is worked off, and a little in store: every mishap finds all hands full.
            let busy = "select count(*) > 300 from tradeflow.outbox o
              where state in ('ready', 'running') and run_at <= now()
                and not exists (select from tradeflow.outbox b where b.lane = o.lane and b.id < o.id and b.state in ('dead', 'uncertain'))";
            'connections: while !enough.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let Ok((client, connection)) = config.connect(tokio_postgres::NoTls).await else { continue };
                tokio::spawn(connection);
                while !enough.load(Ordering::Relaxed) {
                    let from = asked.load(Ordering::Relaxed);
                    if client.execute(insert, &[&from, &(from + ROWS - 1), &LANES]).await.is_err() {
                        continue 'connections;
                    }
                    asked.store(from + ROWS, Ordering::Relaxed);
                    while !enough.load(Ordering::Relaxed)
                        && match client.query_one(busy, &[]).await {
                            Ok(row) => row.get(0),
                            Err(_) => continue 'connections,
                        }
                    {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        })
    }

    /// What other people do to a queue: transactions that commit long after they began, with actions that were due before others
    /// were done; and a snapshot that is held all the time, so that nothing which ended is cleaned away.
    pub fn dawdle(&self) -> JoinHandle<()> {
        let config = self.db.cluster().config(self.db.name());
        let (asked, enough) = (self.asked_late.clone(), self.enough.clone());
        tokio::spawn(async move {
            let insert = "insert into jobs select $3 + 1 + i % 4, 1 + i / 4 from generate_series($1::int, $2::int) i on conflict do nothing";
            'connections: while !enough.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let Ok((client, connection)) = config.connect(tokio_postgres::NoTls).await else { continue };
                tokio::spawn(connection);
                let Ok((holder, connection)) = config.connect(tokio_postgres::NoTls).await else { continue };
                tokio::spawn(connection);
                let hold = "begin isolation level repeatable read; select count(*) from jobs";
                if holder.batch_execute(hold).await.is_err() {
                    continue;
                }
                while !enough.load(Ordering::Relaxed) {
                    let from = asked.load(Ordering::Relaxed);
                    let late = async {
                        client.batch_execute("begin").await?;
                        client.execute(insert, &[&from, &(from + 7), &LANES]).await?;
                        tokio::time::sleep(Duration::from_millis(1_500)).await;
                        client.batch_execute("commit").await
                    };
                    if late.await.is_err() {
                        continue 'connections;
                    }
                    asked.store(from + 8, Ordering::Relaxed);
                }
            }
        })
    }

    /// Waits until nothing goes on by itself: all that is left is dead, uncertain, or behind one that holds up its lane.
    pub async fn settle(&self) {
        let goes_on = "select not exists (
            select from tradeflow.outbox o where o.state in ('running', 'ready') and not exists (
              select from tradeflow.outbox b join tradeflow.actions a on a.rule = b.rule and a.on_dead = 'block'
              where b.lane = o.lane and b.id < o.id and b.state in ('dead', 'uncertain')))";
        loop {
            // Nobody wants to wait for the backoff of what failed ten times in the storm.
            self.db.sql("select tradeflow.retry(array(select id from tradeflow.outbox where state = 'ready' and run_at > clock_timestamp() + interval '2 seconds'))").await;
            let before = self.left().await;
            for _ in 0..100 {
                if self.db.one::<bool>(goes_on).await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert!(
                self.left().await < before,
                "nothing has moved for ten seconds: {}",
                self.describe().await
            );
        }
    }

    async fn left(&self) -> i64 {
        self.db.one("select count(*) from tradeflow.outbox where state in ('ready', 'running')").await
    }

    async fn describe(&self) -> String {
        let rows: Vec<String> = self
            .db
            .column("select concat_ws(' ', id, lane, state, attempt, run_at, lease_until, worker, error) from tradeflow.outbox order by lane, id limit 40")
            .await;
        rows.join("\n")
    }

    /// What a person does: a mail of unknown outcome is looked for, everything else is executed again.
    pub async fn mend(&self, mails: &MailSink) {
        let arrived: Vec<String> = mails
            .mails()
            .iter()
            .filter_map(|mail| mail.headers["X-Key"].as_str().map(str::to_owned))
            .collect();
        loop {
            self.db
                .execute(
                    "select tradeflow.cancel(array(
                       select o.id from tradeflow.outbox o cross join tradeflow.installation i
                       where o.state = 'uncertain' and i.id || '-' || o.id = any ($1)), 'it arrived')",
                    &[&arrived],
                )
                .await;
            self.db
                .sql("select tradeflow.retry(array(select id from tradeflow.outbox where state in ('dead', 'uncertain')))")
                .await;
            self.settle().await;
            // Behind one that was mended the next may be as bad.
            if self.db.one::<bool>("select not exists (select from tradeflow.outbox)").await {
                return;
            }
        }
    }

    /// All actions there were, in the order of their ids.
    pub async fn list(&self) -> Vec<Action> {
        let rows = self
            .db
            .rows("select id, substring(lane from '[0-9]+')::int as lane, kind from tradeflow.outbox_history order by id")
            .await;
        let list = rows.iter().map(|row| {
            let lane = row.get("lane");
            Action {
                id: row.get("id"),
                lane,
                irreversible: row.get::<_, &str>("kind") == "email",
                blocks: Work::blocks(lane),
            }
        });
        list.collect()
    }
}

/// Asks the database, however often it is away meanwhile.
pub async fn insist(db: &Database, statement: &str) -> Vec<tokio_postgres::Row> {
    loop {
        let config = db.cluster().config(db.name());
        if let Ok((client, connection)) = config.connect(tokio_postgres::NoTls).await {
            tokio::spawn(connection);
            if let Ok(rows) = client.query(statement, &[]).await {
                return rows;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
