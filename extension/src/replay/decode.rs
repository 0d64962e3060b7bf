//! From a row as jsonb back to a slot of its table: the inverse of `to_jsonb`, for the columns that are needed.

use crate::cache::TableRules;
use crate::spi;
use pgrx::pg_sys;
use pgrx::pg_sys::jbvType::{jbvBool as BOOL, jbvNull as NULL, jbvNumeric as NUMERIC, jbvString as STRING};
use std::ffi::{c_char, c_int};

/// How a column's type is read from its JSON.
enum Form {
    Numeric,
    Int4,
    /// The function that makes it of a numeric.
    Integer(unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum),
    Text,
    Boolean,
    Jsonb,
    Json,
    /// By its input function.
    Input,
}

/// Reads one column.
struct Column {
    name: String,
    form: Form,
    input: pg_sys::FmgrInfo,
    parameter: pg_sys::Oid,
    /// For arrays and composites, which only Postgres' own function reads.
    populate: String,
    len: i16,
    by_value: bool,
}

/// Reads rows of a table.
pub struct Decoder {
    columns: Vec<Option<Column>>,
}

impl Decoder {
    /// # Safety
    /// The table's memory context outlives the decoder.
    pub unsafe fn new(table: &TableRules) -> Decoder {
        // SAFETY: a live descriptor; the input functions' state lives in the table's context.
        unsafe {
            let descriptor = pgrx::PgTupleDesc::from_pg_copy(table.descriptor);
            let columns = descriptor.iter().map(|a| {
                if a.attisdropped {
                    return None;
                }
                let base = pg_sys::getBaseType(a.atttypid);
                let (mut function, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(base, &mut function, &mut parameter);
                let mut input = pg_sys::FmgrInfo::default();
                pg_sys::fmgr_info_cxt(function, &mut input, table.context);
                let quoted = pgrx::spi::quote_identifier(a.name());
                Some(Column {
                    name: a.name().to_string(),
                    form: Form::of(base),
                    input,
                    parameter,
                    populate: format!(
                        "select (pg_catalog.jsonb_populate_record(null::{}, pg_catalog.jsonb_build_object({}, $1))).{quoted}",
                        table.name,
                        pgrx::spi::quote_literal(a.name()),
                    ),
                    len: a.attlen,
                    by_value: a.attbyval,
                })
            });
            Decoder { columns: columns.collect() }
        }
    }

    /// Fills a virtual slot with the columns at these positions, all others NULL; no JSON: all NULL. Values are in the
    /// JSON, which must stay as long as they are used, and in the current memory context.
    ///
    /// # Safety
    /// `slot` is a virtual slot of the table; `json` is a detoasted jsonb object.
    pub unsafe fn fill(
        &mut self,
        slot: *mut pg_sys::TupleTableSlot,
        json: Option<*mut pg_sys::Jsonb>,
        positions: &[usize],
    ) {
        // SAFETY: the caller's promise; the slot's arrays have one element a column.
        unsafe {
            pg_sys::ExecStoreAllNullTuple(slot);
            let Some(json) = json else { return };
            for position in positions {
                let Some(column) = self.columns.get_mut(*position).and_then(Option::as_mut) else { continue };
                if let Some(datum) = column.read(&raw mut (*json).root) {
                    *(*slot).tts_values.add(*position) = datum;
                    *(*slot).tts_isnull.add(*position) = false;
                }
            }
        }
    }
}

impl Form {
    fn of(base: pg_sys::Oid) -> Form {
        match base {
            pg_sys::NUMERICOID => Form::Numeric,
            pg_sys::INT2OID => Form::Integer(pg_sys::numeric_int2),
            pg_sys::INT4OID => Form::Int4,
            pg_sys::INT8OID => Form::Integer(pg_sys::numeric_int8),
            pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID => Form::Text,
            pg_sys::BOOLOID => Form::Boolean,
            pg_sys::JSONBOID => Form::Jsonb,
            pg_sys::JSONOID => Form::Json,
            _ => Form::Input,
        }
    }
}

impl Column {
    unsafe fn read(&mut self, object: *mut pg_sys::JsonbContainer) -> spi::Value {
        // SAFETY: a valid container; the value points into it.
        unsafe {
            let mut value = std::mem::zeroed::<pg_sys::JsonbValue>();
            let found = pg_sys::getKeyJsonValueFromContainer(
                object,
                self.name.as_ptr().cast(),
                self.name.len() as c_int,
                &mut value,
            );
            if found.is_null() || value.type_ == NULL {
                return None;
            }
            match (&self.form, value.type_) {
                (Form::Numeric, NUMERIC) => Some(pg_sys::Datum::from(value.val.numeric)),
                (Form::Int4, NUMERIC) => {
                    let mut out_of_range = false;
                    let number = pg_sys::numeric_int4_opt_error(value.val.numeric, &mut out_of_range);
                    (!out_of_range).then_some(number.into())
                }
                (Form::Integer(cast), NUMERIC) => pgrx::direct_function_call_as_datum(
                    *cast,
                    &[Some(pg_sys::Datum::from(value.val.numeric))],
                ),
                (Form::Text, STRING) => Some(pg_sys::Datum::from(pg_sys::cstring_to_text_with_len(
                    value.val.string.val,
                    value.val.string.len,
                ))),
                (Form::Boolean, BOOL) => Some(value.val.boolean.into()),
                (Form::Jsonb, _) => Some(pg_sys::Datum::from(pg_sys::JsonbValueToJsonb(&mut value))),
                (Form::Json, _) => {
                    let json = pg_sys::JsonbValueToJsonb(&mut value);
                    Some(self.input(text_of(json)))
                }
                (_, STRING) => {
                    let text = pg_sys::pnstrdup(value.val.string.val, value.val.string.len as usize);
                    Some(self.input(text))
                }
                (_, BOOL) => {
                    Some(self.input(if value.val.boolean { c"true" } else { c"false" }.as_ptr().cast_mut()))
                }
                (_, NUMERIC) => {
                    let json = pg_sys::JsonbValueToJsonb(&mut value);
                    Some(self.input(text_of(json)))
                }
                _ => self.populated(pg_sys::JsonbValueToJsonb(&mut value)),
            }
        }
    }

    unsafe fn input(&mut self, text: *mut c_char) -> pg_sys::Datum {
        // SAFETY: the type's input function, prepared; the text is a C string.
        unsafe { pg_sys::InputFunctionCall(&mut self.input, text, self.parameter, -1) }
    }

    unsafe fn populated(&self, json: *mut pg_sys::Jsonb) -> spi::Value {
        // SAFETY: the statement returns one column of this one's type; it is copied to the memory that SPI was called in.
        unsafe {
            spi::connected(|| {
                let plan = spi::prepare(&self.populate, &[pg_sys::JSONBOID]);
                let rows = spi::execute(plan, &[Some(pg_sys::Datum::from(json))], true, 1);
                let datum = rows.datum(0, 0)?;
                Some(pg_sys::SPI_datumTransfer(datum, self.by_value, self.len.into()))
            })
        }
    }
}

/// A jsonb scalar or container as JSON text.
unsafe fn text_of(json: *mut pg_sys::Jsonb) -> *mut c_char {
    // SAFETY: a valid jsonb.
    unsafe { pg_sys::JsonbToCString(std::ptr::null_mut(), &raw mut (*json).root, 64) }
}
