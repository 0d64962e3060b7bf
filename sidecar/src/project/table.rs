//! The tables that a project's files fill.

use tokio_postgres::Transaction;

use super::Error;

/// A table of definitions, in schema `tradeflow`.
pub struct Definition {
    pub name: &'static str,
    /// What one row is called.
    pub kind: &'static str,
    pub key: &'static [&'static str],
    /// Columns that the database keeps, not the files.
    pub managed: &'static [&'static str],
}

/// In the order in which they can be written: what is named comes before what names it.
pub const DEFINITIONS: [Definition; 8] = [
    Definition { name: "settings", kind: "setting", key: &["name"], managed: &["updated_at"] },
    Definition { name: "targets", kind: "target", key: &["name"], managed: &["paused_at", "paused_reason"] },
    Definition { name: "templates", kind: "template", key: &["name"], managed: &["updated_at"] },
    Definition { name: "pools", kind: "pool", key: &["name"], managed: &["pass"] },
    Definition { name: "pool_members", kind: "pool member", key: &["pool", "member"], managed: &["pass"] },
    Definition {
        name: "rules",
        kind: "rule",
        key: &["name"],
        managed: &["version", "invalid", "paused_at", "paused_reason", "updated_at", "updated_by"],
    },
    Definition { name: "rule_inputs", kind: "input", key: &["rule", "source"], managed: &[] },
    Definition { name: "actions", kind: "action", key: &["rule", "edge", "step"], managed: &[] },
];

/// A table as it is in the database.
#[derive(Debug, Clone)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub kind: String,
    pub key: Vec<String>,
    /// What the files decide, the key included.
    pub columns: Vec<String>,
    pub managed: Vec<String>,
}

impl Table {
    /// Looks it up. `None`: there is no such table; an empty key: it has no primary key.
    pub async fn find(
        transaction: &Transaction<'_>,
        schema: &str,
        name: &str,
    ) -> Result<Option<Table>, Error> {
        let row = transaction.query_one(include_str!("sql/table.sql"), &[&schema, &name]).await?;
        if !row.try_get::<_, bool>("there")? {
            return Ok(None);
        }
        let definition =
            (schema == "tradeflow").then(|| DEFINITIONS.iter().find(|d| d.name == name)).flatten();
        let managed: Vec<String> =
            definition.map_or(&[][..], |d| d.managed).iter().map(|m| (*m).to_owned()).collect();
        let columns: Vec<String> = row.try_get("columns")?;
        let key = match definition {
            Some(definition) => definition.key.iter().map(|k| (*k).to_owned()).collect(),
            None => row.try_get("key")?,
        };
        Ok(Some(Table {
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind: definition.map_or("row", |d| d.kind).to_owned(),
            key,
            columns: columns.into_iter().filter(|c| !managed.contains(c)).collect(),
            managed,
        }))
    }

    /// For SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// What a row with this key is called.
    pub fn object(&self, key: &[String]) -> String {
        match self.kind.as_str() {
            "row" => format!("{} ({})", self.name, key.join(", ")),
            "action" if key[1] == "enter" => format!("{}/{}", key[0], key[2]),
            _ => key.join("/"),
        }
    }
}

/// A name in SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names in SQL, with commas.
pub fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", ")
}
