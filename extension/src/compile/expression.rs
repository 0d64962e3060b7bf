//! One expression over old and new.

use super::lookup::{Dependency, Lookup};
use super::{functions, rewrite};
use crate::change::{self, ColumnSet};
use crate::error::{attempt, Failure};
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::*;
use std::ffi::CString;

/// Range-table positions, as CREATE TRIGGER … WHEN has them.
const OLD: i32 = 1;
const NEW: i32 = 2;

/// What an expression is for: its type, and how its errors read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Condition,
    Still,
    FireAt,
    /// Of a view's subject type, turned into text.
    Subject(pg_sys::Oid),
    /// Ours: any type.
    Internal,
}

impl Wanted {
    fn name(self) -> &'static str {
        match self {
            Wanted::Condition => "condition",
            Wanted::Still => "still",
            Wanted::FireAt => "fire_at",
            Wanted::Subject(_) => "subject",
            Wanted::Internal => "expression",
        }
    }
}

/// Which columns of a row an expression reads.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    pub whole: bool,
    pub attributes: Vec<i16>,
}

impl Reads {
    pub fn any(&self) -> bool {
        self.whole || !self.attributes.is_empty()
    }

    pub fn set(&self) -> ColumnSet {
        if self.whole {
            return change::ALL;
        }
        self.attributes.iter().fold(0, |set, attno| set | change::bit(*attno))
    }

    pub fn add(&mut self, other: &Reads) {
        self.whole |= other.whole;
        self.attributes.extend(&other.attributes);
    }
}

/// A compiled expression: old is the executor's inner tuple, new its outer.
pub struct Expression {
    pub state: *mut pg_sys::ExprState,
    /// The planned tree: what [`crate::index`] looks for tests in.
    pub planned: *mut pg_sys::Expr,
    pub new: Reads,
    pub old: Reads,
    /// It calls a STABLE function of somebody's.
    pub may_read_tables: bool,
}

impl Expression {
    /// The value of the expression; None is NULL.
    ///
    /// # Safety
    /// `context` has the slots of the two rows, of the relation this was compiled for.
    pub unsafe fn evaluate(&self, context: *mut pg_sys::ExprContext) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: the caller's promise. An error of the expression leaves through the boundary as a panic.
        let datum = unsafe {
            let evaluate = (*self.state).evalfunc?;
            pg_sys::ffi::pg_guard_ffi_boundary(|| evaluate(self.state, context, &mut null))
        };
        (!null).then_some(datum)
    }

    /// Whether the expression, a boolean, is true.
    ///
    /// # Safety
    /// As for [`Expression::evaluate`].
    pub unsafe fn holds(&self, context: *mut pg_sys::ExprContext) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.evaluate(context) }.is_some_and(|datum| datum.value() & 1 == 1)
    }
}

