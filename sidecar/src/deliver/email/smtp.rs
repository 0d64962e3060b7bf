//! Speaking to an SMTP server, one stage at a time: which stage failed decides what becomes of the mail.
//!
//! Greeting, TLS and login concern the server, not the mail: any failure is retried. A 4xx answer to the mail, or
//! silence before DATA, is retried; a 5xx answer to the mail is final. Once the mail's text was sent, silence
//! means that nobody knows.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::Error;
use lettre::Message;
use rustls::pki_types::CertificateDer;
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use url::Url;

use super::stream;
use crate::db::reason;
use crate::deliver::{Failure, Target};
use crate::tls;

/// A connection that was idle for longer is not used again: many servers hang up after a minute.
const IDLE: Duration = Duration::from_secs(30);

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    None,
    /// Required: without it nothing is sent.
    StartTls,
    Implicit,
}

/// Where a server is, as `targets.base_url` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
}

impl Address {
    /// `smtp://host:port`, `smtp://host:port?tls=starttls` or `smtps://host:port`.
    pub fn parse(base_url: &str) -> Result<Address, String> {
        let wrong = |why: &str| {
            format!("{base_url} is no SMTP address: {why}; write smtp://host:port, smtp://host:port?tls=starttls or smtps://host:port")
        };
        let url = Url::parse(base_url).map_err(|e| wrong(&e.to_string()))?;
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| wrong("it names no host"))?;
        let mut encryption = match url.scheme() {
            "smtp" => Encryption::None,
            "smtps" => Encryption::Implicit,
            _ => return Err(wrong("another scheme")),
        };
        for (key, value) in url.query_pairs() {
            match (&*key, &*value, encryption) {
                ("tls", "starttls", Encryption::None) => encryption = Encryption::StartTls,
                ("tls", "none", Encryption::None) => {}
                _ => return Err(wrong(&format!("{key}={value} is not understood"))),
            }
        }
        let usual = match encryption {
            Encryption::None => 25,
            Encryption::StartTls => 587,
            Encryption::Implicit => 465,
        };
        // An IPv6 address stands in brackets in a URL, and without them everywhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Address { host, port: url.port().unwrap_or(usual), encryption })
    }
}

