//! What actions would send: rendered as the sidecar renders them, by the kinds that would send them, and not sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use minijinja::value::Value;
use serde::Serialize;
use serde_json::{json, Value as Json};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::Client;

use super::Error;
use crate::config::Config;
use crate::db;
use crate::deliver::{Deliver, Failure, Job, Start};
use crate::executor::catalog::Catalog;
use crate::executor::claim::{read, Claimed};
use crate::executor::dispatch::not_wanted;
use crate::executor::{self, context};
use crate::render::number::to_template;
use crate::render::unknown::{named_in, Unknown};
use crate::secret::Secrets;

/// Renders instead of sending.
#[derive(Clone)]
pub struct Rehearsal {
    kinds: Arc<Vec<Box<dyn Deliver>>>,
    secrets: Arc<Secrets>,
}

/// One action that was rendered.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    pub rule: String,
    pub subject: String,
    pub occurrence: String,
    pub step: i32,
    pub action: Option<String>,
    pub kind: String,
    pub target: Option<String>,
    /// The request as it would be sent; of a mail, its parts.
    pub request: Json,
    /// Why there is none.
    pub error: Option<String>,
    /// The results of earlier steps in it that are not known yet: `steps.invoice.invoice_number`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown: BTreeSet<String>,
    /// The request is the action's parameters as they are written: it takes such a result to render them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub as_written: bool,
}

/// The results of a firing's earlier steps, by number and by name: those that are known, and that there will be others.
#[derive(Default)]
pub struct Steps {
    results: BTreeMap<Value, Value>,
    /// Whether something that is not known was read.
    read: Arc<AtomicBool>,
}

impl Steps {
    /// Notes what a step returned; none: that is known once it was executed.
    pub fn add(&mut self, step: i32, name: Option<&str>, result: Option<&Json>) {
        let called = name.map_or_else(|| step.to_string(), str::to_owned);
        let value = match result {
            Some(result) => to_template(result),
            None => Unknown::result(format!("steps.{called}"), &self.read),
        };
        for key in [Some(Value::from(step)), Some(Value::from(step.to_string())), name.map(Value::from)] {
            self.results.extend(key.map(|key| (key, value.clone())));
        }
    }

    fn value(&self) -> Value {
        self.results.clone().into()
    }
}

impl Rehearsal {
    pub fn new(config: &Config, pool: &db::Pool) -> Result<Rehearsal, Error> {
        let kinds = executor::kinds(config, pool, "rehearsal").map_err(|e| Error::Usage(e.to_string()))?;
        Ok(Rehearsal { kinds: Arc::new(kinds), secrets: Arc::new(Secrets::new(&config.secrets)) })
    }

    /// Renders one action; none: its `when` says that it is not wanted.
    pub fn render(&self, catalog: &Catalog, claimed: &Arc<Claimed>) -> Option<Sent> {
        self.rendered(catalog, claimed, &context::of(claimed.clone(), catalog.settings()))
    }

    /// The same where some of the earlier steps' results are not known ([`Unknown`]).
    pub fn render_after(&self, catalog: &Catalog, claimed: &Arc<Claimed>, steps: &Steps) -> Option<Sent> {
        steps.read.store(false, Ordering::Relaxed);
        let mut sent = self.rendered(
            catalog,
            claimed,
            &context::after(claimed.clone(), catalog.settings(), steps.value()),
        )?;
        sent.unknown = named_in(&sent.request);
        if let (Some(_), Some(params), true) =
            (&sent.error, &claimed.params, steps.read.load(Ordering::Relaxed))
        {
            (sent.request, sent.error, sent.as_written) = ((*catalog.params(params)).clone(), None, true);
        }
        Some(sent)
    }

    fn rendered(&self, catalog: &Catalog, claimed: &Arc<Claimed>, context: &Value) -> Option<Sent> {
        let (request, error) = match self.request(catalog, claimed, context) {
            Ok(request) => (request?, None),
            Err(failure) => (Json::Null, Some(failure.message)),
        };
        Some(Sent {
            rule: claimed.action.rule.clone(),
            subject: claimed.subject.clone(),
            occurrence: claimed.occurrence.clone(),
            step: claimed.action.step,
            action: claimed.action.name.clone(),
            kind: claimed.action.kind.clone(),
            target: claimed.target.clone(),
            request,
            error,
            unknown: BTreeSet::new(),
            as_written: false,
        })
    }

    fn request(
        &self,
        catalog: &Catalog,
        claimed: &Arc<Claimed>,
        context: &Value,
    ) -> Result<Option<Json>, Failure> {
        let kind = self.kinds.iter().find(|k| k.kind() == claimed.action.kind);
        let raw = claimed.params.as_ref().ok_or_else(|| Failure::dead("the action is not there any more"))?;
        let template = catalog.params(raw);
        let html = kind.map_or(&[][..], |k| k.html_params());
        let Some(params) = catalog.renderer.step(&template, html, context)? else { return Ok(None) };
        // A kind of another client's, or one without a target, is known by its parameters only.
        let (Some(kind), Some(target)) = (kind.filter(|k| k.system().is_some()), &claimed.target) else {
            return Ok(Some(params));
        };
        let target = catalog
            .target(target)
            .ok_or_else(|| Failure::retry(format!("there is no target \"{target}\"")))?;
        let job = Job {
            action: &claimed.action,
            target: &target,
            params,
            context,
            renderer: &catalog.renderer,
            secrets: &self.secrets,
            start: &Never,
            traceparent: None,
        };
        kind.preview(&job).map(Some)
    }

