//! The ways to have rules on a table, tradeflow and the others, each installed with the same questions.
//!
//! Every one answers inserts and updates, that a condition *became* true, and keeps the row it was true for; the
//! hand-written ones do so in the plainest table there can be.

use crate::rules::Rule;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    Tradeflow,
    /// Native `CREATE TRIGGER … WHEN`, one for each rule and event.
    NativeWhen,
    /// One row trigger in PL/pgSQL with an IF for each rule.
    PlpgsqlRow,
    /// Statement triggers with transition tables, one INSERT … SELECT for each rule.
    SetBased,
    /// A statement trigger that does nothing.
    FloorStatement,
    /// A row trigger whose WHEN is never true: what Postgres does for each row before anybody's condition.
    FloorWhen,
    /// A row trigger in PL/pgSQL that does nothing.
    FloorRow,
}

/// The table the contender's triggers are on.
pub const TABLE: &str = "bench.quotes";

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Contender::Tradeflow => "tradeflow",
            Contender::NativeWhen => "native-when",
            Contender::PlpgsqlRow => "plpgsql-row",
            Contender::SetBased => "set-based",
            Contender::FloorStatement => "floor-statement",
            Contender::FloorWhen => "floor-when",
            Contender::FloorRow => "floor-row",
        }
    }

    /// The statements that install it, each run on its own.
    pub fn install(self, rules: &[Rule]) -> Vec<String> {
        match self {
            Contender::Tradeflow => tradeflow(rules),
            Contender::NativeWhen => native_when(rules),
            Contender::PlpgsqlRow => plpgsql_row(rules),
            Contender::SetBased => set_based(rules),
            Contender::FloorStatement => floor("insert or update", "statement"),
            Contender::FloorRow => floor("insert or update", "row"),
            Contender::FloorWhen => floor("insert or update", "row when (new.quote_id < 0)"),
        }
    }

    /// The statements that leave no trace of it but the table, which its user drops.
    pub fn remove(self) -> Vec<String> {
        let mut statements = match self {
            Contender::Tradeflow => {
                vec!["delete from tradeflow.rules".into(), format!("select tradeflow.unwatch('{TABLE}')")]
            }
            _ => Vec::new(),
        };
        statements.push("drop schema if exists contender cascade".into());
        statements
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn tradeflow(rules: &[Rule]) -> Vec<String> {
    let mut statements = vec![
        format!("select tradeflow.watch('{TABLE}', ignore => '{{synced_at,raw}}')"),
        "insert into tradeflow.targets (name, system, base_url) values ('there', 'http', 'https://shop.example')
         on conflict (name) do nothing"
            .into(),
    ];
    for rule in rules {
        let columns = rule.column.map_or("null".into(), |column| format!("array['{column}']"));
        let (name, condition) = (literal(&rule.name), literal(&rule.condition));
        statements.push(format!(
            "insert into tradeflow.rules (name, source, condition, columns) values ({name}, '{TABLE}', {condition}, {columns})"
        ));
        statements.push(format!(
            "insert into tradeflow.actions (rule, kind, target, params)
             values ({name}, 'http', 'there', '{{\"path\": \"/quotes/{{{{ facts.quote_id }}}}\"}}')"
        ));
    }
    statements
}

fn insert_one(rule: &str) -> String {
    format!(
        "insert into bench.plain_outbox (rule, subject, facts) values ({rule}, new.quote_id, to_jsonb(new))"
    )
}

fn native_when(rules: &[Rule]) -> Vec<String> {
    let mut statements = vec![
        "create schema contender".into(),
        format!(
            "create function contender.fire() returns trigger language plpgsql as $body$
             begin {}; return null; end $body$",
            insert_one("tg_argv[0]")
        ),
    ];
    for rule in rules {
        let mut on = |event: &str, condition: String| {
            statements.push(format!(
                "create trigger {0}_{event} after {event} on {TABLE} for each row
                 when ({condition}) execute function contender.fire('{0}')",
                rule.name
            ));
        };
        on("update", rule.on_update());
        rule.on_insert().into_iter().for_each(|condition| on("insert", condition));
    }
    statements
}

fn plpgsql_row(rules: &[Rule]) -> Vec<String> {
    let ifs = |condition: &dyn Fn(&Rule) -> Option<String>| {
        rules
            .iter()
            .filter_map(|r| {
                Some(format!("if {} then {}; end if;", condition(r)?, insert_one(&literal(&r.name))))
            })
            .collect::<Vec<_>>()
            .join("\n")
    };
    vec![
        "create schema contender".into(),
        format!(
            "create function contender.row() returns trigger language plpgsql as $body$
             begin
               if tg_op = 'UPDATE' then {} else {} end if;
               return null;
             end $body$",
            or_nothing(ifs(&|r| Some(r.on_update()))),
            or_nothing(ifs(&|r| r.on_insert())),
        ),
        format!("create trigger every after insert or update on {TABLE} for each row execute function contender.row()"),
    ]
}

fn or_nothing(statements: String) -> String {
    if statements.is_empty() {
        "null;".into()
    } else {
        statements
    }
}

fn set_based(rules: &[Rule]) -> Vec<String> {
    let insert = |rule: &Rule, from: &str, condition: String| {
        format!(
            "insert into bench.plain_outbox (rule, subject, facts) select {}, new.quote_id, to_jsonb(new) from {from} where {condition};",
            literal(&rule.name)
        )
    };
    let both = "new_rows new join old_rows old using (quote_id)";
    let updates: String = rules.iter().map(|r| insert(r, both, r.on_update())).collect();
    let inserts: String =
        rules.iter().filter_map(|r| Some(insert(r, "new_rows new", r.on_insert()?))).collect();
    let function = |name: &str, body: String| {
        format!(
            "create function contender.{name}() returns trigger language plpgsql as $body$
             #variable_conflict use_column
             begin {body} return null; end $body$"
        )
    };
    vec![
        "create schema contender".into(),
        function("updated", updates),
        function("inserted", inserts),
        format!(
            "create trigger updated after update on {TABLE} referencing old table as old_rows new table as new_rows
             for each statement execute function contender.updated()"
        ),
        format!(
            "create trigger inserted after insert on {TABLE} referencing new table as new_rows
             for each statement execute function contender.inserted()"
        ),
    ]
}

fn floor(events: &str, level: &str) -> Vec<String> {
    vec![
        "create schema contender".into(),
        "create function contender.nothing() returns trigger language plpgsql as $body$ begin return null; end $body$".into(),
        format!("create trigger nothing after {events} on {TABLE} for each {level} execute function contender.nothing()"),
    ]
}
