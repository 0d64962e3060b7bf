//! What the copies of a store hold; how a sync of it is run is [`tradeflow_tests::sync`].

use tradeflow_tests::database::Database;
pub use tradeflow_tests::sync::*;

/// Every synced row, but for when it was written.
pub async fn contents(db: &Database) -> Vec<String> {
    let tables: Vec<String> = db
        .column(
            "select table_name::text from information_schema.tables where table_schema = 'store' order by 1",
        )
        .await;
    let mut rows = Vec::new();
    for table in tables {
        let query =
            format!("select '{table} ' || (to_jsonb(t) - 'synced_at')::text from store.{table} t order by 1");
        rows.extend(db.column::<String>(&query).await);
    }
    rows
}

/// Fails with the first rows that differ.
pub fn assert_same(ours: &[String], theirs: &[String]) {
    let (ours, theirs): (std::collections::BTreeSet<_>, std::collections::BTreeSet<_>) =
        (ours.iter().collect(), theirs.iter().collect());
    let only: Vec<_> = ours.difference(&theirs).take(3).collect();
    let missing: Vec<_> = theirs.difference(&ours).take(3).collect();
    assert!(only.is_empty() && missing.is_empty(), "only here: {only:#?}\nmissing: {missing:#?}");
}
