//! A preview for people: in plain words, and as pages to look at.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::Firing;
use crate::project::rehearse::Sent;
use crate::project::Error;

/// In plain words.
pub fn text(firings: &[Firing]) -> String {
    if firings.is_empty() {
        return "no rule would fire".into();
    }
    let mut lines = Vec::new();
    for firing in firings {
        let occurrence =
            if firing.occurrence.is_empty() { String::new() } else { format!(", {}", firing.occurrence) };
        let when = match firing.state.as_str() {
            "waiting" => format!("at {}", firing.run_at.format("%Y-%m-%d %H:%M:%S UTC")),
            "ready" => "at once".into(),
            "done" => "only recorded: it has no actions".into(),
            "cancelled" => "left out, since its time has passed (if_late)".into(),
            "shadow" => "only recorded: the rule is in shadow mode".into(),
            other => other.to_owned(),
        };
        lines.push(format!(
            "rule {} for {}{occurrence} ({} of {}): {when}",
            firing.rule, firing.subject, firing.event, firing.source
        ));
        for sent in &firing.actions {
            let target = sent.target.as_deref().map(|t| format!(" via {t}")).unwrap_or_default();
            let name = sent.action.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
            let written = if sent.as_written { " (as it is written)" } else { "" };
            lines.push(format!("  {}{name} {}{target}{written}", sent.step, sent.kind));
            match &sent.error {
                Some(error) => lines.push(format!("    it would fail: {error}")),
                None => {
                    lines.extend(shown(sent).lines().map(|line| format!("    {line}").trim_end().to_owned()))
                }
            }
        }
        lines.push(String::new());
    }
    let sent = firings.iter().flat_map(|f| &f.actions);
    if sent.clone().any(|s| !s.unknown.is_empty()) {
        lines.push("‹steps.…› is what an earlier step will return: known when that was done\n".into());
    }
    if sent.clone().any(|s| s.as_written) {
        lines.push("(as it is written): it calculates with what an earlier step will return\n".into());
    }
    let mails = sent.clone().filter(|s| s.kind == "email").count();
    let others = sent.count() - mails;
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    lines.push(format!(
        "{}, {}, {}; nothing was kept, nothing was sent",
        many(firings.len(), "firing"),
        many(mails, "mail"),
        many(others, "other action")
    ));
    lines.join("\n")
}

/// A mail as a reader sees it; another request as JSON.
fn shown(sent: &Sent) -> String {
    let request = &sent.request;
    if sent.kind != "email" || sent.as_written {
        return serde_json::to_string_pretty(request).unwrap_or_default();
    }
    let list = |key: &str| {
        let all = request[key].as_array().into_iter().flatten().filter_map(Json::as_str);
        all.collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![format!("From: {}", request["from"].as_str().unwrap_or_default())];
    for (head, key) in [("To", "to"), ("Cc", "cc"), ("Bcc", "bcc"), ("Reply-To", "reply_to")] {
        let all = list(key);
        if !all.is_empty() {
            lines.push(format!("{head}: {all}"));
        }
    }
    lines.push(format!("Subject: {}\n", request["subject"].as_str().unwrap_or_default()));
    lines.push(request["text"].as_str().unwrap_or_default().trim_end().to_owned());
    lines.join("\n")
}

/// Writes the mails as files to look at; returns their names, the list of them first.
pub fn write_html(firings: &[Firing], folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = |path: &Path, e: std::io::Error| Error::File { path: path.to_owned(), reason: e.to_string() };
    std::fs::create_dir_all(folder).map_err(|e| fail(folder, e))?;
    let mails = firings
        .iter()
        .flat_map(|f| &f.actions)
        .filter(|s| s.kind == "email" && s.error.is_none() && !s.as_written);
    let mut written = vec![folder.join("index.html")];
    let mut list = String::new();
    for (n, mail) in mails.enumerate() {
        let safe = |text: &str| {
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>()
        };
        let name = format!(
            "{:02}-{}-{}-{}.html",
            n + 1,
            safe(&mail.rule),
            safe(&mail.subject).trim_matches('-'),
            mail.step
        );
        let page = match mail.request["html"].as_str() {
            Some(html) => html.to_owned(),
            None => format!(
                "<!doctype html><meta charset=\"utf-8\"><pre>{}</pre>",
                escape(mail.request["text"].as_str().unwrap_or_default())
            ),
        };
        let path = folder.join(&name);
        std::fs::write(&path, page).map_err(|e| fail(&path, e))?;
        list.push_str(&format!(
            "<section><h2>{}</h2>\n<p>{}, step {} for {} · <a href=\"{name}\">alone</a></p>\n<div><iframe class=\"wide\" src=\"{name}\" title=\"on a wide screen\"></iframe><iframe class=\"narrow\" src=\"{name}\" title=\"on a phone\"></iframe></div>\n<details><summary>As text, with its addresses</summary><pre>{}</pre></details></section>\n",
            escape(mail.request["subject"].as_str().unwrap_or_default()),
            escape(&mail.rule),
            mail.step,
            escape(&mail.subject),
            escape(&shown(mail)),
        ));
        written.push(path);
    }
    if list.is_empty() {
        list = "<p>No mail would be sent.</p>".into();
    }
    let page = include_str!("page.html").replace("<!-- mails -->", &list);
    std::fs::write(&written[0], page).map_err(|e| fail(&written[0], e))?;
    Ok(written)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
