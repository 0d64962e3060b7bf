//! Who may ask for what: tokens, the store's hash, scopes. Each API refuses in its own way.

use serde_json::json;

use super::b2b;
use super::Settings;
use crate::reply::Reply;
use crate::request::Request;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// B2B Edition: modify.
    B2b,
    /// Orders: modify.
    Orders,
    /// Orders: read-only.
    OrdersRead,
    /// Products: modify (price lists too).
    Products,
    /// Products: read-only.
    ProductsRead,
    /// Customers: modify.
    Customers,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 6] = [
        Scope::B2b,
        Scope::Orders,
        Scope::OrdersRead,
        Scope::Products,
        Scope::ProductsRead,
        Scope::Customers,
    ];
}

/// Refuses a request to B2B Edition, or lets it pass.
pub fn b2b(settings: &Settings, request: &Request) -> Option<Reply> {
    // Documented as "unexpected results"; the deprecated header must not be sent beside the new ones.
    if !request.header("authtoken").is_empty() {
        return Some(b2b::error(401, json!("authToken is deprecated: send X-Auth-Token and X-Store-Hash")));
    }
    // Field reports: a missing or mismatched hash is answered with server errors, not a clean 401.
    if request.header("x-store-hash") != settings.store_hash {
        return Some(b2b::error(500, json!("Internal Server Error")));
    }
    if request.header("x-auth-token") != settings.token {
        return Some(b2b::error(401, json!("Unauthorized")));
    }
    // Field reports: a missing scope looks like 401 or 404. 404 misleads more.
    if !settings.scopes.contains(&Scope::B2b) {
        return Some(b2b::error(404, json!("Not found.")));
    }
    json_body(request).map(|what| b2b::error(400, json!(what)))
}

/// Refuses a request to core, or lets it pass.
pub fn core(
    settings: &Settings,
    request: &Request,
    hash: &str,
    version: &str,
    path: &[&str],
) -> Option<Reply> {
    if request.header("x-auth-token") != settings.token {
        return Some(Reply::text(401, "Unauthorized", "text/plain"));
    }
    let reads = request.method == "GET";
    let has = |scope: Scope| settings.scopes.contains(&scope);
    let allowed = match path.first() {
        Some(&"orders") => has(Scope::Orders) || (reads && has(Scope::OrdersRead)),
        Some(&("catalog" | "pricelists")) => has(Scope::Products) || (reads && has(Scope::ProductsRead)),
        Some(&"customers") => has(Scope::Customers),
        _ => true,
    };
    // 403 means the wrong store's hash, or the scope.
    if hash != settings.store_hash || !allowed {
        return Some(match version {
            "v2" => Reply::json(
                403,
                json!([{"status": 403, "message": "You don't have a required scope to access the endpoint"}]),
            ),
            _ => Reply::json(
                403,
                json!({"status": 403, "title": "You don't have a required scope to access the endpoint",
                    "type": "https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes"}),
            ),
        });
    }
    json_body(request).map(|what| match version {
        "v2" => Reply::json(400, json!([{"status": 400, "message": what}])),
        _ => Reply::json(400, json!({"status": 400, "title": what, "type": ""})),
    })
}

/// What is wrong with a body that must be JSON.
fn json_body(request: &Request) -> Option<&'static str> {
    if request.body.is_empty() {
        return None;
    }
    if !request.header("content-type").starts_with("application/json") {
        return Some("The content type must be application/json");
    }
    serde_json::from_str::<serde::de::IgnoredAny>(&request.body).err().map(|_| "JSON parse error")
}
