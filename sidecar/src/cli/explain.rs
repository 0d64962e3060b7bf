//! `tradeflow explain`: why a rule did or did not fire.

use std::fmt::Write as _;
use std::process::ExitCode;

use chrono::Utc;
use serde_json::Value as Json;
use tokio_postgres::types::Type;

use super::outbox::name;
use super::query::{self, items, text};
use super::table::printable;
use super::{when, Context};

/// Say why a rule did or did not fire for a row
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow explain big_quote 17
  tradeflow explain line_price '{\"quote_id\": 17, \"line\": 2}'     (a key of several columns)
  tradeflow explain big_quote 17 --json | jq -r .first_no

It shows each part of the condition with its value for the row as it is, and for its last logged change \
(select tradeflow.watch('…', log => true) keeps changes), what fired and what became of it.
Exit code: 0, whether it fired or not; 1 when there is no such rule, or you may not see its rows.")]
pub struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// The row's key; of a view rule, the subject
    #[arg(value_name = "KEY")]
    key: String,
    /// Print it as JSON, as tradeflow.explain(rule, key) returns it
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = context.pool()?.get().await?;
    let values: query::Values<'_> = &[(&args.rule, Type::TEXT), (&args.key, Type::TEXT)];
    let said = query::row(&mut client, "select tradeflow.explain($1, $2)", values).await?;
    match args.json {
        true => super::say_json(&said)?,
        false => super::say(&told(&said))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn told(said: &Json) -> String {
    let mut out = String::new();
    let now = Utc::now();
    let _ = writeln!(
        out,
        "{} for {}: {}",
        text(said, "rule"),
        printable(&text(said, "subject")),
        printable(&text(said, "verdict"))
    );
    let _ = writeln!(out, "  the rule is {} (version {})", mode(said), text(said, "version"));
    parts(&mut out, "its condition, for the row as it is", items(said, "parts"));
    let change = &said["last_change"];
    if let Some(at) = when::of(change, "changed_at") {
        let label =
            format!("for its last logged change, {} {}", text(change, "event"), when::relative(at, now));
        parts(&mut out, &label, items(change, "parts"));
    }
    if let Some(rows) = said["query_rows"].as_array() {
        let _ = writeln!(out, "  its query returns {} rows for it", rows.len());
    }
    if let Some(in_view) = said["in_view"].as_bool() {
        let _ = writeln!(out, "  it is {}in the view", if in_view { "" } else { "not " });
        for member in items(said, "members") {
            let since = when::of(member, "entered_at")
                .map_or_else(String::new, |at| format!(" since {}", when::exact(at)));
            let _ = writeln!(out, "  member{since} {}", text(member, "occurrence"));
        }
    }
    for firing in items(said, "firings") {
        let fired = when::of(firing, "fired_at")
            .map_or_else(String::new, |at| format!("{} ({})", when::exact(at), when::relative(at, now)));
        let _ = writeln!(out, "  fired {fired}, {} ({})", text(firing, "event"), text(firing, "edge"));
        for action in items(firing, "actions") {
            let why =
                [text(action, "reason"), text(action, "error")].into_iter().filter(|part| !part.is_empty());
            let why = why.map(|part| format!(": {}", printable(&part))).collect::<String>();
            let _ = writeln!(
                out,
                "    {} {} → {}: {}{why}",
                text(action, "id"),
                name(action),
                text(action, "target"),
                text(action, "state")
            );
        }
    }
    for incident in items(said, "incidents") {
        let _ =
            writeln!(out, "  incident {}: {}", text(incident, "id"), printable(&text(incident, "message")));
    }
    out.truncate(out.trim_end().len());
    out
}

fn mode(said: &Json) -> String {
    match (text(said, "invalid"), text(said, "paused_reason")) {
        (invalid, _) if !invalid.is_empty() => format!("invalid: {}", printable(&invalid)),
        (_, paused) if !paused.is_empty() => format!("paused: {}", printable(&paused)),
        _ => text(said, "mode"),
    }
}

fn parts(out: &mut String, label: &str, parts: &[Json]) {
    if parts.is_empty() {
        return;
    }
    let _ = writeln!(out, "  {label}:");
    for part in parts {
        let mark = match (&part["error"], &part["value"]) {
            (Json::String(_), _) => "error",
            (_, Json::Bool(true)) => "yes",
            (_, Json::Bool(false)) => "NO",
            (_, _) if part["reads_old"] == true => "—",
            _ => "NULL",
        };
        let why = match &part["error"] {
            Json::String(error) => format!("  ({})", printable(error)),
            _ if mark == "—" => "  (about a change, not about the row)".into(),
            _ => String::new(),
        };
        let _ = writeln!(out, "    {mark:<5} {}{why}", printable(&text(part, "part")));
    }
}
