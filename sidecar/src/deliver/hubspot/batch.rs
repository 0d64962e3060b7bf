//! Many records in one request: reads where they are, writes them, associates them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Method;
use serde_json::{json, Value as Json};
use sha2::{Digest, Sha256};
use tokio_postgres::types::{ToSql, Type};

use super::adopt::adopt;
use super::stage::{self, Place};
use super::Account;
use crate::api::Kind;
use crate::db;
use crate::deliver::batch::Batcher;
use crate::deliver::{Failure, Tools};
use crate::hubspot::{BATCH, VERSION};

/// How long the first of a batch waits for others.
const GATHER: Duration = Duration::from_millis(10);

/// One record to be written.
#[derive(Clone)]
pub struct Item {
    pub object: &'static str,
    pub key: String,
    pub key_property: String,
    /// A property whose value tells a record that people made before, which is taken over.
    pub adopt: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub stage: Option<String>,
    pub pipeline: Option<String>,
    pub forward_only: bool,
    pub associate: Vec<Associate>,
    /// Also when nothing of it differs from what was written last.
    pub always: bool,
}

/// A record to be associated with.
#[derive(Clone)]
pub struct Associate {
    pub to: &'static str,
    pub other: Other,
    /// Whether to wait for it.
    pub required: bool,
}

/// Which record.
#[derive(Clone)]
pub enum Other {
    Id(String),
    Key {
        property: String,
        value: String,
    },
    /// The fact it should come from was empty.
    Nobody,
}

/// What became of a record.
pub struct Outcome {
    pub id: String,
    pub created: bool,
    pub skipped: bool,
    /// The stage it stayed in, because the wanted one is before it.
    pub stage_kept: Option<String>,
}

type Batches = Batcher<(Item, String), Outcome>;

fn batches() -> &'static Arc<Batches> {
    static BATCHES: OnceLock<Arc<Batches>> = OnceLock::new();
    BATCHES.get_or_init(|| Arc::new(Batcher::new(BATCH, GATHER)))
}

impl Item {
    /// What is written, and its hash.
    pub fn fingerprint(&self) -> (Json, String) {
        let associate: Vec<Json> = self
            .associate
            .iter()
            .map(|a| match &a.other {
                Other::Id(id) => json!({"to": a.to, "id": id}),
                Other::Key { property, value } => json!({"to": a.to, "key": value, "property": property}),
                Other::Nobody => json!({"to": a.to}),
            })
            .collect();
        let written = json!({"properties": self.properties, "pipeline": self.pipeline, "stage": self.stage,
            "key_property": self.key_property, "associate": associate});
        let digest = Sha256::digest(written.to_string().as_bytes());
        (written, digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Hands a record over to the next batch.
pub async fn submit(
    tools: &Arc<Tools>,
    account: &Arc<Account>,
    target: &str,
    item: Item,
    hash: String,
) -> Result<Outcome, Failure> {
    let lane = format!("{} {} {}", account.name, item.object, item.key_property);
    let (tools, account, target) = (tools.clone(), account.clone(), target.to_owned());
    let run = move |items| {
        let (tools, account, target) = (tools.clone(), account.clone(), target.clone());
        async move { execute(&tools, &account, &target, items).await }
    };
    batches().submit(&lane, item.key.clone(), (item, hash), run).await
}

async fn execute(
    tools: &Tools,
    account: &Account,
    target: &str,
    items: Vec<(Item, String)>,
) -> Vec<Result<Outcome, Failure>> {
    let mut outcomes: Vec<Option<Result<Outcome, Failure>>> = items.iter().map(|_| None).collect();
    // Our own write that came back as a change wants the same again: nothing is to be done.
    match pushed(tools, target, &items).await {
        Ok(pushed) => {
            for (place, (item, hash)) in items.iter().enumerate().filter(|(_, (item, _))| !item.always) {
                if let Some((_, id)) = pushed.get(&item.key).filter(|(before, _)| before == hash) {
                    let outcome = Outcome { id: id.clone(), created: false, skipped: true, stage_kept: None };
                    outcomes[place] = Some(Ok(outcome));
                }
            }
        }
        Err(error) => return items.iter().map(|_| Err(Failure::retry(error.to_string()))).collect(),
    }
    let open: Vec<usize> = (0..items.len()).filter(|place| outcomes[*place].is_none()).collect();
    let chosen: Vec<&Item> = open.iter().map(|place| &items[*place].0).collect();
    for (place, outcome) in open.iter().zip(write(account, &chosen).await) {
        outcomes[*place] = Some(outcome);
    }
    outcomes.into_iter().map(|o| o.unwrap_or_else(|| Err(Failure::retry("it was not written")))).collect()
}

/// Hash and id of what was written last, by key.
async fn pushed(
    tools: &Tools,
    target: &str,
    items: &[(Item, String)],
) -> Result<HashMap<String, (String, String)>, db::Error> {
    let keys: Vec<&str> = items.iter().map(|(item, _)| item.key.as_str()).collect();
    let object = items.first().map_or("", |(item, _)| match item.object {
        "deals" => "deal",
        "contacts" => "contact",
        _ => "company",
    });
    let client = tools.pool.get().await?;
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&target, Type::TEXT), (&object, Type::TEXT), (&keys, Type::TEXT_ARRAY)];
    let sql = "select p.object_id, p.hash, l.other_id
               from tradeflow.pushes p
               join tradeflow.links l on l.target = p.target and l.object = p.object and l.outbox_id = p.outbox_id
               where p.target = $1 and p.object = $2 and p.object_id = any ($3)";
    let rows = client.query_typed(sql, &values).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))).collect()
}

