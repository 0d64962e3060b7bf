//! A test of a YAML file: step by step, in a transaction.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{json, Value as Json};
use tokio_postgres::Client;

use super::case::{Case, Firing, Mail, Request, Step};
use super::expect::{object, pairs, parts, scalar, whole};
use super::Stage;
use crate::project::problem::position;
use crate::project::rehearse::{self, usual_answer, Sent};
use crate::project::Error;

/// A firing as the database has it.
struct Fired {
    rule: String,
    subject: String,
    occurrence: String,
    edge: String,
    event: String,
    state: String,
    run_at: DateTime<Utc>,
    facts: Json,
}

/// How far the numbers were when something began.
#[derive(Clone, Copy)]
pub struct Mark {
    pub firing: i64,
    pub incident: i64,
}

impl Mark {
    pub async fn now(client: &Client) -> Result<Mark, Error> {
        let row = client.query_one(include_str!("../sql/mark.sql"), &[]).await?;
        Ok(Mark { firing: row.try_get(0)?, incident: row.try_get(1)? })
    }
}

/// Runs a test; what did not come as it should.
pub async fn run(stage: &Stage<'_>, case: &Case) -> Result<Vec<String>, Error> {
    let client = stage.client;
    if let Some(clock) = &case.clock {
        set_clock(client, clock).await?;
    }
    if let Some(unknown) = only(client, &case.rules).await? {
        return Ok(vec![format!("rules: there is no rule \"{unknown}\"")]);
    }
    if !case.given.is_empty() {
        execute(client, "set local tradeflow.mode = 'silent'").await?;
        for given in &case.given {
            execute(client, given).await?;
        }
        client.batch_execute("set constraints all immediate; set constraints all deferred; set local tradeflow.mode = 'normal'").await?;
    }
    let begin = Mark::now(client).await?;
    for (n, step) in case.steps.iter().enumerate() {
        let problems = one(stage, case, step, begin).await?;
        if !problems.is_empty() {
            let at = step.at.as_ref().map(|at| format!(", at {at}")).unwrap_or_default();
            // What comes after a step that went wrong says nothing.
            return Ok(problems.into_iter().map(|p| format!("step {}{at}: {p}", n + 1)).collect());
        }
    }
    Ok(Vec::new())
}

/// Turns off all rules but these, where there are any; the name of one that there is not.
async fn only(client: &Client, rules: &[String]) -> Result<Option<String>, Error> {
    if rules.is_empty() {
        return Ok(None);
    }
    let unknown =
        "select n from unnest($1::text[]) n where n not in (select name from tradeflow.rules) limit 1";
    if let Some(row) = client.query_opt(unknown, &[&rules]).await? {
        return Ok(Some(row.try_get(0)?));
    }
    let off = "update tradeflow.rules set mode = 'off' where mode <> 'off' and name <> all ($1)";
    client.execute(off, &[&rules]).await?;
    Ok(None)
}

async fn one(stage: &Stage<'_>, case: &Case, step: &Step, begin: Mark) -> Result<Vec<String>, Error> {
    let client = stage.client;
    let mark = Mark::now(client).await?;
    if let Some(at) = &step.at {
        set_clock(client, at).await?;
    }
    if let Some(sql) = &step.run {
        execute(client, sql).await?;
    }
    rehearse::tick(client).await?;
    let fired = fired(client, mark).await?;
    let answers = |sent: &Sent| answer(&case.answers, sent);
    let sent = stage.rehearsal.drain(client, begin.firing, &answers).await?;
    let mut problems = Vec::new();
    if let Some(expected) = &step.firings {
        problems.extend(pairs("firing", expected, &fired, firing, shown_firing, Fired::shown));
    }
    let (mails, others): (Vec<&Sent>, Vec<&Sent>) = sent.iter().partition(|s| s.kind == "email");
    if let Some(expected) = &step.mails {
        problems.extend(pairs("mail", expected, &mails, |e, a| mail(e, a), shown_mail, shown_sent));
    }
    if let Some(expected) = &step.requests {
        problems.extend(pairs("request", expected, &others, |e, a| request(e, a), shown_request, shown_sent));
    }
    problems.extend(incidents(client, mark, &step.incidents).await?);
    Ok(problems)
}

