//! `tradeflow init`: the extension, the tables of schema `store`, and that their changes are watched.
//!
//! Repeatable: what is there stays, what is missing comes.

use std::collections::BTreeSet;

use serde::Serialize;
use tokio_postgres::{Client, Transaction};

use crate::db;

/// The files of sql/store, in order; the last one watches the tables and needs the extension.
const STORE: [(&str, &str); 14] = [
    ("00_schema.sql", include_str!("../../sql/store/00_schema.sql")),
    ("02_raw.sql", include_str!("../../sql/store/02_raw.sql")),
    ("10_companies.sql", include_str!("../../sql/store/10_companies.sql")),
    ("12_company_users.sql", include_str!("../../sql/store/12_company_users.sql")),
    ("14_sales_staff.sql", include_str!("../../sql/store/14_sales_staff.sql")),
    ("16_company_credit.sql", include_str!("../../sql/store/16_company_credit.sql")),
    ("20_quotes.sql", include_str!("../../sql/store/20_quotes.sql")),
    ("22_quote_items.sql", include_str!("../../sql/store/22_quote_items.sql")),
    ("30_orders.sql", include_str!("../../sql/store/30_orders.sql")),
    ("32_order_items.sql", include_str!("../../sql/store/32_order_items.sql")),
    ("40_invoices.sql", include_str!("../../sql/store/40_invoices.sql")),
    ("50_products.sql", include_str!("../../sql/store/50_products.sql")),
    ("52_price_lists.sql", include_str!("../../sql/store/52_price_lists.sql")),
    ("60_sheet_rows.sql", include_str!("../../sql/store/60_sheet_rows.sql")),
];
const WATCH: (&str, &str) = ("90_watch.sql", include_str!("../../sql/store/90_watch.sql"));

/// Why nothing was set up. Everything is one transaction: it is all done, or nothing is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] db::Error),
    #[error("this Postgres does not know the extension tradeflow\nhint: run `make install` on the database's server (PG_CONFIG=… for another than the default), then init again; --schema-only sets up the tables alone")]
    NotInstalled,
    #[error("{user} may not create the extension tradeflow\nhint: have a superuser run `create extension tradeflow` in this database, then init again")]
    NotAllowed { user: String },
    #[error("{user} may not see or write what is watched\nhint: as a superuser, `grant tradeflow_author to \"{user}\"`, then init again; --schema-only sets up the tables alone")]
    NoAuthor { user: String },
    #[error("sql/store/{file}: {error}")]
    File { file: &'static str, error: db::Error },
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Done {
    database: String,
    extension: Extension,
    tables_created: Vec<String>,
    tables_before: usize,
    newly_watched: Vec<String>,
    watched: usize,
}

#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Extension {
    Left,
    Created { version: String },
    Present { version: String, available: Option<String> },
}

/// Sets up, and says what was done. `schema_only`: no extension, nothing watched.
pub async fn run(schema_only: bool, pool: &db::Pool) -> Result<Done, Error> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await.map_err(db::Error::from)?;
    // "already exists, skipping" is the point of a repeatable command, not news.
    query(&transaction, "set local client_min_messages = warning").await?;
    // Two inits at once would both create what neither sees yet.
    query(&transaction, "select pg_advisory_xact_lock(hashtext('tradeflow.init'))").await?;
    let extension = match schema_only {
        true => Extension::Left,
        false => extension(&transaction).await?,
    };
    if !schema_only {
        author(&transaction).await?;
    }
    let before = tables(&transaction).await?;
    let watched_before = watched(&transaction, schema_only).await?;
    for (file, sql) in STORE {
        apply(&transaction, file, sql).await?;
    }
    if !schema_only {
        apply(&transaction, WATCH.0, WATCH.1).await?;
    }
    let after = tables(&transaction).await?;
    let watched_after = watched(&transaction, schema_only).await?;
    transaction.commit().await.map_err(db::Error::from)?;
    Ok(Done {
        database: pool.describe(),
        extension,
        tables_created: after.difference(&before).cloned().collect(),
        tables_before: before.len(),
        newly_watched: watched_after.difference(&watched_before).cloned().collect(),
        watched: watched_after.len(),
    })
}

