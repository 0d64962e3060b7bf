//! Writing what the files say into the real tables.

use serde_json::{Map, Value as Json};
use tokio_postgres::types::ToSql;
use tokio_postgres::Transaction;

use super::declare::{place, Declaration, Declared};
use super::problem::{position, Problem};
use super::snapshot::{Entry, Snapshot};
use super::statement::place_within;
use super::table::{list, quoted, Table, DEFINITIONS};
use super::{Error, Project};

/// Writes the declared rows, what is named before what names it. Everything that is refused of one table becomes a problem.
pub async fn merge(
    project: &Project,
    transaction: &Transaction<'_>,
    declaration: &Declaration,
    before: &Snapshot,
) -> Result<(), Error> {
    let me: String = transaction.query_one("select current_user::text", &[]).await?.try_get(0)?;
    let rank = |table: &Table| DEFINITIONS.iter().position(|d| d.kind == table.kind).map_or(0, |n| n + 1);
    let mut order: Vec<usize> = (0..declaration.tables.len()).collect();
    order.sort_by_key(|index| rank(&declaration.tables[*index]));
    for index in order {
        let table = &declaration.tables[index];
        let mut rows = Vec::new();
        for object in declaration.objects.iter() {
            let Some(row) = object.row.as_ref().filter(|row| row.table == index) else { continue };
            let there = before.get(&(object.kind.clone(), object.name.clone()));
            if row.seed && there.is_some() {
                continue;
            }
            rows.push((object, complete(project, table, &row.columns, there, &me)));
        }
        write(transaction, table, &rows).await?;
    }
    Ok(())
}

/// What the files leave open and is not a column's default: a rule keeps its owner.
fn complete(
    project: &Project,
    table: &Table,
    columns: &Map<String, Json>,
    there: Option<&Entry>,
    me: &str,
) -> Json {
    let mut columns = columns.clone();
    if table.kind == "rule" {
        columns.insert("project".into(), Json::String(project.name.clone()));
        if columns.get("owner").is_none_or(Json::is_null) {
            let owner = there.and_then(|t| t.definition["owner"].as_str()).unwrap_or(me);
            columns.insert("owner".into(), Json::String(owner.to_owned()));
        }
    }
    Json::Object(columns)
}

/// All rows at once; when something is refused, one by one, so that each refusal finds its file.
async fn write(
    transaction: &Transaction<'_>,
    table: &Table,
    rows: &[(&Declared, Json)],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = upsert(table);
    let all = Json::Array(rows.iter().map(|(_, row)| row.clone()).collect());
    transaction.batch_execute("savepoint tradeflow_rows").await?;
    if transaction.execute(&statement, &[&all]).await.is_ok() {
        return Ok(transaction.batch_execute("release savepoint tradeflow_rows").await?);
    }
    transaction.batch_execute("rollback to savepoint tradeflow_rows").await?;
    let mut problems = Vec::new();
    for (object, row) in rows {
        transaction.batch_execute("savepoint tradeflow_row").await?;
        let Err(error) = transaction.execute(&statement, &[&Json::Array(vec![row.clone()])]).await else {
            transaction.batch_execute("release savepoint tradeflow_row").await?;
            continue;
        };
        let Some(server) = error.as_db_error() else { return Err(error.into()) };
        let place = match position(server, &statement) {
            (Some(at), Some(inner)) => place_within(&object.file, object.at, object.end, &inner, at),
            _ => place(object),
        };
        problems.push(Problem::of_server(place, server));
        transaction.batch_execute("rollback to savepoint tradeflow_row").await?;
    }
    match problems.is_empty() {
        // One by one they are accepted: as they were not together, it is the order that matters, and this one is right.
        true => Ok(()),
        false => Err(Error::Problems(problems)),
    }
}

fn upsert(table: &Table) -> String {
    let others: Vec<&String> = table.columns.iter().filter(|c| !table.key.contains(c)).collect();
    let set: Vec<String> = others.iter().map(|c| format!("{0} = excluded.{0}", quoted(c))).collect();
    let row = |of: &str| others.iter().map(|c| format!("{of}.{}", quoted(c))).collect::<Vec<_>>().join(", ");
    let conflict = match others.is_empty() {
        true => "do nothing".to_owned(),
        false => format!(
            "do update set {} where ({}) is distinct from ({})",
            set.join(", "),
            row("t"),
            row("excluded")
        ),
    };
    let (name, columns) = (table.quoted(), list(&table.columns));
    format!(
        "insert into {name} as t ({columns}) select {columns} from jsonb_populate_recordset(null::{name}, $1::jsonb)
         on conflict ({}) {conflict}",
        list(&table.key)
    )
}

/// Takes objects away, what names others before what is named.
pub async fn remove(
    transaction: &Transaction<'_>,
    gone: &[(&(String, String), &Entry)],
) -> Result<(), Error> {
    let rank =
        |kind: &str| DEFINITIONS.iter().rev().position(|d| d.kind == kind).unwrap_or(DEFINITIONS.len());
    let mut gone: Vec<_> =
        gone.iter().filter_map(|(name, entry)| Some((*name, *entry, entry.removal.as_ref()?))).collect();
    gone.sort_by_key(|((kind, name), ..)| (rank(kind), kind.clone(), name.clone()));
    for ((kind, name), entry, removal) in gone {
        let key: Vec<&(dyn ToSql + Sync)> = entry.key.iter().map(|k| k as &(dyn ToSql + Sync)).collect();
        if let Err(error) = transaction.execute(removal.as_str(), &key).await {
            let Some(server) = error.as_db_error() else { return Err(error.into()) };
            let mut problem =
                Problem::general(format!("{kind} \"{name}\" cannot be removed: {}", server.message()));
            problem.hint = server.hint().or(server.detail()).map(str::to_owned);
            return Err(Error::Problems(vec![problem]));
        }
    }
    Ok(())
}
