//! From parameters to a mail.

use std::collections::BTreeMap;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MultiPart, SinglePart};
use lettre::Message;
use serde::Deserialize;
use serde_json::{json, Map, Value as Json};

use crate::deliver::params::{self, Text};
use crate::deliver::{Failure, Job};
use crate::render::Mail;

/// Headers that are made of other parameters, or that decide how the mail is read.
const RESERVED: [&str; 13] = [
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "x-tradeflow-id",
];

/// A mail ready to send, and what is remembered of it.
#[derive(Debug)]
pub struct Composed {
    pub mail: Message,
    pub id: String,
    pub request: Json,
}

/// Whom a mail goes to.
#[derive(Debug, Clone, Default)]
pub struct Recipients {
    pub to: Vec<Mailbox>,
    pub cc: Vec<Mailbox>,
    pub bcc: Vec<Mailbox>,
}

impl Recipients {
    /// All their addresses.
    pub fn addresses(&self) -> Vec<String> {
        let all = self.to.iter().chain(&self.cc).chain(&self.bcc);
        all.map(|mailbox| mailbox.email.to_string().to_lowercase()).collect()
    }

    /// Takes those away that get none, by their addresses in lower case.
    pub fn without(&mut self, refused: &BTreeMap<String, String>) {
        for list in [&mut self.to, &mut self.cc, &mut self.bcc] {
            list.retain(|mailbox| !refused.contains_key(&mailbox.email.to_string().to_lowercase()));
        }
    }
}

/// Reads whom a mail is to go to: at least one.
pub fn recipients(params: &Json) -> Result<Recipients, Failure> {
    let (to, cc, bcc) = (addresses(params, "to")?, addresses(params, "cc")?, addresses(params, "bcc")?);
    match to.is_empty() {
        true => Err(Failure::dead("params.to: there is no recipient")),
        false => Ok(Recipients { to, cc, bcc }),
    }
}

/// Builds the mail of a job.
pub fn compose(
    job: &Job<'_>,
    recipients: Recipients,
    attachments: Vec<SinglePart>,
) -> Result<Composed, Failure> {
    let params = &job.params;
    let content = content(job)?;
    let from = match (addresses(params, "from")?.as_slice(), &job.target.sender) {
        ([one], _) => one.clone(),
        ([], Some(sender)) => sender.parse().map_err(|e| {
            Failure::retry(format!("sender of target \"{}\" is no address: {sender} ({e})", job.target.name))
        })?,
        ([], None) => {
            return Err(Failure::retry(format!(
                "nobody sends it: set sender of target \"{}\", or params.from",
                job.target.name
            )))
        }
        _ => return Err(Failure::dead("params.from: one address, not several")),
    };
    let Recipients { to, cc, bcc } = recipients;
    let reply_to = addresses(params, "reply_to")?;
    let mut headers = headers(params)?;
    headers.extend(unsubscribe(params)?);
    let id = format!("<{}@{}>", job.action.idempotency_key, from.email.domain());

    let mut builder = Message::builder()
        .from(from.clone())
        .subject(content.subject.clone())
        .message_id(Some(id.clone()))
        .raw_header(header("X-Tradeflow-Id", &job.action.idempotency_key)?)
        .date_now();
    for one in &to {
        builder = builder.to(one.clone());
    }
    for one in &cc {
        builder = builder.cc(one.clone());
    }
    for one in &bcc {
        builder = builder.bcc(one.clone());
    }
    for one in &reply_to {
        builder = builder.reply_to(one.clone());
    }
    for (name, value) in &headers {
        builder = builder.raw_header(header(name, value)?);
    }
    let alternative = content
        .html
        .as_ref()
        .map(|html| MultiPart::alternative_plain_html(content.text.clone(), html.clone()));
    let mail = match (alternative, attachments.is_empty()) {
        (Some(alternative), true) => builder.multipart(alternative),
        (None, true) => builder.singlepart(SinglePart::plain(content.text.clone())),
        (alternative, false) => {
            let mixed = match alternative {
                Some(alternative) => MultiPart::mixed().multipart(alternative),
                None => MultiPart::mixed().singlepart(SinglePart::plain(content.text.clone())),
            };
            builder.multipart(attachments.into_iter().fold(mixed, MultiPart::singlepart))
        }
    };
    let mail = mail.map_err(|e| Failure::dead(format!("the mail cannot be built: {e}")))?;
    let list = |all: &[Mailbox]| all.iter().map(|m| m.to_string()).collect::<Vec<_>>();
    let request = json!({
        "from": from.to_string(), "to": list(&to), "cc": list(&cc), "bcc": list(&bcc), "reply_to": list(&reply_to),
        "subject": content.subject, "text": content.text, "html": content.html,
        "headers": headers.into_iter().map(|(k, v)| (k, Json::String(v))).collect::<Map<_, _>>(),
    });
    Ok(Composed { mail, id, request })
}

