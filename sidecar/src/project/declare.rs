//! What a project's files say: found by running them.
//!
//! Views, functions and tables are made as the files say. Rows go into scratch tables with the columns, defaults and keys of
//! the real ones, but empty: so what comes out is what the files alone would make, whatever the database has already.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use tokio_postgres::error::SqlState;
use tokio_postgres::Transaction;

use super::problem::Problem;
use super::recipe::settings;
use super::source::{self, File, Mail};
use super::statement::{self, Insert, Statement, What};
use super::table::{list, quoted, Table};
use super::{Error, Project};

/// One object that a file defines.
#[derive(Debug, Clone)]
pub struct Declared {
    pub kind: String,
    pub name: String,
    pub file: Arc<File>,
    /// The statement that defines it, in bytes of the file.
    pub at: usize,
    pub end: usize,
    /// For a row: its table, its key and its columns.
    pub row: Option<Row>,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub table: usize,
    pub key: Vec<String>,
    pub columns: Map<String, Json>,
    /// What the database has already stays.
    pub seed: bool,
}

/// Everything that the files say.
#[derive(Debug, Default)]
pub struct Declaration {
    pub objects: Vec<Declared>,
    pub tables: Vec<Table>,
    pub mails: Vec<Mail>,
}

impl Declaration {
    pub fn find(&self, kind: &str, name: &str) -> Option<&Declared> {
        self.objects.iter().find(|o| o.kind == kind && o.name == name)
    }
}

/// Reads and runs all files of a project.
pub async fn declare(project: &Project, transaction: &Transaction<'_>) -> Result<Declaration, Error> {
    let mut problems = Vec::new();
    let mut read = Vec::new();
    for file in source::rules(project)? {
        problems.extend(settings::check(&file));
        let statements = statement::read(transaction, &file, &project.schema, &mut problems).await?;
        read.push((Arc::new(file), statements));
    }
    let mails = source::mails(project, &mut problems)?;
    if !problems.is_empty() {
        return Err(Error::Problems(problems));
    }
    let mut scratch = Scratch { project, transaction, found: HashMap::new(), into: Declaration::default() };
    for (file, statements) in &read {
        for one in statements {
            scratch.run(file, one).await?;
        }
    }
    scratch.mails(&mails).await?;
    let mut declaration = scratch.into;
    declaration.mails = mails;
    said_twice(&declaration)?;
    Ok(declaration)
}

/// No object may have two definitions.
fn said_twice(declaration: &Declaration) -> Result<(), Error> {
    let mut first: HashMap<(&str, &str), &Declared> = HashMap::new();
    let mut problems = Vec::new();
    for object in &declaration.objects {
        let before = first.insert((&object.kind, &object.name), object);
        // A function may be written once for each list of arguments, a table be added to.
        if let Some(before) = before.filter(|_| !["function", "table"].contains(&object.kind.as_str())) {
            let message =
                format!("{} \"{}\" is defined twice: also at {}", object.kind, object.name, place(before));
            problems.push(Problem::at(place(object), message).hint("keep one of the two"));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Problems(problems))
    }
}

/// Where an object is defined: where its name stands in its statement, else the statement.
pub fn place(object: &Declared) -> super::Place {
    let text = &object.file.text[object.at..object.end];
    let named = object.row.as_ref().and_then(|row| text.find(&format!("'{}'", row.key[0])));
    object.file.place(object.at + named.unwrap_or(0))
}

struct Scratch<'a> {
    project: &'a Project,
    transaction: &'a Transaction<'a>,
    /// Tables with rows, by schema and name.
    found: HashMap<(String, String), usize>,
    into: Declaration,
}

