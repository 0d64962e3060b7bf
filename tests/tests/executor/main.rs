//! The SQL API that sidecars and operators call: leases, lanes, retries, steps, what time brings. One topic a module.

mod ahead;
mod lanes;
mod leases;
mod limits;
mod outcomes;
mod pauses;
mod pooler;
mod storage;
mod telling;
mod upkeep;

use tradeflow_tests::database::Database;

/// A table each row of which is one `http` action, and one `email` action for those with a negative id.
async fn jobs() -> Database {
    let db = Database::with_extension().await;
    db.watch("jobs", "id int primary key, n int").await;
    db.sql(
        "insert into tradeflow.targets (name, system, base_url) values ('there', 'http', 'https://api.example.com'), ('smtp', 'smtp', 'smtp://mail.example.com:25');
         insert into tradeflow.rules (name, source, condition, fires, max_firings) values
           ('job', 'public.jobs', 'new.id > 0', 'always', 100000), ('mail', 'public.jobs', 'new.id < 0', 'always', 100000);
         insert into tradeflow.actions (rule, name, kind, target, params, max_attempts) values
           ('job', 'call', 'http', 'there', '{\"path\": \"/jobs\"}', 3),
           ('mail', 'send', 'email', 'smtp', '{\"to\": \"a@example.com\", \"text\": \"x\"}', 3)",
    )
    .await;
    db
}

/// Claims, and says what: `id.attempt subject`.
async fn claim(db: &Database, max: i32) -> Vec<String> {
    claim_as(db, "w", max).await
}

async fn claim_as(db: &Database, worker: &str, max: i32) -> Vec<String> {
    db.column(&format!(
        "select id || '.' || attempt || ' ' || subject from tradeflow.claim('{worker}', {max}, '1 minute')"
    ))
    .await
}

/// Ends the leases of all that runs, as if their time had passed.
async fn end_leases(db: &Database) {
    db.sql("update tradeflow.outbox set lease_until = clock_timestamp() - interval '1 second' where state = 'running'").await;
}

/// The outbox: `id state attempt`.
const OUTBOX: &str = "select concat_ws(' ', id, state, attempt) from tradeflow.outbox order by id";
