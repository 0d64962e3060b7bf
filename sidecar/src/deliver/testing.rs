//! A job for the unit tests of the kinds.

use std::time::Duration;

use futures_util::future::BoxFuture;
use minijinja::value::Value;
use serde_json::{json, Value as Json};

use super::{Action, Failure, Job, Start, System, Target};
use crate::config;
use crate::render::{MailTemplate, Renderer};
use crate::secret::Secrets;

/// Owns what a job borrows.
pub struct Bench {
    pub action: Action,
    pub target: Target,
    pub renderer: Renderer,
    pub secrets: Secrets,
    context: Value,
}

impl Bench {
    pub fn new(system: System, base_url: &str) -> Bench {
        let template = MailTemplate {
            name: "hello".into(),
            subject: "Hello\r\n {{ facts.name }}\n".into(),
            text: "Dear {{ facts.name }}".into(),
            html: Some("<p>{{ facts.name }}</p>".into()),
        };
        Bench {
            action: Action {
                id: 7,
                attempt: 1,
                rule: "r".into(),
                step: 1,
                name: None,
                kind: "any".into(),
                created_at: chrono::Utc::now(),
                idempotency_key: "2f1e-7".into(),
            },
            target: Target {
                name: "there".into(),
                revision: "1".into(),
                system,
                base_url: base_url.into(),
                secret: None,
                username: None,
                auth: "none".into(),
                sender: Some("Shop <shop@example.com>".into()),
                signing_secret: None,
                token_url: None,
                scope: None,
                headers: json!({}),
                allow_private: false,
                timeout: Duration::from_secs(30),
            },
            renderer: Renderer::new(vec![template]),
            secrets: Secrets::new(&config::Secrets { env: vec!["CARGO_PKG_*".into()], directories: vec![] }),
            context: crate::render::number::to_template(&json!({"facts": {"name": "Zoë & Co"}})),
        }
    }

    pub fn job(&self, params: Json) -> Job<'_> {
        Job {
            action: &self.action,
            target: &self.target,
            params,
            context: &self.context,
            renderer: &self.renderer,
            secrets: &self.secrets,
            start: &Yes,
            traceparent: None,
        }
    }
}

struct Yes;

impl Start for Yes {
    fn start(&self) -> BoxFuture<'_, Result<bool, Failure>> {
        Box::pin(async { Ok(true) })
    }
}
