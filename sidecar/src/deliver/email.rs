//! Kind `email`: one mail through the target's SMTP server.
//!
//! A mail cannot be taken back, so `started()` is asked between the last recipient and DATA: what fails before
//! that did not happen, and what is lost after it is uncertain.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use serde_json::{json, Value as Json};

use super::strategy::{ClaimOnce, Irrevocable, Strategy, CLAIM_ONCE};
use super::{Deliver, Done, Failure, Job, System, Target, Tools};
use crate::config;

mod attachment;
mod message;
mod policy;
mod smtp;
mod stream;

pub use smtp::{probe, Address, Encryption};

/// Sends mails, keeping connections open between them.
pub struct Email {
    tools: Arc<Tools>,
    attachments: attachment::Limits,
    connections: usize,
    extra_roots: Vec<CertificateDer<'static>>,
    servers: Mutex<HashMap<String, (String, Arc<smtp::Server>)>>,
}

impl Email {
    /// `extra_roots` are trusted besides the system's.
    pub fn new(
        tools: &Arc<Tools>,
        config: &config::Email,
        extra_roots: Vec<CertificateDer<'static>>,
    ) -> Email {
        Email {
            tools: tools.clone(),
            attachments: attachment::Limits {
                hosts: config.attachment_hosts.clone(),
                bytes: config.attachment_limit,
            },
            connections: config.connections as usize,
            extra_roots,
            servers: Mutex::new(HashMap::new()),
        }
    }

    /// The connections of a target; new ones when the target was changed.
    fn server(&self, target: &Target) -> Result<Arc<smtp::Server>, Failure> {
        let mut servers = self.servers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match servers.get(&target.name) {
            Some((revision, server)) if *revision == target.revision => Ok(server.clone()),
            _ => {
                let server = Arc::new(smtp::Server::new(target, self.connections, &self.extra_roots)?);
                servers.insert(target.name.clone(), (target.revision.clone(), server.clone()));
                Ok(server)
            }
        }
    }

    async fn send(&self, job: Job<'_>) -> Result<Json, Failure> {
        let mut recipients = message::recipients(&job.params)?;
        let refused = policy::refused(&self.tools, &job, &recipients).await?;
        recipients.without(&refused);
        if recipients.to.is_empty() {
            return Ok(json!({"skipped": refused, "request": {"to": job.params.get("to")}}));
        }
        let attachments = attachment::fetch(&self.tools, &self.attachments, &job).await?;
        let message = message::compose(&job, recipients, attachments)?;
        let server = self.server(job.target)?;
        let password = || -> Result<Option<SecretString>, Failure> {
            let wanted = job.target.secret.as_deref().filter(|_| job.target.auth == "basic");
            Ok(wanted.map(|reference| job.secrets.read(reference)).transpose()?)
        };
        let mail = Mail { server: &server, mail: &message.mail, password };
        let accepted = ClaimOnce(mail).execute(job.start).await?;
        Ok(
            json!({"message_id": message.id, "response": accepted, "refused": refused, "request": message.request}),
        )
    }
}

/// One mail and the server it goes to.
struct Mail<'a, P> {
    server: &'a smtp::Server,
    mail: &'a lettre::Message,
    password: P,
}

impl<'a, P: Fn() -> Result<Option<SecretString>, Failure> + Send + Sync> Irrevocable for Mail<'a, P> {
    type Ready = smtp::Accepted<'a>;

    async fn prepare(&self) -> Result<smtp::Accepted<'a>, Failure> {
        self.server.prepare(self.mail, &self.password).await
    }

    async fn send(&self, ready: smtp::Accepted<'a>) -> Result<Json, Failure> {
        Ok(self.server.transmit(self.mail, ready).await?.into())
    }

    async fn give_up(&self, ready: smtp::Accepted<'a>) {
        ready.give_up().await;
    }
}

impl Deliver for Email {
    fn kind(&self) -> &'static str {
        "email"
    }

    fn system(&self) -> Option<System> {
        Some(System::Smtp)
    }

    fn delivery(&self) -> &'static str {
        CLAIM_ONCE
    }

    fn html_params(&self) -> &'static [&'static str] {
        &["html"]
    }

    fn preview(&self, job: &Job<'_>) -> Result<Json, Failure> {
        // Attachments are named in the parameters, and fetched only for a mail that is sent.
        Ok(message::compose(job, message::recipients(&job.params)?, Vec::new())?.request)
    }

    fn deliver<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async { self.send(job).await.map(Done::Result) })
    }
}
