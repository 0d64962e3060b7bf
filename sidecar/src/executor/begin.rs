//! The first words with the database, which may be starting, or be cut off, just then.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::answer_within;
use super::catalog::Catalog;
use crate::db;

/// A database that cannot be reached is asked again for so long. Then whoever started the sidecar shall know.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// How long one try may last: a connection may fall silent.
const TRY: Duration = Duration::from_secs(20);

/// What a sidecar must know, once the database answers. None: told to stop before it did.
///
/// # Errors
/// What does not pass by itself (a wrong password, no extension, rights that are missing) at once; what does, after a minute.
pub async fn catalog(pool: &db::Pool, stop: &CancellationToken) -> Result<Option<Catalog>, db::Error> {
    let began = Instant::now();
    loop {
        let load = async { Catalog::load(&*pool.get_ready().await?).await };
        let Some(loaded) = stop.run_until_cancelled(answer_within(TRY, load)).await else {
            return Ok(None);
        };
        match loaded {
            Err(error) if error.passes() && began.elapsed() < PATIENCE => {
                warn!(%error, "the database does not answer yet; it is tried again every second, for a minute");
            }
            Err(error) => return Err(error),
            Ok(catalog) => return Ok(Some(catalog)),
        }
        if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return Ok(None);
        }
    }
}
