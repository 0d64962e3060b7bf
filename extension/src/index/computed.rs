//! Values computed from one version of a row, which rules compare as they do columns: `lower(new.email)`,
//! `new.extra_fields ->> 'region'`. Each is computed once for a row, however many rules ask for it, and only if one does.
//!
//! They are computed while the row is being changed, where an error would be the statement's and not the rule's. So only
//! functions of Postgres' own that cannot fail are taken (see `extract`).

use super::test::{Seen, Subject, Test, Versions};
use crate::compile::Rule;
use pgrx::pg_sys;
use std::cell::Cell;

/// The computed values of a table's rules.
pub struct Computed {
    context: *mut pg_sys::ExprContext,
    values: Vec<Value>,
    /// Counts the rows.
    row: Cell<u64>,
    /// Whether the row's memory is in use.
    used: Cell<bool>,
}

struct Value {
    expression: *mut pg_sys::Node,
    state: *mut pg_sys::ExprState,
    /// For which row, and what came out.
    kept: Cell<(u64, Seen)>,
}

impl Computed {
    /// Nothing computed: what rules would look up there is unknown.
    pub fn none() -> Computed {
        Computed {
            context: std::ptr::null_mut(),
            values: Vec::new(),
            row: Cell::new(0),
            used: Cell::new(false),
        }
    }

    /// Gives each different expression that the rules test a number.
    ///
    /// # Safety
    /// The current memory context lives as long as the result, and the rules' expressions do.
    pub unsafe fn of(rules: &mut [Rule]) -> Computed {
        let mut computed = Computed::none();
        for test in rules.iter_mut().flat_map(|rule| &mut rule.gate.tests) {
            if let Test::Single(test) = test {
                if let Subject::Expression(node) = test.subject {
                    // SAFETY: the caller's promise.
                    test.subject = Subject::Computed(unsafe { computed.number(node) });
                }
            }
        }
        if !computed.values.is_empty() {
            // SAFETY: made in, and gone with, the current memory context.
            computed.context = unsafe { pg_sys::CreateStandaloneExprContext() };
        }
        computed
    }

    unsafe fn number(&mut self, expression: *mut pg_sys::Node) -> usize {
        // SAFETY: valid expressions.
        unsafe {
            let known =
                self.values.iter().position(|v| pg_sys::equal(v.expression.cast(), expression.cast()));
            known.unwrap_or_else(|| {
                let state = pg_sys::ExecInitExpr(expression.cast(), std::ptr::null_mut());
                self.values.push(Value { expression, state, kept: Cell::new((0, Seen::Unknown)) });
                self.values.len() - 1
            })
        }
    }

    /// Another row is looked at.
    pub fn next_row(&self) {
        self.row.set(self.row.get() + 1);
        if self.used.replace(false) {
            // SAFETY: our own context; nothing keeps a value beyond its row.
            unsafe { pg_sys::MemoryContextReset((*self.context).ecxt_per_tuple_memory) };
        }
    }

    /// A value of this row, of which the version that it is computed from is there.
    ///
    /// # Safety
    /// The slots hold rows of the table, and are the same until [`Computed::next_row`].
    pub unsafe fn value(&self, number: usize, versions: &Versions) -> Seen {
        let Some(value) = self.values.get(number) else { return Seen::Unknown };
        let (row, kept) = value.kept.get();
        if row == self.row.get() {
            return kept;
        }
        // SAFETY: the caller's promise; the expression was compiled for the table's rows.
        let seen = unsafe {
            let Some(evaluate) = (*value.state).evalfunc else { return Seen::Unknown };
            self.used.set(true);
            (*self.context).ecxt_innertuple = versions.old;
            (*self.context).ecxt_outertuple = versions.new;
            let before = pg_sys::MemoryContextSwitchTo((*self.context).ecxt_per_tuple_memory);
            let mut null = false;
            let datum = pg_sys::ffi::pg_guard_ffi_boundary(|| evaluate(value.state, self.context, &mut null));
            pg_sys::MemoryContextSwitchTo(before);
            if null {
                Seen::Null
            } else {
                Seen::Value(datum)
            }
        };
        value.kept.set((self.row.get(), seen));
        seen
    }
}
