//! Who gets no mail: suppressed addresses, and those who had enough of a topic.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;
use tokio_postgres::types::{ToSql, Type};

use super::message::Recipients;
use crate::deliver::params::{self, Flag, Id, Text};
use crate::deliver::{Failure, Job, Tools};

/// At most so many mails of a topic within a time.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cap {
    count: Id,
    within: Text,
}

/// The addresses that get none of this mail, with the reason. Those who get it are counted, once an action.
pub async fn refused(
    tools: &Tools,
    job: &Job<'_>,
    recipients: &Recipients,
) -> Result<BTreeMap<String, String>, Failure> {
    let params = &job.params;
    if read::<Flag>(params, "transactional")?.is_some_and(|flag| flag.0) {
        return Ok(BTreeMap::new());
    }
    let cap: Option<Cap> = read(params, "at_most")?;
    let topic = read::<Text>(params, "topic")?.map_or_else(|| job.action.rule.clone(), |text| text.0);
    let most = match &cap {
        Some(cap) => Some(
            i32::try_from(cap.count.0)
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| Failure::dead("params.at_most.count: a whole number of at least 1"))?,
        ),
        None => None,
    };
    let within = cap.as_ref().map(|cap| cap.within.0.as_str());
    let client = tools.pool.get().await?;
    let addresses = recipients.addresses();
    let values: [(&(dyn ToSql + Sync), Type); 5] = [
        (&job.action.id, Type::INT8),
        (&addresses, Type::TEXT_ARRAY),
        (&topic, Type::TEXT),
        (&most, Type::INT4),
        (&within, Type::TEXT),
    ];
    let sql = "select address, reason from tradeflow.may_mail($1, $2, $3, $4, $5::interval) where reason is not null";
    let rows = client.query_typed(sql, &values).await.map_err(|error| match error.code() {
        Some(code) if code.code().starts_with("22") => Failure::dead(format!(
            "params.at_most.within: an interval such as \"7 days\", not \"{}\"",
            within.unwrap_or_default()
        )),
        _ => error.into(),
    })?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// A parameter of its own; null is as if it were not there.
fn read<T: serde::de::DeserializeOwned>(params: &Json, name: &str) -> Result<Option<T>, Failure> {
    match params.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => params::read_at(value, &format!("params.{name}")).map(Some),
    }
}
