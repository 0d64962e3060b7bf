//! `bigcommerce.update_company_extra_fields`: up to ten companies go into one request.
//!
//! Fields are addressed by their names, values are strings, and when any is sent all required ones must be: so what is there
//! is read, and sent along.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Map, Value as Json};

use super::{data, store};
use crate::api::Kind as Problem;
use crate::bigcommerce::{value, Api, Store};
use crate::deliver::batch::Batcher;
use crate::deliver::params::{self, Id, Text};
use crate::deliver::strategy::{AbsoluteSet, Operation, Setting};
use crate::deliver::{Failure, Job, System, Tools};

/// More than ten are answered with 413.
const BULK: usize = 10;

/// How long the first of a batch waits for others: a request costs a 150th of the store's minute.
const GATHER: Duration = Duration::from_millis(50);

/// All sidecar's batches, by target.
fn batches() -> &'static Arc<Batcher<(i64, Json), ()>> {
    static BATCHES: OnceLock<Arc<Batcher<(i64, Json), ()>>> = OnceLock::new();
    BATCHES.get_or_init(|| Arc::new(Batcher::new(BULK, GATHER)))
}

pub struct ExtraFields {
    store: Arc<Store>,
    lane: String,
    company: i64,
    fields: BTreeMap<String, Text>,
    /// What other fields must be; empty text: empty, or not there.
    only_if: BTreeMap<String, Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    company_id: Id,
    fields: BTreeMap<String, Option<Text>>,
    only_if: Option<BTreeMap<String, Option<Text>>>,
}

impl Operation for ExtraFields {
    type Strategy = AbsoluteSet<ExtraFields>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<ExtraFields, Failure> {
        let params: Params = params::read(&job.params)?;
        if params.fields.is_empty() {
            return Err(Failure::dead("params.fields: there is no field"));
        }
        // Null empties a field, or is an empty one.
        let texts = |fields: BTreeMap<String, Option<Text>>| -> BTreeMap<String, Text> {
            let filled = |text: Option<Text>| text.unwrap_or_else(|| Text(String::new()));
            fields.into_iter().map(|(name, text)| (name, filled(text))).collect()
        };
        let (fields, only_if) = (texts(params.fields), texts(params.only_if.unwrap_or_default()));
        let lane = format!("{} {}", job.target.name, job.target.revision);
        let store = Arc::new(store(tools, job)?);
        Ok(ExtraFields { store, lane, company: params.company_id.0, fields, only_if })
    }
}

impl Setting for ExtraFields {
    async fn read(&self) -> Result<Map<String, Json>, Failure> {
        let path = format!("companies/{}", self.company);
        let answer = self.store.get(Api::B2b, &path, &[("isIncludeExtraFields", "1")]).await?;
        Ok(filled(data(&answer)))
    }

    async fn wanted(&self, _: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
        Ok(self.fields.iter().map(|(name, Text(text))| (name.clone(), text.clone().into())).collect())
    }

    fn permit(&self, now: &Map<String, Json>) -> Result<(), Failure> {
        let found = |name: &str| now.get(name).map_or_else(String::new, as_text);
        match self.only_if.iter().find(|(name, wanted)| found(name) != wanted.0) {
            None => Ok(()),
            Some((name, _)) => Err(Failure::cancelled(format!(
                "the field \"{name}\" of company {} is \"{}\" by now",
                self.company,
                found(name)
            ))),
        }
    }

    async fn write(&self, now: &Map<String, Json>, differing: &Map<String, Json>) -> Result<(), Failure> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in now.iter().chain(differing) {
            all.insert(name.clone(), as_text(value));
        }
        let item = (self.company, pairs(all.iter().map(|(k, v)| (k.as_str(), v.as_str()))));
        let store = self.store.clone();
        let run = move |items| send(store.clone(), items);
        batches().submit(&self.lane, self.company.to_string(), item, run).await
    }
}

/// The extra fields of a company or a quote that have a value. When any is written all required ones must be, so these are sent
/// along; an empty one need not be, and is no choice of a field that has choices.
pub(super) fn filled(of: &Json) -> Map<String, Json> {
    let list = of.get("extraFields").and_then(Json::as_array);
    let pair = |field: &Json| {
        let value = field.get("fieldValue").filter(|value| !as_text(value).is_empty())?;
        Some((field.get("fieldName")?.as_str()?.to_owned(), value.clone()))
    };
    list.into_iter().flatten().filter_map(pair).collect()
}

/// A value as the API writes it: text, and empty for none.
pub(super) fn as_text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Sends a batch; the outcome of each.
async fn send(store: Arc<Store>, items: Vec<(i64, Json)>) -> Vec<Result<(), Failure>> {
    let body: Json =
        items.iter().map(|(id, fields)| json!({"companyId": id, "extraFields": fields})).collect();
    let error = match store.call(Method::PUT, Api::B2b, "companies/bulk", &[], Some(&body)).await {
        Ok(_) => return items.iter().map(|_| Ok(())).collect(),
        Err(error) => error,
    };
    let named = error.body.pointer("/data/errors").and_then(Json::as_array).filter(|list| !list.is_empty());
    match (error.kind, named) {
        // The others were done, and are read back.
        (Problem::Refused(_), Some(list)) => {
            let of = |id: i64| list.iter().find(|e| e.get("id").and_then(value::int) == Some(id));
            let outcome = |(id, _): &(i64, Json)| match of(*id) {
                Some(wrong) => Err(Failure::dead(format!("company {id}: {}", wrong["_detail"]))),
                None => Ok(()),
            };
            items.iter().map(outcome).collect()
        }
        // Whose fault it was is not said: each by itself.
        (Problem::Refused(_), None) if items.len() > 1 => {
            let mut outcomes = Vec::new();
            for (id, fields) in items {
                let body = json!({"extraFields": fields});
                let path = format!("companies/{id}");
                let sent = store.call(Method::PUT, Api::B2b, &path, &[], Some(&body)).await;
                outcomes.push(sent.map(drop).map_err(Failure::from));
            }
            outcomes
        }
        _ => items.iter().map(|_| Err(error.clone().into())).collect(),
    }
}

/// Extra fields as they are written.
pub(super) fn pairs<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Json {
    fields.map(|(name, value)| json!({"fieldName": name, "fieldValue": value})).collect()
}
