//! `bigcommerce.create_company`. Names are not unique and a repeat makes a second one, so it is looked for by an extra field
//! that has our value, or by its admin's address; meanwhile nobody else of ours creates the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Value as Json};

use super::extra_fields::pairs;
use super::user::user_of;
use super::{data, made, may_exist, rows, store, text, PATIENCE};
use crate::bigcommerce::{Api, Store};
use crate::deliver::lock::Held;
use crate::deliver::params::{self, Filled, Flag, Id, Text};
use crate::deliver::strategy::{Created, Creation, LookUpFirst, Operation};
use crate::deliver::{Failure, Job, System, Tools};

pub struct Company {
    store: Store,
    tools: Arc<Tools>,
    target: String,
    params: Params,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    name: Filled,
    email: Option<Text>,
    phone: Option<Text>,
    address: Address,
    admin: Admin,
    customer_group_id: Option<Id>,
    catalog_id: Option<Id>,
    channel_ids: Option<Vec<Id>>,
    extra_fields: Option<BTreeMap<String, Text>>,
    #[serde(rename = "match")]
    by: Option<Filled>,
    send_mail: Option<Flag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    line1: Option<Text>,
    line2: Option<Text>,
    city: Option<Text>,
    state: Option<Text>,
    zip: Option<Text>,
    country: Filled,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admin {
    first_name: Filled,
    last_name: Filled,
    email: Filled,
    phone: Option<Text>,
}

impl Operation for Company {
    type Strategy = LookUpFirst<Company>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Company, Failure> {
        let params: Params = params::read(&job.params)?;
        if let Some(Filled(by)) = &params.by {
            let mut fields = params.extra_fields.iter().flatten();
            if !fields.any(|(name, value)| name == by && !value.0.is_empty()) {
                return Err(Failure::dead(format!("params.match: extra_fields gives no value for \"{by}\"")));
            }
        }
        Ok(Company {
            store: store(tools, job)?,
            tools: tools.clone(),
            target: job.target.name.clone(),
            params,
        })
    }
}

impl Company {
    /// The extra field that tells it apart, with its value.
    fn field(&self) -> Option<(&str, &str)> {
        let by = &self.params.by.as_ref()?.0;
        let value = self.params.extra_fields.as_ref()?.get(by)?;
        Some((by, &value.0))
    }

    fn result(id: &Json, user: &Json) -> Json {
        json!({"company_id": id, "customer_id": user, "links": [{"object": "company", "id": text(id)}]})
    }
}

impl Creation for Company {
    async fn lock(&self) -> Result<Option<Held>, Failure> {
        let by = match self.field() {
            Some((name, value)) => format!("{name} {value}"),
            None => self.params.admin.email.0.to_lowercase(),
        };
        let name = format!("{}: company {by}", self.target);
        Ok(Some(self.tools.locks.hold(&name, PATIENCE).await?))
    }

    async fn find(&self) -> Result<Option<Json>, Failure> {
        if let Some((name, wanted)) = self.field() {
            let filter = format!("{name}:{wanted}");
            let query = [
                ("extraFields", filter.as_str()),
                ("extraFieldFilterType", "exact-match"),
                ("isIncludeExtraFields", "1"),
                ("limit", "100"),
            ];
            let answer = self.store.get(Api::B2b, "companies", &query).await?;
            // Filters that an API does not know are ignored, and then everything matches: compared here again.
            let found = rows(&answer).iter().find(|row| {
                let fields = row.get("extraFields").and_then(Json::as_array);
                fields.into_iter().flatten().any(|f| f["fieldName"] == *name && f["fieldValue"] == *wanted)
            });
            if let Some(row) = found {
                return Ok(Some(Company::result(&row["companyId"], &Json::Null)));
            }
        }
        let user = user_of(&self.store, &self.params.admin.email.0).await?;
        Ok(user.map(|user| Company::result(&user["companyId"], &user["customerId"])))
    }

    async fn create(&self) -> Result<Created, Failure> {
        let params = &self.params;
        let Params { admin, address, .. } = params;
        // The specification demands an address and a phone number, the country, and of the admin all but the phone number.
        let mut body = json!({"companyName": params.name.0, "companyEmail": admin.email.0, "companyPhone": "", "country": address.country.0,
            "adminFirstName": admin.first_name.0, "adminLastName": admin.last_name.0, "adminEmail": admin.email.0,
            "acceptCreationEmail": params.send_mail.is_some_and(|flag| flag.0)});
        let mut put = |key: &str, value: &Option<Text>| {
            if let Some(Text(text)) = value.as_ref().filter(|value| !value.0.is_empty()) {
                body[key] = text.clone().into();
            }
        };
        put("companyEmail", &params.email);
        put("companyPhone", &params.phone);
        put("addressLine1", &address.line1);
        put("addressLine2", &address.line2);
        put("city", &address.city);
        put("state", &address.state);
        put("zipCode", &address.zip);
        put("adminPhoneNumber", &admin.phone);
        for (key, id) in [("customerGroupId", params.customer_group_id), ("catalogId", params.catalog_id)] {
            if let Some(id) = id {
                body[key] = id.0.into();
            }
        }
        if let Some(ids) = &params.channel_ids {
            body["channelIds"] = ids.iter().map(|id| id.0).collect();
        }
        if let Some(fields) = &params.extra_fields {
            body["extraFields"] = pairs(fields.iter().map(|(k, v)| (k.as_str(), v.0.as_str())));
        }
        match self.store.call(Method::POST, Api::B2b, "companies", &[], Some(&body)).await {
            Ok(answer) => {
                let id = made(&answer, "companyId")?;
                Ok(Created::New(Company::result(&id, &data(&answer)["customerId"])))
            }
            Err(error) if may_exist(&error) => Ok(Created::Exists(error.into())),
            Err(error) => Err(error.into()),
        }
    }
}