/// The connections to one target.
pub struct Server {
    name: String,
    address: Address,
    login: bool,
    username: Option<String>,
    tls: Tls,
    timeout: Duration,
    slots: Semaphore,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl Server {
    pub fn new(
        target: &Target,
        connections: usize,
        roots: &[CertificateDer<'static>],
    ) -> Result<Server, Failure> {
        let address = Address::parse(&target.base_url)
            .map_err(|e| Failure::retry(format!("target \"{}\": {e}", target.name)))?;
        let tls = Tls::new(&address, roots)
            .map_err(|e| Failure::retry(format!("target \"{}\": TLS cannot be set up: {e}", target.name)))?;
        Ok(Server {
            name: target.name.clone(),
            address,
            login: target.auth == "basic",
            username: target.username.clone(),
            tls,
            timeout: target.timeout,
            slots: Semaphore::new(connections),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// A connection on which sender and recipients were accepted: nothing is sent yet.
    pub async fn prepare(
        &self,
        mail: &Message,
        password: impl Fn() -> Result<Option<SecretString>, Failure>,
    ) -> Result<Accepted<'_>, Failure> {
        let slot = self.slots.acquire().await.map_err(|e| Failure::retry(e.to_string()))?;
        let connection = self.introduced(mail, &password).await?;
        Ok(Accepted { connection, _slot: slot })
    }

    /// Sends the text of a mail whose recipients were accepted; the server's words of acceptance.
    pub async fn transmit(&self, mail: &Message, accepted: Accepted<'_>) -> Result<String, Failure> {
        let Accepted { mut connection, _slot } = accepted;
        let deadline = tokio::time::Instant::now() + self.timeout;
        match timeout_at(deadline, connection.command(Data)).await {
            Ok(Ok(_)) => {}
            Ok(Err(e)) => return Err(self.mail_failure("DATA", &e)),
            Err(_) => return Err(self.silent("DATA")),
        }
        match timeout_at(deadline, connection.message(&mail.formatted())).await {
            Ok(Ok(response)) => {
                self.put_back(connection);
                let words: Vec<&str> = response.message().collect();
                Ok(format!("{} {}", response.code(), words.join(" ")))
            }
            Ok(Err(e)) if e.status().is_some() => Err(self.mail_failure("the mail's text", &e)),
            Ok(Err(e)) => Err(self.uncertain(&reason(&e))),
            Err(_) => {
                Err(self.uncertain(&format!("no answer within {}", humantime::format_duration(self.timeout))))
            }
        }
    }

    /// A connection on which sender and recipients were accepted.
    async fn introduced(
        &self,
        mail: &Message,
        password: &impl Fn() -> Result<Option<SecretString>, Failure>,
    ) -> Result<AsyncSmtpConnection, Failure> {
        while let Some(mut connection) = self.idle_connection() {
            let deadline = tokio::time::Instant::now() + self.timeout;
            match self.introduce(&mut connection, mail, deadline).await {
                Ok(()) => return Ok(connection),
                // The server hung up while it was idle, which says nothing about the mail.
                Err(Stage::Broken(_)) => continue,
                Err(Stage::Refused(failure)) => return Err(failure),
            }
        }
        let deadline = tokio::time::Instant::now() + self.timeout;
        let mut connection = self.connect(password()?, deadline).await?;
        match self.introduce(&mut connection, mail, deadline).await {
            Ok(()) => Ok(connection),
            Err(Stage::Broken(failure) | Stage::Refused(failure)) => Err(failure),
        }
    }

    async fn connect(
        &self,
        password: Option<SecretString>,
        deadline: tokio::time::Instant,
    ) -> Result<AsyncSmtpConnection, Failure> {
        let connecting = open(&self.address, &self.tls);
        let mut connection = match timeout_at(deadline, connecting).await {
            Ok(connection) => connection.map_err(|e| self.server_failure(&e))?,
            Err(_) => return Err(self.server_failure("it does not answer")),
        };
        if !self.login {
            return Ok(connection);
        }
        let (Some(user), Some(password)) = (&self.username, password) else {
            return Err(self.server_failure("auth is basic, but the target has no username or no secret"));
        };
        let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
        match timeout_at(deadline, connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials)).await
        {
            Ok(Ok(_)) => Ok(connection),
            Ok(Err(e)) => Err(self.server_failure(&format!("the login of {user} failed: {}", reason(&e)))),
            Err(_) => Err(self.server_failure("it does not answer the login")),
        }
    }

    async fn introduce(
        &self,
        connection: &mut AsyncSmtpConnection,
        mail: &Message,
        deadline: tokio::time::Instant,
    ) -> Result<(), Stage> {
        let envelope = mail.envelope();
        let mut options = Vec::new();
        let ascii = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
        if !envelope.from().into_iter().chain(envelope.to()).all(ascii) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let message = format!("{}: it takes no addresses with letters beyond ASCII", self.place());
                return Err(Stage::Refused(Failure::dead(message)));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if connection.server_info().supports_feature(Extension::EightBitMime) {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.say(connection, Mail::new(envelope.from().cloned(), options), "the sender", deadline).await?;
        for recipient in envelope.to() {
            let rcpt = Rcpt::new(recipient.clone(), vec![]);
            self.say(connection, rcpt, &format!("the recipient {recipient}"), deadline).await?;
        }
        Ok(())
    }

    async fn say(
        &self,
        connection: &mut AsyncSmtpConnection,
        command: impl std::fmt::Display,
        what: &str,
        deadline: tokio::time::Instant,
    ) -> Result<(), Stage> {
        match timeout_at(deadline, connection.command(command)).await {
            Ok(Ok(_)) => Ok(()),
            // 421: the server is closing this connection, as many do with idle ones.
            Ok(Err(e)) if e.status().is_none_or(|c| c.to_string() == "421") => {
                Err(Stage::Broken(self.mail_failure(what, &e)))
            }
            Ok(Err(e)) => {
                connection.abort().await;
                Err(Stage::Refused(self.mail_failure(what, &e)))
            }
            Err(_) => Err(Stage::Refused(self.silent(what))),
        }
    }

    fn idle_connection(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        idle.retain(|(connection, since)| since.elapsed() < IDLE && !connection.has_broken());
        idle.pop().map(|(connection, _)| connection)
    }

    fn put_back(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        idle.push((connection, Instant::now()));
    }

    fn place(&self) -> String {
        format!("target \"{}\" ({}:{})", self.name, self.address.host, self.address.port)
    }

    fn server_failure(&self, why: &str) -> Failure {
        Failure::retry(format!("{}: {why}", self.place()))
    }

    fn mail_failure(&self, what: &str, error: &Error) -> Failure {
        let message = format!("{}: {what} was not accepted: {}", self.place(), reason(error));
        if error.is_permanent() {
            Failure::dead(message)
        } else {
            Failure::retry(message)
        }
    }

    fn silent(&self, what: &str) -> Failure {
        let limit = humantime::format_duration(self.timeout);
        Failure::retry(format!("{}: no answer to {what} within {limit}", self.place()))
    }

    fn uncertain(&self, why: &str) -> Failure {
        Failure::uncertain(format!(
            "{}: the connection was lost after the mail was sent and before it was confirmed ({why}); it may have arrived",
            self.place()
        ))
    }
}

/// A connection that waits for the text of a mail.
pub struct Accepted<'a> {
    connection: AsyncSmtpConnection,
    _slot: tokio::sync::SemaphorePermit<'a>,
}

impl Accepted<'_> {
    /// Hangs up: the mail is not sent.
    pub async fn give_up(mut self) {
        self.connection.abort().await;
    }
}

/// Why sender or recipients were not accepted.
enum Stage {
    /// The connection is gone; another may work.
    Broken(Failure),
    Refused(Failure),
}

/// What a connection is encrypted with.
enum Tls {
    None,
    /// Later, by lettre.
    Start(TlsParameters),
    /// From the first byte, by `stream`.
    Implicit(Arc<ClientConfig>),
}

impl Tls {
    fn new(address: &Address, roots: &[CertificateDer<'static>]) -> Result<Tls, String> {
        match address.encryption {
            Encryption::None => Ok(Tls::None),
            Encryption::Implicit => {
                let config = tls::client_config(roots.to_vec()).map_err(|e| e.to_string())?;
                Ok(Tls::Implicit(Arc::new(config)))
            }
            Encryption::StartTls => {
                let mut builder = TlsParameters::builder(address.host.clone());
                for root in roots {
                    let root = Certificate::from_der(root.to_vec()).map_err(|e| reason(&e))?;
                    builder = builder.add_root_certificate(root);
                }
                builder.build_rustls().map(Tls::Start).map_err(|e| reason(&e))
            }
        }
    }
}

async fn open(address: &Address, tls: &Tls) -> Result<AsyncSmtpConnection, String> {
    let hello = ClientId::default();
    let implicit = match tls {
        Tls::Implicit(config) => Some(config.clone()),
        _ => None,
    };
    let stream = stream::connect(&address.host, address.port, implicit).await.map_err(|e| e.to_string())?;
    let mut connection =
        AsyncSmtpConnection::connect_with_transport(stream, &hello).await.map_err(|e| reason(&e))?;
    if let Tls::Start(parameters) = tls {
        if !connection.can_starttls() {
            connection.abort().await;
            return Err("it offers no STARTTLS, which the target requires; nothing was sent".into());
        }
        connection
            .starttls(parameters.clone(), &hello)
            .await
            .map_err(|e| format!("STARTTLS failed: {}", reason(&e)))?;
    }
    Ok(connection)
}

/// Connects, says hello, logs in if the target does, and leaves: nothing is sent.
pub async fn probe(
    target: &Target,
    roots: &[CertificateDer<'static>],
    password: Option<SecretString>,
) -> Result<(), Failure> {
    let server = Server::new(target, 1, roots)?;
    let deadline = tokio::time::Instant::now() + target.timeout.min(Duration::from_secs(10));
    server.connect(password, deadline).await?.abort().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_how_to_encrypt() {
        let parse = |url: &str| Address::parse(url).map(|a| (a.host, a.port, a.encryption));
        assert_eq!(parse("smtp://mail.example:2525"), Ok(("mail.example".into(), 2525, Encryption::None)));
        assert_eq!(parse("smtp://mail.example"), Ok(("mail.example".into(), 25, Encryption::None)));
        assert_eq!(parse("smtp://m:1?tls=starttls"), Ok(("m".into(), 1, Encryption::StartTls)));
        assert_eq!(parse("smtp://m?tls=starttls"), Ok(("m".into(), 587, Encryption::StartTls)));
        assert_eq!(parse("smtps://m"), Ok(("m".into(), 465, Encryption::Implicit)));
        assert_eq!(parse("smtp://[::1]:25"), Ok(("::1".into(), 25, Encryption::None)));
        for wrong in ["smtp://m?tls=maybe", "smtps://m?tls=starttls", "http://m", "smtp:", "mail.example"] {
            assert!(parse(wrong).unwrap_err().contains("write smtp://host:port"), "{wrong}");
        }
    }
}
