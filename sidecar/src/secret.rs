//! Secrets by reference: targets name them, this file reads them, nobody prints them.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::config;

/// More than this is not a secret but a mistake.
const LONGEST: u64 = 64 * 1024;

/// Reads what secret references mean, within what the configuration allows.
#[derive(Debug, Clone)]
pub struct Secrets {
    env: Vec<String>,
    directories: Vec<PathBuf>,
}

/// Why a secret could not be read. Names the reference, never the value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("secret {reference}: write env:NAME or file:/path")]
    Form { reference: String },
    #[error(
        "secret {reference}: the environment variable is not set; set it for the sidecar and restart it"
    )]
    Unset { reference: String },
    #[error("secret {reference}: its name is not allowed by secrets.env ({allowed}); add a pattern to the sidecar's configuration")]
    EnvNotAllowed { reference: String, allowed: String },
    #[error("secret {reference}: the file is outside of secrets.directories ({allowed}); move it or add its directory to the sidecar's configuration")]
    FileNotAllowed { reference: String, allowed: String },
    #[error("secret {reference}: the file cannot be read: {reason}")]
    Unreadable { reference: String, reason: String },
    #[error("secret {reference}: it is empty")]
    Empty { reference: String },
}

impl Secrets {
    pub fn new(config: &config::Secrets) -> Secrets {
        Secrets { env: config.env.clone(), directories: config.directories.clone() }
    }

    /// The value that `env:NAME` or `file:/path` stands for, without a final line break.
    pub fn read(&self, reference: &str) -> Result<SecretString, Error> {
        let named = || reference.to_owned();
        let value = match reference.split_once(':') {
            Some(("env", name)) => self.variable(reference, name)?,
            Some(("file", path)) => self.file(reference, Path::new(path))?,
            _ => return Err(Error::Form { reference: named() }),
        };
        let value = value.strip_suffix('\n').map(|v| v.strip_suffix('\r').unwrap_or(v)).unwrap_or(&value);
        match value.is_empty() {
            true => Err(Error::Empty { reference: named() }),
            false => Ok(SecretString::from(value.to_owned())),
        }
    }

    fn variable(&self, reference: &str, name: &str) -> Result<String, Error> {
        if !self.env.iter().any(|pattern| matches(pattern, name)) {
            return Err(Error::EnvNotAllowed { reference: reference.into(), allowed: self.env.join(", ") });
        }
        std::env::var(name).map_err(|_| Error::Unset { reference: reference.into() })
    }

    fn file(&self, reference: &str, path: &Path) -> Result<String, Error> {
        let unreadable =
            |e: std::io::Error| Error::Unreadable { reference: reference.into(), reason: e.to_string() };
        let inside = |path: &Path, directory: &Path| path.is_absolute() && path.starts_with(directory);
        let refuse = || {
            let allowed: Vec<_> = self.directories.iter().map(|d| d.display().to_string()).collect();
            Error::FileNotAllowed { reference: reference.into(), allowed: allowed.join(", ") }
        };
        let dotted = path.components().any(|c| matches!(c, std::path::Component::ParentDir));
        if dotted || !self.directories.iter().any(|d| inside(path, d)) {
            return Err(refuse());
        }
        // Again with links followed: a link must not lead out. (Mounted secrets are links within the directory.)
        let real = path.canonicalize().map_err(unreadable)?;
        let real_directories = self.directories.iter().filter_map(|d| d.canonicalize().ok());
        if !real_directories.into_iter().any(|d| inside(&real, &d)) {
            return Err(refuse());
        }
        let size = real.metadata().map_err(unreadable)?.len();
        if size > LONGEST {
            return Err(Error::Unreadable {
                reference: reference.into(),
                reason: format!("it has {size} bytes"),
            });
        }
        std::fs::read_to_string(&real).map_err(unreadable)
    }
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(tail) = name.strip_prefix(head) else { return false };
    (0..=tail.len()).filter(|i| tail.is_char_boundary(*i)).any(|i| matches(rest, &tail[i..]))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn secrets(env: &[&str], directory: &Path) -> Secrets {
        Secrets { env: env.iter().map(|s| s.to_string()).collect(), directories: vec![directory.to_owned()] }
    }

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("SMTP_*", "SMTP_PASSWORD", true),
            ("SMTP_*", "SMTP", false),
            ("*_TOKEN", "HUB_TOKEN", true),
            ("A*B*C", "AxxBC", true),
            ("A*B*C", "AxxCB", false),
            ("EXACT", "EXACT", true),
            ("EXACT", "EXACTLY", false),
            ("*", "ANY", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn only_allowed_variables_are_read() {
        let secrets = secrets(&["CARGO_PKG_*"], Path::new("/nowhere"));
        assert_eq!(secrets.read("env:CARGO_PKG_NAME").unwrap().expose_secret(), "tradeflow-sidecar");
        assert!(matches!(secrets.read("env:PATH"), Err(Error::EnvNotAllowed { .. })));
        assert!(matches!(secrets.read("env:CARGO_PKG_NOT_THERE"), Err(Error::Unset { .. })));
        assert!(matches!(secrets.read("vault:x"), Err(Error::Form { .. })));
    }

    #[test]
    fn only_files_in_allowed_directories_are_read() {
        let allowed = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let at = |d: &tempfile::TempDir, name: &str| d.path().join(name).display().to_string();
        std::fs::write(at(&allowed, "token"), "hunter2\r\n").unwrap();
        std::fs::write(at(&allowed, "empty"), "\n").unwrap();
        std::fs::write(at(&outside, "token"), "stolen").unwrap();
        std::os::unix::fs::symlink(at(&outside, "token"), at(&allowed, "link")).unwrap();
        let secrets = secrets(&[], allowed.path());
        let read = |path: String| secrets.read(&format!("file:{path}"));
        assert_eq!(read(at(&allowed, "token")).unwrap().expose_secret(), "hunter2");
        assert!(matches!(read(at(&allowed, "empty")), Err(Error::Empty { .. })));
        assert!(matches!(read(at(&outside, "token")), Err(Error::FileNotAllowed { .. })));
        assert!(matches!(read(at(&allowed, "link")), Err(Error::FileNotAllowed { .. })));
        assert!(matches!(read(at(&allowed, "../token")), Err(Error::FileNotAllowed { .. })));
        assert!(matches!(read(at(&allowed, "absent")), Err(Error::Unreadable { .. })));
    }

    #[test]
    fn errors_never_hold_a_value() {
        let allowed = tempfile::tempdir().unwrap();
        let secrets = secrets(&["CARGO_PKG_*"], allowed.path());
        let value = secrets.read("env:CARGO_PKG_NAME").unwrap();
        assert!(!format!("{value:?}").contains("tradeflow-sidecar"));
        assert!(secrets.read("env:HOME").unwrap_err().to_string().contains("env:HOME"));
    }
}
