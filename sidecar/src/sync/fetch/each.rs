//! What costs a request for each thing: reps with their companies, credit and terms of companies. There are no times to go
//! by. Companies are gone through by their ids, so an interrupted run goes on where it was.

use futures_util::{stream, StreamExt, TryStreamExt};
use serde_json::{json, Value};
use tracing::info;

use super::{id_of, Batch, Fetch};
use crate::bigcommerce::{self, page, Api, Client};
use crate::store::Kind;
use crate::sync::Error;

const STAFF: &str = "/sales-staffs";
const LIMIT: usize = 100;

/// All reps and their companies. Neither has a time of change, so all are read each time.
pub async fn sales_staff(fetch: &Fetch<'_>) -> Result<(), Error> {
    let (mut offset, mut before) = (0, Vec::new());
    loop {
        let query = [("limit", LIMIT.to_string()), ("offset", offset.to_string())];
        let page = page(fetch.client.get(Api::B2b, STAFF, &query).await?)?;
        let ids: Vec<i64> = page.rows.iter().filter_map(|row| id_of(row, "id")).collect();
        if ids == before && !ids.is_empty() {
            return Err(Error::Repeats { path: STAFF });
        }
        offset += page.rows.len();
        let more = page.total.map_or(page.rows.len() >= LIMIT, |total| offset < total as usize);
        let done = page.rows.is_empty() || !more;
        let details = stream::iter(page.rows)
            .map(|row| rep(fetch.client, row))
            .buffered(fetch.at_once)
            .try_collect::<Vec<_>>()
            .await?;
        let batch = Batch {
            rows: details.into_iter().map(|row| (Kind::SalesStaff, row)).collect(),
            origin: "/sales-staffs/{id}".into(),
            seen: ids.clone(),
            total: page.total,
            ..Batch::default()
        };
        if !fetch.hand(batch).await || done {
            return Ok(());
        }
        before = ids;
    }
}

/// List and detail know different things of a rep: one row of both.
async fn rep(client: &Client, mut row: Value) -> Result<Value, Error> {
    let Some(id) = id_of(&row, "id") else { return Ok(row) };
    match client.get(Api::B2b, &format!("{STAFF}/{id}"), &[]).await {
        Ok(answer) => {
            let data = answer.and_then(|mut answer| answer.get_mut("data").map(Value::take));
            if let (Some(Value::Object(data)), Some(fields)) = (data, row.as_object_mut()) {
                fields.extend(data);
            }
            Ok(row)
        }
        Err(bigcommerce::Error::NotFound { .. }) => Ok(row),
        Err(error) => Err(error.into()),
    }
}

/// Credit of all companies.
pub async fn company_credit(fetch: &Fetch<'_>) -> Result<(), Error> {
    companies(fetch, Kind::CompanyCredit, "/companies/{id}/credit", "credit").await
}

/// Payment terms of all companies.
pub async fn payment_terms(fetch: &Fetch<'_>) -> Result<(), Error> {
    companies(fetch, Kind::PaymentTerms, "/companies/{id}/payment-terms", "payment-terms").await
}

/// Companies asked about between two commits.
const CHUNK: i64 = 50;

async fn companies(
    fetch: &Fetch<'_>,
    kind: Kind,
    origin: &'static str,
    what: &'static str,
) -> Result<(), Error> {
    let mut after = fetch.position["after"].as_i64().unwrap_or(0);
    loop {
        let ids = next_companies(fetch, after).await?;
        let Some(last) = ids.last().copied() else {
            // The next run begins anew.
            fetch.hand(Batch { position: Some(json!({})), origin: origin.into(), ..Batch::default() }).await;
            return Ok(());
        };
        let answers = stream::iter(ids)
            .map(|id| of_company(fetch.client, id, what))
            .buffered(fetch.at_once)
            .try_collect::<Vec<_>>()
            .await;
        let rows: Vec<Value> = match answers {
            Ok(answers) => answers.into_iter().flatten().collect(),
            // The store's feature is off: there is no credit to copy.
            Err(bigcommerce::Error::Refused { status: 400, said, .. }) if said.contains("not enabled") => {
                info!(resource = what, said, "nothing to sync");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let batch = Batch {
            rows: rows.into_iter().map(|row| (kind, row)).collect(),
            origin: origin.into(),
            position: Some(json!({"after": last})),
            ..Batch::default()
        };
        if !fetch.hand(batch).await {
            return Ok(());
        }
        after = last;
    }
}

async fn next_companies(fetch: &Fetch<'_>, after: i64) -> Result<Vec<i64>, Error> {
    let client = fetch.pool.get().await?;
    let rows = client.query(include_str!("../sql/next_companies.sql"), &[&after, &CHUNK]).await?;
    Ok(rows.iter().map(|row| row.try_get("company_id")).collect::<Result<_, _>>()?)
}

/// The answer with the company's id; `None`: there is no such company any more.
pub async fn of_company(client: &Client, id: i64, what: &str) -> Result<Option<Value>, bigcommerce::Error> {
    match client.get(Api::B2b, &format!("/companies/{id}/{what}"), &[]).await {
        Ok(answer) => {
            let data = answer.and_then(|mut answer| answer.get_mut("data").map(Value::take));
            Ok(data.map(|mut data| {
                if let Some(fields) = data.as_object_mut() {
                    fields.insert("companyId".to_owned(), id.into());
                }
                data
            }))
        }
        Err(bigcommerce::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
