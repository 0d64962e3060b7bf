//! Webhook registrations V3: HTTPS on port 443 only, unique per scope and destination, at most ten of a scope.

use serde_json::{json, Value};

use super::error;
use super::page::paged;
use crate::bigcommerce::events::known_scope;
use crate::bigcommerce::state::{Entity, Fields, Store};
use crate::reply::Reply;
use crate::request::Request;

/// Most registrations of one scope.
const OF_A_SCOPE: usize = 10;

fn shown(hook: &Entity) -> Value {
    let mut data = hook.data.clone();
    data.insert("created_at".into(), hook.created.into());
    data.insert("updated_at".into(), hook.updated.into());
    Value::Object(data)
}

/// GET /v3/hooks
pub fn all(store: &Store, request: &Request) -> Reply {
    let active = request.param("is_active").map(|text| text == "true");
    let rows: Vec<&Entity> = store
        .hooks
        .values()
        .filter(|hook| active.is_none_or(|active| hook.data["is_active"] == json!(active)))
        .filter(|hook| request.param("scope").is_none_or(|scope| hook.text("scope") == scope))
        .filter(|hook| request.param("destination").is_none_or(|to| hook.text("destination") == to))
        .collect();
    paged(request, &rows, 250, |hook| shown(hook))
}

/// GET /v3/hooks/{id}
pub fn one(store: &Store, id: i64) -> Reply {
    match store.hooks.get(&id) {
        Some(hook) => Reply::json(200, json!({"data": shown(hook), "meta": {}})),
        None => error(404, "Webhook not found", json!({})),
    }
}

/// GET /v3/hooks/admin
pub fn admin(store: &Store) -> Reply {
    let hooks: Vec<_> = store
        .hooks
        .values()
        .map(|hook| {
            let active = hook.data["is_active"] == json!(true);
            json!({"id": hook.data["id"], "status": if active { "active" } else { "deactivated" }})
        })
        .collect();
    Reply::json(200, json!({"data": {"hooks_list": hooks, "blocked_domains": []}, "meta": {}}))
}

fn check(store: &Store, body: &Value, own: i64) -> Result<Fields, Reply> {
    let refuse = |message: &str| Err(error(422, message, json!({})));
    let mut data = Fields::new();
    if let Some(scope) = body.get("scope") {
        match scope.as_str().filter(|scope| known_scope(scope)) {
            Some(scope) => drop(data.insert("scope".into(), scope.into())),
            None => return refuse("The scope is not valid."),
        }
    }
    if let Some(destination) = body.get("destination") {
        let url = destination.as_str().and_then(|text| url::Url::parse(text).ok());
        match url.filter(|url| url.scheme() == "https" && url.port_or_known_default() == Some(443)) {
            Some(_) => drop(data.insert("destination".into(), destination.clone())),
            None => return refuse("The destination must be an HTTPS address on port 443."),
        }
    }
    if let Some(headers) = body.get("headers").filter(|headers| !headers.is_null()) {
        let texts = headers.as_object().is_some_and(|headers| headers.values().all(Value::is_string));
        if !texts {
            return refuse("headers must be an object of strings.");
        }
        data.insert("headers".into(), headers.clone());
    }
    if let Some(active) = body.get("is_active") {
        if !active.is_boolean() {
            return refuse("is_active must be true or false.");
        }
        data.insert("is_active".into(), active.clone());
    }
    let before = store.hooks.get(&own);
    let text = |key: &str| {
        let new = data.get(key).and_then(Value::as_str);
        new.or(before.map(|hook| hook.text(key))).unwrap_or_default().to_owned()
    };
    let (scope, destination) = (text("scope"), text("destination"));
    let others = store.hooks.iter().filter(|(id, hook)| **id != own && hook.text("scope") == scope);
    let others: Vec<_> = others.map(|(_, hook)| hook.text("destination")).collect();
    if others.contains(&destination.as_str()) {
        return refuse("A webhook with this scope and destination exists already.");
    }
    if others.len() >= OF_A_SCOPE {
        return refuse("The limit of webhooks of this scope is reached.");
    }
    Ok(data)
}

/// POST /v3/hooks
pub fn create(store: &mut Store, body: &Value) -> Reply {
    if body.get("scope").is_none() || body.get("destination").is_none() {
        return error(422, "scope and destination are required.", json!({}));
    }
    match check(store, body, 0) {
        Ok(mut data) => {
            let id = store.next_id("hook");
            data.insert("id".into(), id.into());
            data.entry("is_active").or_insert(json!(true));
            data.entry("headers").or_insert(json!({}));
            store.hooks.insert(id, Entity::new(store.now(), Value::Object(data)));
            one(store, id)
        }
        Err(refused) => refused,
    }
}

/// PUT /v3/hooks/{id}
pub fn update(store: &mut Store, id: i64, body: &Value) -> Reply {
    if !store.hooks.contains_key(&id) {
        return error(404, "Webhook not found", json!({}));
    }
    match check(store, body, id) {
        Ok(data) => {
            let now = store.now();
            if let Some(hook) = store.hooks.get_mut(&id) {
                hook.data.extend(data);
                hook.updated = now;
            }
            one(store, id)
        }
        Err(refused) => refused,
    }
}

/// DELETE /v3/hooks/{id}
pub fn delete(store: &mut Store, id: i64) -> Reply {
    match store.hooks.remove(&id) {
        Some(hook) => Reply::json(200, json!({"data": shown(&hook), "meta": {}})),
        None => error(404, "Webhook not found", json!({})),
    }
}