async fn write(account: &Account, items: &[&Item]) -> Vec<Result<Outcome, Failure>> {
    let Some(first) = items.first() else { return Vec::new() };
    // First: where a deal stands that was not ours until now counts as well.
    let adopted = match adopt(account, items).await {
        Ok(adopted) => adopted,
        Err(failure) => return items.iter().map(|_| Err(failure.clone())).collect(),
    };
    let prepared = match places(account, items).await {
        Ok(prepared) => prepared,
        Err(failure) => return items.iter().map(|_| Err(failure.clone())).collect(),
    };
    let (mut outcomes, mut inputs, mut sent): (Vec<_>, Vec<Json>, Vec<usize>) =
        (items.iter().map(|_| None).collect(), Vec::new(), Vec::new());
    for (place, (item, prepared)) in items.iter().zip(&prepared).enumerate() {
        match (adopted.get(&item.key), prepared) {
            (Some(failure), _) | (None, Err(failure)) => outcomes[place] = Some(Err(failure.clone())),
            (None, Ok((properties, _))) => {
                inputs
                    .push(json!({"idProperty": item.key_property, "id": item.key, "properties": properties}));
                sent.push(place);
            }
        }
    }
    let records = upsert(account, first.object, &first.key_property, &inputs).await;
    for (place, record) in sent.into_iter().zip(records) {
        let kept = prepared[place].as_ref().ok().and_then(|(_, kept)| kept.clone());
        outcomes[place] = Some(match record {
            Err(failure) => Err(failure),
            Ok((id, created)) => match associate(account, items[place], &id).await {
                Ok(()) => Ok(Outcome { id, created, skipped: false, stage_kept: kept }),
                Err(failure) => Err(failure),
            },
        });
    }
    outcomes.into_iter().map(|o| o.unwrap_or_else(|| Err(Failure::retry("it was not written")))).collect()
}

type Prepared = Result<(BTreeMap<String, String>, Option<String>), Failure>;

