//! What a company is set to: its status, its payment terms.

use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Map, Value as Json};

use super::{data, store};
use crate::bigcommerce::{value, Api, Store};
use crate::deliver::params::{self, Flag, Id, Text};
use crate::deliver::strategy::{AbsoluteSet, Operation, Setting};
use crate::deliver::{Failure, Job, System, Tools};

const STATUSES: [&str; 4] = ["pending", "approved", "rejected", "inactive"];

/// `bigcommerce.set_company_status`: an absolute set, which the API itself calls safe to repeat; read first all the same, since
/// it tells webhooks.
pub struct Status {
    store: Store,
    company: i64,
    status: i64,
    /// The statuses it may be set from; empty: any.
    only_if: Vec<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusParams {
    company_id: Id,
    status: Text,
    only_if: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Text>),
    One(Text),
}

impl OneOrMany {
    fn list(&self) -> &[Text] {
        match self {
            OneOrMany::Many(list) => list,
            OneOrMany::One(one) => std::slice::from_ref(one),
        }
    }
}

/// The code of a status, from its word or number.
fn status_code(parameter: &str, written: &Text) -> Result<i64, Failure> {
    let word = written.0.trim().to_lowercase();
    let code = STATUSES.iter().position(|s| *s == word).map(|n| n as i64).or_else(|| word.parse().ok());
    code.filter(|n| (0..4).contains(n)).ok_or_else(|| {
        Failure::dead(format!("params.{parameter}: {} or 0 to 3, not \"{word}\"", STATUSES.join(", ")))
    })
}

impl Operation for Status {
    type Strategy = AbsoluteSet<Status>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Status, Failure> {
        let params: StatusParams = params::read(&job.params)?;
        let status = status_code("status", &params.status)?;
        let only_if = params.only_if.iter().flat_map(OneOrMany::list);
        let only_if = only_if.map(|from| status_code("only_if", from)).collect::<Result<_, _>>()?;
        Ok(Status { store: store(tools, job)?, company: params.company_id.0, status, only_if })
    }
}

impl Setting for Status {
    async fn read(&self) -> Result<Map<String, Json>, Failure> {
        let answer = self.store.get(Api::B2b, &format!("companies/{}", self.company), &[]).await?;
        let status = data(&answer).get("companyStatus").cloned().unwrap_or_default();
        Ok(Map::from_iter([("status".to_owned(), status)]))
    }

    async fn wanted(&self, _: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
        Ok(Map::from_iter([("status".to_owned(), self.status.into())]))
    }

    fn permit(&self, now: &Map<String, Json>) -> Result<(), Failure> {
        let found = now.get("status").and_then(value::int);
        if self.only_if.is_empty() || found.is_some_and(|code| self.only_if.contains(&code)) {
            return Ok(());
        }
        let word = found.and_then(|code| STATUSES.get(code as usize)).copied().unwrap_or("unknown");
        Err(Failure::cancelled(format!("company {} is {word} by now", self.company)))
    }

    async fn write(&self, _: &Map<String, Json>, _: &Map<String, Json>) -> Result<(), Failure> {
        let path = format!("companies/{}/status", self.company);
        let body = json!({"companyStatus": self.status});
        self.store.call(Method::PUT, Api::B2b, &path, &[], Some(&body)).await?;
        Ok(())
    }
}

/// `bigcommerce.set_payment_terms`. Without terms of its own a company's days echo the store's, so they are not compared then.
pub struct Terms {
    store: Store,
    company: i64,
    enabled: bool,
    days: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TermsParams {
    company_id: Id,
    days: Option<Id>,
    enabled: Option<Flag>,
}

impl Operation for Terms {
    type Strategy = AbsoluteSet<Terms>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Terms, Failure> {
        let params: TermsParams = params::read(&job.params)?;
        let enabled = params.enabled.is_none_or(|flag| flag.0);
        let days = params.days.map(|days| days.0);
        if enabled && !days.is_some_and(|days| [0, 5, 15, 30, 45, 60].contains(&days)) {
            let found = days.map_or("nothing".to_owned(), |days| days.to_string());
            return Err(Failure::dead(format!("params.days: 0, 5, 15, 30, 45 or 60, not {found}")));
        }
        Ok(Terms { store: store(tools, job)?, company: params.company_id.0, enabled, days })
    }
}

impl Setting for Terms {
    async fn read(&self) -> Result<Map<String, Json>, Failure> {
        let path = format!("companies/{}/payment-terms", self.company);
        let answer = self.store.get(Api::B2b, &path, &[]).await?;
        let get = |key: &str| data(&answer).get(key).cloned().unwrap_or_default();
        Ok(Map::from_iter([
            ("enabled".to_owned(), get("isEnabled")),
            ("days".to_owned(), get("paymentTerms")),
        ]))
    }

    async fn wanted(&self, _: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
        let mut wanted = Map::from_iter([("enabled".to_owned(), Json::Bool(self.enabled))]);
        if let Some(days) = self.days.filter(|_| self.enabled) {
            wanted.insert("days".into(), days.into());
        }
        Ok(wanted)
    }

    async fn write(&self, now: &Map<String, Json>, _: &Map<String, Json>) -> Result<(), Failure> {
        let path = format!("companies/{}/payment-terms", self.company);
        // The specification demands the number also where it is ignored.
        let days = self.days.filter(|_| self.enabled).or_else(|| now.get("days").and_then(value::int));
        let body = json!({"isEnabled": self.enabled, "paymentTerms": days.unwrap_or_default()});
        self.store.call(Method::PUT, Api::B2b, &path, &[], Some(&body)).await?;
        Ok(())
    }
}
