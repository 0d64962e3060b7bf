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

use super::{Deliver, Done, Failure, Job, System, Target};

mod message;
mod smtp;
mod stream;

pub use smtp::{probe, Address, Encryption};

/// Sends mails, keeping connections open between them.
pub struct Email {
    connections: usize,
    extra_roots: Vec<CertificateDer<'static>>,
    servers: Mutex<HashMap<String, (String, Arc<smtp::Server>)>>,
}

impl Email {
    /// At most `connections` per target; `extra_roots` are trusted besides the system's.
    pub fn new(connections: usize, extra_roots: Vec<CertificateDer<'static>>) -> Email {
        Email { connections, extra_roots, servers: Mutex::new(HashMap::new()) }
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
        let message = message::compose(&job)?;
        let server = self.server(job.target)?;
        let password = || -> Result<Option<SecretString>, Failure> {
            let wanted = job.target.secret.as_deref().filter(|_| job.target.auth == "basic");
            Ok(wanted.map(|reference| job.secrets.read(reference)).transpose()?)
        };
        let accepted = server.send(&message.mail, password, job.start).await?;
        Ok(json!({"message_id": message.id, "response": accepted, "request": message.request}))
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
        "claim_once"
    }

    fn html_params(&self) -> &'static [&'static str] {
        &["html"]
    }

    fn deliver<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async { self.send(job).await.map(Done::Result) })
    }
}
