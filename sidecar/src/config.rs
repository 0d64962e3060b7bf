//! Configuration: the default file, then a file, then the environment, then flags.
//!
//! Every default is said once, in `config.default.toml`; that file also is the list of keys that exist.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{File, FileFormat, Map, Source, Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

mod sync;

pub use sync::{BigCommerce, FirstLoad, Hooks, Sheet, Sheets, Sync};

/// The default configuration file, which explains every key.
pub const DEFAULT_FILE: &str = include_str!("../config.default.toml");

/// The file that is read when neither a flag nor the environment names one.
const USUAL_FILE: &str = "tradeflow.toml";

/// More of anything at a time than the database gives in one claim is a slip of the pen, which would cost all memory.
const MOST: usize = 10_000;

/// Everything a command may need to know. See `config.default.toml` for what each key means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database_url: DatabaseUrl,
    #[serde(deserialize_with = "optional_path")]
    pub database_password_file: Option<PathBuf>,
    pub database_pool_size: usize,
    #[serde(deserialize_with = "duration")]
    pub database_connect_timeout: Duration,
    pub worker: String,
    pub kinds: Vec<String>,
    pub concurrency: usize,
    pub target_concurrency: usize,
    pub claim_batch: usize,
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    pub listen: bool,
    #[serde(deserialize_with = "duration")]
    pub poll_interval: Duration,
    #[serde(deserialize_with = "duration")]
    pub tick_interval: Duration,
    pub completion_batch: usize,
    #[serde(deserialize_with = "duration")]
    pub completion_flush: Duration,
    #[serde(deserialize_with = "duration")]
    pub shutdown_grace: Duration,
    pub listen_address: String,
    pub log: String,
    pub log_format: LogFormat,
    pub tls: Tls,
    pub secrets: Secrets,
    pub email: Email,
    pub http: Http,
    pub storefront: Storefront,
    pub bigcommerce: BigCommerce,
    pub sync: Sync,
    pub sheets: Sheets,
    pub hooks: Hooks,
    pub traces: Traces,
    pub project: Project,
    /// The file that was read, where there is one.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// Where traces go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    pub endpoint: String,
}

/// Whom to trust besides the system's certificate authorities.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    #[serde(deserialize_with = "optional_path")]
    pub extra_ca_file: Option<PathBuf>,
}

/// What the secret references of targets may read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub env: Vec<String>,
    pub directories: Vec<PathBuf>,
}

/// Settings of kind `email`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    pub connections: u32,
    pub attachment_hosts: Vec<String>,
    pub attachment_limit: usize,
}

/// What the storefront may ask for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storefront {
    pub origins: Vec<String>,
    pub client_id: String,
    pub client_secret: String,
}

/// Settings of kind `http`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub response_limit: usize,
}

/// Which project's files lie beside the configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    pub name: String,
    pub schema: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

