//! HubSpot: properties, records, owners, pipelines and associations of the CRM, on the dated paths.
//!
//! What is copied from the vendor's documentation: texts as values, ids as texts beyond 32 bits, unique properties, batches of
//! 100 that are refused as a whole when two inputs are one record or a property is unknown, limits with their policies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::fault::Faults;
use crate::reply::Reply;
use crate::request::Request;
use crate::server::{Server, Vendor};

mod objects;

/// A running fake of HubSpot. Dropping it ends it.
pub struct HubSpot {
    server: Server<Account>,
}

/// A record.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub properties: BTreeMap<String, String>,
    /// (type, id) of the records it is associated with.
    pub associated: BTreeSet<(String, String)>,
    pub updated: u64,
}

/// What an account holds.
pub struct Crm {
    /// By type: the properties there are, and whether each is unique.
    pub properties: BTreeMap<String, BTreeMap<String, bool>>,
    /// By type and id.
    pub records: BTreeMap<String, BTreeMap<String, Record>>,
    /// (id, address)
    pub owners: Vec<(String, String)>,
    pub pipelines: Value,
    /// What the token may do; all at first.
    pub scopes: BTreeSet<String>,
    /// Requests allowed in a window; none counts nothing.
    pub limit: Option<(u32, Duration)>,
    next: u64,
    clock: u64,
}

/// The vendor.
pub struct Account {
    token: String,
    crm: Mutex<Crm>,
    window: Mutex<(Option<Instant>, u32)>,
}

/// A limit's headers.
type Told = [(&'static str, String); 3];

/// The types of record there are.
pub const TYPES: [&str; 3] = ["deals", "contacts", "companies"];

impl HubSpot {
    /// An account with the usual properties, a sales pipeline and two owners.
    pub fn start() -> HubSpot {
        Self::on("127.0.0.1:0").unwrap_or_else(|e| panic!("the fake cannot start: {e}"))
    }

    /// The same at an address; port 0 takes a free one.
    pub fn on(address: &str) -> std::io::Result<HubSpot> {
        let account =
            Account { token: "hs-test-token".into(), crm: Mutex::new(Crm::new()), window: Mutex::default() };
        Ok(HubSpot { server: Server::start(address, Arc::new(account))? })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The token a client must send.
    pub fn token(&self) -> String {
        self.server.vendor().token.clone()
    }

    /// Looks at the account, or changes it as people in the application do.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Crm) -> T) -> T {
        edit(&mut self.server.vendor().crm())
    }

    /// What is to go wrong.
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// Waits until the process is ended.
    pub fn join(self) {
        self.server.join();
    }
}

impl Crm {
    fn new() -> Crm {
        let names =
            |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), false)).collect::<BTreeMap<_, _>>();
        let mut properties = BTreeMap::new();
        let deals =
            ["dealname", "dealstage", "pipeline", "amount", "closedate", "hubspot_owner_id", "description"];
        properties.insert("deals".to_owned(), names(&deals));
        let contacts =
            ["firstname", "lastname", "phone", "company", "jobtitle", "hubspot_owner_id", "lifecyclestage"];
        let mut contacts = names(&contacts);
        contacts.insert("email".into(), true);
        properties.insert("contacts".to_owned(), contacts);
        let companies = ["name", "domain", "phone", "city", "country", "industry", "hubspot_owner_id"];
        properties.insert("companies".to_owned(), names(&companies));
        let stage = |id: &str, label: &str, order: i64, closed: bool| {
            json!({"id": id, "label": label, "displayOrder": order,
            "metadata": {"isClosed": closed.to_string(), "probability": "0.5"}, "archived": false})
        };
        // Not in their order: displayOrder counts.
        let stages = json!([
            stage("closedwon", "Closed won", 3, true),
            stage("appointmentscheduled", "Quote draft", 0, false),
            stage("qualifiedtobuy", "Quote sent", 1, false),
            stage("contractsent", "Negotiation", 2, false),
            stage("closedlost", "Closed lost", 4, true)
        ]);
        Crm {
            properties,
            records: TYPES.iter().map(|t| ((*t).to_owned(), BTreeMap::new())).collect(),
            owners: vec![
                ("70001".into(), "anna@example.com".into()),
                ("70002".into(), "ben@example.com".into()),
            ],
            pipelines: json!([{"id": "default", "label": "Sales Pipeline", "displayOrder": 0, "stages": stages, "archived": false}]),
            scopes: TYPES
                .iter()
                .flat_map(|t| [format!("crm.objects.{t}.read"), format!("crm.objects.{t}.write")])
                .chain(TYPES.iter().map(|t| format!("crm.schemas.{t}.write")))
                .chain(["crm.objects.owners.read".to_owned()])
                .collect(),
            limit: None,
            // Beyond 32 bits, as real ones are.
            next: 9_100_000_001,
            clock: 0,
        }
    }

    /// The records of a type.
    pub fn all(&self, object: &str) -> &BTreeMap<String, Record> {
        &self.records[object]
    }

    /// The record whose property has this value.
    pub fn find(&self, object: &str, property: &str, value: &str) -> Option<(&String, &Record)> {
        self.records.get(object)?.iter().find(|(_, r)| r.properties.get(property).is_some_and(|v| v == value))
    }

    /// Makes a record, as people do.
    pub fn add(&mut self, object: &str, properties: &[(&str, &str)]) -> String {
        let id = self.next.to_string();
        self.next += 1;
        self.clock += 1;
        let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let record = Record { properties, updated: self.clock, ..Record::default() };
        self.records.entry(object.to_owned()).or_default().insert(id.clone(), record);
        id
    }
}

