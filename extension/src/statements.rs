//! `tradeflow._statements`: what the statements of a text are, told by Postgres' own parser.
//!
//! The files of a project may hold certain statements only, and each is taken where it stands: command, object, the
//! place of an insert's table. Nothing is looked up or run; what an object's name means is decided by who runs it.

use crate::error::{attempt, sql_function, Failure};
use pgrx::datum::IntoDatum;
use pgrx::list::PgList;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::*;
use serde_json::{json, Map, Value as Json};
use std::ffi::{c_char, c_void, CStr, CString};

sql_function!(tradeflow_statements, pg_finfo_tradeflow_statements, statements);

fn statements(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text), strict.
    let text = unsafe { pgrx::fcinfo::pg_getarg::<String>(fcinfo, 0) }.unwrap_or_default();
    let said = match attempt(|| parse(&text)) {
        Ok(all) => json!({"statements": all}),
        Err(failure) if failure.ends_the_statement() => return Err(failure),
        Err(failure) => json!({"error": {
            "message": failure.message, "hint": failure.hint, "sqlstate": failure.sqlstate(), "position": failure.position,
        }}),
    };
    Ok(said.to_string().into_datum())
}

fn parse(text: &str) -> Result<Vec<Json>, Failure> {
    let source = CString::new(text)
        .map_err(|_| Failure::new(ERRCODE_SYNTAX_ERROR, "the text holds a NUL character"))?;
    // SAFETY: raw_parser returns a list of RawStmt, and each node is read as what its tag says.
    unsafe {
        let parsed = pg_sys::raw_parser(source.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let all = PgList::<pg_sys::RawStmt>::from_pg(parsed);
        Ok(all.iter_ptr().map(|raw| describe(raw, text.len())).collect())
    }
}

/// One statement: `tag`, the bytes `at` to `end`, and what is known of it.
unsafe fn describe(raw: *mut pg_sys::RawStmt, length: usize) -> Json {
    // SAFETY: a valid raw statement; an error of CreateCommandTag is a warning and an unknown tag.
    unsafe {
        let at = (*raw).stmt_location.max(0) as usize;
        let end = match (*raw).stmt_len {
            0 => length,
            given => at + given as usize,
        };
        let tag = CStr::from_ptr(pg_sys::GetCommandTagName(pg_sys::CreateCommandTag((*raw).stmt)));
        let mut about = Map::from_iter([
            ("tag".to_owned(), json!(tag.to_string_lossy())),
            ("at".to_owned(), json!(at)),
            ("end".to_owned(), json!(end)),
        ]);
        let more = details((*raw).stmt);
        about.extend(more.as_object().cloned().unwrap_or_default());
        Json::Object(about)
    }
}

unsafe fn details(node: *mut pg_sys::Node) -> Json {
    use pg_sys::NodeTag::*;
    // SAFETY: the node is what its tag says.
    unsafe {
        match (*node).type_ {
            T_InsertStmt => insert(node.cast()),
            T_SelectStmt => json!({"calls": only_calls(node.cast())}),
            T_ViewStmt => {
                let view = node.cast::<pg_sys::ViewStmt>();
                with(relation((*view).view), json!({"replace": (*view).replace}))
            }
            T_CreateStmt => {
                let create = node.cast::<pg_sys::CreateStmt>();
                with(relation((*create).relation), json!({"if_not_exists": (*create).if_not_exists}))
            }
            T_IndexStmt => {
                let index = node.cast::<pg_sys::IndexStmt>();
                with(relation((*index).relation), json!({"if_not_exists": (*index).if_not_exists}))
            }
            T_AlterTableStmt => {
                let alter = node.cast::<pg_sys::AlterTableStmt>();
                let commands = PgList::<pg_sys::AlterTableCmd>::from_pg((*alter).cmds);
                let repeatable = commands.iter_ptr().all(|c| {
                    (*c).subtype == pg_sys::AlterTableType::AT_AddColumn && (*c).missing_ok
                        || (*c).subtype == pg_sys::AlterTableType::AT_ColumnDefault
                });
                with(relation((*alter).relation), json!({"if_not_exists": repeatable}))
            }
            T_CreateFunctionStmt => {
                let function = node.cast::<pg_sys::CreateFunctionStmt>();
                with(qualified((*function).funcname, 0), json!({"replace": (*function).replace}))
            }
            T_CreateSchemaStmt => {
                let schema = node.cast::<pg_sys::CreateSchemaStmt>();
                json!({"schema": text((*schema).schemaname), "if_not_exists": (*schema).if_not_exists && (*schema).schemaElts.is_null()})
            }
            T_CommentStmt => comment(node.cast()),
            T_GrantStmt => {
                let grant = node.cast::<pg_sys::GrantStmt>();
                let objects = PgList::<pg_sys::Node>::from_pg((*grant).objects);
                let schemas: Vec<Json> = objects.iter_ptr().map(|o| object(o, 0)["schema"].clone()).collect();
                json!({"schemas": schemas, "is_grant": (*grant).is_grant})
            }
            _ => json!({}),
        }
    }
}

/// An insert: its table and where that stands, the columns it gives, what a conflict leads to, whether a part of it
/// writes elsewhere.
unsafe fn insert(insert: *mut pg_sys::InsertStmt) -> Json {
    // SAFETY: a valid node; the lists hold what the grammar puts there.
    unsafe {
        let table = (*insert).relation;
        let columns = PgList::<pg_sys::ResTarget>::from_pg((*insert).cols);
        let conflict = match (*insert).onConflictClause.as_ref().map(|c| c.action) {
            Some(pg_sys::OnConflictAction::ONCONFLICT_NOTHING) => Some("nothing"),
            Some(pg_sys::OnConflictAction::ONCONFLICT_UPDATE) => Some("update"),
            _ => None,
        };
        let select = (*insert).selectStmt.cast::<pg_sys::SelectStmt>();
        let withs = [(*insert).withClause, select.as_ref().map_or(std::ptr::null_mut(), |s| s.withClause)];
        let writes = withs.into_iter().filter(|w| !w.is_null()).any(|w| {
            let parts = PgList::<pg_sys::CommonTableExpr>::from_pg((*w).ctes);
            let any = parts.iter_ptr().any(|p| (*(*p).ctequery).type_ != pg_sys::NodeTag::T_SelectStmt);
            any
        });
        #[cfg(not(feature = "pg18"))]
        let returning = !(*insert).returningList.is_null();
        #[cfg(feature = "pg18")]
        let returning = !(*insert).returningClause.is_null();
        with(
            relation(table),
            json!({
                "table_at": (*table).location,
                "aliased": !(*table).alias.is_null(),
                "columns": columns.iter_ptr().map(|c| text((*c).name)).collect::<Vec<_>>(),
                "conflict": conflict,
                "returning": returning,
                "writes_elsewhere": writes,
            }),
        )
    }
}

/// The functions that a SELECT calls and does nothing else; null for every other one.
unsafe fn only_calls(select: *mut pg_sys::SelectStmt) -> Json {
    // SAFETY: a valid node.
    unsafe {
        let bare = [(*select).fromClause, (*select).valuesLists, (*select).lockingClause]
            .iter()
            .all(|list| list.is_null())
            && (*select).whereClause.is_null()
            && (*select).withClause.is_null()
            && (*select).intoClause.is_null()
            && (*select).larg.is_null();
        if !bare {
            return Json::Null;
        }
        let targets = PgList::<pg_sys::ResTarget>::from_pg((*select).targetList);
        let calls: Option<Vec<Json>> = targets
            .iter_ptr()
            .map(|target| {
                let value = (*target).val;
                let call = value.cast::<pg_sys::FuncCall>();
                let is_call = (*value).type_ == pg_sys::NodeTag::T_FuncCall;
                is_call.then(|| qualified((*call).funcname, 0))
            })
            .collect();
        json!(calls)
    }
}

unsafe fn comment(comment: *mut pg_sys::CommentStmt) -> Json {
    // SAFETY: a valid node. The last name of a column's list is the column.
    unsafe {
        let skip = usize::from((*comment).objtype == pg_sys::ObjectType::OBJECT_COLUMN);
        object((*comment).object, skip)
    }
}

/// What an object is called, whichever way the grammar says it; `skip` names at the end belong to a part of it.
unsafe fn object(node: *mut pg_sys::Node, skip: usize) -> Json {
    // SAFETY: the node is what its tag says.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_List => qualified(node.cast(), skip),
            pg_sys::NodeTag::T_RangeVar => relation(node.cast()),
            pg_sys::NodeTag::T_ObjectWithArgs => {
                qualified((*node.cast::<pg_sys::ObjectWithArgs>()).objname, skip)
            }
            pg_sys::NodeTag::T_String => {
                let name = node.cast::<pg_sys::String>();
                json!({"schema": text((*name).sval), "name": null})
            }
            _ => json!({"schema": "?", "name": null}),
        }
    }
}

unsafe fn relation(of: *mut pg_sys::RangeVar) -> Json {
    // SAFETY: a valid node.
    unsafe {
        json!({"schema": text((*of).schemaname), "name": text((*of).relname), "temporary": (*of).relpersistence == b't' as c_char})
    }
}

/// A list of names: the last one is the object's, the one before it the schema's.
unsafe fn qualified(names: *mut pg_sys::List, skip: usize) -> Json {
    // SAFETY: a list of String nodes.
    unsafe {
        let names = PgList::<pg_sys::String>::from_pg(names);
        let names: Vec<Json> = names.iter_ptr().map(|n| text((*n).sval)).collect();
        let names = &names[..names.len().saturating_sub(skip)];
        let before = names.len().checked_sub(2).and_then(|i| names.get(i));
        json!({"schema": before, "name": names.last()})
    }
}

unsafe fn text(chars: *const c_char) -> Json {
    if chars.cast::<c_void>().is_null() {
        return Json::Null;
    }
    // SAFETY: a C string of the parse tree.
    json!(unsafe { CStr::from_ptr(chars) }.to_string_lossy())
}

fn with(mut object: Json, more: Json) -> Json {
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
    object
}