/// A database URL: it may hold a password, so it never shows itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// The URL, for the one place that connects.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether no URL was given anywhere.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration file {path} does not exist\nhint: `tradeflow config > {path}` writes one with every key explained")]
    Missing { path: String },
    #[error("unknown key `{key}` in {origin}{}\nhint: `tradeflow config` prints every key with its meaning", did_you_mean(.suggestion))]
    UnknownKey { key: String, origin: String, suggestion: Option<String> },
    #[error("configuration: {0}\nhint: `tradeflow config` prints every key with its meaning and default")]
    Invalid(#[from] config::ConfigError),
    #[error("configuration: `{key}` {problem}")]
    Value { key: &'static str, problem: String },
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default()
}

/// Where values come from, besides the default file.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file named by a flag or by `TRADEFLOW_CONFIG`.
    pub file: Option<PathBuf>,
    /// Environment variables: usually `std::env::vars()`.
    pub env: Vec<(String, String)>,
    /// Keys set by flags.
    pub flags: Vec<(&'static str, String)>,
}

impl Config {
    /// Reads all sources, later ones winning.
    pub fn load(sources: Sources) -> Result<Config, Error> {
        let known = known_keys()?;
        let mut builder =
            config::Config::builder().add_source(File::from_str(DEFAULT_FILE, FileFormat::Toml));
        let path = file_to_read(sources.file)?;
        if let Some(path) = &path {
            let file = File::from(path.clone()).format(FileFormat::Toml);
            refuse_unknown(&file.collect()?, "", &known, path)?;
            builder = builder.add_source(file);
        }
        refuse_misspelt(&sources.env, &known)?;
        let fallback = sources.env.iter().find(|(name, _)| name == "DATABASE_URL");
        for (key, default) in &known {
            let name = env_name(key);
            let mut set = sources.env.iter().find(|(n, _)| *n == name);
            if set.is_none() && key == "database_url" && unset_in(&builder) {
                set = fallback;
            }
            if let Some((name, text)) = set {
                builder = builder
                    .set_override(key, value(&format!("the environment variable {name}"), text, default))?;
            }
        }
        for (key, text) in sources.flags {
            let default = known.iter().find(|(k, _)| k == key).map_or(&ValueKind::Nil, |(_, kind)| kind);
            builder = builder.set_override(key, value("a flag", &text, default))?;
        }
        let mut config: Config = builder.build()?.try_deserialize()?;
        config.file = path;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Error> {
        let counts = [
            ("database_pool_size", self.database_pool_size),
            ("concurrency", self.concurrency),
            ("target_concurrency", self.target_concurrency),
            ("claim_batch", self.claim_batch),
            ("completion_batch", self.completion_batch),
            ("email.connections", self.email.connections as usize),
        ];
        for (key, value) in counts {
            if !(1..=MOST).contains(&value) {
                return Err(Error::Value {
                    key,
                    problem: format!("must be between 1 and {MOST}, not {value}"),
                });
            }
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&self.lease) {
            return Err(Error::Value { key: "lease", problem: "must be between 1s and 1day".into() });
        }
        for (key, value) in [("poll_interval", self.poll_interval), ("tick_interval", self.tick_interval)] {
            if value.is_zero() {
                return Err(Error::Value { key, problem: "must be longer than nothing".into() });
            }
        }
        self.sync.check()?;
        self.sheets.check()?;
        self.bigcommerce.check()
    }
}

/// The keys of the default file with their values, sections written with a dot.
fn known_keys() -> Result<Vec<(String, ValueKind)>, Error> {
    fn walk(table: Map<String, Value>, prefix: &str, into: &mut Vec<(String, ValueKind)>) {
        for (name, value) in table {
            match value.kind {
                ValueKind::Table(inner) => walk(inner, &format!("{prefix}{name}."), into),
                kind => into.push((format!("{prefix}{name}"), kind)),
            }
        }
    }
    let mut keys = Vec::new();
    walk(File::from_str(DEFAULT_FILE, FileFormat::Toml).collect()?, "", &mut keys);
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(keys)
}

fn refuse_unknown(
    table: &Map<String, Value>,
    prefix: &str,
    known: &[(String, ValueKind)],
    path: &Path,
) -> Result<(), Error> {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        if let ValueKind::Table(inner) = &value.kind {
            let section = format!("{key}.");
            if known.iter().any(|(k, _)| k.starts_with(&section)) {
                refuse_unknown(inner, &section, known, path)?;
                continue;
            }
        }
        if !known.iter().any(|(k, _)| *k == key) {
            let suggestion = nearest(&key, known.iter().map(|(k, _)| k.clone()), key.len() / 2);
            let origin = path.display().to_string();
            return Err(Error::UnknownKey { key, origin, suggestion });
        }
    }
    Ok(())
}

/// Other variables may begin with TRADEFLOW_ too (secrets, for one), so only what is nearly a key is refused.
fn refuse_misspelt(env: &[(String, String)], known: &[(String, ValueKind)]) -> Result<(), Error> {
    let names: Vec<String> =
        known.iter().map(|(key, _)| env_name(key)).chain(["TRADEFLOW_CONFIG".to_owned()]).collect();
    for (name, _) in env.iter().filter(|(name, _)| name.starts_with("TRADEFLOW_") && !names.contains(name)) {
        if let Some(suggestion) = nearest(name, names.iter().cloned(), 2) {
            let key = name.clone();
            return Err(Error::UnknownKey {
                key,
                origin: "the environment".into(),
                suggestion: Some(suggestion),
            });
        }
    }
    Ok(())
}

/// The most similar of some names, at most so many letters away.
pub(crate) fn nearest(name: &str, names: impl Iterator<Item = String>, most: usize) -> Option<String> {
    let distances = names.map(|other| (strsim::damerau_levenshtein(name, &other), other));
    distances.min().filter(|(distance, _)| *distance <= most).map(|(_, other)| other)
}

fn file_to_read(named: Option<PathBuf>) -> Result<Option<PathBuf>, Error> {
    match named {
        Some(path) if path.exists() => Ok(Some(path)),
        Some(path) => Err(Error::Missing { path: path.display().to_string() }),
        None => Ok(Some(Path::new(USUAL_FILE)).filter(|p| p.exists()).map(Path::to_path_buf)),
    }
}

fn env_name(key: &str) -> String {
    format!("TRADEFLOW_{}", key.replace('.', "_").to_uppercase())
}

/// Environment and flags give text; only a list must be cut up here, the rest is coerced by `config`.
fn value(origin: &str, text: &str, default: &ValueKind) -> Value {
    let origin = origin.to_owned();
    let kind = match default {
        ValueKind::Array(_) => {
            let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
            ValueKind::Array(parts.map(|p| Value::new(Some(&origin), p.to_owned())).collect())
        }
        _ => ValueKind::String(text.to_owned()),
    };
    Value::new(Some(&origin), kind)
}

/// Whether neither the default file nor a named one gives a database URL.
fn unset_in(builder: &config::ConfigBuilder<config::builder::DefaultState>) -> bool {
    builder
        .build_cloned()
        .and_then(|c| c.get_string("database_url"))
        .map(|url| url.is_empty())
        .unwrap_or(true)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|e| {
        serde::de::Error::custom(format!(
            "\"{text}\" is not a duration ({e}); write it like \"500ms\", \"20s\" or \"5m\""
        ))
    })
}

fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Some(text).filter(|t| !t.is_empty()).map(PathBuf::from))
}

#[cfg(test)]
mod tests;
