//! Creating and changing companies.

use serde_json::{json, Value};

use super::{error, extra, ok, users};
use crate::bigcommerce::state::{CompanyMode, Entity, Fields, Store};
use crate::form::{int, Form};
use crate::reply::Reply;
use crate::request::Request;

/// Plain texts of a company. An address is stored, and shown in details.
const TEXTS: [&str; 9] = [
    "companyName",
    "companyEmail",
    "companyPhone",
    "addressLine1",
    "addressLine2",
    "city",
    "state",
    "zipCode",
    "country",
];
const ADMIN: [&str; 4] = ["adminFirstName", "adminLastName", "adminEmail", "adminPhoneNumber"];

/// POST /companies: a company and its admin. Not idempotent: names are not unique.
pub fn create(store: &mut Store, body: &Value) -> Reply {
    match make(store, body) {
        Ok(made) => {
            store.tell("store/company/created", json!({"company_id": made["companyId"]}));
            let user = json!({"company_id": made["companyId"], "user_id": made["userId"]});
            store.tell("store/company/user/created", user);
            let (company, customer, group) =
                (&made["companyId"], &made["customerId"], &made["customerGroupId"]);
            ok(json!({"companyId": company, "customerId": customer, "customerGroupId": group}))
        }
        Err(wrong) => error(422, wrong),
    }
}

fn make(store: &mut Store, body: &Value) -> Result<Value, Value> {
    let mut form = Form::new(body);
    // What the specification demands; of the phone number it is not said whether it may be empty.
    form.require(&[
        "companyName",
        "companyEmail",
        "country",
        "adminFirstName",
        "adminLastName",
        "adminEmail",
    ]);
    if !form.has("companyPhone") {
        form.wrong("companyPhone", "This field is required.");
    }
    let mut data = texts(&mut form);
    for key in ADMIN {
        form.text(key);
    }
    let group = form.int("customerGroupId").unwrap_or(0);
    if form.has("customerGroupId") && store.company_mode == CompanyMode::Dependent {
        form.wrong("customerGroupId", "Not allowed in the store's company mode.");
    }
    let admin = form.text("adminEmail").unwrap_or_default().to_owned();
    users::check_email(store, &mut form, "adminEmail", 0);
    form.flag("acceptCreationEmail");
    let pairs = form.get("extraFields").map(|value| extra::read(&store.company_fields, value));
    let pairs = match pairs {
        None if store.company_fields.iter().any(|field| field.required) => {
            extra::read(&store.company_fields, &json!([])).map(Some)
        }
        None => Ok(None),
        Some(read) => read.map(Some),
    };
    let pairs = pairs.unwrap_or_else(|wrong| {
        wrong.iter().for_each(|message| form.wrong("extraFields", message));
        None
    });
    if let Some(wrong) = form.failed() {
        return Err(wrong);
    }
    let id = store.next_id("company");
    let group = match store.company_mode {
        CompanyMode::Dependent => store.next_id("group"),
        CompanyMode::Independent => group,
    };
    data.insert("companyId".into(), id.into());
    // New companies wait for approval, unless the store approves all of them; the API's own are approved.
    data.insert("companyStatus".into(), "1".into());
    data.insert("bcGroupId".into(), group.into());
    extra::merge(&mut data, pairs.unwrap_or_default());
    store.companies.insert(id, Entity::new(store.now(), Value::Object(data)));
    let field = |key: &str| body.get(key).cloned().unwrap_or_else(|| json!(""));
    let row = json!({"companyId": id, "email": admin, "firstName": field("adminFirstName"),
        "lastName": field("adminLastName"), "phoneNumber": field("adminPhoneNumber"), "role": 0, "companyRoleId": 1});
    let (user, customer) = users::add(store, row);
    Ok(json!({"companyId": id, "userId": user, "customerId": customer, "customerGroupId": group}))
}

fn texts(form: &mut Form<'_>) -> Fields {
    TEXTS.iter().filter_map(|key| Some(((*key).to_owned(), form.text(key)?.into()))).collect()
}

/// PUT /companies/{id}: what is named changes.
pub fn update(store: &mut Store, id: i64, body: &Value) -> Reply {
    match change(store, id, body) {
        Ok(()) => {
            store.tell("store/company/updated", json!({"company_id": id}));
            ok(json!({"companyId": id}))
        }
        Err((code, wrong)) => error(code, wrong),
    }
}

