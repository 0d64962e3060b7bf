//! A cheap test of one column against a constant: an approximation of a part of a condition that may say yes wrongly,
//! never no. What passes all tests of a rule is asked the real condition.

use super::computed::Computed;
use super::formula::Inequality;
use super::pattern::Like;
use crate::change;
use pgrx::pg_sys;

/// Which version of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    New,
    Old,
}

/// How a column's value becomes a number on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scale {
    /// Integers, dates, timestamps: as stored.
    Integer,
    Numeric,
    /// timestamptz, as microseconds since now().
    SinceNow,
}

#[derive(Clone, Debug)]
pub enum Check {
    /// One of these pass-by-value datums.
    IntIn(Vec<i64>),
    /// One of these byte strings (text, uuid).
    BytesIn(Vec<Box<[u8]>>),
    /// At least, on this scale.
    Above(Scale, f64),
    /// At most.
    Below(Scale, f64),
    IsNull,
    NotNull,
    /// Like this pattern.
    Like(Box<Like>),
}

/// What a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Position in the slot's arrays.
    Column(usize),
    /// Number in [`Computed`].
    Computed(usize),
    /// An expression that is to be given a number there.
    Expression(*mut pg_sys::Node),
}

/// A check of a value of one version of the row.
#[derive(Clone, Debug)]
pub struct Single {
    pub side: Side,
    pub subject: Subject,
    pub len: i16,
    pub check: Check,
}

/// A part of a condition.
#[derive(Clone, Debug)]
pub enum Test {
    Single(Single),
    Inequality(Inequality),
}

/// A value of a row, as far as it can be had cheaply.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    Null,
    /// Not without asking the real condition.
    Unknown,
    Value(pg_sys::Datum),
}

/// The two versions of a row, deformed; null where there is none.
#[derive(Clone, Copy)]
pub struct Versions<'a> {
    pub old: *mut pg_sys::TupleTableSlot,
    pub new: *mut pg_sys::TupleTableSlot,
    /// now(), microseconds since 2000.
    pub now: i64,
    /// What is computed from the two, once.
    pub computed: Option<&'a Computed>,
}

impl Versions<'_> {
    /// A value. A version that is not there is all NULL.
    ///
    /// # Safety
    /// The slots are valid, hold deformed tuples of the table that the subject was compiled for.
    pub unsafe fn value(&self, side: Side, subject: Subject) -> Seen {
        let slot = match side {
            Side::New => self.new,
            Side::Old => self.old,
        };
        // SAFETY: the caller's promise.
        unsafe {
            match subject {
                _ if slot.is_null() => Seen::Null,
                Subject::Column(column) if *(*slot).tts_isnull.add(column) => Seen::Null,
                Subject::Column(column) => Seen::Value(*(*slot).tts_values.add(column)),
                Subject::Computed(number) => self.computed.map_or(Seen::Unknown, |c| c.value(number, self)),
                Subject::Expression(_) => Seen::Unknown,
            }
        }
    }

    /// The same row as it was before, in the place of the row as it is.
    pub fn before(self) -> Self {
        Versions { old: std::ptr::null_mut(), new: self.old, now: self.now, computed: None }
    }
}

impl Test {
    /// False only if the condition cannot be true.
    ///
    /// # Safety
    /// As for [`Versions::value`].
    pub unsafe fn may_hold(&self, row: &Versions) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Test::Single(single) => single.may_hold(row),
                Test::Inequality(inequality) => inequality.may_hold(row),
            }
        }
    }
}

impl Single {
    unsafe fn may_hold(&self, row: &Versions) -> bool {
        // SAFETY: the caller's promise; the datum is of the subject's type.
        unsafe {
            let datum = match row.value(self.side, self.subject) {
                Seen::Unknown => return true,
                // Comparisons are strict: NULL is not true.
                Seen::Null => return matches!(self.check, Check::IsNull),
                Seen::Value(datum) => datum,
            };
            match &self.check {
                Check::IsNull => false,
                Check::NotNull => true,
                Check::IntIn(wanted) => wanted.contains(&integer(datum, self.len)),
                Check::BytesIn(wanted) => {
                    byte_string(datum, self.len).is_none_or(|bytes| wanted.iter().any(|w| **w == *bytes))
                }
                Check::Above(scale, bound) => {
                    number(datum, self.len, *scale, row.now).is_none_or(|n| n >= *bound)
                }
                Check::Below(scale, bound) => {
                    number(datum, self.len, *scale, row.now).is_none_or(|n| n <= *bound)
                }
                Check::Like(pattern) => {
                    byte_string(datum, self.len).is_none_or(|bytes| pattern.may_match(bytes))
                }
            }
        }
    }
}

/// A pass-by-value datum of this length as a number.
pub fn integer(datum: pg_sys::Datum, len: i16) -> i64 {
    match len {
        1 => datum.value() as u8 as i64,
        2 => datum.value() as i16 as i64,
        4 => datum.value() as i32 as i64,
        _ => datum.value() as i64,
    }
}

