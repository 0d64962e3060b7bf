//! The account at a vendor that a job's target is: its secret, and what is made of it once and kept.

use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{Failure, Job};

/// The secret of a job's target; `what` says what it should be. Read each time: its file may have changed.
pub fn secret(job: &Job<'_>, what: &str) -> Result<SecretString, Failure> {
    let reference = job
        .target
        .secret
        .as_deref()
        .ok_or_else(|| wrong(job, format!("it names no secret; set it to where {what} is")))?;
    Ok(job.secrets.read(reference)?)
}

/// What is wrong with a job's target: an operator can mend it while the action waits.
pub fn wrong(job: &Job<'_>, why: String) -> Failure {
    Failure::retry(format!("target \"{}\": {why}", job.target.name))
}

/// The accounts of a vendor that are in use, one a target.
pub struct Accounts<T>(Mutex<Vec<(String, Arc<T>)>>);

impl<T> Accounts<T> {
    pub const fn new() -> Accounts<T> {
        Accounts(Mutex::new(Vec::new()))
    }

    /// The account that a job's target is, and its name; the same ones until the target or its secret is changed. `make`
    /// makes it of the secret and its name.
    pub fn of(
        &self,
        job: &Job<'_>,
        what: &str,
        make: impl FnOnce(&SecretString, &str) -> Result<T, String>,
    ) -> Result<(Arc<T>, String), Failure> {
        let secret = secret(job, what)?;
        let prefix = format!("{} ", job.target.name);
        let name = format!("{prefix}{} {}", job.target.revision, fingerprint(&secret));
        let mut accounts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, account)) = accounts.iter().find(|(known, _)| *known == name) {
            return Ok((account.clone(), name));
        }
        let account = Arc::new(make(&secret, &name).map_err(|why| wrong(job, why))?);
        accounts.retain(|(known, _)| !known.starts_with(&prefix));
        accounts.push((name.clone(), account.clone()));
        Ok((account, name))
    }
}

/// Tells secrets apart without keeping one.
fn fingerprint(secret: &SecretString) -> String {
    let digest = Sha256::digest(secret.expose_secret().as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
