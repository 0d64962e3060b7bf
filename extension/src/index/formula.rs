//! Arithmetic over several columns, roughly: computed as floating point with a bound for the error, to see that a
//! comparison cannot hold. Only what cannot fail in Postgres is computed: +, - and * of numeric.

use super::test::{number, Scale, Seen, Side, Subject, Versions};

/// A term of a comparison.
#[derive(Clone, Debug)]
pub enum Formula {
    Constant(f64),
    Column { side: Side, column: usize, len: i16, scale: Scale },
    Add(Box<Formula>, Box<Formula>),
    Subtract(Box<Formula>, Box<Formula>),
    Multiply(Box<Formula>, Box<Formula>),
}

/// The one at least as great as the other.
#[derive(Clone, Debug)]
pub struct Inequality {
    pub greater: Formula,
    pub lesser: Formula,
}

/// What a term comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Null,
    Unknown,
    About { value: f64, error: f64 },
}

impl Inequality {
    /// False only if it does not hold.
    ///
    /// # Safety
    /// As for [`Versions::value`].
    pub unsafe fn may_hold(&self, row: &Versions) -> bool {
        // SAFETY: the caller's promise.
        match unsafe { (self.greater.amount(row), self.lesser.amount(row)) } {
            // Comparisons are strict: NULL is not true.
            (Amount::Null, _) | (_, Amount::Null) => false,
            (Amount::Unknown, _) | (_, Amount::Unknown) => true,
            (Amount::About { value: a, error: da }, Amount::About { value: b, error: db }) => {
                a + da >= b - db
            }
        }
    }
}

impl Formula {
    /// Whether it reads any column.
    pub fn varies(&self) -> bool {
        match self {
            Formula::Constant(_) => false,
            Formula::Column { .. } => true,
            Formula::Add(a, b) | Formula::Subtract(a, b) | Formula::Multiply(a, b) => {
                a.varies() || b.varies()
            }
        }
    }

    unsafe fn amount(&self, row: &Versions) -> Amount {
        // SAFETY: the caller's promise; the column is of a type the scale is for.
        unsafe {
            match self {
                Formula::Constant(value) => about(*value, 0.0),
                Formula::Column { side, column, len, scale } => {
                    match row.value(*side, Subject::Column(*column)) {
                        Seen::Null => Amount::Null,
                        Seen::Unknown => Amount::Unknown,
                        Seen::Value(datum) => number(datum, *len, *scale, row.now)
                            .map_or(Amount::Unknown, |value| about(value, 0.0)),
                    }
                }
                Formula::Add(a, b) => both(a.amount(row), b.amount(row), |a, da, b, db| (a + b, da + db)),
                Formula::Subtract(a, b) => {
                    both(a.amount(row), b.amount(row), |a, da, b, db| (a - b, da + db))
                }
                Formula::Multiply(a, b) => both(a.amount(row), b.amount(row), |a, da, b, db| {
                    (a * b, a.abs() * db + b.abs() * da + da * db)
                }),
            }
        }
    }
}

/// A value and how far it is off, and a little more for how it was read or computed. What is not finite (NaN stands
/// for infinity here) follows other rules in Postgres.
fn about(value: f64, error: f64) -> Amount {
    if value.is_finite() && error.is_finite() {
        Amount::About { value, error: error + value.abs() * 1e-9 }
    } else {
        Amount::Unknown
    }
}

fn both(a: Amount, b: Amount, f: impl FnOnce(f64, f64, f64, f64) -> (f64, f64)) -> Amount {
    match (a, b) {
        (Amount::Null, _) | (_, Amount::Null) => Amount::Null,
        (Amount::Unknown, _) | (_, Amount::Unknown) => Amount::Unknown,
        (Amount::About { value: a, error: da }, Amount::About { value: b, error: db }) => {
            let (value, error) = f(a, da, b, db);
            about(value, error)
        }
    }
}
