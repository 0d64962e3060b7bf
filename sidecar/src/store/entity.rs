//! One payload turned into a row and its lines, ready for SQL.

use serde_json::{Map, Value};

use super::kind::Kind;
use super::record::{check_storable, escaped, shown, Findings, Problem, Record};
use super::{company, credit, invoice, order, product, quote, sales_staff, sheet, tables};

/// What is loaded as one: a row with its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    pub kind: Kind,
    pub id: i64,
    /// Column values; an absent column keeps what is stored. `lines` only when the payload has them.
    pub item: Value,
    /// What came, to be kept as it is.
    pub payload: Value,
    /// Where it came from, for messages.
    pub origin: Origin,
}

/// A place in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub file: String,
    /// Line of a file that has one document a line.
    pub line: Option<usize>,
    pub pointer: String,
}

impl Origin {
    /// The top of a document.
    pub(crate) fn top(file: &str, line: Option<usize>) -> Origin {
        Origin { file: file.to_owned(), line, pointer: String::new() }
    }

    /// What stands under a key, or at a place of a list.
    pub(crate) fn below(&self, key: &str) -> Origin {
        Origin { pointer: format!("{}/{}", self.pointer, escaped(key)), ..self.clone() }
    }
}

/// A row under construction: its id, its columns, and its lines if the payload told them.
pub type Parts = Option<(i64, Map<String, Value>, Option<Vec<Map<String, Value>>>)>;

/// Reads a payload of a known kind. Problems are in `findings`; with a problem there is no entity.
pub fn read(kind: Kind, payload: Value, origin: Origin, findings: &mut Findings) -> Option<Entity> {
    check_storable(&payload, &origin.pointer, &mut findings.problems);
    let Value::Object(fields) = &payload else {
        findings.problems.push(Problem {
            pointer: origin.pointer,
            expected: format!("an object of kind {}", kind.name()),
            found: shown(&payload),
            mend: "send {…}".to_owned(),
        });
        return None;
    };
    let mut record = Record::new(fields, &origin.pointer, findings);
    let parts = match kind {
        Kind::Companies => company::read(&mut record),
        Kind::CompanyUsers => company::read_user(&mut record),
        Kind::SalesStaff => sales_staff::read(&mut record),
        Kind::Quotes => quote::read(&mut record, id_in_file_name(&origin)),
        Kind::Orders => order::read(&mut record),
        Kind::B2bOrders => order::read_b2b(&mut record),
        Kind::CompanyCredit => credit::read(&mut record, id_in_file_name(&origin)),
        Kind::PaymentTerms => credit::read_terms(&mut record, id_in_file_name(&origin)),
        Kind::Invoices => invoice::read(&mut record),
        Kind::Products => product::read(&mut record),
        Kind::PriceLists => product::read_price_list(&mut record),
        Kind::Prices => product::read_price(&mut record),
        Kind::SheetRows => sheet::read(&mut record),
    };
    record.finish();
    if !findings.problems.is_empty() {
        return None;
    }
    let (id, mut row, lines) = parts?;
    if let Some(lines) = lines {
        // Each line with whose it is, so that SQL takes them as they are.
        let parent = tables::of(kind).key.first().map_or("", |(name, _)| *name);
        let with_parent = |mut line: Map<String, Value>| {
            line.insert(parent.to_owned(), id.into());
            Value::Object(line)
        };
        row.insert("lines".into(), Value::Array(lines.into_iter().map(with_parent).collect()));
    }
    let payload = match (kind, payload) {
        // Around a row of a sheet is what tells where it stands; the row is what came.
        (Kind::SheetRows, mut payload) => payload["values"].take(),
        (_, payload) => payload,
    };
    Some(Entity { kind, id, item: Value::Object(row), payload, origin })
}

/// The id in a name such as `17.json` or `quote-17.json`, when the file holds just one payload: GET /rfq/{id} does not
/// always repeat the id it was asked for.
fn id_in_file_name(origin: &Origin) -> Option<i64> {
    let alone = origin.line.is_none() && matches!(origin.pointer.as_str(), "" | "/data");
    let stem = std::path::Path::new(&origin.file).file_stem()?.to_str()?;
    let digits = stem.rsplit(['-', '_']).next()?;
    digits.parse().ok().filter(|id| alone && *id > 0)
}
