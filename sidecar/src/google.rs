//! Google Sheets (and what of Drive tells that a sheet changed), as a service account.
//!
//! Values go in as what they are, never as what a user types: text stays text, whatever it begins with, so a customer's name
//! cannot become a formula.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{json, Value as Json};
use tokio::sync::Mutex;
use url::Url;

use crate::api::{self, Answer, Call, Error, Kind};

mod account;
mod header;

pub use account::{Account, Unusable};
pub use header::{text, Header, Unfit};

const NAME: &str = "Google";

/// What the token may do: sheets, and asking whether a file changed.
const SCOPES: &str =
    "https://www.googleapis.com/auth/spreadsheets https://www.googleapis.com/auth/drive.readonly";

/// A token is replaced so long before its end.
const MARGIN: Duration = Duration::from_secs(300);

/// Quotas are counted by the minute; a 429 says nothing of when to come back.
const QUOTA: Duration = Duration::from_secs(15);

/// The APIs, as one service account.
pub struct Google {
    client: reqwest::Client,
    base: Url,
    account: Account,
    token: Mutex<Option<(HeaderValue, Instant)>>,
    timeout: Duration,
    allow_private: bool,
    requests: AtomicU64,
}

/// A tab of a spreadsheet.
#[derive(Debug, Clone)]
pub struct Tab {
    pub id: i64,
    pub title: String,
    /// Columns of its grid.
    pub columns: i64,
}

impl Google {
    /// `base_url` is `https://sheets.googleapis.com`; `key` the JSON key file of the service account.
    pub fn new(
        base_url: &str,
        key: &SecretString,
        client: reqwest::Client,
        timeout: Duration,
        allow_private: bool,
    ) -> Result<Google, String> {
        let base = Url::parse(base_url.trim_end_matches('/')).map_err(|e| {
            format!("base_url {base_url} is no URL ({e}); write https://sheets.googleapis.com")
        })?;
        let account = Account::read(key).map_err(|e| e.to_string())?;
        Ok(Google {
            client,
            base,
            account,
            token: Mutex::new(None),
            timeout,
            allow_private,
            requests: AtomicU64::new(0),
        })
    }

    /// Whom spreadsheets must be shared with.
    pub fn email(&self) -> &str {
        &self.account.email
    }

    /// Asks for a token: whether the account is one, and the key its own.
    pub async fn sign_in(&self) -> Result<(), Error> {
        self.token().await.map(drop)
    }

    /// How many requests were made so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The tabs of a spreadsheet.
    pub async fn tabs(&self, spreadsheet: &str) -> Result<Vec<Tab>, Error> {
        let fields = "sheets.properties(sheetId,title,gridProperties)";
        let path = ["v4", "spreadsheets", spreadsheet];
        let answer = self.call(Method::GET, &path, &[("fields", fields)], None).await?;
        let tab = |sheet: &Json| {
            let properties = &sheet["properties"];
            Some(Tab {
                id: properties["sheetId"].as_i64().unwrap_or(0),
                title: properties["title"].as_str()?.to_owned(),
                columns: properties["gridProperties"]["columnCount"].as_i64().unwrap_or(26),
            })
        };
        Ok(answer.body["sheets"].as_array().into_iter().flatten().filter_map(tab).collect())
    }

    /// The values of a range, a list a row. Rows are ragged: what is empty at their ends, and empty rows at the end, are left
    /// out. Dates are serial numbers of days since 1899-12-30.
    pub async fn values(&self, spreadsheet: &str, range: &str) -> Result<Vec<Vec<Json>>, Error> {
        let path = ["v4", "spreadsheets", spreadsheet, "values", range];
        let query = [
            ("majorDimension", "ROWS"),
            ("valueRenderOption", "UNFORMATTED_VALUE"),
            ("dateTimeRenderOption", "SERIAL_NUMBER"),
        ];
        let answer = self.call(Method::GET, &path, &query, None).await?;
        let rows = answer.body.get("values").and_then(Json::as_array);
        Ok(rows.into_iter().flatten().map(|row| row.as_array().cloned().unwrap_or_default()).collect())
    }

    /// Changes a spreadsheet: all of the requests or none.
    pub async fn update(&self, spreadsheet: &str, requests: &[Json]) -> Result<Json, Error> {
        let method = format!("{spreadsheet}:batchUpdate");
        let body = json!({"requests": requests});
        let answer = self.call(Method::POST, &["v4", "spreadsheets", &method], &[], Some(&body)).await?;
        Ok(answer.body)
    }