impl Scratch<'_> {
    async fn run(&mut self, file: &Arc<File>, one: &Statement) -> Result<(), Error> {
        let text = &file.text[one.at..one.end];
        match &one.what {
            What::Rows(insert) => self.rows(file, one, insert).await,
            What::Object { kind, name } => {
                if *kind == "view" {
                    self.view(file, one, name).await?;
                } else {
                    statement::run(self.transaction, file, one, text, (0, 0)).await?;
                }
                let (file, at, end) = (file.clone(), one.at, one.end);
                let object =
                    Declared { kind: (*kind).to_owned(), name: name.clone(), file, at, end, row: None };
                self.into.objects.push(object);
                Ok(())
            }
            What::Other => statement::run(self.transaction, file, one, text, (0, 0)).await,
        }
    }

    /// A view whose columns are not those of before cannot be replaced, only made anew.
    async fn view(&self, file: &File, one: &Statement, name: &str) -> Result<(), Error> {
        let text = &file.text[one.at..one.end];
        self.transaction.batch_execute("savepoint tradeflow_view").await?;
        let replaced = self.transaction.batch_execute(text).await;
        let anew = match &replaced {
            Ok(()) => false,
            Err(error) => error.code() == Some(&SqlState::INVALID_TABLE_DEFINITION),
        };
        if anew {
            let view = format!("{}.{}", quoted(&self.project.schema), quoted(name));
            let drop = format!("rollback to savepoint tradeflow_view; drop view {view}");
            statement::run(self.transaction, file, one, &drop, (0, 0)).await?;
        } else if replaced.is_err() {
            self.transaction.batch_execute("rollback to savepoint tradeflow_view").await?;
        }
        if replaced.is_err() {
            statement::run(self.transaction, file, one, text, (0, 0)).await?;
        }
        Ok(self.transaction.batch_execute("release savepoint tradeflow_view").await?)
    }

    async fn rows(&mut self, file: &Arc<File>, one: &Statement, insert: &Insert) -> Result<(), Error> {
        let schema = insert.schema.as_deref().unwrap_or(&self.project.schema).to_owned();
        let Some(index) = self.table(&schema, &insert.table).await? else {
            let message = format!("table {schema}.{} does not exist", insert.table);
            let problem = Problem::at(file.place(insert.name_at), message);
            let hint = "a decision table is made first: create table if not exists …, in the same file or in one before it";
            return Err(Error::Problems(vec![problem.hint(hint)]));
        };
        if self.into.tables[index].key.is_empty() {
            let message = format!("table {schema}.{} has no primary key", insert.table);
            let problem = Problem::at(file.place(insert.name_at), message);
            return Err(Error::Problems(vec![
                problem.hint("its rows are told apart by it, when the files are applied again")
            ]));
        }
        let alias = if insert.aliased { String::new() } else { format!(" as {}", quoted(&insert.table)) };
        let name = format!("pg_temp.tradeflow_{index}{alias}");
        let (before, after) = (&file.text[one.at..insert.name_at], &file.text[insert.name_end..one.end]);
        let sent = format!("{before}{name}{after}");
        let longer = name.len() as isize - (insert.name_end - insert.name_at) as isize;
        let ran =
            statement::run(self.transaction, file, one, &sent, (before.len() + name.len(), longer)).await;
        // The author knows the table by its own name.
        let scratch = format!("\"tradeflow_{index}\"");
        ran.map_err(|error| match error {
            Error::Problems(mut problems) => {
                for problem in &mut problems {
                    problem.message = problem.message.replace(&scratch, &format!("\"{}\"", insert.table));
                }
                Error::Problems(problems)
            }
            other => other,
        })?;
        self.take(index, file, (one.at, one.end), insert.seed).await
    }

    /// Moves what a statement wrote into the declaration.
    ///
    /// A row that is made when it is missing, and that another file says in the same words, is the one of that file: recipes
    /// that share a target each bring it.
    async fn take(
        &mut self,
        index: usize,
        file: &Arc<File>,
        at: (usize, usize),
        seed: bool,
    ) -> Result<(), Error> {
        let table = &self.into.tables[index];
        if table.kind == "input" {
            // As the real table's trigger does: what a name means is decided by the search path.
            let qualify =
                format!("update pg_temp.tradeflow_{index} set source = tradeflow._as_written(source)");
            self.transaction.batch_execute(&qualify).await?;
        }
        let key = table.key.iter().map(|k| format!("{}::text", quoted(k))).collect::<Vec<_>>().join(", ");
        let order = list(&table.key);
        let query = format!(
            "with gone as (delete from pg_temp.tradeflow_{index} returning *)
             select array[{key}] as key, to_jsonb(gone) - $1::text[] as row from gone order by {order}"
        );
        let rows = self.transaction.query(&query, &[&table.managed]).await?;
        for row in rows {
            let key: Vec<String> = row.try_get("key")?;
            let Json::Object(columns) = row.try_get::<_, Json>("row")? else { continue };
            let (kind, name) = (table.kind.clone(), table.object(&key));
            let same = |row: &Row| seed && row.seed && row.columns == columns;
            if self.into.find(&kind, &name).and_then(|o| o.row.as_ref()).is_some_and(same) {
                continue;
            }
            let row = Some(Row { table: index, key, columns, seed });
            self.into.objects.push(Declared { kind, name, file: file.clone(), at: at.0, end: at.1, row });
        }
        Ok(())
    }

    /// Mail templates, each from its folder.
    async fn mails(&mut self, mails: &[Mail]) -> Result<(), Error> {
        if mails.is_empty() {
            return Ok(());
        }
        let Some(index) = self.table("tradeflow", "templates").await? else { return Ok(()) };
        for mail in mails {
            let part = |file: &Option<File>| file.as_ref().map(|f| f.text.clone());
            let subject = part(&mail.subject).unwrap_or_default();
            let insert = format!(
                "insert into pg_temp.tradeflow_{index} (name, subject, text, html) values ($1, $2, $3, $4)"
            );
            let (subject, text) = (subject.trim(), part(&mail.text).unwrap_or_default());
            self.transaction.execute(&insert, &[&mail.name, &subject, &text, &part(&mail.html)]).await?;
            let first = mail.subject.as_ref().or(mail.text.as_ref()).or(mail.html.as_ref());
            let name = first.map_or(format!("templates/{}", mail.name), |f| f.name.clone());
            let file = Arc::new(File { name, text: first.map_or(String::new(), |f| f.text.clone()) });
            let end = file.text.len();
            self.take(index, &file, (0, end), false).await?;
        }
        Ok(())
    }

    /// The scratch table of a table, made when it is first needed.
    async fn table(&mut self, schema: &str, name: &str) -> Result<Option<usize>, Error> {
        let known = (schema.to_owned(), name.to_owned());
        if let Some(index) = self.found.get(&known) {
            return Ok(Some(*index));
        }
        let Some(table) = Table::find(self.transaction, schema, name).await? else { return Ok(None) };
        let index = self.into.tables.len();
        let mut sql = format!(
            "create temporary table tradeflow_{index} (like {} including defaults including indexes) on commit drop;",
            table.quoted()
        );
        let optional: Vec<String> = table
            .columns
            .iter()
            .chain(&table.managed)
            .filter(|c| !table.key.contains(c))
            .map(|c| format!("alter column {} drop not null", quoted(c)))
            .collect();
        if !optional.is_empty() {
            sql.push_str(&format!("alter table pg_temp.tradeflow_{index} {};", optional.join(", ")));
        }
        // Who owns a rule that the files give no owner is not theirs to say.
        if table.kind == "rule" {
            sql.push_str(&format!("alter table pg_temp.tradeflow_{index} alter column owner drop default;"));
        }
        self.transaction.batch_execute(&sql).await?;
        self.into.tables.push(table);
        self.found.insert(known, index);
        Ok(Some(index))
    }
}
