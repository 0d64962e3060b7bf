//! HubSpot's CRM API, on its dated paths.
//!
//! Property values are texts, record ids are texts, and which record is meant is said by a unique property of ours.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{json, Value as Json};
use url::Url;

use crate::api::{self, Answer, Call, Error, Kind};

const NAME: &str = "HubSpot";

/// The version in every path; HubSpot supports one for 18 months.
pub const VERSION: &str = "2026-09";

/// The most inputs of a batch.
pub const BATCH: usize = 100;

/// The most results of a page of a search, and of all its pages together.
const SEARCHED: usize = 200;
const FOUND: usize = 10_000;

/// One account's API.
pub struct HubSpot {
    client: reqwest::Client,
    base: Url,
    token: HeaderValue,
    timeout: Duration,
}

/// A pipeline's stages in their order.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub id: String,
    pub label: String,
    pub stages: Vec<Stage>,
}

/// A stage of a pipeline.
#[derive(Debug, Clone)]
pub struct Stage {
    pub id: String,
    pub label: String,
    /// Won or lost: nothing comes after it.
    pub closed: bool,
}

impl HubSpot {
    /// `base_url` is `https://api.hubapi.com`.
    pub fn new(
        base_url: &str,
        token: &SecretString,
        client: reqwest::Client,
        timeout: Duration,
    ) -> Result<HubSpot, String> {
        let base = Url::parse(base_url.trim_end_matches('/'))
            .map_err(|e| format!("base_url {base_url} is no URL ({e}); write https://api.hubapi.com"))?;
        let mut secret = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| "the token holds a character that no header may have".to_owned())?;
        secret.set_sensitive(true);
        Ok(HubSpot { client, base, token: secret, timeout })
    }

    /// Sends a request; success is any 2xx.
    pub async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Answer, Error> {
        let mut url = self.base.clone();
        api::go_to(&mut url, path, query);
        let mut headers = HeaderMap::new();
        headers.insert("authorization", self.token.clone());
        let described = api::described(NAME, &method, &url);
        let call = Call { api: NAME, method, url, headers, body, timeout: self.timeout };
        judge(api::send(&self.client, call).await?, &described)
    }

    /// Reads one record of a type (`deals`), or one of the `owners`: whether the token may.
    pub async fn look(&self, part: &str) -> Result<(), Error> {
        let path = match part {
            "owners" => vec!["crm", "owners", VERSION],
            object => vec!["crm", "objects", VERSION, object],
        };
        self.call(Method::GET, &path, &[("limit", "1")], None).await.map(drop)
    }

    /// Makes sure that objects of a type have a unique property of this name.
    pub async fn ensure_unique(&self, object: &str, name: &str) -> Result<(), Error> {
        match self.call(Method::GET, &["crm", "properties", VERSION, object, name], &[], None).await {
            Ok(answer) if answer.body["hasUniqueValue"] == json!(true) => return Ok(()),
            Ok(_) => return Err(self.not_unique(object, name)),
            Err(error) if error.is(404) => {}
            Err(error) => return Err(error),
        }
        let group = match object {
            "deals" => "dealinformation",
            "contacts" => "contactinformation",
            _ => "companyinformation",
        };
        let body = json!({"name": name, "label": name, "type": "string", "fieldType": "text", "groupName": group,
            "hasUniqueValue": true, "description": "Written by tradeflow; identifies the record."});
        match self.call(Method::POST, &["crm", "properties", VERSION, object], &[], Some(&body)).await {
            // 409: another sidecar was quicker.
            Ok(_) => Ok(()),
            Err(error) if error.is(409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn not_unique(&self, object: &str, name: &str) -> Error {
        Error {
            kind: Kind::Refused(0),
            call: format!("{NAME}: property {name} of {object}"),
            message: "it exists but is not unique, and cannot become so; name another key_property".into(),
            wait: None,
            body: Json::Null,
        }
    }

    /// The ids of active owners by their addresses in lower case.
    pub async fn owners(&self) -> Result<HashMap<String, String>, Error> {
        let mut owners = HashMap::new();
        let mut after = String::new();
        loop {
            let mut query = vec![("limit", "100")];
            if !after.is_empty() {
                query.push(("after", after.as_str()));
            }
            let answer = self.call(Method::GET, &["crm", "owners", VERSION], &query, None).await?;
            for owner in answer.body["results"].as_array().into_iter().flatten() {
                if let (Some(email), Some(id)) = (owner["email"].as_str(), owner["id"].as_str()) {
                    owners.insert(email.to_lowercase(), id.to_owned());
                }
            }
            match answer.body.pointer("/paging/next/after").and_then(Json::as_str) {
                Some(next) if next != after => after = next.to_owned(),
                _ => return Ok(owners),
            }
        }
    }

    /// The pipelines of deals.
    pub async fn pipelines(&self) -> Result<Vec<Pipeline>, Error> {
        let answer = self.call(Method::GET, &["crm", "pipelines", VERSION, "deals"], &[], None).await?;
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let order = |json: &Json| json["displayOrder"].as_i64().unwrap_or(i64::MAX);
        let mut pipelines: Vec<&Json> = answer.body["results"].as_array().into_iter().flatten().collect();
        pipelines.sort_by_key(|p| order(p));
        let read = |pipeline: &Json| {
            let mut stages: Vec<&Json> = pipeline["stages"].as_array().into_iter().flatten().collect();
            stages.sort_by_key(|s| order(s));
            let stage = |stage: &Json| {
                let closed = stage.pointer("/metadata/isClosed");
                let closed = closed.and_then(crate::bigcommerce::value::flag).unwrap_or(false);
                Stage { id: text(&stage["id"]), label: text(&stage["label"]), closed }
            };
            Pipeline {
                id: text(&pipeline["id"]),
                label: text(&pipeline["label"]),
                stages: stages.into_iter().map(stage).collect(),
            }
        };
        Ok(pipelines.into_iter().map(read).collect())
    }

    /// Records by the values of a unique property: the value, the record's id and its asked properties. What is not there
    /// is not among them.
    pub async fn read(
        &self,
        object: &str,
        key_property: &str,
        keys: &[&str],
        properties: &[&str],
    ) -> Result<HashMap<String, Json>, Error> {
        let mut found = HashMap::new();
        for part in keys.chunks(BATCH) {
            let mut wanted = properties.to_vec();
            wanted.push(key_property);
            let inputs: Vec<Json> = part.iter().map(|key| json!({"id": key})).collect();
            // The specification demands propertiesWithHistory, also when none is wanted.
            let body = json!({"idProperty": key_property, "properties": wanted, "propertiesWithHistory": [], "inputs": inputs});
            let path = ["crm", "objects", VERSION, object, "batch", "read"];
            let answer = match self.call(Method::POST, &path, &[], Some(&body)).await {
                Ok(answer) => answer,
                // None of them is there.
                Err(error) if error.is(404) => continue,
                Err(error) => return Err(error),
            };
            for record in answer.body["results"].as_array().into_iter().flatten() {
                if let Some(key) = record["properties"][key_property].as_str() {
                    found.insert(key.to_owned(), record.clone());
                }
            }
        }
        Ok(found)
    }

    /// Records that have one of these values (written small) in a property, oldest first, with two properties each.
    /// The search lags behind by moments: it finds what people made, and never decides about what was written just now.
    pub async fn search(
        &self,
        object: &str,
        property: &str,
        values: &[String],
        wanted: &str,
    ) -> Result<Vec<Json>, Error> {
        let path = ["crm", "objects", VERSION, object, "search"];
        let filter = json!({"propertyName": property, "operator": "IN", "values": values});
        let (mut records, mut after) = (Vec::new(), "0".to_owned());
        loop {
            // The specification demands all of these, and has a sort as the property's name.
            let body = json!({"filterGroups": [{"filters": [filter]}], "properties": [wanted, property], "limit": SEARCHED,
                "after": after, "sorts": ["hs_object_id"]});
            let answer = self.call(Method::POST, &path, &[], Some(&body)).await?;
            records.extend(answer.body["results"].as_array().into_iter().flatten().cloned());
            match answer.body.pointer("/paging/next/after").and_then(Json::as_str) {
                Some(next) if next != after && records.len() < FOUND => after = next.to_owned(),
                _ => return Ok(records),
            }
        }
    }
}

/// Success, or what there is instead.
fn judge(answer: Answer, described: &str) -> Result<Answer, Error> {
    let status = answer.status;
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    let mut wait = answer.retry_after();
    let kind = match status {
        401 | 403 => Kind::Denied(status),
        // A record's lock, and an account's migration.
        423 => {
            wait = wait.max(Some(Duration::from_secs(2)));
            Kind::Busy(status)
        }
        408 | 425 | 477 => {
            wait = wait.or(Some(Duration::from_secs(60)));
            Kind::Busy(status)
        }
        429 => {
            let policy = answer.body["policyName"].as_str().unwrap_or_default();
            wait = wait.or(Some(match policy {
                "SECONDLY" => Duration::from_secs(1),
                // Until the account's midnight, which is not said.
                "DAILY" => Duration::from_secs(3600),
                _ => Duration::from_secs(10),
            }));
            Kind::Throttled
        }
        500.. => Kind::Failed(status),
        _ => Kind::Refused(status),
    };
    let text = |key: &str| answer.body[key].as_str();
    let mut message =
        text("message").map_or_else(|| api::beginning(answer.body.to_string().as_bytes()), str::to_owned);
    if let Some(id) = text("correlationId") {
        message.push_str(&format!(" (correlation id {id})"));
    }
    Err(Error { kind, call: described.to_owned(), message, wait, body: answer.body })
}
