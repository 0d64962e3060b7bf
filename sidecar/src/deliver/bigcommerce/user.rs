//! `bigcommerce.create_company_user`. An address belongs to one user in all of B2B Edition.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Value as Json};

use super::extra_fields::pairs;
use super::{data, made, may_exist, rows, store, text};
use crate::bigcommerce::{value, Api, Store};
use crate::deliver::params::{self, Filled, Flag, Id, Text};
use crate::deliver::strategy::{Created, Creation, LookUpFirst, Operation};
use crate::deliver::{Failure, Job, System, Tools};

pub struct User {
    store: Store,
    params: Params,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    company_id: Id,
    email: Filled,
    first_name: Filled,
    last_name: Filled,
    phone: Option<Text>,
    role: Option<Text>,
    company_role_id: Option<Id>,
    channel_ids: Option<Vec<Id>>,
    extra_fields: Option<BTreeMap<String, Text>>,
    send_mail: Option<Flag>,
}

const ROLES: [&str; 3] = ["admin", "senior", "junior"];

impl Params {
    fn role(&self) -> Result<i64, Failure> {
        let Some(Text(role)) = &self.role else { return Ok(2) };
        let word = role.trim().to_lowercase();
        let code = ROLES.iter().position(|r| *r == word).map(|n| n as i64).or_else(|| word.parse().ok());
        code.filter(|n| (0..3).contains(n)).ok_or_else(|| {
            Failure::dead(format!("params.role: {} or 0 to 2, not \"{word}\"", ROLES.join(", ")))
        })
    }
}

impl Operation for User {
    type Strategy = LookUpFirst<User>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<User, Failure> {
        let params: Params = params::read(&job.params)?;
        params.role()?;
        Ok(User { store: store(tools, job)?, params })
    }
}

impl User {
    fn result(id: &Json, customer: &Json) -> Json {
        json!({"user_id": id, "customer_id": customer, "links": [{"object": "company_user", "id": text(id)}]})
    }
}

impl Creation for User {
    async fn find(&self) -> Result<Option<Json>, Failure> {
        let Some(user) = user_of(&self.store, &self.params.email.0).await? else { return Ok(None) };
        let company = value::int(&user["companyId"]);
        if company != Some(self.params.company_id.0) {
            let other = company.map_or("another company".to_owned(), |id| format!("company {id}"));
            return Err(Failure::dead(format!(
                "{} is a user of {other} already; the API moves nobody",
                self.params.email.0
            )));
        }
        Ok(Some(User::result(&user["id"], &user["customerId"])))
    }

    async fn create(&self) -> Result<Created, Failure> {
        let params = &self.params;
        let mut body = json!({"companyId": params.company_id.0, "email": params.email.0, "firstName": params.first_name.0,
            "lastName": params.last_name.0, "phoneNumber": params.phone.as_ref().map_or("", |p| p.0.as_str()),
            "role": params.role()?, "acceptWelcomeEmail": params.send_mail.is_some_and(|flag| flag.0),
            "channelIds": params.channel_ids.as_ref().map_or(vec![1], |ids| ids.iter().map(|id| id.0).collect())});
        if let Some(role) = params.company_role_id {
            body["companyRoleId"] = role.0.into();
        }
        if let Some(fields) = &params.extra_fields {
            body["extraFields"] = pairs(fields.iter().map(|(k, v)| (k.as_str(), v.0.as_str())));
        }
        match self.store.call(Method::POST, Api::B2b, "users", &[], Some(&body)).await {
            Ok(answer) => {
                let id = made(&answer, "userId")?;
                Ok(Created::New(User::result(&id, &data(&answer)["bcId"])))
            }
            Err(error) if may_exist(&error) => Ok(Created::Exists(error.into())),
            Err(error) => Err(error.into()),
        }
    }
}

/// The user with this address; capitals do not count.
pub(super) async fn user_of(store: &Store, email: &str) -> Result<Option<Json>, Failure> {
    let answer = store.get(Api::B2b, "users", &[("email", email), ("limit", "100")]).await?;
    let same = |row: &&Json| row["email"].as_str().is_some_and(|e| e.eq_ignore_ascii_case(email));
    Ok(rows(&answer).iter().find(same).cloned())
}