/// Incidents that arose, against those that were expected.
pub async fn incidents(client: &Client, mark: Mark, expected: &[String]) -> Result<Vec<String>, Error> {
    let query = "select message from tradeflow.incidents where id > $1 order by id";
    let messages: Vec<String> =
        client.query(query, &[&mark.incident]).await?.iter().map(|row| row.get(0)).collect();
    let differ = |part: &String, message: &String| {
        if message.contains(part.as_str()) {
            vec![]
        } else {
            vec![message.clone()]
        }
    };
    Ok(pairs("incident", expected, &messages, differ, |e| format!("\"{e}\""), |m| format!("\"{m}\"")))
}

fn answer(answers: &BTreeMap<String, Json>, sent: &Sent) -> Json {
    let own = sent.target.as_ref().and_then(|target| answers.get(target));
    let mut usual = usual_answer(sent);
    if let (Some(own), Some(usual)) = (own.and_then(Json::as_object), usual.as_object_mut()) {
        usual.extend(own.clone());
    }
    usual
}

pub async fn set_clock(client: &Client, at: &str) -> Result<(), Error> {
    match client.query_one("select tradeflow.set_clock($1::text::timestamptz)", &[&at]).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Usage(match error.as_db_error() {
            Some(server) => format!("the clock cannot be set to {at}: {}", server.message()),
            None => error.to_string(),
        })),
    }
}

/// Runs statements of a test; an error says which line it is about.
pub async fn execute(client: &Client, sql: &str) -> Result<(), Error> {
    let Err(error) = client.batch_execute(sql).await else { return Ok(()) };
    let Some(server) = error.as_db_error() else { return Err(error.into()) };
    let mut message = format!("{} (SQLSTATE {})", server.message(), server.code().code());
    if let (Some(at), inner) = position(server, sql) {
        let text = inner.as_deref().unwrap_or(sql);
        let begin = text[..at].rfind('\n').map_or(0, |n| n + 1);
        let line = text[begin..].lines().next().unwrap_or_default();
        let indent = " ".repeat(text[begin..at].chars().count());
        message.push_str(&format!("\n  {line}\n  {indent}^"));
    }
    if let Some(hint) = server.hint() {
        message.push_str(&format!("\nhint: {hint}"));
    }
    Err(Error::Usage(message))
}

async fn fired(client: &Client, mark: Mark) -> Result<Vec<Fired>, Error> {
    let rows = client.query(include_str!("../sql/fired.sql"), &[&mark.firing]).await?;
    rows.iter()
        .map(|row| {
            Ok(Fired {
                rule: row.try_get("rule")?,
                subject: row.try_get("subject")?,
                occurrence: row.try_get("occurrence")?,
                edge: row.try_get("edge")?,
                event: row.try_get("event")?,
                state: row.try_get("state")?,
                run_at: row.try_get("run_at")?,
                facts: row.try_get("facts")?,
            })
        })
        .collect()
}

impl Fired {
    fn shown(&self) -> String {
        let occurrence =
            if self.occurrence.is_empty() { String::new() } else { format!(" ({})", self.occurrence) };
        format!("of {} for {}{occurrence}, {}", self.rule, self.subject, self.state)
    }
}

fn firing(expected: &Firing, actual: &Fired) -> Vec<String> {
    let mut all = whole("rule", &Some(expected.rule.clone()), &actual.rule);
    all.extend(scalar("subject", &expected.subject, &actual.subject));
    all.extend(scalar("occurrence", &expected.occurrence, &actual.occurrence));
    all.extend(whole("edge", &expected.edge, &actual.edge));
    all.extend(whole("event", &expected.event, &actual.event));
    all.extend(whole("state", &expected.state, &actual.state));
    if let Some(run_at) = &expected.run_at {
        match time(run_at) {
            Some(wanted) if wanted == actual.run_at => {}
            Some(_) => all.push(format!(
                "run_at: expected {run_at}, is {}",
                actual.run_at.format("%Y-%m-%d %H:%M:%SZ")
            )),
            None => all.push(format!("run_at: \"{run_at}\" is no time; write it like 2026-03-13 12:00Z")),
        }
    }
    all.extend(object("facts", &expected.facts, &actual.facts));
    all
}

