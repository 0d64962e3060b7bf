//! From payloads of the APIs to rows of schema `store`: what `tradeflow load`, `tradeflow sync` and webhooks share.
//!
//! A payload of a known kind (`kind`) is read into a row with its lines (`entity`, and one module a kind); rows are written
//! in batches (`write`). What cannot be read is told with its place and a remedy (`record`, `scalar`).

use crate::db;

mod company;
mod credit;
mod encoded;
mod entity;
mod invoice;
mod kind;
mod line_key;
mod order;
mod product;
mod quote;
pub(crate) mod record;
pub(crate) mod report;
mod sales_staff;
pub(crate) mod scalar;
mod sheet;
mod statement;
mod tables;
mod write;

pub use encoded::Encoded;
pub use entity::{read, Entity, Origin};
pub use kind::Kind;
pub use write::{Mark, Writer};

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] db::Error),
    #[error("the tables of schema store are missing or of another version: {0}\nhint: run `tradeflow init`, then try again")]
    NoStore(String),
    #[error(
        "the connecting user may not write to schema store: {0}\nhint: grant tradeflow_sync to the user"
    )]
    NotAllowed(String),
}

impl Error {
    /// An error of the server's, in the words of somebody who stores payloads.
    pub(crate) fn from_postgres(error: tokio_postgres::Error) -> Error {
        let message = error.as_db_error().map(|db| db.message().to_owned()).unwrap_or_default();
        match error.code().map(|c| c.code()) {
            // Undefined schema, table, column, function; a type that does not fit.
            Some("3F000" | "42P01" | "42703" | "42804" | "42883") => Error::NoStore(message),
            Some("42501") => Error::NotAllowed(message),
            _ => Error::Database(error.into()),
        }
    }
}
