//! A row of `tradeflow.targets`.

use std::time::Duration;

use serde_json::Value as Json;

/// How a destination is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Smtp,
    Http,
    BigCommerce,
    HubSpot,
    Google,
}

impl System {
    /// As `targets.system` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            System::Smtp => "smtp",
            System::Http => "http",
            System::BigCommerce => "bigcommerce",
            System::HubSpot => "hubspot",
            System::Google => "google",
        }
    }

    /// The system that `targets.system` names.
    pub fn named(name: &str) -> Option<System> {
        let all = [System::Smtp, System::Http, System::BigCommerce, System::HubSpot, System::Google];
        all.into_iter().find(|system| system.as_str() == name)
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
    /// Where tokens of OAuth 2 come from, and which scope is asked for.
    pub token_url: Option<String>,
    pub scope: Option<String>,
    pub headers: Json,
    pub allow_private: bool,
    pub timeout: Duration,
}

impl Target {
    /// What kinds without a target are given.
    pub fn none() -> Target {
        Target {
            name: String::new(),
            revision: String::new(),
            system: System::Http,
            base_url: String::new(),
            secret: None,
            username: None,
            auth: "none".into(),
            sender: None,
            signing_secret: None,
            token_url: None,
            scope: None,
            headers: Json::Null,
            allow_private: false,
            timeout: Duration::from_secs(30),
        }
    }
}
