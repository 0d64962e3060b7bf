//! Attachments, fetched from addresses whose hosts the operator allows.

use lettre::message::header::ContentType;
use lettre::message::{Attachment, SinglePart};
use serde::Deserialize;
use serde_json::Value as Json;
use url::Url;

use crate::api::check_literal;
use crate::db::reason;
use crate::deliver::params::{self, Filled, Text};
use crate::deliver::{Failure, Job, Tools};
use crate::secret::matches;

/// What may be attached.
pub struct Limits {
    /// Hosts that may be fetched from; * stands for any characters.
    pub hosts: Vec<String>,
    /// Bytes of all attachments of a mail together.
    pub bytes: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    url: Filled,
    name: Option<Text>,
    content_type: Option<Text>,
}

/// Fetches what a mail is to have attached. Nothing has been sent yet, so whatever fails may be tried again.
pub async fn fetch(tools: &Tools, limits: &Limits, job: &Job<'_>) -> Result<Vec<SinglePart>, Failure> {
    let list = match job.params.get("attachments") {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(list) => list,
    };
    let wanted: Vec<Wanted> = params::read_at(list, "params.attachments")?;
    let mut parts = Vec::new();
    let mut left = limits.bytes;
    for (place, one) in wanted.iter().enumerate() {
        let place = format!("params.attachments[{place}]");
        let (bytes, content_type) = get(tools, limits, job, &one.url.0, left, &place).await?;
        left -= bytes.len();
        let name = match &one.name {
            Some(Text(name)) => name.clone(),
            None => one
                .url
                .0
                .split(['?', '#'])
                .next()
                .and_then(|u| u.rsplit('/').next())
                .unwrap_or("file")
                .to_owned(),
        };
        let content_type = one.content_type.as_ref().map_or(content_type, |text| text.0.clone());
        let content_type = ContentType::parse(&content_type)
            .map_err(|_| Failure::dead(format!("{place}: \"{content_type}\" is no content type")))?;
        parts.push(Attachment::new(name.replace(['\r', '\n', '"'], " ")).body(bytes, content_type));
    }
    Ok(parts)
}

async fn get(
    tools: &Tools,
    limits: &Limits,
    job: &Job<'_>,
    address: &str,
    most: usize,
    place: &str,
) -> Result<(Vec<u8>, String), Failure> {
    let url = Url::parse(address)
        .map_err(|e| Failure::dead(format!("{place}.url: \"{address}\" is no URL: {e}")))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let secure = url.scheme() == "https" || (url.scheme() == "http" && job.target.allow_private);
    if !secure || !limits.hosts.iter().any(|pattern| matches(pattern, &host)) {
        return Err(Failure::dead(format!(
            "{place}.url: nothing is fetched from {}://{host}; an operator can allow https from hosts: email.attachment_hosts in the sidecar's configuration",
            url.scheme()
        )));
    }
    check_literal(&url, job.target.allow_private).map_err(|e| Failure::dead(format!("{place}.url: {e}")))?;
    let fetching = async {
        let mut response = tools.clients.of(job.target.allow_private).get(url).send().await?;
        let content_type = response.headers().get("content-type").and_then(|v| v.to_str().ok());
        let content_type = content_type.unwrap_or("application/octet-stream").to_owned();
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > most {
                break;
            }
        }
        Ok::<_, reqwest::Error>((status, content_type, bytes))
    };
    let (status, content_type, bytes) = tokio::time::timeout(job.target.timeout, fetching)
        .await
        .map_err(|_| Failure::retry(format!("{place}: {host} did not answer in time")))?
        .map_err(|e| Failure::retry(format!("{place}: {}", reason(&e.without_url()))))?;
    if status == 408 || status == 429 || status >= 500 {
        return Err(Failure::retry(format!("{place}: {host} answered {status}")));
    } else if !(200..300).contains(&status) {
        return Err(Failure::dead(format!("{place}: {host} answered {status}")));
    } else if bytes.len() > most {
        return Err(Failure::dead(format!(
            "{place}: the attachments have more than email.attachment_limit bytes; send a link instead"
        )));
    }
    Ok((bytes, content_type))
}
