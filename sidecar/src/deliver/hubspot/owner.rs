//! `hubspot.set_owner`: who looks after a record. It waits for the record to be there; an address without an owner is dead, so
//! that a person sees it.

use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Map, Value as Json};

use super::{account, Account};
use crate::deliver::params::{self, Filled};
use crate::deliver::strategy::{AbsoluteSet, Operation, Setting};
use crate::deliver::{Failure, Job, System, Tools};
use crate::hubspot::VERSION;

pub struct SetOwner {
    account: Arc<Account>,
    object: String,
    id: Option<String>,
    key: Option<(String, String)>,
    owner: Owner,
}

enum Owner {
    Id(String),
    Email(String),
    Nobody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    object: Filled,
    id: Option<Filled>,
    key: Option<Filled>,
    key_property: Option<Filled>,
    owner_email: Option<Json>,
    owner_id: Option<Filled>,
}

impl Operation for SetOwner {
    type Strategy = AbsoluteSet<SetOwner>;
    const SYSTEM: System = System::HubSpot;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<SetOwner, Failure> {
        let params: Params = params::read(&job.params)?;
        let (object, usual) = match params.object.0.as_str() {
            "deal" | "deals" => ("deals", "bc_quote_id"),
            "contact" | "contacts" => ("contacts", "bc_user_id"),
            "company" | "companies" => ("companies", "bc_company_id"),
            other => {
                return Err(Failure::dead(format!(
                    "params.object: deals, contacts or companies, not \"{other}\""
                )))
            }
        };
        let property = params.key_property.map_or_else(|| usual.to_owned(), |p| p.0);
        let (id, key) = (params.id.map(|id| id.0), params.key.map(|key| (property, key.0)));
        if id.is_some() == key.is_some() {
            return Err(Failure::dead("params: id or key, one of them"));
        }
        let owner =
            match (params.owner_id, params.owner_email) {
                (Some(id), None) => Owner::Id(id.0),
                (None, Some(Json::String(email))) if !email.trim().is_empty() => Owner::Email(email),
                (None, Some(Json::Null | Json::String(_))) => Owner::Nobody,
                _ => return Err(Failure::dead(
                    "params: owner_email or owner_id, one of them; an empty owner_email takes the owner away",
                )),
            };
        Ok(SetOwner { account: account(tools, job)?, object: object.to_owned(), id, key, owner })
    }
}

impl SetOwner {
    fn query(&self) -> Vec<(&str, &str)> {
        self.key.iter().map(|(property, _)| ("idProperty", property.as_str())).collect()
    }

    fn path(&self) -> [&str; 5] {
        let record =
            self.id.as_deref().or(self.key.as_ref().map(|(_, key)| key.as_str())).unwrap_or_default();
        ["crm", "objects", VERSION, self.object.as_str(), record]
    }

    fn missing(&self, error: crate::api::Error) -> Failure {
        if error.is(404) {
            Failure::not_yet(format!("HubSpot has no record {} of {} (yet)", self.path()[4], self.object))
        } else {
            error.into()
        }
    }
}

impl Setting for SetOwner {
    async fn read(&self) -> Result<Map<String, Json>, Failure> {
        if let Some((property, _)) = &self.key {
            self.account.ensure_unique(&self.object, property).await?;
        }
        let mut query = self.query();
        query.push(("properties", "hubspot_owner_id"));
        let read = self.account.api.call(Method::GET, &self.path(), &query, None).await;
        let answer = read.map_err(|error| self.missing(error))?;
        let owner = answer.body["properties"]["hubspot_owner_id"].clone();
        Ok(Map::from_iter([("hubspot_owner_id".to_owned(), owner)]))
    }

    async fn wanted(&self, _: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
        let id = match &self.owner {
            Owner::Id(id) => id.clone(),
            Owner::Email(email) => self.account.owner(email).await?,
            Owner::Nobody => String::new(),
        };
        Ok(Map::from_iter([("hubspot_owner_id".to_owned(), id.into())]))
    }

    async fn write(&self, _: &Map<String, Json>, differing: &Map<String, Json>) -> Result<(), Failure> {
        let body = json!({"properties": differing});
        let written = self.account.api.call(Method::PATCH, &self.path(), &self.query(), Some(&body)).await;
        written.map(drop).map_err(|error| self.missing(error))
    }
}
