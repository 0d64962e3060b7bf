//! Sales staff: who they are, and which companies they look after. No webhook tells of a change.

use serde_json::{json, Value};

use super::list::{Asked, Row};
use super::{error, ok};
use crate::bigcommerce::state::{Entity, Store};
use crate::form::int;
use crate::reply::Reply;
use crate::request::Request;

/// GET /sales-staffs: rows have no time of change, although they can be filtered by it.
pub fn all(store: &Store, request: &Request) -> Reply {
    let asked = match Asked::read(request, 250) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let of_company = |id: i64| {
        let wanted = request.param("companyId").filter(|value| !value.is_empty());
        wanted.is_none_or(|company| company.parse().is_ok_and(|c| store.assignments.contains_key(&(id, c))))
    };
    let rows = store
        .staff
        .iter()
        .filter(|(id, rep)| of_company(**id) && asked.passes(rep))
        .map(|(id, entity)| Row { id: *id, entity })
        .collect();
    let (page, total) = asked.page(rows);
    let shown = |row: Row<'_>| {
        let count = store.assignments.keys().filter(|(rep, _)| *rep == row.id).count();
        let mut data = serde_json::Map::new();
        for key in ["id", "email", "salesRepName", "roleName"] {
            data.insert(key.to_owned(), row.entity.data.get(key).cloned().unwrap_or_default());
        }
        data.insert("companyCount".into(), count.into());
        data
    };
    asked.envelope(page.into_iter().map(shown).collect(), total)
}

/// GET /sales-staffs/{id}
pub fn one(store: &Store, id: i64) -> Reply {
    let Some(rep) = store.staff.get(&id) else { return error(404, json!("Sales staff does not exist")) };
    let companies: Vec<_> = store
        .assignments
        .range((id, 0)..=(id, i64::MAX))
        .map(|((_, company), at)| {
            let known = store.companies.get(company);
            let text = |key: &str| known.map_or("", |c: &Entity| c.text(key)).to_owned();
            json!({"id": company, "bcId": known.map_or(0, |c| c.int("bcGroupId")), "companyName": text("companyName"),
                "bcGroupName": text("bcGroupName"), "assignedAt": at})
        })
        .collect();
    ok(json!({"id": id, "name": rep.data.get("salesRepName"), "email": rep.data.get("email"),
        "phoneNumber": rep.data.get("phoneNumber").cloned().unwrap_or_else(|| json!("")), "assignedCompanies": companies}))
}

/// PUT /sales-staffs/{id}: a list of changes; companies not named stay as they are, so it may be repeated.
pub fn assign(store: &mut Store, request: &Request, id: i64, body: &Value) -> Reply {
    if !store.staff.contains_key(&id) {
        return error(404, json!("Sales staff does not exist"));
    }
    let Some(changes) = body.as_array() else {
        return error(422, json!({"non_field_errors": ["Expected a list of items."]}));
    };
    for (place, change) in changes.iter().enumerate() {
        let company = change.get("companyId").and_then(Value::as_i64).unwrap_or(0);
        if !store.companies.contains_key(&company) {
            return error(422, json!({"companyId": {place.to_string(): ["Company does not exist"]}}));
        }
        if !change.get("assignStatus").is_some_and(Value::is_boolean) {
            return error(422, json!({"assignStatus": {place.to_string(): ["Must be a valid boolean."]}}));
        }
    }
    let now = store.now();
    let taken = if request.half { changes.len() / 2 } else { changes.len() };
    for change in changes.iter().take(taken) {
        let pair = (id, int(change.get("companyId")));
        if change["assignStatus"] == json!(true) {
            store.assignments.entry(pair).or_insert(now);
        } else {
            store.assignments.remove(&pair);
        }
    }
    if let Some(rep) = store.staff.get_mut(&id) {
        rep.updated = now;
    }
    ok(json!({}))
}
