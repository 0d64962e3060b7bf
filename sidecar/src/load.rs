//! `tradeflow load`: payload files into the tables of schema `store`.

use crate::db;

/// What to load.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files or directories
    #[arg(required = true)]
    pub paths: Vec<std::path::PathBuf>,
}

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Loads the named files.
pub async fn run(_args: Args, db: &db::Pool) -> Result<(), Error> {
    db.get().await?;
    Ok(())
}