/// Subject and bodies: of the named template, each replaced by the parameter of that name.
fn content(job: &Job<'_>) -> Result<Mail, Failure> {
    let params = &job.params;
    let mut mail = match text(params, "template")? {
        Some(name) => job.renderer.mail(&name, job.context)?.ok_or_else(|| {
            Failure::dead(format!(
                "there is no template \"{name}\"; insert it into tradeflow.templates, then retry"
            ))
        })?,
        None => Mail { subject: String::new(), text: String::new(), html: None },
    };
    if let Some(subject) = text(params, "subject")? {
        mail.subject = subject;
    }
    if let Some(body) = text(params, "text")? {
        mail.text = body;
    }
    if let Some(html) = text(params, "html")? {
        mail.html = Some(html);
    }
    // A line break in a subject would begin a header of its own.
    let lines = mail.subject.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty());
    mail.subject = lines.collect::<Vec<_>>().join(" ");
    if mail.subject.is_empty() {
        return Err(Failure::dead(
            "the mail has no subject: give params.subject, or a template that has one",
        ));
    }
    Ok(mail)
}

/// A parameter that is text; numbers and truth values are written out.
fn text(params: &Json, key: &str) -> Result<Option<String>, Failure> {
    match params.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(s)) => Ok(Some(s.clone())),
        Some(Json::Number(n)) => Ok(Some(n.to_string())),
        Some(Json::Bool(b)) => Ok(Some(b.to_string())),
        Some(_) => Err(Failure::dead(format!("params.{key}: text, not a list or an object"))),
    }
}

/// Addresses as text with commas, as an object of name and address, or as a list of these; empty ones fall away.
fn addresses(params: &Json, key: &str) -> Result<Vec<Mailbox>, Failure> {
    let parse = |text: &str, place: String| -> Result<Vec<Mailbox>, Failure> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let parsed: Result<Mailboxes, _> = text.parse();
        parsed.map(|all| all.into_iter().collect()).map_err(|e| {
            Failure::dead(format!("{place}: \"{}\" is no mail address ({e}); write name@example.com or \"Name <name@example.com>\"", text.trim()))
        })
    };
    let read = |item: &Json, place: String| match item {
        Json::Null => Ok(Vec::new()),
        Json::String(text) => parse(text, place),
        Json::Object(_) => named(item, &place),
        other => Err(Failure::dead(format!("{place}: a mail address, not {other}"))),
    };
    match params.get(key) {
        None => Ok(Vec::new()),
        Some(Json::Array(items)) => {
            let all = items.iter().enumerate().map(|(i, item)| read(item, format!("params.{key}[{i}]")));
            Ok(all.collect::<Result<Vec<_>, _>>()?.concat())
        }
        Some(one) => read(one, format!("params.{key}")),
    }
}

/// An address and the name of whose it is. Whatever stands in the name, it becomes no other address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: Option<Text>,
    email: Option<Text>,
}

fn named(item: &Json, place: &str) -> Result<Vec<Mailbox>, Failure> {
    let Named { name, email } = params::read_at(item, place)?;
    let email = email.map(|email| email.0.trim().to_owned()).filter(|email| !email.is_empty());
    let Some(email) = email else { return Ok(Vec::new()) };
    let address = email
        .parse()
        .map_err(|e| Failure::dead(format!("{place}.email: \"{email}\" is no mail address ({e})")))?;
    // A line break would begin a header of its own.
    let name = name.map(|name| name.0.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(vec![Mailbox::new(name.filter(|name| !name.is_empty()), address)])
}

/// How to get no more of it: an address of the web, where one click is enough (RFC 8058), or of mail.
fn unsubscribe(params: &Json) -> Result<Vec<(String, String)>, Failure> {
    let Some(way) =
        text(params, "unsubscribe")?.map(|way| way.trim().to_owned()).filter(|way| !way.is_empty())
    else {
        return Ok(Vec::new());
    };
    if way.contains(['<', '>', ' ', '\r', '\n'])
        || !(way.starts_with("https://") || way.starts_with("mailto:"))
    {
        return Err(Failure::dead(format!("params.unsubscribe: https://… or mailto:…, not \"{way}\"")));
    }
    let mut headers = vec![("List-Unsubscribe".to_owned(), format!("<{way}>"))];
    if way.starts_with("https://") {
        headers.push(("List-Unsubscribe-Post".to_owned(), "List-Unsubscribe=One-Click".to_owned()));
    }
    Ok(headers)
}

fn headers(params: &Json) -> Result<Vec<(String, String)>, Failure> {
    let map = match params.get("headers") {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Object(map)) => map,
        Some(_) => return Err(Failure::dead("params.headers: an object of names and texts")),
    };
    map.iter()
        .map(|(name, value)| {
            if RESERVED.contains(&name.to_lowercase().as_str()) {
                return Err(Failure::dead(format!(
                    "params.headers.{name}: this header is set by tradeflow or by another parameter"
                )));
            }
            match value {
                Json::String(value) => Ok((name.clone(), value.clone())),
                Json::Number(n) => Ok((name.clone(), n.to_string())),
                _ => Err(Failure::dead(format!("params.headers.{name}: text, not {value}"))),
            }
        })
        .collect()
}

fn header(name: &str, value: &str) -> Result<HeaderValue, Failure> {
    if value.contains(['\r', '\n']) {
        return Err(Failure::dead(format!("params.headers.{name}: a header is one line")));
    }
    let name = HeaderName::new_from_ascii(name.to_owned())
        .map_err(|_| Failure::dead(format!("params.headers.{name}: this is no name of a header")))?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

#[cfg(test)]
mod tests;
