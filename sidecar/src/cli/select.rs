//! Which actions a command is about: by id, by what they are, or all.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::bail;
use chrono::{DateTime, Utc};
use tokio_postgres::types::{ToSql, Type};
use tradeflow_sidecar::db;

use super::when;

/// States of an action, as the database writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    Ready,
    Waiting,
    Running,
    Held,
    Dead,
    Uncertain,
    Done,
    Cancelled,
    Shadow,
    /// Those that have not ended: the default
    Open,
    /// Every state
    All,
}

const OPEN: [&str; 6] = ["ready", "waiting", "running", "held", "dead", "uncertain"];
const ENDED: [&str; 3] = ["done", "cancelled", "shadow"];

impl State {
    fn names(self) -> Vec<&'static str> {
        match self {
            State::Ready => vec!["ready"],
            State::Waiting => vec!["waiting"],
            State::Running => vec!["running"],
            State::Held => vec!["held"],
            State::Dead => vec!["dead"],
            State::Uncertain => vec!["uncertain"],
            State::Done => vec!["done"],
            State::Cancelled => vec!["cancelled"],
            State::Shadow => vec!["shadow"],
            State::Open => OPEN.to_vec(),
            State::All => OPEN.into_iter().chain(ENDED).collect(),
        }
    }
}

/// What actions are, but for their state.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which actions")]
pub struct Filter {
    /// Of this rule
    #[arg(long, value_name = "RULE")]
    pub rule: Option<String>,
    /// Of this kind (email, http, …)
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// For this target
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// In this lane (usually source:subject)
    #[arg(long, value_name = "LANE")]
    pub lane: Option<String>,
    /// About this subject
    #[arg(long, value_name = "SUBJECT")]
    pub subject: Option<String>,
    /// Fired since: 2h, 30d, or a time (2026-11-25, 2026-11-25 14:00, UTC)
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        let Filter { rule, kind, target, lane, subject, since } = self;
        [rule, kind, target, lane, subject].iter().all(|part| part.is_none()) && since.is_none()
    }

    /// What of it there is not: a rule, kind or target whose name is misspelt selects nothing.
    pub async fn unknown(&self, client: &db::Client) -> Result<Option<String>, db::Error> {
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&self.rule, Type::TEXT), (&self.kind, Type::TEXT), (&self.target, Type::TEXT)];
        let sql = include_str!("../db/operator/unknown.sql");
        Ok(client.query_typed_one(sql, &values).await?.try_get(0)?)
    }

    /// The values of list.sql and select.sql, from `$2` on.
    pub fn values(&self) -> [(&(dyn ToSql + Sync), Type); 6] {
        [
            (&self.rule, Type::TEXT),
            (&self.kind, Type::TEXT),
            (&self.target, Type::TEXT),
            (&self.lane, Type::TEXT),
            (&self.subject, Type::TEXT),
            (&self.since, Type::TIMESTAMPTZ),
        ]
    }
}

/// States in the words of the database; those of open actions when none is given.
pub fn states(given: &[State]) -> Vec<&'static str> {
    match given {
        [] => State::Open.names(),
        given => given.iter().flat_map(|state| state.names()).collect(),
    }
}

/// Actions by id, by what they are, or all.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Actions by id
    #[arg(value_name = "ID", conflicts_with_all = ["rule", "kind", "target", "lane", "subject", "since", "all"])]
    pub ids: Vec<i64>,
    #[command(flatten)]
    pub filter: Filter,
    /// All of them; asks first
    #[arg(long)]
    pub all: bool,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub yes: bool,
}

impl Selection {
    /// The ids, of those in one of these states where they are not given one by one. `what`: for the question asked
    /// before all are taken, as in "retry all {n} dead actions?". None: the person said no.
    pub async fn ids(
        &self,
        client: &db::Client,
        states: &[&str],
        what: &str,
    ) -> anyhow::Result<Option<Vec<i64>>> {
        if !self.ids.is_empty() {
            return Ok(Some(self.ids.clone()));
        }
        if self.filter.is_empty() && !self.all {
            bail!("which actions? Name them by id, or by --rule, --kind, --target, --lane, --subject, --since, or say --all");
        }
        let mut values: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&states, Type::TEXT_ARRAY)];
        values.extend(self.filter.values());
        let rows = client
            .query_typed(include_str!("../db/operator/select.sql"), &values)
            .await
            .map_err(db::Error::from)?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        if ids.is_empty() {
            if let Some(unknown) = self.filter.unknown(client).await? {
                bail!(unknown);
            }
        }
        if self.all
            && !self.yes
            && !ids.is_empty()
            && !confirmed(&what.replace("{n}", &ids.len().to_string()))?
        {
            return Ok(None);
        }
        Ok(Some(ids))
    }
}

/// Asks a person. Without one, nothing is assumed.
pub fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("{question} There is nobody to ask: say --yes");
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
