//! The life of an installation: tables change under their rules, dumps are restored, changes come by replication, the
//! extension is updated.

mod beginning;
mod clock;
mod ddl;
mod recheck;
mod replication;
mod restore;
mod same_firings;
mod upgrade;

use tradeflow_tests::database::Database;

/// What fired, oldest first: `rule subject`.
async fn fired(db: &Database) -> Vec<String> {
    db.column("select rule || ' ' || subject from tradeflow.firings order by firing_id").await
}

/// The open incidents: `kind rule-or-source`.
async fn open_incidents(db: &Database) -> Vec<String> {
    db.column("select kind || ' ' || coalesce(rule, source) from tradeflow.incidents where acked_at is null order by id")
        .await
}
