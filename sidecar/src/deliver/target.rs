//! A row of `tradeflow.targets`.

use std::time::Duration;

use serde_json::Value as Json;

/// How a destination is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Smtp,
    Http,
}

impl System {
    /// As `targets.system` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            System::Smtp => "smtp",
            System::Http => "http",
        }
    }
}

/// A destination. `revision` changes with every change of the row.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub name: String,
    pub revision: String,
    pub system: System,
    pub base_url: String,
    pub secret: Option<String>,
    pub username: Option<String>,
    pub auth: String,
    pub sender: Option<String>,
    pub signing_secret: Option<String>,
    pub headers: Json,
    pub allow_private: bool,
    pub timeout: Duration,
}
