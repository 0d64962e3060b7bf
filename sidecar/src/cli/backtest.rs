//! `tradeflow backtest`: logged changes through a rule, stored or not.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use serde_json::{json, Value as Json};
use tokio_postgres::types::Type;

use super::query::{self, text};
use super::table::Table;
use super::{when, Context};

/// Replay logged changes through a rule, and compare with what it fired
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow backtest big_quote --since 30d
  tradeflow backtest big_quote --since 30d --condition 'new.grand_total >= 20000'
  tradeflow backtest big_quote --draft big_quote.json --json | jq .counts

same: fires now as it did then. added: fires in the replay only. missing: fired then, not in the replay. error: the \
rule fails for that change. The table must be watched with log => true; nothing is fired and nothing is sent.
Exit code: 0, also with differences; 1 when the rule fails for a change.")]
pub struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// Changes since: 30d, 2h, or a time [default: all that are logged]
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<DateTime<Utc>>,
    /// Changes before that time [default: now]
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<DateTime<Utc>>,
    /// With this condition instead of the rule's
    #[arg(long, value_name = "SQL", conflicts_with = "draft")]
    condition: Option<String>,
    /// With the columns of tradeflow.rules that this JSON file has, instead of the rule's
    #[arg(long, value_name = "FILE")]
    draft: Option<PathBuf>,
    /// List the firings that are the same, too
    #[arg(long)]
    all: bool,
    /// Print it as JSON: {counts, firings}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let draft = draft(&args)?;
    let mut client = context.pool()?.get().await?;
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_message("replaying what was logged");
    bar.enable_steady_tick(Duration::from_millis(120));
    let times = [(&args.since as _, Type::TIMESTAMPTZ), (&args.until as _, Type::TIMESTAMPTZ)];
    let [since, until] = times;
    let answered = match &draft {
        None => {
            let sql = "select to_jsonb(b) from tradeflow.backtest($1::text, $2, $3) b";
            query::rows(&mut client, sql, &[(&args.rule, Type::TEXT), since, until]).await
        }
        Some(draft) => {
            let sql = "select to_jsonb(b) from tradeflow.backtest($1::jsonb, $2, $3) b";
            query::rows(&mut client, sql, &[(draft, Type::JSONB), since, until]).await
        }
    };
    bar.finish_and_clear();
    let firings = answered?;
    let count = |difference: &str| firings.iter().filter(|f| f["difference"] == difference).count();
    let counts = json!({"same": count("same"), "added": count("added"), "missing": count("missing"), "error": count("error")});
    let failed = count("error") > 0;
    let listed: Vec<&Json> = firings.iter().filter(|f| args.all || f["difference"] != "same").collect();
    if args.json {
        super::say_json(&json!({"counts": counts, "firings": listed}))?;
    } else {
        let said = format!(
            "{} fire as they did, {} in the replay only, {} did then only, {} errors",
            counts["same"], counts["added"], counts["missing"], counts["error"]
        );
        super::say(&said)?;
        if !listed.is_empty() {
            super::say(&table(&listed).text())?;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is laid over the stored rule.
fn draft(args: &Args) -> anyhow::Result<Option<Json>> {
    let mut draft = match (&args.condition, &args.draft) {
        (Some(condition), _) => json!({ "condition": condition }),
        (None, Some(path)) => {
            let file = path.display();
            let text = std::fs::read_to_string(path).map_err(|e| anyhow!("{file} cannot be read: {e}"))?;
            serde_json::from_str(&text).map_err(|e| {
                anyhow!("{file} is no JSON: {e}\nhint: an object with columns of tradeflow.rules: {{\"condition\": \"…\"}}")
            })?
        }
        (None, None) => return Ok(None),
    };
    match draft.as_object_mut() {
        Some(columns) => {
            columns.insert("name".into(), json!(args.rule));
            Ok(Some(draft))
        }
        None => Err(anyhow!("the draft is no JSON object\nhint: {{\"condition\": \"…\"}}")),
    }
}

fn table(firings: &[&Json]) -> Table {
    let mut table = Table::new(&["", "CHANGED", "EVENT", "SUBJECT", "OCCURRENCE", "DUE", ">FIRING", "ERROR"]);
    let time = |firing: &Json, key: &str| when::of(firing, key).map_or_else(String::new, when::exact);
    for firing in firings {
        table.row([
            text(firing, "difference"),
            time(firing, "changed_at"),
            text(firing, "event"),
            text(firing, "subject"),
            text(firing, "occurrence"),
            time(firing, "fire_at"),
            text(firing, "firing_id"),
            text(firing, "error"),
        ]);
    }
    table
}