impl Account {
    fn crm(&self) -> MutexGuard<'_, Crm> {
        self.crm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the headers of an answer say, none without a limit. Too many requests: the answer names its policy, and no Retry-After.
    fn counted(&self) -> Result<Option<Told>, Reply> {
        let Some((most, length)) = self.crm().limit else { return Ok(None) };
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if window.0.is_none_or(|began| now.duration_since(began) >= length) {
            *window = (Some(now), 0);
        }
        window.1 += 1;
        if window.1 <= most {
            return Ok(Some([
                ("X-HubSpot-RateLimit-Max", most.to_string()),
                ("X-HubSpot-RateLimit-Remaining", (most - window.1).to_string()),
                ("X-HubSpot-RateLimit-Interval-Milliseconds", length.as_millis().to_string()),
            ]));
        }
        let policy = if length <= Duration::from_secs(1) { "SECONDLY" } else { "TEN_SECONDLY_ROLLING" };
        let mut reply = error(429, "RATE_LIMITS", "You have reached your limit.");
        if let crate::reply::Body::Json(body) = &mut reply.body {
            body["policyName"] = policy.into();
            body["errorType"] = "RATE_LIMIT".into();
        }
        Err(reply)
    }
}

/// An error as HubSpot writes it.
fn error(status: u16, category: &str, message: &str) -> Reply {
    Reply::json(
        status,
        json!({"status": "error", "category": category, "message": message, "correlationId": "00000000-0000-4000-8000-00000000c0de"}),
    )
}

impl Vendor for Account {
    fn answer(&self, request: &Request) -> Reply {
        let told = match self.counted() {
            Ok(told) => told,
            Err(refused) => return refused,
        };
        let reply = self.respond(request);
        // Answers to searches, which have a limit of their own, say nothing of it.
        let told = told.filter(|_| !request.path.ends_with("/search"));
        told.into_iter().flatten().fold(reply, |reply, (name, value)| reply.header(name, value))
    }
}