/// Compiles `text` for the rows of `relation` as the current user. What is kept is allocated in the current context.
///
/// # Safety
/// `relation` is open.
pub unsafe fn compile(
    text: &str,
    wanted: Wanted,
    relation: pg_sys::Relation,
    lookup: &Lookup,
    dependencies: &mut Vec<Dependency>,
) -> Result<Expression, Failure> {
    let source = CString::new(text).map_err(|_| {
        Failure::new(ERRCODE_SYNTAX_ERROR, format!("{} holds a NUL character", wanted.name()))
    })?;
    // SAFETY: parsing garbage lives in a context of its own, which goes when its parent does if an error comes between.
    unsafe {
        let keep = pg_sys::CurrentMemoryContext;
        let scratch = pg_sys::AllocSetContextCreateInternal(
            keep,
            c"tradeflow compile".as_ptr(),
            0,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        pg_sys::MemoryContextSwitchTo(scratch);
        let result = attempt(|| transform(&source, text, wanted, relation, lookup, dependencies))
            .map_err(|failure| explain(failure, text, wanted));
        pg_sys::MemoryContextSwitchTo(keep);
        let result = result.and_then(|(planned, new, old)| {
            attempt(|| {
                let planned = pg_sys::copyObjectImpl(planned.cast()).cast::<pg_sys::Expr>();
                let state = pg_sys::ExecInitExpr(planned, std::ptr::null_mut());
                Ok(Expression {
                    state,
                    planned,
                    new,
                    old,
                    may_read_tables: functions::may_read_tables(planned),
                })
            })
        });
        pg_sys::MemoryContextDelete(scratch);
        result
    }
}

type Transformed = (*mut pg_sys::Expr, Reads, Reads);

unsafe fn transform(
    source: &CString,
    text: &str,
    wanted: Wanted,
    relation: pg_sys::Relation,
    lookup: &Lookup,
    dependencies: &mut Vec<Dependency>,
) -> Result<Transformed, Failure> {
    // SAFETY: Postgres' parser and planner, called as CreateTriggerFiringOn() and expression_planner()'s callers do.
    unsafe {
        let parsed = only_expression(
            pg_sys::raw_parser(source.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_PLPGSQL_EXPR),
            text,
            wanted,
        )?;

        let pstate = pg_sys::make_parsestate(std::ptr::null_mut());
        (*pstate).p_sourcetext = source.as_ptr();
        for alias in [c"old", c"new"] {
            let item = pg_sys::addRangeTableEntryForRelation(
                pstate,
                relation,
                pg_sys::AccessShareLock as i32,
                pg_sys::makeAlias(alias.as_ptr(), std::ptr::null_mut()),
                false,
                false,
            );
            pg_sys::addNSItemToQuery(pstate, item, false, true, true);
        }
        let mut expr = pg_sys::transformExpr(pstate, parsed, pg_sys::ParseExprKind::EXPR_KIND_TRIGGER_WHEN);
        expr = coerce(pstate, expr, wanted)?;
        pg_sys::assign_expr_collations(pstate, expr);
        expr = rewrite::constants(expr, lookup)?;
        if wanted != Wanted::Internal && pg_sys::contain_volatile_functions(expr) {
            return Err(Failure::new(ERRCODE_INVALID_OBJECT_DEFINITION, format!("{} calls a volatile function", wanted.name()))
                .hint("It is asked as often as it takes, so it must not write or change by itself. Declare the function STABLE if it only reads; the time is now() or tradeflow.now()."));
        }

        // What is written counts: a condition that mentions old is its own edge, even where planning folds that part away.
        let (old, new) = (reads(expr, OLD), reads(expr, NEW));
        let (mut relations, mut items) = (std::ptr::null_mut(), std::ptr::null_mut());
        let planned = pg_sys::expression_planner_with_deps(expr.cast(), &mut relations, &mut items);
        for item in pgrx::list::PgList::<pg_sys::PlanInvalItem>::from_pg(items).iter_ptr() {
            dependencies.push(Dependency { cache: (*item).cacheId, hash: (*item).hashValue });
        }
        pg_sys::ChangeVarNodes(planned.cast(), OLD, pg_sys::INNER_VAR, 0);
        pg_sys::ChangeVarNodes(planned.cast(), NEW, pg_sys::OUTER_VAR, 0);
        pg_sys::free_parsestate(pstate);
        Ok((planned, new, old))
    }
}

/// The one expression of the parse, which has the form of a SELECT that may hold much more.
unsafe fn only_expression(
    parsed: *mut pg_sys::List,
    text: &str,
    wanted: Wanted,
) -> Result<*mut pg_sys::Node, Failure> {
    let not_one = || {
        Err(Failure::new(ERRCODE_SYNTAX_ERROR, format!("{} must be one expression", wanted.name()))
            .hint("Write it as in WHERE, without SELECT, FROM or a semicolon.")
            .in_query(text))
    };
    // SAFETY: a raw parse tree of RAW_PARSE_PLPGSQL_EXPR is a list of one RawStmt over a SelectStmt.
    unsafe {
        let statements = pgrx::list::PgList::<pg_sys::RawStmt>::from_pg(parsed);
        let Some(statement) = statements.get_ptr(0) else { return not_one() };
        let select = (*statement).stmt.cast::<pg_sys::SelectStmt>();
        let targets = pgrx::list::PgList::<pg_sys::ResTarget>::from_pg((*select).targetList);
        let more = [
            (*select).distinctClause,
            (*select).fromClause,
            (*select).groupClause,
            (*select).windowClause,
            (*select).valuesLists,
            (*select).sortClause,
            (*select).lockingClause,
        ]
        .iter()
        .any(|list| !list.is_null())
            || [(*select).whereClause, (*select).havingClause, (*select).limitCount, (*select).limitOffset]
                .iter()
                .any(|node| !node.is_null())
            || !(*select).larg.is_null()
            || !(*select).intoClause.is_null();
        match targets.get_ptr(0) {
            Some(target) if targets.len() == 1 && !more && (*target).name.is_null() => Ok((*target).val),
            _ => not_one(),
        }
    }
}

unsafe fn coerce(
    pstate: *mut pg_sys::ParseState,
    expr: *mut pg_sys::Node,
    wanted: Wanted,
) -> Result<*mut pg_sys::Node, Failure> {
    // SAFETY: a transformed expression and its parse state.
    unsafe {
        match wanted {
            Wanted::Internal => Ok(expr),
            Wanted::Condition | Wanted::Still => {
                let name = if wanted == Wanted::Still { c"still" } else { c"condition" };
                Ok(pg_sys::coerce_to_boolean(pstate, expr, name.as_ptr()))
            }
            Wanted::FireAt => to_type(pstate, expr, pg_sys::TIMESTAMPTZOID, wanted),
            Wanted::Subject(of) => {
                let typed = to_type(pstate, expr, of, wanted)?;
                Ok(cast(pstate, typed, pg_sys::TEXTOID, pg_sys::CoercionContext::COERCION_EXPLICIT))
            }
        }
    }
}

/// The expression as a value of another type, where Postgres would assign it; an error where it would not.
unsafe fn to_type(
    pstate: *mut pg_sys::ParseState,
    expr: *mut pg_sys::Node,
    to: pg_sys::Oid,
    wanted: Wanted,
) -> Result<*mut pg_sys::Node, Failure> {
    // SAFETY: a transformed expression and its parse state; names of types are palloc'd and copied.
    unsafe {
        let name = |oid| std::ffi::CStr::from_ptr(pg_sys::format_type_be(oid)).to_string_lossy().into_owned();
        let coerced = cast(pstate, expr, to, pg_sys::CoercionContext::COERCION_ASSIGNMENT);
        if coerced.is_null() {
            let (wanted, to, from) = (wanted.name(), name(to), name(pg_sys::exprType(expr)));
            let to = to.replace("timestamp with time zone", "timestamptz");
            return Err(Failure::new(
                ERRCODE_DATATYPE_MISMATCH,
                format!("{wanted} must be {to}, not {from}"),
            ));
        }
        Ok(coerced)
    }
}

unsafe fn cast(
    pstate: *mut pg_sys::ParseState,
    expr: *mut pg_sys::Node,
    to: pg_sys::Oid,
    how: pg_sys::CoercionContext::Type,
) -> *mut pg_sys::Node {
    // SAFETY: a transformed expression and its parse state.
    unsafe {
        let from = pg_sys::exprType(expr);
        let form = pg_sys::CoercionForm::COERCE_IMPLICIT_CAST;
        pg_sys::coerce_to_target_type(pstate, expr, from, to, -1, how, form, -1)
    }
}

/// The columns of one of the two rows that an expression reads.
unsafe fn reads(expr: *mut pg_sys::Node, varno: i32) -> Reads {
    let mut reads = Reads::default();
    // SAFETY: a valid expression; members of the set are attribute numbers, shifted to be positive.
    unsafe {
        let mut set = std::ptr::null_mut();
        pg_sys::pull_varattnos(expr, varno as pg_sys::Index, &mut set);
        let mut member = pg_sys::bms_next_member(set, -1);
        while member >= 0 {
            match member + pg_sys::FirstLowInvalidHeapAttributeNumber {
                // A system column: no column of ours, so it counts as the whole row.
                i32::MIN..=0 => reads.whole = true,
                attno => reads.attributes.push(attno as i16),
            }
            member = pg_sys::bms_next_member(set, member);
        }
    }
    reads
}

/// Puts an error of Postgres' parser into the author's words.
fn explain(mut failure: Failure, text: &str, wanted: Wanted) -> Failure {
    for theirs in ["trigger WHEN conditions", "a trigger WHEN condition", "trigger WHEN condition"] {
        failure.message = failure.message.replace(theirs, &format!("a rule's {}", wanted.name()));
    }
    if failure.hint.is_none() {
        let code = failure.code;
        failure.hint = if code == ERRCODE_FEATURE_NOT_SUPPORTED as i32 && failure.message.contains("subquery")
        {
            Some("Put what looks at other rows into the rule's query.".to_string())
        } else if code == ERRCODE_AMBIGUOUS_COLUMN as i32 {
            Some("Write new.column for the row after the change, old.column for the row before.".to_string())
        } else if code == ERRCODE_SYNTAX_ERROR as i32 {
            Some(format!("{} is one SQL expression over new and old, as in WHERE.", wanted.name()))
        } else {
            None
        };
    }
    if failure.query.is_none() {
        failure.query = Some(text.to_string());
    }
    failure
}
