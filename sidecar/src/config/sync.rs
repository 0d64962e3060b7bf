//! Settings of the store's API, of `tradeflow sync`, of sheets and of webhooks.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{duration, Error};

/// How to reach a store on BigCommerce.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BigCommerce {
    pub store_hash: String,
    pub access_token: String,
    pub core_url: String,
    pub b2b_url: String,
    pub requests_per_minute: u32,
    pub write_share: f64,
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    pub attempts: usize,
    #[serde(deserialize_with = "duration")]
    pub retry_delay: Duration,
}

/// What is synced, how often and how carefully.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    pub resources: Vec<String>,
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    #[serde(deserialize_with = "duration")]
    pub slow_interval: Duration,
    #[serde(deserialize_with = "duration")]
    pub sweep_interval: Duration,
    pub sweep_max_deleted: u8,
    #[serde(deserialize_with = "duration")]
    pub overlap: Duration,
    pub first_load: FirstLoad,
    pub details_at_once: usize,
}

/// Which sheets are read, and as whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheets {
    pub account: String,
    pub base_url: String,
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    pub synced: Vec<Sheet>,
}

/// A tab of a spreadsheet, and the column that names its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub spreadsheet: String,
    pub tab: String,
    pub key: String,
}

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.spreadsheet, self.tab, self.key)
    }
}

impl<'de> Deserialize<'de> for Sheet {
    /// `"spreadsheet/tab/key"`, or a table for names with a slash.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sheet, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Table { spreadsheet: String, tab: String, key: String },
        }
        let wrong = || {
            serde::de::Error::custom(
                "a sheet is \"spreadsheet id/tab/key column\", or {spreadsheet = …, tab = …, key = …}",
            )
        };
        let sheet = match Written::deserialize(deserializer).map_err(|_| wrong())? {
            Written::Table { spreadsheet, tab, key } => Sheet { spreadsheet, tab, key },
            Written::Text(text) => match text.split('/').collect::<Vec<_>>().as_slice() {
                [spreadsheet, tab, key] => {
                    Sheet { spreadsheet: (*spreadsheet).into(), tab: (*tab).into(), key: (*key).into() }
                }
                _ => return Err(wrong()),
            },
        };
        match [&sheet.spreadsheet, &sheet.tab, &sheet.key].iter().any(|part| part.trim().is_empty()) {
            true => Err(wrong()),
            false => Ok(sheet),
        }
    }
}

impl Sheets {
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.interval.is_zero() {
            return Err(Error::Value {
                key: "sheets.interval",
                problem: "must be longer than nothing".into(),
            });
        }
        let place = |sheet: &Sheet| (sheet.spreadsheet.clone(), sheet.tab.clone());
        let twice = self
            .synced
            .iter()
            .enumerate()
            .find(|(n, sheet)| self.synced[..*n].iter().any(|other| place(other) == place(sheet)));
        match twice {
            Some((_, sheet)) => Err(Error::Value {
                key: "sheets.synced",
                problem: format!("names tab {}/{} twice", sheet.spreadsheet, sheet.tab),
            }),
            None => Ok(()),
        }
    }
}

/// What the first load of a resource does to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirstLoad {
    /// Nothing fires.
    Silent,
    /// It is a change like any other.
    Fire,
}

/// How webhooks are believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    pub url: String,
    pub client_secret: String,
    pub header_secret: String,
    pub require_signature: bool,
    #[serde(deserialize_with = "duration")]
    pub tolerance: Duration,
    #[serde(deserialize_with = "duration")]
    pub keep: Duration,
    #[serde(deserialize_with = "duration")]
    pub check_interval: Duration,
}

impl BigCommerce {
    pub(super) fn check(&self) -> Result<(), Error> {
        if !(0.0..1.0).contains(&self.write_share) {
            return Err(Error::Value {
                key: "bigcommerce.write_share",
                problem: "must be at least 0 and below 1".into(),
            });
        }
        if self.attempts == 0 {
            return Err(Error::Value { key: "bigcommerce.attempts", problem: "must be at least 1".into() });
        }
        Ok(())
    }
}

impl Sync {
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.sweep_max_deleted > 100 {
            return Err(Error::Value {
                key: "sync.sweep_max_deleted",
                problem: "is a percentage: at most 100".into(),
            });
        }
        if self.interval.is_zero() || self.slow_interval.is_zero() {
            return Err(Error::Value { key: "sync.interval", problem: "must be longer than nothing".into() });
        }
        if self.details_at_once == 0 {
            return Err(Error::Value { key: "sync.details_at_once", problem: "must be at least 1".into() });
        }
        Ok(())
    }
}
