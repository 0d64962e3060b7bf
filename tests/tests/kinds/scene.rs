//! A database with one target and a running sidecar; actions of any kind, fired one by one.

use std::sync::atomic::{AtomicI32, Ordering};

use serde_json::Value;
use tradeflow_tests::database::Database;
use tradeflow_tests::eventually::eventually;
use tradeflow_tests::jobs::Target;
use tradeflow_tests::sidecar::Sidecar;

/// The database, its sidecar, and how many rules were made.
pub struct Scene {
    pub db: Database,
    pub sidecar: Sidecar,
    system: String,
    next: AtomicI32,
}

/// What became of an action.
#[derive(Debug)]
pub struct End {
    pub state: String,
    pub error: String,
    pub result: Value,
    pub attempt: i32,
}

impl End {
    /// The result of one that succeeded.
    pub fn done(self) -> Value {
        assert_eq!(self.state, "done", "{self:?}");
        self.result
    }

    /// The error of one that will not succeed.
    pub fn dead(self) -> String {
        assert_eq!(self.state, "dead", "{self:?}");
        self.error
    }
}

impl Scene {
    /// A target of the name `there`; its token is `secret`.
    pub async fn new(system: &'static str, base_url: String, secret: &str) -> Scene {
        let db = Database::with_store().await;
        db.sql(
            "select tradeflow.tick();
             create table jobs (id int primary key, doc jsonb);
             select tradeflow.watch('jobs');",
        )
        .await;
        if system != "none" {
            let target = Target { system, base_url, secret: Some("env:HUBSPOT_TEST"), ..Target::default() };
            target.insert(&db, "there").await;
        }
        let sidecar = Self::start(&db, secret);
        Scene { db, sidecar, system: system.to_owned(), next: AtomicI32::new(1) }
    }

    fn start(db: &Database, secret: &str) -> Sidecar {
        // A short lease: what a killed one held is free soon.
        Sidecar::command(db).env("HUBSPOT_TEST", secret).env("TRADEFLOW_LEASE", "3s").start()
    }

    /// Kills the sidecar and starts another.
    pub fn kill_and_restart(&mut self, secret: &str) {
        self.sidecar.kill();
        self.sidecar = Self::start(&self.db, secret);
    }

    /// Fires an action; the name of its rule.
    pub async fn fire(&self, kind: &str, params: &Value) -> String {
        self.fire_with(kind, params, &Value::Null).await
    }

    /// The same, with something in the facts' `doc`.
    pub async fn fire_with(&self, kind: &str, params: &Value, doc: &Value) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let rule = format!("rule_{n}");
        let condition = format!("new.id = {n}");
        self.db
            .execute(
                "insert into tradeflow.rules (name, source, condition) values ($1, 'public.jobs', $2)",
                &[&rule, &condition],
            )
            .await;
        let target = (self.system != "none").then_some("there");
        self.db
            .execute(
                "insert into tradeflow.actions (rule, kind, target, params) values ($1, $2, $3, $4::text::jsonb)",
                &[&rule, &kind, &target, &params.to_string()],
            )
            .await;
        self.db.execute("insert into jobs values ($1, $2::text::jsonb)", &[&n, &doc.to_string()]).await;
        rule
    }

    /// Waits for what becomes of it.
    pub async fn end(&self, rule: &str) -> End {
        let query = format!(
            "select jsonb_build_object('state', state, 'error', error, 'result', result, 'attempt', attempt)::text from (
               select state, error, result, attempt from tradeflow.outbox_history where rule = '{rule}'
               union all
               select state, error, result, attempt from tradeflow.outbox where rule = '{rule}' and state in ('dead', 'uncertain', 'held', 'done')) x
             limit 1"
        );
        eventually(&format!("the end of {rule}"), || async {
            let row = self.db.column::<String>(&query).await.pop()?;
            let row: Value = serde_json::from_str(&row).expect("it is JSON");
            Some(End {
                state: row["state"].as_str().unwrap_or_default().to_owned(),
                error: row["error"].as_str().unwrap_or_default().to_owned(),
                attempt: row["attempt"].as_i64().unwrap_or_default() as i32,
                result: row["result"].clone(),
            })
        })
        .await
    }

    /// Fires an action and waits for what becomes of it.
    pub async fn run(&self, kind: &str, params: Value) -> End {
        let rule = self.fire(kind, &params).await;
        self.end(&rule).await
    }
}