/// The bytes of a text or uuid; None when fetching them would cost something.
///
/// # Safety
/// `datum` is a pass-by-reference datum of this length.
pub unsafe fn byte_string<'a>(datum: pg_sys::Datum, len: i16) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    unsafe {
        match len {
            -1 => change::inline_payload(datum.cast_mut_ptr()),
            1.. => Some(std::slice::from_raw_parts(datum.cast_mut_ptr(), len as usize)),
            _ => None,
        }
    }
}

/// A value's place on a scale, accurate to about 1e-12 of it; None when that would cost something.
///
/// # Safety
/// `datum` is of the type the scale is for.
pub unsafe fn number(datum: pg_sys::Datum, len: i16, scale: Scale, now: i64) -> Option<f64> {
    match scale {
        Scale::Integer => Some(integer(datum, len) as f64),
        Scale::SinceNow => Some((integer(datum, len) as f64) - (now as f64)),
        // SAFETY: the caller's promise.
        Scale::Numeric => unsafe { change::inline_payload(datum.cast_mut_ptr()) }.and_then(numeric),
    }
}

/// Reads the leading digits of a numeric as Postgres stores it (utils/adt/numeric.c, NumericChoice).
fn numeric(bytes: &[u8]) -> Option<f64> {
    const SPECIAL: u16 = 0xC000;
    const SHORT: u16 = 0x8000;
    let word = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_ne_bytes([b[0], b[1]]));
    let header = word(0)?;
    let (negative, weight, digits_at) = match header & 0xC000 {
        SPECIAL => return Some(if header & 0xF000 == 0xF000 { f64::NEG_INFINITY } else { f64::INFINITY }),
        SHORT => {
            let weight = (header & 0x3F) as i32 - if header & 0x40 != 0 { 0x40 } else { 0 };
            (header & 0x2000 != 0, weight, 2)
        }
        sign => (sign == 0x4000, word(2)? as i16 as i32, 4),
    };
    // At most five digits of 10,000: as exact as the result can hold.
    let (mut digits, mut count) = (0.0, 0);
    for digit in bytes[digits_at.min(bytes.len())..].chunks_exact(2).take(5) {
        digits = digits * 10_000.0 + f64::from(u16::from_ne_bytes([digit[0], digit[1]]));
        count += 1;
    }
    // Zero is zero, also where its place is beyond what f64 can hold.
    let value = if digits == 0.0 { 0.0 } else { digits * power_of_10_000(weight + 1 - count) };
    Some(if negative { -value } else { value })
}

fn power_of_10_000(exponent: i32) -> f64 {
    match exponent {
        0 => 1.0,
        -1 => 1e-4,
        -2 => 1e-8,
        -3 => 1e-12,
        1 => 1e4,
        _ => 10_000f64.powi(exponent),
    }
}

/// A bound moved outwards by more than reading a value can be off.
pub fn widened(bound: f64, slack: f64, upwards: bool) -> f64 {
    // Infinity and NaN (which reads as infinity) stand for themselves, and infinity minus infinity would be no number.
    if bound.is_infinite() {
        return bound;
    }
    let by = bound.abs() * 1e-9 + slack;
    if upwards {
        bound + by
    } else {
        bound - by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A numeric's bytes in the short form.
    fn short(negative: bool, weight: i32, digits: &[u16]) -> Vec<u8> {
        let header = 0x8000 | if negative { 0x2000 } else { 0 } | (weight as u16 & 0x7F);
        std::iter::once(header).chain(digits.iter().copied()).flat_map(u16::to_ne_bytes).collect()
    }

    #[test]
    fn reads_numerics() {
        assert_eq!(numeric(&short(false, 0, &[12, 5000])), Some(12.5));
        assert_eq!(numeric(&short(true, 1, &[1, 2345])), Some(-12345.0));
        assert_eq!(numeric(&short(false, 0, &[])), Some(0.0));
        let small = numeric(&short(false, -1, &[2500])).unwrap();
        assert!((small - 0.25).abs() < 1e-12, "{small}");
        let long: Vec<u8> = [0x4000u16, 2, 1, 0, 1].iter().flat_map(|w| w.to_ne_bytes()).collect();
        assert_eq!(numeric(&long), Some(-100_000_001.0));
        let huge: Vec<u8> = [0x0000u16, 90, 1, 0, 0, 0, 0].iter().flat_map(|w| w.to_ne_bytes()).collect();
        assert_eq!(numeric(&huge), Some(f64::INFINITY));
        assert_eq!(numeric(&0xC000u16.to_ne_bytes()), Some(f64::INFINITY), "NaN sorts after everything");
        assert_eq!(numeric(&0xF000u16.to_ne_bytes()), Some(f64::NEG_INFINITY));
    }

    #[test]
    fn widens_outwards() {
        assert!(widened(1000.0, 0.0, true) > 1000.0);
        assert!(widened(-1000.0, 0.0, true) > -1000.0);
        assert!(widened(-1000.0, 0.0, false) < -1000.0);
        for bound in [f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(widened(bound, 1.0, true), bound);
            assert_eq!(widened(bound, 1.0, false), bound);
        }
    }
}
