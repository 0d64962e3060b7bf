//! What an operator has: the commands, each by the real binary, the health views, metrics. One topic a module.

mod dead;
mod health;
mod incidents;
mod insight;
mod kinds;
mod metrics;
mod outbox;
mod rules;
mod targets;
mod traces;

use tradeflow_tests::database::Database;
use tradeflow_tests::sidecar::{Said, Tradeflow};

/// A table each row of which is one `http` action of rule `job`, followed by a second step; rows with a negative id
/// are timers of rule `later`. Nobody executes them: the tests do, in SQL.
async fn jobs() -> Database {
    let db = Database::with_extension().await;
    // The first tick() makes the days of the history and moves what is there: it has happened before anybody looks.
    db.sql("select tradeflow.tick()").await;
    db.watch("jobs", "id int primary key, n int").await;
    db.sql(
        "insert into tradeflow.targets (name, system, base_url) values ('erp', 'http', 'https://erp.example.com'), ('smtp', 'smtp', 'smtp://mail.example.com:25');
         insert into tradeflow.rules (name, source, condition, fires, max_firings) values ('job', 'public.jobs', 'new.id > 0', 'always', 100000);
         insert into tradeflow.rules (name, source, condition, fire_at) values ('later', 'public.jobs', 'new.id < 0', 'tradeflow.now() + interval ''3 days''');
         insert into tradeflow.actions (rule, step, name, kind, target, params) values
           ('job', 1, 'call', 'http', 'erp', '{\"path\": \"/jobs/{{ facts.id }}\"}'),
           ('job', 2, 'tell', 'email', 'smtp', '{\"to\": \"a@example.com\", \"text\": \"x\"}'),
           ('later', 1, null, 'email', 'smtp', '{\"to\": \"a@example.com\", \"text\": \"x\"}')",
    )
    .await;
    db
}

/// Runs `tradeflow` on a database.
fn tradeflow<'a>(db: &Database, arguments: impl IntoIterator<Item = &'a str>) -> Said {
    Tradeflow::on(db, arguments).run()
}

/// Claims an action and has it fail for good.
async fn bury(db: &Database, id: i64) {
    db.sql(&format!(
        "select tradeflow.claim('w', 100, '1 minute'); select tradeflow.fail({id}, 1, 'the ERP said no', 'dead')"
    ))
    .await;
}

/// `id state` of what has not ended.
async fn states(db: &Database) -> Vec<String> {
    db.column("select id || ' ' || state from tradeflow.outbox order by id").await
}
