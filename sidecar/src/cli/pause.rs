//! Pausing and resuming: a target, a rule, a kind.

use std::process::ExitCode;

use serde_json::{json, Value as Json};
use tokio_postgres::types::Type;

use super::{query, Context};

/// Something that can be paused.
pub struct Pausable {
    /// What it is; the key of its name in JSON.
    pub noun: &'static str,
    /// The command that is about such.
    pub command: &'static str,
    /// $1 name, $2 reason: whether it was paused by this.
    pub pause: &'static str,
    /// $1 name: whether it was resumed by this.
    pub resume: &'static str,
    /// What becomes of one that is resumed: `target "erp" is sent to`.
    pub resumed: &'static str,
    /// What is said of one for which there was nothing to resume.
    pub not_paused: &'static str,
}

impl Pausable {
    /// Pauses one, or says that it is paused already.
    pub async fn pause(
        &self,
        name: &str,
        reason: Option<&str>,
        as_json: bool,
        context: &Context,
    ) -> anyhow::Result<ExitCode> {
        let values: query::Values<'_> = &[(&name, Type::TEXT), (&reason, Type::TEXT)];
        let changed = query::changes(context, self.pause, values).await?;
        let became = match changed {
            true => format!("is paused; `tradeflow {} resume {name}` ends it", self.command),
            false => "is paused already".to_owned(),
        };
        self.say(name, true, changed, &became, as_json)
    }

    /// Goes on with one, or says that nothing stops it.
    pub async fn resume(&self, name: &str, as_json: bool, context: &Context) -> anyhow::Result<ExitCode> {
        let changed = query::changes(context, self.resume, &[(&name, Type::TEXT)]).await?;
        let became = if changed { self.resumed } else { self.not_paused };
        self.say(name, false, changed, became, as_json)
    }

    fn say(
        &self,
        name: &str,
        paused: bool,
        changed: bool,
        became: &str,
        as_json: bool,
    ) -> anyhow::Result<ExitCode> {
        if as_json {
            let said: Json = json!({self.noun: name, "paused": paused, "changed": changed});
            super::say_json(&said)?;
        } else {
            super::say(&format!("{} \"{name}\" {became}", self.noun))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