    /// Whether a kind's effect is in the database: then it is real, and goes with the transaction.
    pub fn is_in_database(&self, kind: &str) -> bool {
        self.kinds.iter().any(|k| k.kind() == kind && k.delivery() == "in_database")
    }

    /// Executes what is ready in this transaction, as a sidecar would, until nothing is: claimed, rendered, completed with
    /// what `answer` says the other side returned. Only firings after `since` are this transaction's own.
    pub async fn drain(
        &self,
        client: &Client,
        since: i64,
        answer: &(dyn Fn(&Sent) -> Json + Sync),
    ) -> Result<Vec<Sent>, Error> {
        let mut sent = Vec::new();
        loop {
            tick(client).await?;
            let (worker, most, seconds) = ("tradeflow test", 1000_i32, 3600_f64);
            let (kinds, room): (Option<Vec<&str>>, Option<Json>) = (None, None);
            let values: [(&(dyn ToSql + Sync), Type); 5] = [
                (&worker, Type::TEXT),
                (&most, Type::INT4),
                (&seconds, Type::FLOAT8),
                (&kinds, Type::TEXT_ARRAY),
                (&room, Type::JSONB),
            ];
            let rows = client.query_typed(include_str!("../db/claim.sql"), &values).await?;
            let ids: Vec<i64> = rows.iter().map(|row| row.get("id")).collect();
            let own = "select id from tradeflow.outbox where id = any ($1) and firing_id > $2";
            let own: Vec<i64> =
                client.query(own, &[&ids, &since]).await?.iter().map(|row| row.get(0)).collect();
            if own.is_empty() {
                return Ok(sent);
            }
            // Anew each time: what one transaction writes twice bears one mark, which a refresh goes by.
            let catalog = Catalog::load(client).await?;
            for row in rows.iter().filter(|row| own.contains(&row.get("id"))) {
                let claimed = Arc::new(read(row, Instant::now())?);
                let Some(mut one) = self.render(&catalog, &claimed) else {
                    complete(client, &claimed, &not_wanted()).await?;
                    continue;
                };
                if one.error.is_none() && self.is_in_database(&one.kind) {
                    one.error = execute(client, &claimed, &one.request).await?;
                    if one.error.is_none() {
                        sent.push(one);
                        continue;
                    }
                }
                match &one.error {
                    Some(error) => {
                        let (id, attempt) = (claimed.action.id, claimed.action.attempt);
                        let fail = "select tradeflow.fail($1, $2, $3, 'dead')";
                        client.query(fail, &[&id, &attempt, error]).await?;
                    }
                    None => {
                        let mut result = answer(&one);
                        if let Some(result) = result.as_object_mut() {
                            result.insert("request".into(), one.request.clone());
                        }
                        complete(client, &claimed, &result).await?;
                    }
                }
                sent.push(one);
            }
        }
    }
}

async fn complete(client: &Client, claimed: &Claimed, result: &Json) -> Result<(), Error> {
    let complete = "select * from tradeflow.complete($1, $2, $3)";
    let (id, attempt) = (claimed.action.id, claimed.action.attempt);
    client.query(complete, &[&vec![id], &vec![attempt], &vec![result]]).await?;
    Ok(())
}

/// Executes an action whose effect is in the database; why it failed.
async fn execute(client: &Client, claimed: &Claimed, params: &Json) -> Result<Option<String>, Error> {
    client.batch_execute("savepoint tradeflow_execute").await?;
    let execute = "select tradeflow.execute($1, $2, $3)";
    let Err(error) = client.query_one(execute, &[&claimed.action.id, &claimed.action.attempt, params]).await
    else {
        client.batch_execute("release savepoint tradeflow_execute").await?;
        return Ok(None);
    };
    let Some(server) = error.as_db_error() else { return Err(error.into()) };
    client.batch_execute("rollback to savepoint tradeflow_execute").await?;
    Ok(Some(format!("{} (SQLSTATE {})", server.message(), server.code().code())))
}

/// What only time brings, and what is asked at the end of a transaction, asked now.
pub async fn tick(client: &Client) -> Result<(), Error> {
    for _ in 0..50 {
        client.batch_execute("set constraints all immediate; set constraints all deferred").await?;
        let done: Json = client
            .query_typed_one(include_str!("../db/tick.sql"), &[])
            .await
            .map_err(db::Error::from)?
            .get(0);
        if done.get("busy").is_none() {
            return Ok(());
        }
        // A sidecar of the same database is at it, for a moment.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err(Error::Usage("the database's time work is taken by somebody else all the time\nhint: stop the sidecars of this database, or test on another one".into()))
}

/// The usual answer of the other side.
pub fn usual_answer(sent: &Sent) -> Json {
    match sent.kind.as_str() {
        "email" => json!({"message_id": "<rehearsal@tradeflow>", "response": "250 ok"}),
        "http" => json!({"status": 200, "headers": {}, "body": null, "truncated": false}),
        _ => json!({}),
    }
}

/// Nothing is begun here.
struct Never;

impl Start for Never {
    fn start(&self) -> BoxFuture<'_, Result<bool, Failure>> {
        Box::pin(async { Ok(false) })
    }
}
