//! Finding out why: dependencies, the change log, explanations, simulations, backtests. One topic a module.

mod backtest;
mod change_log;
mod dependencies;
mod explain;
mod simulate;

use tradeflow_tests::database::Database;

/// A logged table `quotes` with one rule, `big`.
async fn quotes() -> Database {
    let db = Database::with_extension().await;
    db.sql(
        "create table quotes (id int primary key, status int, total numeric(12,2), name text, tags text[], at timestamptz, raw jsonb, synced_at timestamptz);
         select tradeflow.watch('quotes', ignore => '{synced_at}', log => true);
         insert into tradeflow.rules (name, source, condition) values ('big', 'quotes', 'new.status = 1 and new.total >= 100')",
    )
    .await;
    db
}
