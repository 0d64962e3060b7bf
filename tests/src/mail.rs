//! A real SMTP server: `scripts/mail_sink.py`, obeying the test.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::project;
use crate::process::Process;

/// How the server wants to be spoken to.
#[derive(Default)]
pub struct Options {
    tls: Option<&'static str>,
    auth: Option<(String, String)>,
    port: u16,
}

/// A running SMTP server. Dropping it ends it.
pub struct MailSink {
    process: Process,
    port: u16,
    /// The authority that signed its certificate, with TLS.
    pub ca_file: Option<PathBuf>,
    folder: tempfile::TempDir,
}

/// A mail as the server got it.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Envelope sender.
    pub from: String,
    /// Decoded subject.
    pub subject: String,
    /// The `Message-ID` header.
    pub message_id: String,
    /// The plain text part.
    pub text: Option<String>,
    /// The HTML part.
    pub html: Option<String>,
    /// All headers, by name as sent.
    pub headers: Value,
    /// Whether the connection was encrypted.
    pub tls: bool,
    /// The user who logged in.
    pub login: Option<String>,
    /// When the server had it, RFC 3339.
    pub received_at: String,
    /// The file with the source.
    pub file: PathBuf,
}

impl Options {
    /// STARTTLS is required, with a certificate for 127.0.0.1 and localhost.
    pub fn starttls(mut self) -> Self {
        self.tls = Some("starttls");
        self
    }

    /// TLS from the first byte.
    pub fn implicit_tls(mut self) -> Self {
        self.tls = Some("implicit");
        self
    }

    /// A login is required.
    pub fn auth(mut self, user: &str, password: &str) -> Self {
        self.auth = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// On a port that was free a moment ago, for a server that comes late.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts the server.
    pub fn start(self) -> MailSink {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(python());
        command.arg(project().join("scripts/mail_sink.py")).arg("--control");
        command.arg("--port").arg(self.port.to_string());
        command.arg("--dir").arg(folder.path().join("mails"));
        let mut ca_file = None;
        if let Some(tls) = self.tls {
            let authority = certificates(folder.path());
            command.args(["--tls", tls]);
            command.arg("--cert").arg(folder.path().join("cert.pem"));
            command.arg("--key").arg(folder.path().join("key.pem"));
            ca_file = Some(authority);
        }
        if let Some((user, password)) = &self.auth {
            command.arg("--auth").arg(format!("{user}:{password}"));
        }
        let mut process = Process::start_until_input_closes("the mail server", &command);
        let port = process.wait_for("its ports", |line| event(line, "listening")?["smtp"].as_u64());
        let port = u16::try_from(port).expect("a port");
        MailSink { process, port, ca_file, folder }
    }
}

impl MailSink {
    /// A plain server without login.
    pub fn start() -> Self {
        Options::default().start()
    }

    /// STARTTLS, implicit TLS, a login.
    pub fn with() -> Options {
        Options::default()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The `base_url` of a target for it, without TLS.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// How the next mails are answered, until changed: see `mail_sink.py` for the modes.
    pub fn mode(&mut self, mode: &str) {
        self.order(serde_json::json!({ "mode": mode }));
    }

    /// The same for so many mails only; then they are taken again.
    pub fn mode_for(&mut self, mode: &str, times: u32) {
        self.order(serde_json::json!({ "mode": mode, "times": times }));
    }

    fn order(&mut self, order: Value) {
        let before = self.process.lines().len();
        self.process.tell(&order.to_string());
        self.process.wait_for_after(before, "that it changed its mode", |line| event(line, "mode"));
    }

    /// Waits until the server has the whole body of a mail for `recipient`, answered or not.
    pub fn wait_for_body(&mut self, recipient: &str) {
        self.process.wait_for(&format!("that it has a body for {recipient}"), |line| {
            event(line, "body")?["to"].as_array()?.iter().any(|to| to == recipient).then_some(())
        });
    }

    /// The mails taken so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.process
            .lines()
            .iter()
            .filter_map(|line| event(line, "mail"))
            .map(|mail| Mail::from(&mail))
            .collect()
    }

    /// Waits until there are at least `count`, and returns all.
    pub async fn wait_for(&self, count: usize) -> Vec<Mail> {
        crate::eventually::eventually(&format!("{count} mails"), || async {
            let mails = self.mails();
            (mails.len() >= count).then_some(mails)
        })
        .await
    }

    /// The mails taken once none was added for a while: for "and no more than that".
    pub async fn settled(&self, quiet: Duration) -> Vec<Mail> {
        loop {
            let before = self.mails().len();
            tokio::time::sleep(quiet).await;
            let mails = self.mails();
            if mails.len() == before {
                return mails;
            }
        }
    }

    /// Every event so far, one JSON line each.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// A folder that lives as long as the server, for a test's own files.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl From<&Value> for Mail {
    fn from(mail: &Value) -> Self {
        let text = |key: &str| mail[key].as_str().map(str::to_owned);
        Mail {
            to: mail["to"]
                .as_array()
                .map(|to| to.iter().filter_map(|a| a.as_str().map(str::to_owned)).collect())
                .unwrap_or_default(),
            from: text("from").unwrap_or_default(),
            subject: text("subject").unwrap_or_default(),
            message_id: text("message_id").unwrap_or_default(),
            text: text("text"),
            html: text("html"),
            headers: mail["headers"].clone(),
            tls: mail["tls"].as_bool().unwrap_or_default(),
            login: text("login"),
            received_at: text("received_at").unwrap_or_default(),
            file: text("file").unwrap_or_default().into(),
        }
    }
}

fn event(line: &str, name: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line).ok()?;
    (value["event"] == name).then_some(value)
}

/// Debian's interpreter, which has aiosmtpd, unless told otherwise; as in `scripts/common.sh`.
fn python() -> String {
    std::env::var("TRADEFLOW_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned())
}

/// Writes a certificate for this machine and its key; returns the file of the authority that signed it.
fn certificates(folder: &std::path::Path) -> PathBuf {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let authority_key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names are fine");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "tradeflow test authority");
    let authority = CertifiedIssuer::self_signed(params, authority_key).expect("a self-signed authority");

    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)
        .expect("these are names")
        .signed_by(&key, &authority)
        .expect("the authority signs");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a temporary folder is writable");
        path
    };
    write("cert.pem", certificate.pem());
    write("key.pem", key.serialize_pem());
    write("ca.pem", authority.pem())
}
