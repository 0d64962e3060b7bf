//! What the database has of what files can define.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tokio_postgres::Transaction;

use super::table::{quoted, Table, DEFINITIONS};
use super::Error;

/// Objects by kind and name.
pub type Snapshot = BTreeMap<(String, String), Entry>;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its columns, or its text.
    pub definition: Json,
    /// The statement that takes it away; none: it is not taken away by itself.
    pub removal: Option<String>,
    /// Values of the removal's parameters.
    pub key: Vec<String>,
}

/// Views, functions and tables of the project's schema, and the watched tables.
pub async fn objects(transaction: &Transaction<'_>, schema: &str) -> Result<Snapshot, Error> {
    let rows = transaction.query(include_str!("sql/objects.sql"), &[&schema]).await?;
    let mut found = Snapshot::new();
    for row in rows {
        let entry = Entry {
            definition: row.try_get("definition")?,
            removal: row.try_get("removal")?,
            key: Vec::new(),
        };
        found.insert((row.try_get("kind")?, row.try_get("name")?), entry);
    }
    Ok(found)
}

/// The rows of the tables of definitions, and of these decision tables.
pub async fn rows(transaction: &Transaction<'_>, decisions: &[Table]) -> Result<Snapshot, Error> {
    let mut found = Snapshot::new();
    let mut tables = Vec::new();
    for definition in &DEFINITIONS {
        tables.extend(Table::find(transaction, "tradeflow", definition.name).await?);
    }
    tables.extend(decisions.iter().filter(|t| t.kind == "row").cloned());
    for table in &tables {
        let key: Vec<String> = table.key.iter().map(|k| format!("t.{}::text", quoted(k))).collect();
        let query = format!(
            "select array[{}] as key, to_jsonb(t) - $1::text[] as row from {} t",
            key.join(", "),
            table.quoted()
        );
        let wanted: Vec<String> = key.iter().enumerate().map(|(i, k)| format!("{k} = ${}", i + 1)).collect();
        let removal = format!("delete from {} t where {}", table.quoted(), wanted.join(" and "));
        for row in transaction.query(&query, &[&table.managed]).await? {
            let key: Vec<String> = row.try_get("key")?;
            let name = (table.kind.clone(), table.object(&key));
            let entry = Entry { definition: row.try_get("row")?, removal: Some(removal.clone()), key };
            found.insert(name, entry);
        }
    }
    Ok(found)
}

/// What the last apply of a project left, by kind and name; and what others applied.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub project: String,
    pub file: String,
    pub definition: Json,
    pub applied_at: chrono::DateTime<chrono::Utc>,
    pub applied_by: String,
}

pub async fn recorded(transaction: &Transaction<'_>) -> Result<BTreeMap<(String, String), Recorded>, Error> {
    let query = "select project, kind, name, file, definition, applied_at, applied_by::text from tradeflow.project_objects";
    let rows = transaction.query(query, &[]).await?;
    rows.iter()
        .map(|row| {
            let recorded = Recorded {
                project: row.try_get("project")?,
                file: row.try_get("file")?,
                definition: row.try_get("definition")?,
                applied_at: row.try_get("applied_at")?,
                applied_by: row.try_get("applied_by")?,
            };
            Ok(((row.try_get("kind")?, row.try_get("name")?), recorded))
        })
        .collect()
}
