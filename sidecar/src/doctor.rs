//! `tradeflow doctor`: what is wrong, and how to mend it.

use serde::Serialize;

use crate::config::Config;
use crate::db;

mod database;
mod sync;
pub mod targets;
mod vendors;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// Works, but somebody should know.
    Notice,
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub level: Level,
    /// What was looked at: database, extension, rights, rules, watched tables, actions, targets, secrets, queue, stopped, incidents.
    pub check: &'static str,
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, check, message: message.into(), hint: None }
    }

    fn notice(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { level: Level::Notice, check, message: message.into(), hint: Some(hint.into()) }
    }

    fn problem(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { level: Level::Problem, check, message: message.into(), hint: Some(hint.into()) }
    }

    /// An error whose message may hold its hint on a line of its own.
    fn error(check: &'static str, error: &dyn std::error::Error) -> Finding {
        let text = error.to_string();
        match text.split_once("\nhint: ") {
            Some((message, hint)) => Finding::problem(check, message, hint),
            None => Finding::problem(check, text, "see the database's log"),
        }
    }
}

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub healthy: bool,
    pub findings: Vec<Finding>,
}

impl Report {
    /// For people: problems with what to do about them.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for finding in &self.findings {
            let mark = match finding.level {
                Level::Ok => "ok     ",
                Level::Notice => "notice ",
                Level::Problem => "PROBLEM",
            };
            lines.push(format!(
                "{mark}  {}: {}",
                finding.check,
                finding.message.replace('\n', "\n           ")
            ));
            if let Some(hint) = &finding.hint {
                lines.push(format!("         → {}", hint.replace('\n', "\n           ")));
            }
        }
        let problems = self.findings.iter().filter(|f| f.level == Level::Problem).count();
        lines.push(match problems {
            0 => "nothing is wrong".to_owned(),
            1 => "1 problem".to_owned(),
            n => format!("{n} problems"),
        });
        lines.join("\n")
    }
}

/// Looks at everything that can be looked at from here.
pub async fn run(config: &Config) -> Report {
    let mut findings = Vec::new();
    if let Err(error) = look(config, &mut findings).await {
        findings.push(Finding::error("database", &error));
    }
    let healthy = findings.iter().all(|f| f.level != Level::Problem);
    Report { healthy, findings }
}

/// An error ends the looking: without the database, or without the extension, there is nothing more to see.
async fn look(config: &Config, findings: &mut Vec<Finding>) -> Result<(), db::Error> {
    let pool = db::Pool::new(config)?;
    let client = pool.get().await?;
    findings.push(match pool.check_writable(&client).await {
        Ok(()) => Finding::ok("database", format!("{} answers", pool.describe())),
        Err(error) => Finding::error("database", &error),
    });
    if !database::extension(&client, findings).await? || !database::rights(&client, findings).await? {
        return Ok(());
    }
    database::watched(&client, findings).await?;
    database::rules(&client, findings).await?;
    database::actions(&client, findings).await?;
    targets::look(&client, config, findings).await?;
    sync::look(&pool, config, findings).await;
    database::queue(&client, config, findings).await?;
    database::stopped(&client, findings).await?;
    database::incidents(&client, findings).await
}
