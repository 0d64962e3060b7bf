//! A request as it came.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

/// A request and what was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, POST, …
    pub method: String,
    /// The path, percent-decoded, without the query.
    pub path: String,
    /// The query's parameters in order, decoded.
    pub query: Vec<(String, String)>,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body's bytes as text.
    pub body: String,
    /// When it had come.
    pub at: Instant,
    /// HTTP status it was answered with; 0 when the connection was closed or is still waiting.
    pub status: u16,
    /// Told by a fault: apply only the first half of a list of changes.
    pub(crate) half: bool,
}

impl Request {
    /// The path cut at its slashes.
    pub fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|part| !part.is_empty()).collect()
    }

    /// A parameter of the query; the last one when it is repeated.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Whether method and path are these; a path that ends in `*` is a beginning.
    pub fn is(&self, method: &str, path: &str) -> bool {
        let fits = match path.strip_suffix('*') {
            Some(beginning) => self.path.starts_with(beginning),
            None => self.path == path,
        };
        fits && self.method == method
    }
}
