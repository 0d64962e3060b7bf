//! Quotes: changing one, and linking the order made of it.
//!
//! An ordered quote is immutable, unknown and read-only fields are answered with success and ignored, a message cannot be
//! taken back, and the expiry is read as seconds and written as a day: all of that is looked after here.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Map, Value as Json};

use super::extra_fields::{as_text, filled, pairs};
use super::{data, may_exist, store};
use crate::bigcommerce::{value, Api, Store};
use crate::deliver::params::{self, Day, Flag, Id, Text};
use crate::deliver::strategy::{AbsoluteSet, Created, Creation, LookUpFirst, Operation, Setting};
use crate::deliver::{Failure, Job, System, Tools};

const ORDERED: i64 = 4;
const ARCHIVED: i64 = 6;

/// Clocks of the store and of the database may differ by so much.
const SKEW: i64 = 300;

/// `bigcommerce.update_quote`
pub struct Update {
    store: Store,
    quote: i64,
    /// The day it was created, which the detail call wants.
    created: Option<NaiveDate>,
    /// When the action fired: a message of before is not this one.
    fired: DateTime<Utc>,
    wanted: Map<String, Json>,
    extra: BTreeMap<String, Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateParams {
    quote_id: Id,
    created_at: Option<Day>,
    notes: Option<Text>,
    legal_terms: Option<Text>,
    message: Option<Text>,
    expires_on: Option<Day>,
    allow_checkout: Option<Flag>,
    display_discount: Option<Flag>,
    title: Option<Text>,
    reference_number: Option<Text>,
    extra_fields: Option<BTreeMap<String, Text>>,
    archive: Option<Flag>,
}

impl Operation for Update {
    type Strategy = AbsoluteSet<Update>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Update, Failure> {
        let params: UpdateParams = params::read(&job.params)?;
        let mut wanted = Map::new();
        for (key, given) in [
            ("notes", params.notes),
            ("legalTerms", params.legal_terms),
            ("quoteTitle", params.title),
            ("referenceNumber", params.reference_number),
            ("message", params.message.filter(|m| !m.0.is_empty())),
        ] {
            wanted.extend(given.map(|text| (key.to_owned(), text.0.into())));
        }
        for (key, given) in
            [("allowCheckout", params.allow_checkout), ("displayDiscount", params.display_discount)]
        {
            wanted.extend(given.map(|flag| (key.to_owned(), flag.0.into())));
        }
        wanted.extend(params.expires_on.map(|day| ("expiredAt".to_owned(), written(day.0).into())));
        if params.archive.is_some_and(|flag| flag.0) {
            wanted.insert("status".into(), "archived".into());
        }
        let extra = params.extra_fields.unwrap_or_default();
        if wanted.is_empty() && extra.is_empty() {
            return Err(Failure::dead("params: nothing is to be changed"));
        }
        let created = params.created_at.map(|day| day.0).or_else(|| created(job));
        Ok(Update {
            store: store(tools, job)?,
            quote: params.quote_id.0,
            created,
            fired: job.action.created_at,
            wanted,
            extra,
        })
    }
}

/// The day in the facts, when they are those of a quote.
fn created(job: &Job<'_>) -> Option<NaiveDate> {
    let facts = job.context.get_attr("facts").ok()?;
    let at = facts.get_attr("created_at").ok()?.to_string();
    facts.get_attr("quote_id").ok().filter(|id| !id.is_undefined())?;
    DateTime::parse_from_rfc3339(&at).ok().map(|at| at.with_timezone(&Utc).date_naive())
}

fn written(day: NaiveDate) -> String {
    day.format("%m/%d/%Y").to_string()
}

/// A quote's detail. Its creation date is demanded by the schema, in a zone that is not said: UTC's day is tried first, then
/// its neighbours; without a date, none.
async fn detail(store: &Store, quote: i64, created: Option<NaiveDate>) -> Result<Json, Failure> {
    let path = format!("rfq/{quote}");
    let Some(day) = created else {
        return match store.get(Api::B2b, &path, &[]).await {
            Ok(answer) => Ok(data(&answer).clone()),
            Err(error) if error.is(422) => Err(Failure::dead(format!(
                "{error}; the store wants to know when the quote was created: give params.created_at, such as {{{{ facts.created_at }}}}"
            ))),
            Err(error) => Err(error.into()),
        };
    };
    let days = [Some(day), day.checked_sub_days(Days::new(1)), day.checked_add_days(Days::new(1))];
    let mut missing = None;
    for day in days.into_iter().flatten() {
        match store.get(Api::B2b, &path, &[("date", written(day).as_str())]).await {
            Ok(answer) => return Ok(data(&answer).clone()),
            Err(error) if error.is(404) => missing = missing.or(Some(error)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(missing.map_or_else(|| Failure::dead("there is no such quote"), Failure::from))
}

impl Setting for Update {
    async fn read(&self) -> Result<Map<String, Json>, Failure> {
        let quote = detail(&self.store, self.quote, self.created).await?;
        let get = |key: &str| quote.get(key).cloned().unwrap_or_default();
        let mut now = Map::new();
        for key in
            ["notes", "legalTerms", "quoteTitle", "referenceNumber", "allowCheckout", "displayDiscount"]
        {
            now.insert(key.to_owned(), get(key));
        }
        let code = value::int(&get("status"));
        now.insert("code".into(), code.into());
        now.insert("status".into(), if code == Some(ARCHIVED) { "archived".into() } else { get("status") });
        let day = value::int(&get("expiredAt")).and_then(|at| DateTime::from_timestamp(at, 0));
        now.insert("expiredAt".into(), day.map_or(Json::Null, |at| written(at.date_naive()).into()));
        // A message is there when the buyer can read it, written no earlier than the action fired.
        if let Some(message) = self.wanted.get("message") {
            let history = quote.get("trackingHistory").and_then(Json::as_array);
            let said = history.into_iter().flatten().any(|entry| {
                let at = entry.get("date").and_then(value::int).unwrap_or(i64::MAX);
                entry.get("message") == Some(message) && at >= self.fired.timestamp() - SKEW
            });
            now.insert("message".into(), if said { message.clone() } else { Json::Null });
        }
        now.insert("extraFields".into(), Json::Object(filled(&quote)));
        Ok(now)
    }

    async fn wanted(&self, now: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
        let mut wanted = self.wanted.clone();
        if !self.extra.is_empty() {
            // When they are sent at all, all of them must be.
            let mut all = now.get("extraFields").and_then(Json::as_object).cloned().unwrap_or_default();
            for (name, Text(text)) in &self.extra {
                match text.is_empty() {
                    true => drop(all.remove(name)),
                    false => drop(all.insert(name.clone(), text.clone().into())),
                }
            }
            wanted.insert("extraFields".into(), all.into());
        }
        Ok(wanted)
    }

    async fn write(&self, now: &Map<String, Json>, differing: &Map<String, Json>) -> Result<(), Failure> {
        if now.get("code").and_then(value::int) == Some(ORDERED) {
            return Err(Failure::dead(format!(
                "quote {} is ordered, and ordered quotes are immutable",
                self.quote
            )));
        }
        let mut body = differing.clone();
        if let Some(Json::Object(fields)) = differing.get("extraFields") {
            let mut all: BTreeMap<&str, String> =
                fields.iter().map(|(name, value)| (name.as_str(), as_text(value))).collect();
            // What is to be emptied, too.
            all.extend(self.extra.iter().map(|(name, text)| (name.as_str(), text.0.clone())));
            body.insert("extraFields".into(), pairs(all.iter().map(|(name, text)| (*name, text.as_str()))));
        }
        let path = format!("rfq/{}", self.quote);
        self.store.call(Method::PUT, Api::B2b, &path, &[], Some(&Json::Object(body))).await?;
        Ok(())
    }

    fn taken(&self, name: &str, wanted: &Json, after: &Json) -> bool {
        if name != "expiredAt" {
            return value::same(wanted, after);
        }
        // A day begins at different times in the store and here.
        let day = |json: &Json| NaiveDate::parse_from_str(json.as_str()?, "%m/%d/%Y").ok();
        day(wanted).zip(day(after)).is_some_and(|(a, b)| (a - b).num_days().abs() <= 1)
    }
}

/// `bigcommerce.link_order_to_quote`: makes a quote Ordered, for good.
pub struct Link {
    store: Store,
    quote: i64,
    created: Option<NaiveDate>,
    order: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkParams {
    quote_id: Id,
    created_at: Option<Day>,
    bc_order_id: Id,
}

impl Operation for Link {
    type Strategy = LookUpFirst<Link>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Link, Failure> {
        let params: LinkParams = params::read(&job.params)?;
        let created = params.created_at.map(|day| day.0).or_else(|| created(job));
        Ok(Link { store: store(tools, job)?, quote: params.quote_id.0, created, order: params.bc_order_id.0 })
    }
}

impl Creation for Link {
    async fn find(&self) -> Result<Option<Json>, Failure> {
        let quote = detail(&self.store, self.quote, self.created).await?;
        if quote.get("status").and_then(value::int) != Some(ORDERED) {
            return Ok(None);
        }
        let order = quote.get("bcOrderId").and_then(value::int);
        if order != Some(self.order) {
            let other = order.map_or("no order that is known".to_owned(), |id| format!("order {id}"));
            return Err(Failure::dead(format!("quote {} is ordered already, with {other}", self.quote)));
        }
        Ok(Some(json!({"quote_id": self.quote, "bc_order_id": self.order})))
    }

    async fn create(&self) -> Result<Created, Failure> {
        // The core id, as text; the schema's words say B2B id, which is wrong.
        let body = json!({"orderId": self.order.to_string()});
        let path = format!("rfq/{}/ordered", self.quote);
        match self.store.call(Method::POST, Api::B2b, &path, &[], Some(&body)).await {
            Ok(_) => Ok(Created::New(json!({"quote_id": self.quote, "bc_order_id": self.order}))),
            Err(error) if may_exist(&error) => Ok(Created::Exists(error.into())),
            Err(error) => Err(error.into()),
        }
    }
}