impl Account {
    fn respond(&self, request: &Request) -> Reply {
        if request.header("authorization") != format!("Bearer {}", self.token) {
            return error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.");
        }
        if !request.body.is_empty() && serde_json::from_str::<serde::de::IgnoredAny>(&request.body).is_err() {
            return error(400, "VALIDATION_ERROR", "Invalid input JSON");
        }
        let (crm, body) = (&mut self.crm(), request.json());
        let segments = request.segments();
        if let Some(scope) = scope(request, &segments).filter(|scope| !crm.scopes.contains(scope)) {
            return lacks(&scope);
        }
        match (request.method.as_str(), segments.as_slice()) {
            (_, ["crm", _, version, ..]) if *version != "2026-09" => {
                error(404, "OBJECT_NOT_FOUND", &format!("There is no version {version}"))
            }
            ("GET", ["crm", "owners", _]) => owners(crm, request),
            ("GET", ["crm", "pipelines", _, "deals"]) => Reply::json(200, json!({"results": crm.pipelines})),
            ("GET", ["crm", "properties", _, object, name]) => property(crm, object, name),
            ("POST", ["crm", "properties", _, object]) => create_property(crm, object, &body),
            (_, ["crm", "objects", _, object, ..]) if !TYPES.contains(object) => {
                error(400, "VALIDATION_ERROR", &format!("Unable to infer object type from: {object}"))
            }
            ("GET", ["crm", "objects", _, object]) => objects::all(crm, object, request),
            ("POST", ["crm", "objects", _, object]) => objects::create(crm, object, &body),
            ("POST", ["crm", "objects", _, object, "batch", "upsert"]) => {
                objects::upsert(crm, object, &body, request.half)
            }
            ("POST", ["crm", "objects", _, object, "batch", "read"]) => objects::read(crm, object, &body),
            ("POST", ["crm", "objects", _, object, "search"]) => objects::search(crm, object, &body),
            ("GET", ["crm", "objects", _, object, id]) => objects::one(crm, object, id, request),
            ("PATCH", ["crm", "objects", _, object, id]) => objects::update(crm, object, id, request),
            ("PUT", ["crm", "objects", _, from, id, "associations", "default", to, other]) => {
                objects::associate(crm, (*from, *id), (*to, *other))
            }
            _ => error(404, "OBJECT_NOT_FOUND", "Not found"),
        }
    }
}

/// What a request takes, as the vendor's documentation of scopes lists it. A batch read is a read, whatever its method.
fn scope(request: &Request, segments: &[&str]) -> Option<String> {
    match segments {
        ["crm", "owners", ..] => Some("crm.objects.owners.read".to_owned()),
        ["crm", "properties", _, object] if request.method == "POST" => {
            Some(format!("crm.schemas.{object}.write"))
        }
        ["crm", "objects", _, object, rest @ ..] if TYPES.contains(object) => {
            let reads = request.method == "GET" || rest.last() == Some(&"read");
            Some(format!("crm.objects.{object}.{}", if reads { "read" } else { "write" }))
        }
        _ => None,
    }
}

fn lacks(scope: &str) -> Reply {
    let mut reply = error(
        403,
        "MISSING_SCOPES",
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.",
    );
    if let crate::reply::Body::Json(body) = &mut reply.body {
        body["errors"] = json!([{"message": "One or more of the following scopes are required.", "context": {"requiredGranularScopes": [scope]}}]);
    }
    reply
}

fn owners(crm: &Crm, request: &Request) -> Reply {
    let limit = request.param("limit").and_then(|l| l.parse().ok()).unwrap_or(100).min(500);
    let from: usize = request.param("after").and_then(|a| a.parse().ok()).unwrap_or(0);
    let row = |(id, email): &(String, String)| json!({"id": id, "email": email, "type": "PERSON", "userId": 1, "archived": false});
    let results: Vec<Value> = crm.owners.iter().skip(from).take(limit).map(row).collect();
    let next = from + results.len();
    let mut page = json!({"results": results});
    if next < crm.owners.len() {
        page["paging"] = json!({"next": {"after": next.to_string()}});
    }
    Reply::json(200, page)
}

fn property(crm: &Crm, object: &str, name: &str) -> Reply {
    match crm.properties.get(object).and_then(|all| all.get(name)) {
        Some(unique) => Reply::json(
            200,
            json!({"name": name, "label": name, "type": "string", "fieldType": "text", "hasUniqueValue": unique}),
        ),
        None => error(404, "OBJECT_NOT_FOUND", &format!("Property {name} does not exist")),
    }
}

fn create_property(crm: &mut Crm, object: &str, body: &Value) -> Reply {
    for field in ["name", "label", "type", "fieldType", "groupName"] {
        if !body[field].is_string() {
            return error(400, "VALIDATION_ERROR", &format!("{field} is required"));
        }
    }
    let name = body["name"].as_str().unwrap_or_default();
    let Some(all) = crm.properties.get_mut(object) else {
        return error(400, "VALIDATION_ERROR", "unknown object type");
    };
    if all.contains_key(name) {
        return error(409, "CONFLICT", &format!("A property named '{name}' already exists."));
    }
    let unique = body["hasUniqueValue"] == json!(true);
    if unique && all.values().filter(|unique| **unique).count() >= 10 {
        return error(400, "VALIDATION_ERROR", "The limit of unique properties is reached");
    }
    all.insert(name.to_owned(), unique);
    Reply::json(201, body.clone())
}
