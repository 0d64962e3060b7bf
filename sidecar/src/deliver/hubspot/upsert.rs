//! `hubspot.upsert_deal`, `.upsert_contact`, `.upsert_company`.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{json, Map, Value as Json};

use super::batch::{self, Associate, Item, Other};
use super::{account, Account};
use crate::deliver::params::{self, Filled, Flag, Text};
use crate::deliver::strategy::{self, Operation, UpsertByKey};
use crate::deliver::{Failure, Job, System, Tools};

/// A type of record.
pub trait Object: Send + Sync + 'static {
    /// As paths name it.
    const PLURAL: &'static str;
    /// As links name it.
    const SINGULAR: &'static str;
    /// The unique property unless another is given.
    const KEY: &'static str;
}

macro_rules! object {
    ($name:ident, $plural:literal, $singular:literal, $key:literal) => {
        #[doc = concat!("Records of type ", $plural, ".")]
        pub struct $name;
        impl Object for $name {
            const PLURAL: &'static str = $plural;
            const SINGULAR: &'static str = $singular;
            const KEY: &'static str = $key;
        }
    };
}
object!(Deals, "deals", "deal", "bc_quote_id");
object!(Contacts, "contacts", "contact", "bc_user_id");
object!(Companies, "companies", "company", "bc_company_id");

/// One record to be written.
pub struct Upsert<O> {
    tools: Arc<Tools>,
    account: Arc<Account>,
    target: String,
    item: Item,
    owner: Option<String>,
    object: PhantomData<O>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    key: Filled,
    key_property: Option<Filled>,
    #[serde(rename = "match")]
    adopt: Option<Text>,
    #[serde(default)]
    properties: BTreeMap<String, Json>,
    owner_email: Option<Text>,
    pipeline: Option<Filled>,
    stage: Option<Filled>,
    forward_only: Option<Flag>,
    associate: Option<Vec<AssociateParams>>,
    always: Option<Flag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssociateParams {
    to: Filled,
    id: Option<Text>,
    key: Option<Text>,
    key_property: Option<Filled>,
    required: Option<Flag>,
}

impl<O: Object> Operation for Upsert<O> {
    type Strategy = UpsertByKey<Upsert<O>>;
    const SYSTEM: System = System::HubSpot;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Upsert<O>, Failure> {
        let params: Params = params::read(&job.params)?;
        let key_property = params.key_property.map_or_else(|| O::KEY.to_owned(), |p| p.0);
        if key_property == "hs_object_id" || key_property == "email" {
            return Err(Failure::dead(format!(
                "params.key_property: {key_property} cannot be it (partial upserts by it are not supported); name a unique property of your own"
            )));
        }
        if O::PLURAL != "deals" && (params.stage.is_some() || params.pipeline.is_some()) {
            return Err(Failure::dead("params: stage and pipeline are those of deals"));
        }
        if params.pipeline.is_some() && params.stage.is_none() {
            return Err(Failure::dead("params.pipeline: which stage of it? give params.stage too"));
        }
        let staged = ["dealstage", "pipeline"].into_iter().find(|name| params.properties.contains_key(*name));
        if let Some(name) =
            staged.filter(|_| params.stage.is_some() || params.forward_only.is_some_and(|flag| flag.0))
        {
            return Err(Failure::dead(format!(
                "params.properties.{name}: give params.stage instead, which forward_only is about"
            )));
        }
        let properties = params
            .properties
            .into_iter()
            .map(|(name, value)| {
                Ok((
                    name.clone(),
                    property(&value)
                        .map_err(|why| Failure::dead(format!("params.properties.{name}: {why}")))?,
                ))
            })
            .collect::<Result<BTreeMap<_, _>, Failure>>()?;
        let associate =
            params.associate.unwrap_or_default().into_iter().map(associate).collect::<Result<_, _>>()?;
        let adopt = params.adopt.map(|property| property.0).filter(|property| !property.trim().is_empty());
        if let Some(property) = adopt.as_ref().filter(|property| !properties.contains_key(*property)) {
            return Err(Failure::dead(format!("params.match: params.properties has no \"{property}\"")));
        }
        let item = Item {
            object: O::PLURAL,
            key: params.key.0,
            key_property,
            adopt,
            properties,
            stage: params.stage.map(|stage| stage.0),
            pipeline: params.pipeline.map(|pipeline| pipeline.0),
            forward_only: params.forward_only.is_some_and(|flag| flag.0),
            associate,
            always: params.always.is_some_and(|flag| flag.0),
        };
        let owner = params.owner_email.map(|email| email.0).filter(|email| !email.trim().is_empty());
        let target = job.target.name.clone();
        Ok(Upsert {
            tools: tools.clone(),
            account: account(tools, job)?,
            target,
            item,
            owner,
            object: PhantomData,
        })
    }
}

/// A property's value is a text; null leaves it as it is out of the request would, and "" clears it.
fn property(value: &Json) -> Result<String, String> {
    match value {
        Json::Null => Ok(String::new()),
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) => Ok(number.to_string()),
        Json::Bool(flag) => Ok(flag.to_string()),
        other => Err(format!("text, not {other}")),
    }
}

fn associate(params: AssociateParams) -> Result<Associate, Failure> {
    let object = match params.to.0.as_str() {
        "deal" | "deals" => ("deals", Deals::KEY),
        "contact" | "contacts" => ("contacts", Contacts::KEY),
        "company" | "companies" => ("companies", Companies::KEY),
        other => {
            return Err(Failure::dead(format!(
                "params.associate.to: deals, contacts or companies, not \"{other}\""
            )))
        }
    };
    let filled = |text: Option<Text>| text.map(|t| t.0).filter(|t| !t.trim().is_empty());
    let other = match (filled(params.id), filled(params.key)) {
        (Some(id), _) => Other::Id(id),
        (None, Some(key)) => {
            let property = params.key_property.map_or_else(|| object.1.to_owned(), |p| p.0);
            Other::Key { property, value: key }
        }
        (None, None) => Other::Nobody,
    };
    Ok(Associate { to: object.0, other, required: params.required.is_none_or(|flag| flag.0) })
}

impl<O: Object> strategy::Upsert for Upsert<O> {
    async fn upsert(&self) -> Result<Json, Failure> {
        let mut item = self.item.clone();
        if let Some(email) = &self.owner {
            item.properties.insert("hubspot_owner_id".into(), self.account.owner(email).await?);
        }
        self.account.ensure_unique(O::PLURAL, &item.key_property).await?;
        let key = item.key.clone();
        let (written, hash) = item.fingerprint();
        let outcome = batch::submit(&self.tools, &self.account, &self.target, item, hash.clone()).await?;
        let mut result = Map::from_iter([
            ("id".to_owned(), json!(outcome.id)),
            ("created".to_owned(), json!(outcome.created)),
            ("skipped".to_owned(), json!(outcome.skipped)),
        ]);
        if let Some(stage) = outcome.stage_kept {
            result.insert("stage_kept".into(), stage.into());
        }
        result.insert("links".into(), json!([{"object": O::SINGULAR, "id": outcome.id}]));
        result.insert(
            "pushed".into(),
            json!([{"object": O::SINGULAR, "id": key, "hash": hash, "values": written}]),
        );
        Ok(Json::Object(result))
    }
}