/// Properties to write, with the stage where one is wanted; and the stage that is kept, where the wanted one is before it.
async fn places(account: &Account, items: &[&Item]) -> Result<Vec<Prepared>, Failure> {
    let staged = items.iter().any(|item| item.stage.is_some());
    let pipelines = if staged { account.pipelines().await? } else { Vec::new() };
    let careful: Vec<&str> = items
        .iter()
        .filter(|item| item.forward_only && item.stage.is_some())
        .map(|item| item.key.as_str())
        .collect();
    let now = match items.first() {
        Some(first) if !careful.is_empty() => {
            account.api.read(first.object, &first.key_property, &careful, &["dealstage", "pipeline"]).await?
        }
        _ => HashMap::new(),
    };
    let prepare = |item: &&Item| -> Prepared {
        let mut properties = item.properties.clone();
        // With it in the properties the answer has it too, by which it is found.
        properties.insert(item.key_property.clone(), item.key.clone());
        let Some(wanted) = &item.stage else { return Ok((properties, None)) };
        let wanted = stage::find(&pipelines, item.pipeline.as_deref(), wanted)?;
        let current = now.get(&item.key).map(|record| {
            let text = |name: &str| record["properties"][name].as_str().unwrap_or_default().to_owned();
            Place { pipeline: text("pipeline"), stage: text("dealstage") }
        });
        match current {
            Some(current) if !stage::is_forward(&pipelines, &current, &wanted) => {
                properties.remove("dealstage");
                properties.remove("pipeline");
                Ok((properties, Some(current.stage)))
            }
            _ => {
                properties.insert("pipeline".into(), wanted.pipeline);
                properties.insert("dealstage".into(), wanted.stage);
                Ok((properties, None))
            }
        }
    };
    Ok(items.iter().map(prepare).collect())
}

/// Ids of the records, and whether they are new, in the order of the inputs.
async fn upsert(
    account: &Account,
    object: &str,
    key_property: &str,
    inputs: &[Json],
) -> Vec<Result<(String, bool), Failure>> {
    if inputs.is_empty() {
        return Vec::new();
    }
    let path = ["crm", "objects", VERSION, object, "batch", "upsert"];
    let body = json!({"inputs": inputs});
    let answer = match account.api.call(Method::POST, &path, &[], Some(&body)).await {
        Ok(answer) => answer,
        // One of them is wrong, and all were rejected: each by itself shows which.
        Err(error) if matches!(error.kind, Kind::Refused(_)) && inputs.len() > 1 => {
            let mut all = Vec::new();
            for input in inputs {
                all.extend(
                    Box::pin(upsert(account, object, key_property, std::slice::from_ref(input))).await,
                );
            }
            return all;
        }
        Err(error) => return inputs.iter().map(|_| Err(error.clone().into())).collect(),
    };
    // The order of results is not promised: they are found by the unique property.
    let mut found = HashMap::new();
    for record in answer.body["results"].as_array().into_iter().flatten() {
        if let (Some(key), Some(id)) = (record["properties"][key_property].as_str(), record["id"].as_str()) {
            found.insert(key.to_owned(), (id.to_owned(), record["new"] == json!(true)));
        }
    }
    // 207: what failed is named in the context of its error.
    let errors: Vec<Json> = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let result = |input: &Json| {
        let key = input["id"].as_str().unwrap_or_default();
        if let Some(record) = found.get(key) {
            return Ok(record.clone());
        }
        let named = errors.iter().find(|error| error["context"].to_string().contains(&format!("\"{key}\"")));
        match named {
            Some(error) => Err(Failure::dead(format!(
                "HubSpot: {key}: {}",
                error["message"].as_str().unwrap_or("refused")
            ))),
            None => Err(Failure::retry(format!("HubSpot: the answer says nothing of {key}"))),
        }
    };
    inputs.iter().map(result).collect()
}

/// Associates a record, which may be repeated.
async fn associate(account: &Account, item: &Item, id: &str) -> Result<(), Failure> {
    for one in &item.associate {
        let other = match &one.other {
            Other::Nobody => continue,
            Other::Id(id) => id.clone(),
            Other::Key { property, value } => {
                account.ensure_unique(one.to, property).await?;
                let found = account.api.read(one.to, property, &[value], &[]).await?;
                match found.get(value).and_then(|record| record["id"].as_str()) {
                    Some(id) => id.to_owned(),
                    None if one.required => {
                        return Err(Failure::not_yet(format!(
                            "HubSpot has no record of {} with {property} {value} (yet), to associate with",
                            one.to
                        )))
                    }
                    None => continue,
                }
            }
        };
        let path =
            ["crm", "objects", VERSION, item.object, id, "associations", "default", one.to, other.as_str()];
        account.api.call(Method::PUT, &path, &[], None).await?;
    }
    Ok(())
}