/// A time as tests write it: with a zone, seconds may be left out.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim().replacen('T', " ", 1).replace('Z', "+00:00");
    let formats = ["%Y-%m-%d %H:%M%#z", "%Y-%m-%d %H:%M:%S%.f%#z"];
    formats.iter().find_map(|f| DateTime::parse_from_str(&text, f).ok()).map(|t| t.to_utc())
}

fn shown_firing(expected: &Firing) -> String {
    let text = |value: &Option<Json>| {
        value.as_ref().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
    };
    let subject = text(&expected.subject).map(|s| format!(" for {s}")).unwrap_or_default();
    let occurrence = text(&expected.occurrence).map(|o| format!(" ({o})")).unwrap_or_default();
    format!("of {}{subject}{occurrence}", expected.rule)
}

fn list(request: &Json, key: &str) -> String {
    request[key].as_array().into_iter().flatten().filter_map(Json::as_str).collect::<Vec<_>>().join(", ")
}

fn mail(expected: &Mail, actual: &Sent) -> Vec<String> {
    if let Some(error) = &actual.error {
        return vec![format!("it failed: {error}")];
    }
    let request = &actual.request;
    let text = |key: &str| request[key].as_str().unwrap_or_default();
    let mut all = Vec::new();
    for (name, wanted) in [("to", &expected.to), ("cc", &expected.cc)] {
        let given = list(request, name);
        if wanted.as_ref().is_some_and(|wanted| !given.contains(wanted.as_str())) {
            all.push(format!("{name}: expected {}, is {given}", wanted.as_deref().unwrap_or_default()));
        }
    }
    if expected.from.as_ref().is_some_and(|from| !text("from").contains(from.as_str())) {
        all.push(format!(
            "from: expected {}, is {}",
            expected.from.as_deref().unwrap_or_default(),
            text("from")
        ));
    }
    all.extend(whole("rule", &expected.rule, &actual.rule));
    all.extend(whole("subject", &expected.subject, text("subject")));
    all.extend(parts("text", &expected.text, text("text")));
    all.extend(parts("html", &expected.html, text("html")));
    all
}

fn shown_mail(expected: &Mail) -> String {
    let subject = expected.subject.as_ref().map(|s| format!("\"{s}\""));
    let to = expected.to.as_ref().map(|to| format!("to {to}"));
    [subject, to].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn request(expected: &Request, actual: &Sent) -> Vec<String> {
    if let Some(error) = &actual.error {
        return vec![format!("it failed: {error}")];
    }
    let mut all = whole("rule", &expected.rule, &actual.rule);
    all.extend(whole("kind", &expected.kind, &actual.kind));
    all.extend(whole("target", &expected.target, actual.target.as_deref().unwrap_or_default()));
    all.extend(scalar("step", &expected.step, &actual.step.to_string()));
    all.extend(object("", &expected.request, &actual.request));
    all
}

fn shown_request(expected: &Request) -> String {
    let kind = expected.kind.clone().unwrap_or_default();
    let target = expected.target.as_ref().map(|t| format!(" to {t}")).unwrap_or_default();
    format!("{kind}{target} {}", json!(expected.request)).trim().to_owned()
}

fn shown_sent(sent: &&Sent) -> String {
    match (&sent.error, sent.kind.as_str()) {
        (Some(error), _) => format!("of {} for {} failed: {error}; it", sent.rule, sent.subject),
        (None, "email") => format!(
            "\"{}\" to {} (rule {})",
            sent.request["subject"].as_str().unwrap_or_default(),
            list(&sent.request, "to"),
            sent.rule
        ),
        (None, kind) => format!("{kind} of {} for {}: {}", sent.rule, sent.subject, sent.request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_zone() {
        for text in ["2026-03-13 12:00Z", "2026-03-13T13:00:00+01:00", "2026-03-13 13:00+01"] {
            assert_eq!(
                time(text).map(|t| t.to_rfc3339()),
                Some("2026-03-13T12:00:00+00:00".into()),
                "{text}"
            );
        }
        assert_eq!(time("2026-03-13 12:00"), None);
    }
}
