//! What `tradeflow outbox show` prints for people.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::outbox::name;
use super::query::{items, number, text};
use super::table::printable;
use super::when;

/// The whole firing.
pub fn firing_text(found: &Json) -> String {
    let firing = &found["firing"];
    let mut out = String::new();
    line(
        &mut out,
        "firing",
        &format!(
            "{} of rule \"{}\" (version {})",
            text(firing, "firing_id"),
            text(firing, "rule"),
            text(firing, "rule_version")
        ),
    );
    let occurrence = match text(firing, "occurrence") {
        none if none.is_empty() => String::new(),
        occurrence => format!(", {occurrence}"),
    };
    line(&mut out, "about", &format!("{}{occurrence}", text(firing, "subject")));
    line(
        &mut out,
        "because of",
        &format!("{} of {} ({})", text(firing, "event"), text(firing, "source"), text(firing, "edge")),
    );
    time(&mut out, "fired", firing, "fired_at");
    time(&mut out, "due", firing, "fire_at");
    line(&mut out, "trace", &text(firing, "traceparent"));
    for action in items(found, "actions") {
        out.push('\n');
        self::action(&mut out, action);
    }
    for later in items(found, "later_steps") {
        let _ = write!(out, "\nstep {}  {}{}: not begun\n", text(later, "step"), name(later), towards(later));
    }
    for incident in items(found, "incidents") {
        let noted = if incident["acked_at"].is_null() { "open" } else { "noted" };
        let _ = write!(
            out,
            "\nincident {} ({noted})  {}\n",
            text(incident, "id"),
            printable(&text(incident, "message"))
        );
        line(&mut out, "hint", &text(incident, "hint"));
    }
    // Last, since a row may be long.
    out.push('\n');
    document(&mut out, "facts", &firing["facts"]);
    out.truncate(out.trim_end().len());
    out
}

fn action(out: &mut String, action: &Json) {
    let step = match text(action, "step") {
        none if none.is_empty() => "no action: the firing itself is the record".to_owned(),
        step => format!("step {step}  {}{}", name(action), towards(action)),
    };
    let _ = writeln!(out, "{step}: {}", text(action, "state"));
    line(out, "id", &text(action, "id"));
    line(out, "waits for", &text(action, "waits_for"));
    if number(action, "attempt") > 0 {
        line(
            out,
            "attempts",
            &format!("{} of {}", number(action, "attempt"), number(action, "max_attempts")),
        );
    }
    line(out, "worker", &text(action, "worker"));
    line(out, "lane", &text(action, "lane"));
    time(out, "due", action, "run_at");
    time(out, "started", action, "started_at");
    time(out, "ended", action, "finished_at");
    line(out, "reason", &text(action, "reason"));
    line(out, "error", &text(action, "error"));
    match action["request"].is_null() {
        true => document(out, "params", &action["params"]),
        false => document(out, "request", &action["request"]),
    }
    document(out, "result", &action["result"]);
}

fn towards(action: &Json) -> String {
    match text(action, "target") {
        none if none.is_empty() => String::new(),
        target => format!(" → {target}"),
    }
}

fn line(out: &mut String, label: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(out, "  {label:<10}  {}", printable(value));
    }
}

fn time(out: &mut String, label: &str, row: &Json, key: &str) {
    if let Some(at) = when::of(row, key) {
        line(out, label, &format!("{} ({})", when::exact(at), when::relative(at, chrono::Utc::now())));
    }
}

/// JSON, each value on a line of its own.
fn document(out: &mut String, label: &str, value: &Json) {
    if value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty) {
        return;
    }
    let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
    let _ = writeln!(out, "  {label:<10}  {}", pretty.replace('\n', "\n              "));
}