fn change(store: &mut Store, id: i64, body: &Value) -> Result<(), (u16, Value)> {
    if !store.companies.contains_key(&id) {
        return Err((404, json!("Company does not exist")));
    }
    let mut form = Form::new(body);
    let mut data = texts(&mut form);
    if let Some(uuid) = form.text("uuid") {
        data.insert("uuid".into(), uuid.into());
    }
    if form.text("companyName").is_some_and(str::is_empty) {
        form.wrong("companyName", "This field may not be blank.");
    }
    if form.has("priceListAssign") && store.company_mode == CompanyMode::Independent {
        form.wrong("priceListAssign", "Not allowed in the store's company mode.");
    }
    if let Some(group) = form.int("customerGroupId") {
        match store.company_mode {
            CompanyMode::Independent => drop(data.insert("bcGroupId".into(), group.into())),
            CompanyMode::Dependent => {
                form.wrong("customerGroupId", "Not allowed in the store's company mode.")
            }
        }
    }
    let mut pairs = Vec::new();
    if let Some(value) = form.get("extraFields") {
        match extra::read(&store.company_fields, value) {
            Ok(read) => pairs = read,
            Err(wrong) => wrong.iter().for_each(|message| form.wrong("extraFields", message)),
        }
    }
    if let Some(wrong) = form.failed() {
        return Err((422, wrong));
    }
    let now = store.now();
    if let Some(company) = store.companies.get_mut(&id) {
        company.data.extend(data);
        extra::merge(&mut company.data, pairs);
        company.updated = now;
    }
    Ok(())
}

/// The most companies in one bulk request.
const BULK: usize = 10;

/// PUT /companies/bulk. The specification types the body as an object, the prose says a list: a list is taken.
pub fn update_bulk(store: &mut Store, request: &Request, body: &Value) -> Reply {
    let items = match bulk(body) {
        Ok(items) => items,
        Err(refused) => return refused,
    };
    let mut errors = Vec::new();
    let taken = if request.half { items.len() / 2 } else { items.len() };
    for item in items.iter().take(taken) {
        let id = int(item.get("companyId"));
        match change(store, id, item) {
            Ok(()) => store.tell("store/company/updated", json!({"company_id": id})),
            Err((_, wrong)) => errors.push(json!({"id": id, "_detail": wrong})),
        }
    }
    match errors.is_empty() {
        true => ok(json!({})),
        false => {
            let meta = json!({"message": "Validation failed"});
            Reply::json(422, json!({"code": 422, "data": {"errors": errors}, "meta": meta}))
        }
    }
}

/// POST /companies/bulk: no webhook tells of these.
pub fn create_bulk(store: &mut Store, request: &Request, body: &Value) -> Reply {
    let items = match bulk(body) {
        Ok(items) => items,
        Err(refused) => return refused,
    };
    let (mut made, mut errors) = (Vec::new(), Vec::new());
    let taken = if request.half { items.len() / 2 } else { items.len() };
    for (place, item) in items.iter().enumerate().take(taken) {
        match make(store, item) {
            Ok(ids) => made.push(json!({"companyId": ids["companyId"]})),
            Err(wrong) => errors.push(json!({"id": place, "_detail": wrong})),
        }
    }
    if errors.is_empty() {
        Reply::json(200, json!({"code": 200, "data": {}, "meta": made}))
    } else {
        Reply::json(
            422,
            json!({"code": 422, "data": {"errors": errors}, "meta": {"message": "Validation failed"}}),
        )
    }
}

fn bulk(body: &Value) -> Result<&Vec<Value>, Reply> {
    let Some(items) = body.as_array() else {
        return Err(error(422, json!({"non_field_errors": ["Expected a list of items."]})));
    };
    if items.len() > BULK {
        return Err(error(413, json!("The number of items must not exceed 10")));
    }
    Ok(items)
}

/// PUT /companies/{id}/status: an absolute set.
pub fn status(store: &mut Store, id: i64, body: &Value) -> Reply {
    let mut form = Form::new(body);
    form.require(&["companyStatus"]);
    let wanted = form.get("companyStatus").map(|value| int(Some(value)));
    let known = wanted.is_some_and(|code| (0..=3).contains(&code));
    let typed = form.get("companyStatus").is_some_and(|value| value.is_i64() || value.is_string());
    if form.errors.is_empty() && !(known && typed) {
        form.wrong("companyStatus", "Not a valid choice.");
    }
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    let now = store.now();
    let Some(company) = store.companies.get_mut(&id) else {
        return error(404, json!("Company does not exist"));
    };
    company.data.insert("companyStatus".into(), wanted.unwrap_or_default().to_string().into());
    company.updated = now;
    store.tell("store/company/statusUpdated", json!({"company_id": id}));
    ok(json!({}))
}

/// PUT /companies/{id}/catalogs: only where companies depend on customer groups.
pub fn catalog(store: &mut Store, id: i64, body: &Value) -> Reply {
    if store.company_mode == CompanyMode::Independent {
        return error(405, json!("Not allowed in the store's company mode"));
    }
    let now = store.now();
    let Some(company) = store.companies.get_mut(&id) else {
        return error(404, json!("Company does not exist"));
    };
    company.data.insert("catalogId".into(), int(body.get("catalogId")).to_string().into());
    company.updated = now;
    ok(json!({}))
}
