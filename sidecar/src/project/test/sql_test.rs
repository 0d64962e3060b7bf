//! A test that is a SQL file: its statements are run one after another; a SELECT is a claim, and the rows that it returns
//! contradict it. After each statement that is none, what is due by then is executed as far as rendering goes, into the tables
//! `mails` and `requests`. A SELECT that only calls functions of schema tradeflow (set_clock, backfill, retry) is no claim.

use serde_json::{json, Value as Json};
use tokio_postgres::SimpleQueryMessage;

use super::yaml_test::{execute, incidents, Mark};
use super::Stage;
use crate::project::rehearse::usual_answer;
use crate::project::source::File;
use crate::project::Error;

/// Rows of a contradicted claim that are shown.
const SHOWN: usize = 10;

/// What the test is called: its first comment, else its file.
pub fn name(file: &File) -> String {
    let comment = file.text.lines().next().and_then(|line| line.strip_prefix("--")).map(str::trim);
    comment.filter(|c| !c.is_empty()).unwrap_or(&file.name).to_owned()
}

pub async fn run(stage: &Stage<'_>, file: &File) -> Result<Vec<String>, Error> {
    let client = stage.client;
    let row = client.query_one("select tradeflow._statements($1)::jsonb", &[&file.text]).await?;
    let said: Json = row.try_get(0)?;
    if said.get("error").is_some() {
        execute(client, &file.text).await?;
    }
    client.batch_execute(include_str!("../sql/sent_tables.sql")).await?;
    let begin = Mark::now(client).await?;
    let mut problems = Vec::new();
    for about in said["statements"].as_array().into_iter().flatten() {
        let offset = |key: &str| about[key].as_u64().unwrap_or(0) as usize;
        let text = &file.text[offset("at")..offset("end")];
        let place = file.place(offset("at") + text.len() - text.trim_start().len());
        let ours = about["calls"]
            .as_array()
            .is_some_and(|c| !c.is_empty() && c.iter().all(|c| c["schema"] == "tradeflow"));
        if about["tag"] == "SELECT" && !ours {
            let rows =
                rows(client, text).await.map_err(|e| Error::Usage(format!("line {}: {e}", place.line)))?;
            if !rows.is_empty() {
                problems.push(format!(
                    "line {}: this returns rows, and must not:\n{}\n{}",
                    place.line,
                    text.trim(),
                    shown(&rows)
                ));
            }
            continue;
        }
        execute(client, text).await.map_err(|e| Error::Usage(format!("line {}: {e}", place.line)))?;
        for sent in stage.rehearsal.drain(client, begin.firing, &usual_answer).await? {
            let sent = json!([sent]);
            client.execute(include_str!("../sql/sent.sql"), &[&sent]).await?;
        }
    }
    problems.extend(incidents(client, begin, &[]).await?);
    Ok(problems)
}

/// The rows of a query as text, its column names first.
async fn rows(client: &tokio_postgres::Client, sql: &str) -> Result<Vec<Vec<String>>, Error> {
    let messages = match client.simple_query(sql).await {
        Ok(messages) => messages,
        // The same error, said with its place.
        Err(_) => return execute(client, sql).await.map(|()| Vec::new()),
    };
    let mut all: Vec<Vec<String>> = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            if all.is_empty() {
                all.push(row.columns().iter().map(|c| c.name().to_owned()).collect());
            }
            all.push((0..row.len()).map(|n| row.get(n).unwrap_or("NULL").to_owned()).collect());
        }
    }
    Ok(all)
}

fn shown(rows: &[Vec<String>]) -> String {
    let mut lines: Vec<String> =
        rows.iter().take(SHOWN + 1).map(|row| format!("  {}", row.join(" | "))).collect();
    if rows.len() > SHOWN + 1 {
        lines.push(format!("  … and {} more", rows.len() - SHOWN - 1));
    }
    lines.join("\n")
}
