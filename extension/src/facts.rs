//! A row as jsonb: what `to_jsonb(row)` gives, byte by byte, made by a plan that is the same for every row of the table.
//!
//! to_jsonb() looks up each column's type for each row, prints numbers to read them again, and sorts the keys: 10 µs for 22
//! columns, which is what a whole upsert costs. Here the keys are laid out once, and the values are put behind them as
//! jsonb_util.c (convertJsonbObject) does. What has no form of its own is made by to_jsonb(), column by column.

use crate::compile::Expression;
use crate::error::Failure;
use crate::evaluate::{Evaluation, Version};
use crate::{change, pending};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::ffi::{c_char, CStr};

/// How a column's value is written.
enum Form {
    Boolean,
    Int2,
    Int4,
    Int8,
    Numeric,
    Text,
    /// A date or a time, of this type.
    Time(pg_sys::Oid),
    Jsonb,
    /// to_jsonb(new.column).
    Other(Expression),
}

/// The plan.
pub struct Facts {
    /// The columns' positions and forms, in the order of jsonb's keys.
    fields: Vec<(usize, Form)>,
    /// The keys' entries, and the keys themselves, as they stand at the head of the object.
    key_entries: Vec<u32>,
    keys: Vec<u8>,
    /// to_jsonb(new), for rows that hold what JSON has no number for.
    whole: Expression,
    buffer: RefCell<Vec<u8>>,
}

const ENTRIES_AT: usize = 8;

impl Facts {
    /// `internal` compiles an expression over new, as the table's others are.
    pub fn compile(
        descriptor: pg_sys::TupleDesc,
        mut internal: impl FnMut(String) -> Result<Expression, Failure>,
    ) -> Result<Facts, Failure> {
        // SAFETY: a live descriptor; the copy is dropped here.
        let descriptor = unsafe { pgrx::PgTupleDesc::from_pg_copy(descriptor) };
        let mut columns: Vec<_> = descriptor.iter().enumerate().filter(|(_, a)| !a.attisdropped).collect();
        columns.sort_by(|(_, a), (_, b)| (a.name().len(), a.name()).cmp(&(b.name().len(), b.name())));
        let (mut fields, mut key_entries, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (position, column)) in columns.into_iter().enumerate() {
            keys.extend_from_slice(column.name().as_bytes());
            key_entries.push(entry(i, pg_sys::JENTRY_ISSTRING, column.name().len(), keys.len()));
            let form = match column.atttypid {
                pg_sys::BOOLOID => Form::Boolean,
                pg_sys::INT2OID => Form::Int2,
                pg_sys::INT4OID => Form::Int4,
                pg_sys::INT8OID => Form::Int8,
                pg_sys::NUMERICOID => Form::Numeric,
                pg_sys::TEXTOID | pg_sys::VARCHAROID => Form::Text,
                time @ (pg_sys::DATEOID | pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID) => Form::Time(time),
                pg_sys::JSONBOID => Form::Jsonb,
                _ => {
                    let name = pgrx::spi::quote_identifier(column.name());
                    Form::Other(internal(format!("to_jsonb(new.{name})"))?)
                }
            };
            fields.push((position, form));
        }
        let whole = internal("to_jsonb(new)".to_string())?;
        Ok(Facts { fields, key_entries, keys, whole, buffer: RefCell::default() })
    }

    /// A version of the loaded row, in the memory of the pending work; None when it is not there.
    pub fn of(&self, evaluation: &Evaluation, version: Version) -> Option<pg_sys::Datum> {
        // Taken out: a column's own cast to json may change a row of the same table.
        let mut buffer = self.buffer.take();
        let made = self.write(&mut buffer, evaluation, version);
        let datum = match made {
            Some(()) => Some(keep(&buffer)),
            None => evaluation.value(&self.whole, version).map(pending::keep_varlena),
        };
        self.buffer.replace(buffer);
        datum
    }

    /// None when a value cannot be written this way.
    fn write(&self, out: &mut Vec<u8>, evaluation: &Evaluation, version: Version) -> Option<()> {
        let count = self.fields.len();
        out.clear();
        out.extend_from_slice(&[0; 4]); // the length, known at the end
        out.extend_from_slice(&(pg_sys::JB_FOBJECT | count as u32).to_ne_bytes());
        self.key_entries.iter().for_each(|e| out.extend_from_slice(&e.to_ne_bytes()));
        out.resize(ENTRIES_AT + 8 * count, 0);
        out.extend_from_slice(&self.keys);
        let mut total = self.keys.len();
        let slot = if version == Version::New { evaluation.new } else { evaluation.old };
        // SAFETY: the slot holds a row of the table, deformed here.
        unsafe { change::deform(slot, evaluation.columns()) };
        for (i, (position, form)) in self.fields.iter().enumerate() {
            let begin = out.len();
            // SAFETY: as above.
            let (datum, null) =
                unsafe { (*(*slot).tts_values.add(*position), *(*slot).tts_isnull.add(*position)) };
            let kind = match null {
                true => pg_sys::JENTRY_ISNULL,
                // SAFETY: the value is of the column's type, which the form was chosen by.
                false => unsafe { form.put(datum, out, evaluation, version)? },
            };
            let len = out.len() - begin;
            total += len;
            let at = ENTRIES_AT + 4 * (count + i);
            out[at..at + 4].copy_from_slice(&entry(count + i, kind, len, total).to_ne_bytes());
        }
        set_length(out, 0);
        (total <= pg_sys::JENTRY_OFFLENMASK as usize).then_some(())
    }
}

