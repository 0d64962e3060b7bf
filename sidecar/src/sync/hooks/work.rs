//! What webhooks told is fetched and stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::bigcommerce::{self, Api};
use crate::store::record::Findings;
use crate::store::report::Report;
use crate::store::{self, Kind, Origin, Writer};
use crate::sync::fetch::{id_of, quotes};
use crate::sync::run::{run as run_resource, Env, Options};
use crate::sync::state::{self, Incident};
use crate::sync::{sweep, Error, Resource};

/// Events taken at once.
const BATCH: i64 = 100;

/// Looked for even when nothing woke: others may have written them down.
const POLL: Duration = Duration::from_secs(5);

/// After so many attempts a person is told; it goes on being tried.
const PATIENCE: i32 = 8;

/// What is to be done about a thing. Several events about one thing are one piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Fetch(Resource, i64),
    Delete(Resource, i64),
    /// The event tells too little, or of too many: what changed is asked for.
    Sync(Resource),
}

/// Works until `stop` is cancelled.
pub async fn run(env: Env, wake: Arc<Notify>, keep: Duration, stop: CancellationToken) {
    let mut forgotten: Option<Instant> = None;
    loop {
        match some(&env).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => warn!(%error, "webhooks could not be worked on"),
        }
        if forgotten.is_none_or(|at| at.elapsed() > Duration::from_secs(3600)) {
            if let Err(error) = forget(&env, keep).await {
                warn!(%error, "old webhooks could not be forgotten");
            }
            forgotten = Some(Instant::now());
        }
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn forget(env: &Env, keep: Duration) -> Result<(), Error> {
    let client = env.pool.get().await?;
    client.execute(include_str!("../sql/forget_events.sql"), &[&keep.as_secs_f64()]).await?;
    Ok(())
}

/// Works on what waits; how many events that were.
async fn some(env: &Env) -> Result<usize, Error> {
    let rows = {
        let client = env.pool.get().await?;
        client.query(include_str!("../sql/take_events.sql"), &[&BATCH]).await?
    };
    let mut all: BTreeMap<Work, Vec<(String, i32)>> = BTreeMap::new();
    let mut nothing = Vec::new();
    for row in &rows {
        let (id, scope, data): (String, String, Value) =
            (row.try_get("event_id")?, row.try_get("scope")?, row.try_get("data")?);
        let works = works(&scope, &data);
        if works.is_empty() {
            debug!(scope, "a webhook that says nothing to us");
            nothing.push((id.clone(), 0));
        }
        for work in works {
            all.entry(work).or_default().push((id.clone(), row.try_get("attempts")?));
        }
    }
    done(env, &nothing).await?;
    // A thing that is gone needs not be fetched.
    for (work, events) in &all {
        if let Work::Fetch(resource, id) = work {
            if all.contains_key(&Work::Delete(*resource, *id)) {
                done(env, events).await?;
                continue;
            }
        }
        match one(env, *work).await {
            Ok(()) => done(env, events).await?,
            Err(error) => failed(env, *work, events, &error).await?,
        }
    }
    Ok(rows.len())
}

async fn done(env: &Env, events: &[(String, i32)]) -> Result<(), Error> {
    if !events.is_empty() {
        let ids: Vec<&str> = events.iter().map(|(id, _)| id.as_str()).collect();
        env.pool.get().await?.execute(include_str!("../sql/done_events.sql"), &[&ids]).await?;
    }
    Ok(())
}

async fn failed(env: &Env, work: Work, events: &[(String, i32)], error: &Error) -> Result<(), Error> {
    warn!(?work, %error, "what a webhook told could not be stored");
    let client = env.pool.get().await?;
    let ids: Vec<&str> = events.iter().map(|(id, _)| id.as_str()).collect();
    let text = error.to_string();
    client.execute(include_str!("../sql/failed_events.sql"), &[&ids, &text]).await?;
    if events.iter().any(|(_, attempts)| *attempts >= PATIENCE) {
        let (resource, subject) = match work {
            Work::Fetch(resource, id) | Work::Delete(resource, id) => (resource, Some(id.to_string())),
            Work::Sync(resource) => (resource, None),
        };
        let (message, hint) =
            text.split_once("\nhint: ").map_or((text.as_str(), None), |(m, h)| (m, Some(h)));
        let incident = Incident {
            kind: "sync_error",
            resource: resource.name(),
            subject: subject.as_deref(),
            message,
            detail: Some("what a webhook told"),
            hint: hint.or(Some("it is tried again; the sync brings it too")),
        };
        state::incident(&client, incident).await?;
    }
    Ok(())
}

/// What an event asks for.
fn works(scope: &str, data: &Value) -> Vec<Work> {
    let deleted = scope.ends_with("/deleted");
    let about = |resource: Resource, key: &str| match id_of(data, key) {
        Some(id) if deleted => vec![Work::Delete(resource, id)],
        Some(id) => vec![Work::Fetch(resource, id)],
        None => vec![Work::Sync(resource)],
    };
    let parts: Vec<&str> = scope.trim_start_matches("store/").split('/').collect();
    match parts.as_slice() {
        ["company", "user", _] => about(Resource::CompanyUsers, "user_id"),
        ["company", "created" | "updated" | "deleted" | "statusUpdated"] => {
            about(Resource::Companies, "company_id")
        }
        ["quote", ..] => about(Resource::Quotes, "quote_id"),
        ["order", "transaction", _] => about(Resource::Orders, "order_id"),
        ["order", ..] => {
            let mut works = about(Resource::Orders, "id");
            works.extend(about(Resource::B2bOrders, "id").into_iter().filter(|_| !deleted));
            works
        }
        ["product", ..] => about(Resource::Products, "id"),
        // A deleted variant is a changed product.
        ["sku", ..] => match data.get("sku").and_then(|sku| id_of(sku, "product_id")) {
            Some(product) => vec![Work::Fetch(Resource::Products, product)],
            None => vec![Work::Sync(Resource::Products)],
        },
        ["priceList", ..] => vec![Work::Sync(Resource::PriceLists)],
        _ => Vec::new(),
    }
}

async fn one(env: &Env, work: Work) -> Result<(), Error> {
    match work {
        Work::Sync(resource) => sync(env, resource).await,
        Work::Delete(resource, id) => {
            let client = env.pool.get().await?;
            sweep::one(&client, resource, id).await.map(|_| ())
        }
        Work::Fetch(resource, id) => match fetch(env, resource, id).await {
            Ok(Fetched::Thing(kind, payload)) => store_one(env, resource, kind, payload).await,
            Ok(Fetched::Unknown) => sync(env, resource).await,
            Ok(Fetched::Gone) | Err(Error::Api(bigcommerce::Error::NotFound { .. })) => {
                // B2B Edition's half of an order comes a moment after the core's.
                debug!(resource = resource.name(), id, "a webhook told of a thing that is not there");
                Ok(())
            }
            Err(error) => Err(error),
        },
    }
}

async fn sync(env: &Env, resource: Resource) -> Result<(), Error> {
    let outcome = run_resource(env, resource, &Options::default(), &ProgressBar::hidden()).await;
    match outcome.error {
        Some(error) => Err(bigcommerce::Error::Unreachable(error).into()),
        // Busy: whoever is at it may have passed the place already.
        None if outcome.busy => {
            Err(bigcommerce::Error::Unreachable("another sync is at it".to_owned()).into())
        }
        None => Ok(()),
    }
}

enum Fetched {
    Thing(Kind, Value),
    /// It cannot be asked for by its id alone.
    Unknown,
    Gone,
}

async fn fetch(env: &Env, resource: Resource, id: i64) -> Result<Fetched, Error> {
    let client = env.client()?;
    let (api, path, query) = match resource {
        Resource::Companies => (Api::B2b, format!("/companies/{id}"), vec![]),
        Resource::CompanyUsers => (Api::B2b, format!("/users/{id}"), vec![]),
        Resource::B2bOrders => (Api::B2b, format!("/orders/{id}"), vec![]),
        Resource::Orders => {
            let query = [("include", "consignments.line_items"), ("consignment_structure", "object")];
            (Api::V2, format!("/orders/{id}"), query.map(|(k, v)| (k, v.to_owned())).to_vec())
        }
        Resource::Products => {
            let query = vec![("include", "variants,custom_fields".to_owned())];
            (Api::V3, format!("/catalog/products/{id}"), query)
        }
        Resource::Quotes => {
            let Some(created) = created(env, id).await? else { return Ok(Fetched::Unknown) };
            let detail = quotes::one(client, id, created.timestamp()).await?;
            return Ok(detail.map_or(Fetched::Gone, |detail| Fetched::Thing(Kind::Quotes, detail)));
        }
        _ => return Ok(Fetched::Unknown),
    };
    let answer = client.get(api, &path, &query).await?;
    let payload = match (api, answer) {
        (Api::V2, Some(order)) => order,
        (_, Some(mut answer)) => match answer.get_mut("data").map(Value::take) {
            // Some specifications show a list of one.
            Some(Value::Array(mut list)) if list.len() == 1 => list.remove(0),
            Some(data) => data,
            None => return Ok(Fetched::Gone),
        },
        (_, None) => return Ok(Fetched::Gone),
    };
    Ok(Fetched::Thing(resource.kind(), payload))
}

/// When a stored quote was created: its details are asked for by that day.
async fn created(env: &Env, quote: i64) -> Result<Option<DateTime<Utc>>, Error> {
    let client = env.pool.get().await?;
    let row = client.query_opt("select created_at from store.quotes where quote_id = $1", &[&quote]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
}

async fn store_one(env: &Env, resource: Resource, kind: Kind, payload: Value) -> Result<(), Error> {
    let mut writer = Writer::new(&env.pool, 1, false).await?;
    let mut report = Report::new(false);
    let origin = Origin { file: "a webhook's thing".to_owned(), line: None, pointer: String::new() };
    let mut findings = Findings::default();
    let entity = store::read(kind, payload, origin.clone(), &mut findings);
    if !findings.problems.is_empty() {
        report.reject(kind, &origin, findings.problems);
    }
    if let Some(entity) = entity {
        writer.push(entity, &mut report).await?;
    }
    writer.flush(&mut report).await?;
    for rejected in &report.rejected {
        let Some(problem) = rejected.problems.first() else { continue };
        let message = format!(
            "what a webhook told was not stored: {} expected, found {}",
            problem.expected, problem.found
        );
        let incident = Incident {
            kind: "sync_rejected",
            resource: resource.name(),
            subject: None,
            message: &message,
            detail: Some(&problem.pointer),
            hint: Some(&problem.mend),
        };
        state::incident(writer.client(), incident).await?;
    }
    Ok(writer.finish(&mut report).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_ask_for_things() {
        let of = |scope: &str, data: Value| works(scope, &data);
        assert_eq!(of("store/quote/updated", json!({"quote_id": 7})), [Work::Fetch(Resource::Quotes, 7)]);
        assert_eq!(of("store/quote/deleted", json!({"quote_id": 7})), [Work::Delete(Resource::Quotes, 7)]);
        assert_eq!(
            of("store/company/user/created", json!({"company_id": 1, "user_id": 2})),
            [Work::Fetch(Resource::CompanyUsers, 2)]
        );
        assert_eq!(
            of("store/order/statusUpdated", json!({"type": "order", "id": 9})),
            [Work::Fetch(Resource::Orders, 9), Work::Fetch(Resource::B2bOrders, 9)]
        );
        assert_eq!(
            of("store/order/transaction/created", json!({"order_id": "9"})),
            [Work::Fetch(Resource::Orders, 9)]
        );
        assert_eq!(
            of("store/sku/deleted", json!({"id": 1, "sku": {"product_id": 3, "variant_id": 4}})),
            [Work::Fetch(Resource::Products, 3)]
        );
        let batch = json!([{"price_list_id": 1, "variant_id": 2, "currency": "usd"}]);
        assert_eq!(of("store/priceList/records/updated", batch), [Work::Sync(Resource::PriceLists)]);
        assert_eq!(of("store/cart/created", json!({"id": "x"})), []);
    }
}
