//! Buyers of companies. An e-mail address belongs to one user in the whole of B2B Edition.

use serde_json::{json, Value};

use super::list::{Asked, Row};
use super::{error, ok};
use crate::bigcommerce::state::{Entity, Fields, Store};
use crate::form::Form;
use crate::reply::Reply;
use crate::request::Request;

/// GET /users: no sort parameter; the newest change comes first.
pub fn all(store: &Store, request: &Request) -> Reply {
    let mut asked = match Asked::read(request, 250) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    asked.newest_first();
    let with_extra = request.param("isIncludeExtraFields") == Some("1");
    let text = |name: &str| request.param(name).filter(|value| !value.is_empty());
    let rows = store
        .users
        .iter()
        .filter(|(_, user)| {
            asked.passes(user)
                && text("companyId").is_none_or(|of| user.int("companyId").to_string() == of)
                && text("email").is_none_or(|email| user.text("email").eq_ignore_ascii_case(email))
        })
        .map(|(id, entity)| Row { id: *id, entity })
        .collect();
    let (page, total) = asked.page(rows);
    let shown = |row: Row<'_>| {
        let mut data = plain(row.id, row.entity);
        if !with_extra {
            data.remove("extraFields");
        }
        data
    };
    asked.envelope(page.into_iter().map(shown).collect(), total)
}

fn plain(id: i64, user: &Entity) -> Fields {
    let mut data = user.with_unix_times();
    data.insert("id".into(), id.into());
    data
}

/// GET /users/{id}
pub fn one(store: &Store, id: i64) -> Reply {
    match store.users.get(&id) {
        Some(user) => ok(Value::Object(plain(id, user))),
        None => error(404, json!("User does not exist")),
    }
}

/// GET /users/customer/{customerId}
pub fn of_customer(store: &Store, customer: i64) -> Reply {
    match store.users.iter().find(|(_, user)| user.int("customerId") == customer) {
        Some((id, user)) => ok(Value::Object(plain(*id, user))),
        None => error(404, json!("User does not exist")),
    }
}

/// Notes an address that is none, or is somebody else's.
pub fn check_email(store: &Store, form: &mut Form<'_>, key: &str, own: i64) {
    let Some(email) = form.text(key) else { return };
    let valid = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if !valid || email.contains(' ') {
        form.wrong(key, "Enter a valid email address.");
    } else if store.users.iter().any(|(id, u)| *id != own && u.text("email").eq_ignore_ascii_case(email)) {
        form.wrong(key, "This email already exists.");
    }
}

/// Adds a user and, where there is none with that address, a core customer. Returns both ids.
pub fn add(store: &mut Store, mut row: Value) -> (i64, i64) {
    let now = store.now();
    let email = row["email"].as_str().unwrap_or_default().to_owned();
    let known = store.customers.iter().find(|(_, c)| c.text("email").eq_ignore_ascii_case(&email));
    let customer = known.map(|(id, _)| *id);
    let customer = customer.unwrap_or_else(|| {
        let id = store.next_id("customer");
        let data = json!({"id": id, "email": email, "first_name": row["firstName"], "last_name": row["lastName"],
            "company": "", "customer_group_id": 0, "phone": "", "store_credit_amounts": [{"amount": 0}]});
        store.customers.insert(id, Entity::new(now, data));
        id
    });
    let id = store.next_id("user");
    if let Some(fields) = row.as_object_mut() {
        fields.insert("id".into(), id.into());
        fields.insert("customerId".into(), customer.into());
        fields.insert("uuid".into(), Value::Null);
        let channels = json!([{"channelId": 1, "channelName": "B2B Store"}]);
        fields.entry("channelList").or_insert(channels);
        fields.entry("phoneNumber").or_insert(json!(""));
        fields.entry("extraFields").or_insert(json!([]));
    }
    store.users.insert(id, Entity::new(now, row));
    (id, customer)
}

/// Checks the parts that creating and changing share.
fn check(store: &Store, form: &mut Form<'_>, own: i64) -> Fields {
    let mut data = Fields::new();
    for key in ["email", "firstName", "lastName", "phoneNumber", "uuid"] {
        data.extend(form.text(key).map(|text| (key.to_owned(), text.into())));
    }
    check_email(store, form, "email", own);
    if let Some(role) = form.int("role") {
        if (0..=2).contains(&role) {
            data.insert("role".into(), role.into());
            data.insert("companyRoleId".into(), (role + 1).into());
        } else {
            form.wrong("role", "Not a valid choice.");
        }
    }
    // A custom role wins, and shows as a junior buyer.
    if let Some(role) = form.int("companyRoleId") {
        data.insert("companyRoleId".into(), role.into());
        data.insert("role".into(), (if (1..=3).contains(&role) { role - 1 } else { 2 }).into());
    }
    if let Some(channels) = form.list("channelIds") {
        if channels.iter().any(|id| !id.is_i64()) {
            form.wrong("channelIds", "A valid integer is required.");
        }
        let list: Vec<_> =
            channels.iter().map(|id| json!({"channelId": id, "channelName": "B2B Store"})).collect();
        data.insert("channelList".into(), list.into());
    }
    form.flag("acceptWelcomeEmail");
    data.extend(form.list("extraFields").map(|fields| ("extraFields".to_owned(), json!(fields))));
    data
}

/// POST /users
pub fn create(store: &mut Store, body: &Value) -> Reply {
    let mut form = Form::new(body);
    form.require(&["companyId", "email", "firstName", "lastName", "channelIds"]);
    if !form.has("role") && !form.has("companyRoleId") {
        form.wrong("role", "This field is required.");
    }
    let company = form.int("companyId").unwrap_or(0);
    if company > 0 && !store.companies.contains_key(&company) {
        form.wrong("companyId", "Company does not exist");
    }
    let mut data = check(store, &mut form, 0);
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    data.insert("companyId".into(), company.into());
    let (user, customer) = add(store, Value::Object(data));
    store.tell("store/company/user/created", json!({"company_id": company, "user_id": user}));
    ok(json!({"userId": user, "bcId": customer}))
}

/// PUT /users/{id}: a user cannot move to another company; the key is ignored.
pub fn update(store: &mut Store, id: i64, body: &Value) -> Reply {
    if !store.users.contains_key(&id) {
        return error(404, json!("User does not exist"));
    }
    let mut form = Form::new(body);
    let data = check(store, &mut form, id);
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    store.patch_user(id, Value::Object(data));
    ok(json!({"userId": id}))
}

/// DELETE /users/{id}: refuses a company's last user.
pub fn delete(store: &mut Store, id: i64) -> Reply {
    let Some(user) = store.users.get(&id) else { return error(404, json!("User does not exist")) };
    let company = user.int("companyId");
    if store.users.values().filter(|other| other.int("companyId") == company).count() == 1 {
        return error(400, json!("The last user of a company cannot be deleted"));
    }
    store.delete("user", id);
    ok(json!({}))
}