/// Element `i` of an object: its length, or every so often where it ends.
fn entry(i: usize, kind: u32, len: usize, total: usize) -> u32 {
    if i.is_multiple_of(pg_sys::JB_OFFSET_STRIDE as usize) {
        kind | pg_sys::JENTRY_HAS_OFF | (total as u32 & pg_sys::JENTRY_OFFLENMASK)
    } else {
        kind | (len as u32 & pg_sys::JENTRY_OFFLENMASK)
    }
}

/// Writes the header of the varlena that begins here and ends where the buffer does.
fn set_length(out: &mut [u8], begin: usize) {
    let len = (out.len() - begin) as u32;
    let word = if cfg!(target_endian = "little") { len << 2 } else { len };
    out[begin..begin + 4].copy_from_slice(&word.to_ne_bytes());
}

/// What is read as integers begins at a multiple of four, counted from the varlena's own header.
fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

fn keep(bytes: &[u8]) -> pg_sys::Datum {
    // SAFETY: new memory of this size.
    unsafe {
        let copy = pg_sys::MemoryContextAlloc(pending::context(), bytes.len()).cast::<u8>();
        copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        pg_sys::Datum::from(copy)
    }
}

impl Form {
    /// Appends a value; its kind of entry, or None where JSON has no such number.
    ///
    /// # Safety
    /// `datum` is of the type the form is for, and no NULL.
    unsafe fn put(
        &self,
        datum: pg_sys::Datum,
        out: &mut Vec<u8>,
        evaluation: &Evaluation,
        version: Version,
    ) -> Option<u32> {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Form::Boolean if datum.value() & 1 == 1 => Some(pg_sys::JENTRY_ISBOOL_TRUE),
                Form::Boolean => Some(pg_sys::JENTRY_ISBOOL_FALSE),
                Form::Int2 => Some(integer((datum.value() as i16).into(), out)),
                Form::Int4 => Some(integer((datum.value() as i32).into(), out)),
                Form::Int8 => Some(integer(datum.value() as i64, out)),
                Form::Numeric => numeric(datum, out),
                Form::Text => {
                    plain(datum, |bytes| out.extend_from_slice(bytes));
                    Some(pg_sys::JENTRY_ISSTRING)
                }
                Form::Time(of) => {
                    let mut text = [0 as c_char; pg_sys::MAXDATELEN as usize + 1];
                    pg_sys::JsonEncodeDateTime(text.as_mut_ptr(), datum, *of, std::ptr::null());
                    out.extend_from_slice(CStr::from_ptr(text.as_ptr()).to_bytes());
                    Some(pg_sys::JENTRY_ISSTRING)
                }
                Form::Jsonb => Some(plain(datum, |bytes| jsonb(bytes, out))),
                Form::Other(expression) => Some(match evaluation.value(expression, version) {
                    None => pg_sys::JENTRY_ISNULL,
                    Some(datum) => plain(datum, |bytes| jsonb(bytes, out)),
                }),
            }
        }
    }
}

/// Hands over the bytes of a variable-length value, wherever and however it is stored.
unsafe fn plain<T>(datum: pg_sys::Datum, take: impl FnOnce(&[u8]) -> T) -> T {
    let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
    // SAFETY: a varlena datum, by the caller's promise; a copy is made and freed only where it is stored elsewhere.
    unsafe {
        if let Some(bytes) = change::inline_payload(stored) {
            return take(bytes);
        }
        let copy = pg_sys::detoast_attr(stored);
        let taken = take(change::payload(copy));
        pg_sys::pfree(copy.cast());
        taken
    }
}

fn integer(value: i64, out: &mut Vec<u8>) -> u32 {
    // SAFETY: the function makes a numeric, a plain varlena.
    unsafe {
        let number = pg_sys::int64_to_numeric(value);
        put_numeric(change::payload(number.cast()), out);
        pg_sys::pfree(number.cast());
    }
    pg_sys::JENTRY_ISNUMERIC
}

unsafe fn numeric(datum: pg_sys::Datum, out: &mut Vec<u8>) -> Option<u32> {
    /// NaN and the infinities have these bits in the first word (numeric.c, NUMERIC_SPECIAL).
    const SPECIAL: u16 = 0xc000;
    // SAFETY: the caller's promise.
    unsafe {
        plain(datum, |bytes| {
            let word = u16::from_ne_bytes([bytes[0], bytes[1]]);
            (word & SPECIAL != SPECIAL).then(|| {
                put_numeric(bytes, out);
                pg_sys::JENTRY_ISNUMERIC
            })
        })
    }
}

fn put_numeric(bytes: &[u8], out: &mut Vec<u8>) {
    align(out);
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(bytes);
    set_length(out, begin);
}

/// A jsonb inside another: the container as it is; of one that holds a scalar, the scalar.
fn jsonb(container: &[u8], out: &mut Vec<u8>) -> u32 {
    let word = |at: usize| {
        u32::from_ne_bytes([container[at], container[at + 1], container[at + 2], container[at + 3]])
    };
    if word(0) & pg_sys::JB_FSCALAR == 0 {
        align(out);
        out.extend_from_slice(container);
        return pg_sys::JENTRY_ISCONTAINER;
    }
    let kind = word(4) & pg_sys::JENTRY_TYPEMASK;
    if kind == pg_sys::JENTRY_ISNUMERIC {
        align(out);
    }
    out.extend_from_slice(&container[8..]);
    kind
}
