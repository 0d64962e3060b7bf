//! Google: tokens for service accounts, Sheets v4, and of Drive the version of a file.
//!
//! The signature of a service account is verified for real. Ranges are trimmed as Google trims them, so rows are ragged and
//! `values` may be missing; `append` has the traps of the real one (see [`values`]).

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use ring::signature::{UnparsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use serde_json::{json, Value};

use crate::fault::Faults;
use crate::reply::Reply;
use crate::request::Request;
use crate::server::{Server, Vendor};

mod control;
mod range;
mod structure;
mod values;

/// A running fake of Google. Dropping it ends it.
pub struct Google {
    server: Server<Office>,
    key_pem: String,
}

/// A tab: a grid of cells. What is not there is empty.
#[derive(Debug, Clone)]
pub struct Tab {
    pub id: i64,
    pub title: String,
    pub cells: Vec<Vec<Value>>,
    pub rows: usize,
    pub columns: usize,
}

/// A spreadsheet.
#[derive(Debug, Clone, Default)]
pub struct Spreadsheet {
    /// Whether the service account may see it.
    pub shared: bool,
    pub tabs: Vec<Tab>,
    /// Grows with every change.
    pub version: u64,
}

/// What there is.
#[derive(Default)]
pub struct State {
    pub spreadsheets: BTreeMap<String, Spreadsheet>,
    /// Requests a minute to read, and to write.
    pub limits: Option<(u32, u32)>,
    tokens: Vec<String>,
    next: i64,
}

/// The vendor.
pub struct Office {
    state: Mutex<State>,
    public_key: Vec<u8>,
    address: Mutex<String>,
    window: Mutex<(Option<Instant>, u32, u32)>,
}

const EMAIL: &str = "tradeflow@project.iam.gserviceaccount.com";

impl Google {
    /// Without any spreadsheet, on a free port.
    pub fn start() -> Google {
        Self::on("127.0.0.1:0").unwrap_or_else(|e| panic!("the fake cannot start: {e}"))
    }

    /// The same at an address. Needs `openssl`, which makes the service account's key.
    pub fn on(address: &str) -> std::io::Result<Google> {
        let key = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b"")?;
        let public_key = openssl(&["rsa", "-RSAPublicKey_out", "-outform", "DER"], &key)?;
        let office = Office {
            state: Mutex::default(),
            public_key,
            address: Mutex::default(),
            window: Mutex::default(),
        };
        let google = Google {
            server: Server::start(address, Arc::new(office))?,
            key_pem: String::from_utf8_lossy(&key).into_owned(),
        };
        *google.server.vendor().address.lock().unwrap_or_else(PoisonError::into_inner) = google.url();
        Ok(google)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The service account's key file.
    pub fn key_file(&self) -> String {
        json!({"type": "service_account", "project_id": "project", "private_key_id": "1", "private_key": self.key_pem,
            "client_email": EMAIL, "token_uri": format!("{}/token", self.url())})
        .to_string()
    }

    /// Looks at the spreadsheets, or changes them as people do.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut State) -> T) -> T {
        edit(&mut self.server.vendor().state())
    }

    /// Makes a spreadsheet with one tab, shared with the service account.
    pub fn spreadsheet(&self, id: &str, tab: &str, cells: Value) {
        self.edit(|state| {
            let spreadsheet = state.spreadsheets.entry(id.to_owned()).or_default();
            spreadsheet.shared = true;
            spreadsheet.add(tab, cells);
        });
    }

    /// The cells of a tab.
    pub fn cells(&self, id: &str, tab: &str) -> Vec<Vec<Value>> {
        self.edit(|state| {
            let found = state.spreadsheets[id].tabs.iter().find(|t| t.title == tab);
            found.map(|tab| tab.cells.clone()).unwrap_or_default()
        })
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

fn openssl(arguments: &[&str], input: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(std::io::Error::other(format!("openssl {arguments:?} failed"))),
    }
}

impl Spreadsheet {
    /// Adds a tab with these cells, in a grid of the usual size.
    pub fn add(&mut self, title: &str, cells: Value) -> i64 {
        let rows = cells.as_array().cloned().unwrap_or_default();
        let cells: Vec<Vec<Value>> =
            rows.into_iter().map(|r| r.as_array().cloned().unwrap_or_default()).collect();
        let id = if self.tabs.is_empty() { 0 } else { 1000 + self.tabs.len() as i64 };
        self.tabs.push(Tab { id, title: title.to_owned(), rows: 1000.max(cells.len()), columns: 26, cells });
        self.version += 1;
        id
    }

    /// Sorts a tab's rows below its header by a column, as people do.
    pub fn sort(&mut self, tab: &str, column: usize) {
        self.version += 1;
        if let Some(tab) = self.tabs.iter_mut().find(|t| t.title == tab) {
            let key = |row: &Vec<Value>| row.get(column).map(Value::to_string).unwrap_or_default();
            if tab.cells.len() > 2 {
                tab.cells[1..].sort_by_key(key);
            }
        }
    }
}

impl Tab {
    fn cell(&self, row: usize, column: usize) -> Value {
        self.cells.get(row).and_then(|r| r.get(column)).cloned().unwrap_or_default()
    }

    fn put(&mut self, row: usize, column: usize, value: Value) {
        if self.cells.len() <= row {
            self.cells.resize(row + 1, Vec::new());
        }
        let cells = &mut self.cells[row];
        if cells.len() <= column {
            cells.resize(column + 1, Value::Null);
        }
        cells[column] = value;
    }

    /// How many rows have anything in them, up to the last.
    fn used(&self) -> usize {
        self.cells.iter().rposition(|row| row.iter().any(|c| !empty(c))).map_or(0, |last| last + 1)
    }
}

fn empty(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

impl Office {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// POST /token: a statement signed with the account's key becomes a token.
    fn token(&self, request: &Request) -> Reply {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
        let invalid =
            |what: &str| Reply::json(400, json!({"error": "invalid_grant", "error_description": what}));
        if form.get("grant_type").map(String::as_str) != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
            return Reply::json(
                400,
                json!({"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}),
            );
        }
        let assertion = form.get("assertion").cloned().unwrap_or_default();
        let parts: Vec<&str> = assertion.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else { return invalid("Invalid JWT") };
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        let json = |part: &str| serde_json::from_slice::<Value>(&decoded(part)).unwrap_or_default();
        let signed = format!("{header}.{claims}");
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key);
        if json(header)["alg"] != "RS256" || key.verify(signed.as_bytes(), &decoded(signature)).is_err() {
            return invalid("Invalid JWT Signature.");
        }
        let claims = json(claims);
        let audience = format!("{}/token", self.address.lock().unwrap_or_else(PoisonError::into_inner));
        let now = chrono::Utc::now().timestamp();
        let (issued, ends) = (claims["iat"].as_i64().unwrap_or(0), claims["exp"].as_i64().unwrap_or(0));
        if claims["iss"] != EMAIL || claims["aud"] != *audience {
            return invalid("Invalid JWT: iss or aud");
        }
        if issued > now + 60 || ends < now || ends - issued > 3600 {
            return invalid(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            );
        }
        if !claims["scope"].as_str().unwrap_or_default().contains("/auth/spreadsheets") {
            return Reply::json(
                400,
                json!({"error": "invalid_scope", "error_description": "Invalid OAuth scope"}),
            );
        }
        let mut state = self.state();
        state.next += 1;
        let token = format!("ya29.fake-{}", state.next);
        state.tokens.push(token.clone());
        Reply::json(200, json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}))
    }

    fn throttled(&self, writes: bool) -> bool {
        let Some((reads, most)) = self.state().limits else { return false };
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.0.is_none_or(|began| began.elapsed() >= Duration::from_secs(60)) {
            *window = (Some(Instant::now()), 0, 0);
        }
        if writes {
            window.2 += 1;
            window.2 > most
        } else {
            window.1 += 1;
            window.1 > reads
        }
    }
}

