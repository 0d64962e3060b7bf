//! Companies and their users: status, payment terms, creation.

use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Map, Value as Json};

use super::{data, rows, store, PATIENCE};
use crate::bigcommerce::{value, Api, Store};
use crate::deliver::lock::Held;
use crate::deliver::params::{self, Filled, Flag, Id, Text};
use crate::deliver::strategy::{AbsoluteSet, Created, Creation, LookUpFirst, Operation, Setting};
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

    async fn write(&self, _: &Map<String, Json>, _: &Map<String, Json>) -> Result<(), Failure> {
        let path = format!("companies/{}/payment-terms", self.company);
        let body = match self.days.filter(|_| self.enabled) {
            Some(days) => json!({"isEnabled": true, "paymentTerms": days}),
            None => json!({"isEnabled": self.enabled}),
        };
        self.store.call(Method::PUT, Api::B2b, &path, &[], Some(&body)).await?;
        Ok(())
    }
}

/// `bigcommerce.create_company`. Names are not unique and a repeat makes a second one, so it is looked for by an extra field
/// that has our value, or by its admin's address; meanwhile nobody else of ours creates the same.
pub struct Company {
    store: Store,
    tools: Arc<Tools>,
    target: String,
    params: CompanyParams,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompanyParams {
    name: Filled,
    email: Option<Text>,
    phone: Option<Text>,
    address: Option<Address>,
    admin: Option<Admin>,
    customer_group_id: Option<Id>,
    catalog_id: Option<Id>,
    channel_ids: Option<Vec<Id>>,
    extra_fields: Option<std::collections::BTreeMap<String, Text>>,
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
    country: Option<Text>,
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
        let params: CompanyParams = params::read(&job.params)?;
        let fields = params.extra_fields.iter().flatten();
        match &params.by {
            Some(Filled(by))
                if !fields.into_iter().any(|(name, value)| name == by && !value.0.is_empty()) =>
            {
                return Err(Failure::dead(format!("params.match: extra_fields gives no value for \"{by}\"")));
            }
            None if params.admin.is_none() => {
                return Err(Failure::dead(
                    "params: give match or admin: without either, a repeat could not find the company",
                ));
            }
            _ => {}
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
        let by = match (self.field(), &self.params.admin) {
            (Some((name, value)), _) => format!("{name} {value}"),
            (None, Some(admin)) => admin.email.0.to_lowercase(),
            (None, None) => self.params.name.0.clone(),
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
        let Some(admin) = &self.params.admin else { return Ok(None) };
        let user = user_of(&self.store, &admin.email.0).await?;
        Ok(user.map(|user| Company::result(&user["companyId"], &user["customerId"])))
    }

    async fn create(&self) -> Result<Created, Failure> {
        let params = &self.params;
        let mut body = Map::new();
        body.insert("companyName".into(), params.name.0.clone().into());
        body.insert("acceptCreationEmail".into(), params.send_mail.is_some_and(|flag| flag.0).into());
        // The specification demands both.
        let email = params.admin.as_ref().map_or("", |admin| admin.email.0.as_str());
        body.insert("companyEmail".into(), email.into());
        body.insert("companyPhone".into(), "".into());
        let mut put = |key: &str, value: &Option<Text>| {
            if let Some(Text(text)) = value {
                body.insert(key.to_owned(), text.clone().into());
            }
        };
        put("companyEmail", &params.email);
        put("companyPhone", &params.phone);
        if let Some(address) = &params.address {
            put("addressLine1", &address.line1);
            put("addressLine2", &address.line2);
            put("city", &address.city);
            put("state", &address.state);
            put("zipCode", &address.zip);
            put("country", &address.country);
        }
        if let Some(admin) = &params.admin {
            put("adminPhoneNumber", &admin.phone);
            body.insert("adminFirstName".into(), admin.first_name.0.clone().into());
            body.insert("adminLastName".into(), admin.last_name.0.clone().into());
            body.insert("adminEmail".into(), admin.email.0.clone().into());
        }
        for (key, id) in [("customerGroupId", params.customer_group_id), ("catalogId", params.catalog_id)] {
            body.extend(id.map(|id| (key.to_owned(), id.0.into())));
        }
        if let Some(ids) = &params.channel_ids {
            body.insert("channelIds".into(), ids.iter().map(|id| id.0).collect());
        }
        if let Some(fields) = &params.extra_fields {
            body.insert("extraFields".into(), pairs(fields.iter().map(|(k, v)| (k.as_str(), v.0.as_str()))));
        }
        match self.store.call(Method::POST, Api::B2b, "companies", &[], Some(&Json::Object(body))).await {
            Ok(answer) => {
                let made = data(&answer);
                if value::int(&made["companyId"]).is_none() {
                    return Err(Failure::retry("the company was created, but its id is not in the answer"));
                }
                Ok(Created::New(Company::result(&made["companyId"], &made["customerId"])))
            }
            Err(error) if says_exists(&error) => Ok(Created::Exists(error.into())),
            Err(error) => Err(error.into()),
        }
    }
}

/// `bigcommerce.create_company_user`. An address belongs to one user in all of B2B Edition.
pub struct User {
    store: Store,
    params: UserParams,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserParams {
    company_id: Id,
    email: Filled,
    first_name: Filled,
    last_name: Filled,
    phone: Option<Text>,
    role: Option<Text>,
    company_role_id: Option<Id>,
    channel_ids: Option<Vec<Id>>,
    extra_fields: Option<std::collections::BTreeMap<String, Text>>,
    send_mail: Option<Flag>,
}

const ROLES: [&str; 3] = ["admin", "senior", "junior"];

impl UserParams {
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
        let params: UserParams = params::read(&job.params)?;
        params.role()?;
        Ok(User { store: store(tools, job)?, params })
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
        Ok(Some(json!({"user_id": user["id"], "customer_id": user["customerId"],
            "links": [{"object": "company_user", "id": text(&user["id"])}]})))
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
                let made = data(&answer);
                Ok(Created::New(json!({"user_id": made["userId"], "customer_id": made["bcId"],
                    "links": [{"object": "company_user", "id": text(&made["userId"])}]})))
            }
            Err(error) if says_exists(&error) => Ok(Created::Exists(error.into())),
            Err(error) => Err(error.into()),
        }
    }
}

/// The user with this address; capitals do not count.
async fn user_of(store: &Store, email: &str) -> Result<Option<Json>, Failure> {
    let answer = store.get(Api::B2b, "users", &[("email", email), ("limit", "100")]).await?;
    let same = |row: &&Json| row["email"].as_str().is_some_and(|e| e.eq_ignore_ascii_case(email));
    Ok(rows(&answer).iter().find(same).cloned())
}

/// Whether a refusal says that it is there already.
pub(super) fn says_exists(error: &crate::api::Error) -> bool {
    (error.is(400) || error.is(409) || error.is(422)) && error.message.to_lowercase().contains("exist")
}

/// Extra fields as they are written.
pub(super) fn pairs<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Json {
    fields.map(|(name, value)| json!({"fieldName": name, "fieldValue": value})).collect()
}

/// An id as text.
pub(super) fn text(id: &Json) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}
