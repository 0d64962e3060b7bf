//! A project: rules, mails and tests as files under version control, applied to a database as a whole.
//!
//! ```text
//!  rules/*.sql ──▶ statement (allowed?) ──▶ declare: definitions into scratch tables,  ──▶ merge ──▶ compare ──▶ plan: rolled back
//!  templates/*/                                      views, functions, tables made                            apply: committed
//! ```
//! What the files say is found by running them, in the transaction of `plan` and `apply`, against empty tables; then it is
//! merged into the real ones and compared with what was there, and with what the last apply left. Nothing is guessed from text.

use std::path::{Path, PathBuf};

use crate::config::{nearest, Config};
use crate::db;

pub mod apply;
mod compare;
mod declare;
mod diff;
mod mentions;
mod merge;
pub mod new;
pub mod plan;
pub mod preview;
mod problem;
pub mod recipe;
mod rehearse;
mod snapshot;
mod source;
mod statement;
mod table;
pub mod test;

pub use problem::{Place, Problem};

/// The version of the extension that this program works with.
const EXTENSION: &str = include_str!("../../extension/tradeflow.control");

/// The files of a project, and where they go.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder of `tradeflow.toml`.
    pub root: PathBuf,
    pub name: String,
    /// Of its views, functions and decision tables.
    pub schema: String,
}

/// Why a command about a project did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no project here: no tradeflow.toml names one\nhint: `tradeflow new my-shop` makes a project; in one, run commands from its folder or give --config my-shop/tradeflow.toml")]
    NoProject,
    #[error("configuration: project.{key}: \"{value}\" is no name\nhint: letters, digits and underscores, beginning with a letter")]
    BadName { key: &'static str, value: String },
    #[error("{}: {reason}", .path.display())]
    File { path: PathBuf, reason: String },
    #[error("{}", problem::list(.0))]
    Problems(Vec<Problem>),
    #[error("the database's extension tradeflow is {found}, older than this program, which is for {wanted}\nhint: alter extension tradeflow update;")]
    Older { found: String, wanted: String },
    #[error("the database's extension tradeflow is {found}, newer than this program, which is for {wanted}\nhint: update the program, so that it knows what the database knows")]
    Newer { found: String, wanted: String },
    #[error(
        "another plan or apply is under way{holder}\nhint: wait for it and try again, or give --wait 5m"
    )]
    Busy { holder: String },
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Database(#[from] db::Error),
    #[error(transparent)]
    Tls(#[from] crate::tls::Error),
    #[error("HTTP cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Error {
        Error::Database(error.into())
    }
}

impl Project {
    /// The project that the configuration names.
    pub fn open(config: &Config) -> Result<Project, Error> {
        let (Some(file), false) = (&config.file, config.project.name.is_empty()) else {
            return Err(Error::NoProject);
        };
        let project = &config.project;
        for (key, value) in [("name", &project.name), ("schema", &project.schema)] {
            if !is_name(value) {
                return Err(Error::BadName { key, value: value.clone() });
            }
        }
        if ["tradeflow", "store", "public", "pg_catalog"].contains(&project.schema.as_str()) {
            return Err(Error::Usage(format!(
                "configuration: project.schema: \"{}\" is not a project's own\nhint: everything in the schema counts as the project's, so it needs one for itself, such as \"rules\"",
                project.schema
            )));
        }
        let root = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        Ok(Project { root, name: project.name.clone(), schema: project.schema.clone() })
    }
}

/// Whether a name needs no quotes in SQL.
fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// "; did you mean …?" when one of the names is like this one.
fn did_you_mean(name: &str, names: impl Iterator<Item = String>) -> String {
    nearest(name, names, (name.len() / 2).max(2))
        .map(|n| format!("; did you mean \"{n}\"?"))
        .unwrap_or_default()
}

/// The version that `tradeflow.control` names.
fn extension_version() -> &'static str {
    let line = EXTENSION.lines().find_map(|line| line.strip_prefix("default_version = '"));
    line.and_then(|rest| rest.strip_suffix('\'')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_file_names_a_version() {
        assert!(extension_version().split('.').count() == 3, "{}", extension_version());
    }

    #[test]
    fn names_that_need_quotes_are_none() {
        assert!(is_name("shop_2") && is_name("_x"));
        assert!(
            !is_name("Shop")
                && !is_name("a-b")
                && !is_name("")
                && !is_name("2nd")
                && !is_name(&"x".repeat(64))
        );
    }
}
