//! Reading companies. Status and times are strings here; the customer group is a number in lists and a string in details.

use serde_json::{json, Value};

use super::extra;
use super::list::{Asked, Row};
use super::{error, ok};
use crate::bigcommerce::state::{Entity, Fields, Store};
use crate::reply::Reply;
use crate::request::Request;

/// GET /companies
pub fn all(store: &Store, request: &Request) -> Reply {
    let asked = match Asked::read(request, 250) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let with_extra = request.param("isIncludeExtraFields") == Some("1");
    let rows = store
        .companies
        .iter()
        .filter(|(id, company)| asked.passes(company) && matches(store, request, **id, company))
        .map(|(id, entity)| Row { id: *id, entity })
        .collect();
    let (page, total) = asked.page(rows);
    let shown = |row: Row<'_>| {
        let mut data = plain(row.id, row.entity);
        let group = row.entity.int("bcGroupId");
        data.insert("bcGroupId".into(), group.into());
        if !with_extra {
            data.remove("extraFields");
        }
        data
    };
    asked.envelope(page.into_iter().map(shown).collect(), total)
}

fn matches(store: &Store, request: &Request, id: i64, company: &Entity) -> bool {
    let text = |name: &str| request.param(name).filter(|value| !value.is_empty());
    let in_name = |q: &str| {
        let q = q.to_lowercase();
        ["companyName", "companyEmail"].iter().any(|key| company.text(key).to_lowercase().contains(&q))
    };
    let customer = |of: &str| {
        store.users.values().any(|u| u.int("companyId") == id && u.int("customerId").to_string() == of)
    };
    let order = |of: &str| {
        let order = of.parse().ok().and_then(|of: i64| store.b2b_orders.get(&of));
        order.is_some_and(|order| order.int("companyId") == id)
    };
    let field = |pair: &str| {
        let Some((name, wanted)) = pair.split_once(':') else { return false };
        let Some(found) = extra::value(&company.data, name) else { return false };
        match request.param("extraFieldFilterType") {
            Some("exact-match") => found == wanted,
            _ => found.to_lowercase().contains(&wanted.to_lowercase()),
        }
    };
    text("companyStatus").is_none_or(|s| company.int("companyStatus").to_string() == s)
        && text("bcGroupId").is_none_or(|g| company.int("bcGroupId").to_string() == g)
        && text("q").is_none_or(in_name)
        && text("customerId").is_none_or(customer)
        && text("bcOrderId").is_none_or(order)
        && text("extraFields").is_none_or(field)
}

/// GET /companies/{id}
pub fn one(store: &Store, id: i64) -> Reply {
    match store.companies.get(&id) {
        Some(company) => {
            let mut data = plain(id, company);
            data.insert("bcGroupId".into(), company.int("bcGroupId").to_string().into());
            ok(Value::Object(data))
        }
        None => error(404, json!("Company does not exist")),
    }
}

fn plain(id: i64, company: &Entity) -> Fields {
    let mut data = company.with_unix_texts();
    data.insert("companyId".into(), id.into());
    data.insert("companyStatus".into(), company.int("companyStatus").to_string().into());
    for (key, none) in [
        ("companyEmail", json!("")),
        ("companyPhone", json!("")),
        ("bcGroupName", json!("")),
        ("catalogId", json!("")),
        ("catalogName", json!(null)),
        ("uuid", json!(null)),
        ("parentCompany", json!({})),
        ("priceListAssign", json!([])),
        ("extraFields", json!([])),
    ] {
        data.entry(key).or_insert(none);
    }
    data
}

/// GET /companies/extra-fields
pub fn extra_fields(store: &Store) -> Reply {
    let fields = extra::config(&store.company_fields);
    let total = fields.len();
    Reply::json(
        200,
        json!({"code": 200, "data": fields,
            "meta": {"message": "SUCCESS", "pagination": {"totalCount": total, "offset": 0, "limit": total}}}),
    )
}