    /// A number that grows with each change of a file, however small. From Drive, which has a host of its own.
    pub async fn version(&self, file: &str) -> Result<String, Error> {
        let path = ["drive", "v3", "files", file];
        let answer = self.call(Method::GET, &path, &[("fields", "version,modifiedTime")], None).await?;
        Ok(answer.body["version"].as_str().unwrap_or_default().to_owned())
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Answer, Error> {
        let mut url = self.base.clone();
        if path.first() == Some(&"drive") && url.host_str() == Some("sheets.googleapis.com") {
            let _ = url.set_host(Some("www.googleapis.com"));
        }
        api::go_to(&mut url, path, query);
        let described = api::described(NAME, &method, &url);
        let mut again = true;
        loop {
            let token = self.token().await?;
            let headers = HeaderMap::from_iter([(reqwest::header::AUTHORIZATION, token)]);
            let (url, timeout) = (url.clone(), self.timeout);
            let call = Call { api: NAME, method: method.clone(), url, headers, body, timeout };
            self.requests.fetch_add(1, Ordering::Relaxed);
            let answer = api::send(&self.client, call).await?;
            // Taken back before its time: once more with a new one.
            if answer.status == 401 && again {
                again = false;
                *self.token.lock().await = None;
                continue;
            }
            return self.judge(answer, described);
        }
    }

    /// A valid token; asked for once for all who wait.
    async fn token(&self) -> Result<HeaderValue, Error> {
        let mut kept = self.token.lock().await;
        if let Some((token, until)) = kept.as_ref() {
            if *until > Instant::now() {
                return Ok(token.clone());
            }
        }
        let error = |kind, message: String| Error {
            kind,
            call: format!("{NAME}: token for {}", self.account.email),
            message,
            wait: None,
            body: Json::Null,
        };
        let url = Url::parse(&self.account.token_uri)
            .map_err(|e| error(Kind::Denied(0), format!("token_uri of the key is no URL: {e}")))?;
        api::check_literal(&url, self.allow_private).map_err(|e| error(Kind::Refused(0), e.to_string()))?;
        let assertion = self
            .account
            .assertion(SCOPES, chrono::Utc::now())
            .map_err(|e| error(Kind::Denied(0), e.to_string()))?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &assertion)
            .finish();
        let request =
            self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let exchange = async {
            let response = request.send().await?;
            Ok::<_, reqwest::Error>((response.status().as_u16(), response.bytes().await?))
        };
        let (status, bytes) = tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| error(Kind::Unreachable, "no answer in time".into()))?
            .map_err(|e| error(Kind::Unreachable, crate::db::reason(&e.without_url())))?;
        let body: Json = serde_json::from_slice(&bytes).unwrap_or_default();
        let (Some(text), 200) = (body["access_token"].as_str(), status) else {
            let said = body["error_description"].as_str().or(body["error"].as_str());
            let said = said.map_or_else(|| api::beginning(&bytes), str::to_owned);
            let kind = if status >= 500 { Kind::Busy(status) } else { Kind::Denied(status) };
            return Err(error(kind, said));
        };
        let mut token = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| {
            error(Kind::Garbled, "the token holds a character that no header may have".into())
        })?;
        token.set_sensitive(true);
        let lasts = Duration::from_secs(body["expires_in"].as_u64().unwrap_or(3600));
        *kept = Some((token.clone(), Instant::now() + lasts.saturating_sub(MARGIN).max(lasts / 2)));
        Ok(token)
    }

    fn judge(&self, answer: Answer, described: String) -> Result<Answer, Error> {
        let status = answer.status;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let mut wait = answer.retry_after();
        let code = answer.body.pointer("/error/status").and_then(Json::as_str).unwrap_or_default().to_owned();
        let said = answer.body.pointer("/error/message").and_then(Json::as_str);
        let mut message =
            said.map_or_else(|| api::beginning(answer.body.to_string().as_bytes()), str::to_owned);
        let kind = match status {
            401 => Kind::Denied(status),
            // A spreadsheet's matter, not the account's: others go on.
            403 if code != "RESOURCE_EXHAUSTED" => {
                message.push_str(&format!("; share the spreadsheet with {}", self.account.email));
                Kind::Refused(status)
            }
            403 | 429 => {
                wait = wait.or(Some(QUOTA));
                Kind::Throttled
            }
            408 => Kind::Busy(status),
            500.. => Kind::Failed(status),
            _ => Kind::Refused(status),
        };
        Err(Error { kind, call: described, message, wait, body: answer.body })
    }
}

/// A tab, or a part of it, as ranges are written: `'Quotes 2026'!A1:C3`.
pub fn range(tab: &str, part: &str) -> String {
    let quoted = tab.replace('\'', "''");
    if part.is_empty() {
        format!("'{quoted}'")
    } else {
        format!("'{quoted}'!{part}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_quote_the_tab() {
        assert_eq!(range("Bob's quotes", "A1:B2"), "'Bob''s quotes'!A1:B2");
        assert_eq!(range("Quotes", ""), "'Quotes'");
    }
}