impl Done {
    /// In plain words.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("{}:", self.database)];
        match &self.extension {
            Extension::Left => {}
            Extension::Created { version } => lines.push(format!("  extension tradeflow {version} created")),
            Extension::Present { version, available } => lines.push(match available {
                Some(newer) => format!("  extension tradeflow {version} is there; {newer} is installed: `alter extension tradeflow update`"),
                None => format!("  extension tradeflow {version} is there"),
            }),
        }
        lines.push(match self.tables_created.len() {
            0 => format!("  schema store is there with its {} tables", self.tables_before),
            n => format!("  {n} tables created: {}", self.tables_created.join(", ")),
        });
        if !matches!(self.extension, Extension::Left) {
            lines.push(match self.newly_watched.len() {
                0 => format!("  {} tables are watched, as before", self.watched),
                n => format!("  {n} tables watched from now on: {}", self.newly_watched.join(", ")),
            });
            lines.push("next: insert settings, targets and rules; `tradeflow load …`; `tradeflow run`; `tradeflow doctor` checks it all".into());
        }
        lines.join("\n")
    }
}

async fn extension(transaction: &Transaction<'_>) -> Result<Extension, Error> {
    let found = state(transaction).await?;
    if let Some(version) = found.installed {
        let available = found.available.filter(|newer| *newer != version);
        return Ok(Extension::Present { version, available });
    }
    if let Err(error) = transaction.batch_execute("create extension tradeflow").await {
        return Err(match error.code().map(|c| c.code()) {
            Some("42501") => Error::NotAllowed { user: found.user },
            // "is not available", "could not open extension control file"
            Some("0A000" | "58P01") => Error::NotInstalled,
            _ => db::Error::from(error).into(),
        });
    }
    let version = state(transaction).await?.installed.unwrap_or_default();
    Ok(Extension::Created { version })
}

/// Whether the connected user may watch tables.
async fn author(transaction: &Transaction<'_>) -> Result<(), Error> {
    let row = query(transaction, include_str!("db/may_watch.sql")).await?;
    match row.first() {
        Some(row) if !row.get::<_, bool>("allowed") => Err(Error::NoAuthor { user: row.get("user") }),
        _ => Ok(()),
    }
}

/// Which version of the extension there is.
struct State {
    installed: Option<String>,
    available: Option<String>,
    user: String,
}

async fn state(transaction: &Transaction<'_>) -> Result<State, Error> {
    let row = transaction
        .query_one(include_str!("db/extension_available.sql"), &[])
        .await
        .map_err(db::Error::from)?;
    Ok(State { installed: row.get("installed"), available: row.get("available"), user: row.get("user") })
}

async fn apply(transaction: &Transaction<'_>, file: &'static str, sql: &str) -> Result<(), Error> {
    transaction.batch_execute(sql).await.map_err(|e| Error::File { file, error: e.into() })
}

async fn tables(transaction: &Transaction<'_>) -> Result<BTreeSet<String>, Error> {
    let rows = query(transaction, "select tablename::text from pg_tables where schemaname = 'store'").await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn watched(transaction: &Transaction<'_>, schema_only: bool) -> Result<BTreeSet<String>, Error> {
    if schema_only {
        return Ok(BTreeSet::new());
    }
    let rows = query(transaction, "select name from tradeflow.watched_tables").await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn query(transaction: &Transaction<'_>, sql: &str) -> Result<Vec<tokio_postgres::Row>, Error> {
    let client: &Client = transaction.client();
    Ok(client.query(sql, &[]).await.map_err(db::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_store_is_applied_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/store");
        let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> = files.filter(|name| name.ends_with(".sql")).collect();
        files.sort();
        let applied: Vec<&str> = STORE.iter().chain([&WATCH]).map(|(name, _)| *name).collect();
        assert_eq!(applied, files);
    }
}
