//! An answer as it goes out.

use serde_json::Value;

/// Status, headers and body of an answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

/// What a body holds.
#[derive(Debug, Clone)]
pub enum Body {
    Empty,
    Json(Value),
    /// JSON that is written already.
    Raw(String),
    /// Text and its content type.
    Text(String, &'static str),
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: Value) -> Reply {
        Reply { status, headers: Vec::new(), body: Body::Json(body) }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Body::Empty }
    }

    /// A text of some type.
    pub fn text(status: u16, text: &str, content_type: &'static str) -> Reply {
        Reply { status, headers: Vec::new(), body: Body::Text(text.to_owned(), content_type) }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Reply {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The body's bytes and their type.
    pub fn bytes(&self) -> (String, &'static str) {
        match &self.body {
            Body::Empty => (String::new(), ""),
            Body::Json(value) => (value.to_string(), "application/json"),
            Body::Raw(text) => (text.clone(), "application/json"),
            Body::Text(text, content_type) => (text.clone(), content_type),
        }
    }
}
