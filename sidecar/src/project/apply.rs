//! `tradeflow apply`: the database becomes what the files say, in one transaction.

use super::plan::{describe, prepare, Options, Plan};
use super::{merge, Error, Project};
use crate::db;

/// Applies. The plan that comes back says what was done.
pub async fn run(project: &Project, pool: &db::Pool, options: Options) -> Result<Plan, Error> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let prepared = prepare(project, &transaction, options).await?;
    let comparison = prepared.compare(project, options);
    let mut plan = describe(project, pool, &transaction, &prepared.declaration, &comparison).await?;
    merge::remove(&transaction, &comparison.gone).await?;
    if !comparison.record.is_empty() || !comparison.forget.is_empty() {
        let version = env!("CARGO_PKG_VERSION");
        let project_row = include_str!("sql/project.sql");
        transaction.execute(project_row, &[&project.name, &project.schema, &version]).await?;
        for ((kind, name), file, definition) in &comparison.record {
            let record = include_str!("sql/record.sql");
            transaction.execute(record, &[&project.name, kind, name, file, definition]).await?;
        }
        for (kind, name) in &comparison.forget {
            let forget =
                "delete from tradeflow.project_objects where project = $1 and kind = $2 and name = $3";
            transaction.execute(forget, &[&project.name, kind, name]).await?;
        }
    }
    transaction.commit().await?;
    plan.applied = true;
    Ok(plan)
}

/// The same without a commit, for what happens in a transaction that is rolled back: a test.
pub(super) async fn within(
    project: &Project,
    transaction: &tokio_postgres::Transaction<'_>,
    options: Options,
) -> Result<(), Error> {
    let prepared = prepare(project, transaction, options).await?;
    merge::remove(transaction, &prepared.compare(project, options).gone).await
}