impl State {
    /// Takes all tokens back.
    pub fn revoke(&mut self) {
        self.tokens.clear();
    }
}

/// An error as Google writes it.
fn error(code: u16, status: &str, message: &str) -> Reply {
    Reply::json(code, json!({"error": {"code": code, "message": message, "status": status}}))
}

impl Vendor for Office {
    fn answer(&self, request: &Request) -> Reply {
        if request.is("POST", "/token") {
            return self.token(request);
        }
        if let ["_fake", rest @ ..] = request.segments().as_slice() {
            return control::answer(&mut self.state(), request, rest);
        }
        let token = request.header("authorization").strip_prefix("Bearer ").unwrap_or_default().to_owned();
        if !self.state().tokens.contains(&token) {
            return error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
        }
        if self.throttled(request.method != "GET") {
            return error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Read requests'");
        }
        let segments = request.segments();
        let (id, rest) = match segments.as_slice() {
            ["v4", "spreadsheets", id, rest @ ..] => (*id, rest),
            ["drive", "v3", "files", id] => (*id, &[] as &[&str]),
            _ => return error(404, "NOT_FOUND", "Requested entity was not found."),
        };
        let (id, action) = id.split_once(':').map_or((id, ""), |(id, action)| (id, action));
        let mut state = self.state();
        let Some(spreadsheet) = state.spreadsheets.get_mut(id) else {
            return error(404, "NOT_FOUND", "Requested entity was not found.");
        };
        if !spreadsheet.shared {
            return error(403, "PERMISSION_DENIED", "The caller does not have permission");
        }
        if segments[0] == "drive" {
            return Reply::json(
                200,
                json!({"version": spreadsheet.version.to_string(), "modifiedTime": "2026-01-01T00:00:00.000Z"}),
            );
        }
        match (request.method.as_str(), action, rest) {
            ("GET", "", []) => structure::properties(id, spreadsheet),
            ("POST", "batchUpdate", []) => structure::update(id, spreadsheet, &request.json()),
            ("GET", "", ["values", range]) => values::get(spreadsheet, range),
            ("GET", "", ["values:batchGet"]) => values::batch_get(id, spreadsheet, request),
            ("PUT", "", ["values", range]) => values::update(spreadsheet, range, request),
            ("POST", "", ["values:batchUpdate"]) => values::batch_update(id, spreadsheet, request),
            ("POST", "", ["values", range]) if range.ends_with(":append") => {
                values::append(spreadsheet, range.trim_end_matches(":append"), request)
            }
            _ => error(404, "NOT_FOUND", "Method not found."),
        }
    }
}
