//! From paths to payloads: which files, in which order, and what is inside the envelopes.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Deserializer, Map, Value};

use crate::store::record::{shown, Problem};
use crate::store::{Kind, Origin};

/// A file to load and its size in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub bytes: u64,
    pub kind: Option<Kind>,
}

/// Files of these kinds are looked for in directories.
const EXTENSIONS: [&str; 3] = ["json", "jsonl", "ndjson"];

/// Lists the files behind the paths, directories recursively. What other payloads refer to comes first.
pub fn sources(paths: &[PathBuf]) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    for path in paths {
        let about = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        let data = fs::metadata(path).map_err(about)?;
        if data.is_dir() {
            walk(path, &mut found).map_err(about)?;
        } else {
            found.push(Source { path: path.clone(), bytes: data.len(), kind: Kind::of_path(path) });
        }
    }
    let mut once = HashSet::new();
    found.retain(|source| once.insert(source.path.clone()));
    found.sort_by(|a, b| (a.kind.is_none(), a.kind, &a.path).cmp(&(b.kind.is_none(), b.kind, &b.path)));
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Links to files are followed, links to folders are not: they may lead in circles.
        if entry.file_type()?.is_dir() {
            walk(&path, found)?;
            continue;
        }
        let wanted = path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e));
        if wanted && path.is_file() {
            let kind = Kind::of_path(&path);
            found.push(Source { bytes: fs::metadata(&path)?.len(), path, kind });
        }
    }
    Ok(())
}

/// A payload and where it stood; or what stood there instead.
pub type Found = (Origin, Result<Value, Problem>);

/// A file that was there when it was listed and cannot be read now.
pub fn unreadable(file: &str, error: &io::Error) -> Found {
    let problem = Problem {
        pointer: String::new(),
        expected: "a readable file".to_owned(),
        found: error.to_string(),
        mend: "let the user who runs tradeflow read it".to_owned(),
    };
    (Origin::top(file, None), Err(problem))
}

/// Takes a file's text apart: one document, or one a line.
pub fn payloads(file: &str, bytes: &[u8]) -> Vec<Found> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut found = Vec::new();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return found; // The V2 API answers "nothing" with 204 and an empty body.
    }
    let by_line = [".ndjson", ".jsonl"].iter().any(|ending| file.ends_with(ending));
    let whole = if by_line { None } else { Some(serde_json::from_slice::<Value>(bytes)) };
    match whole {
        Some(Ok(document)) => unwrap(document, Origin::top(file, None), &mut found),
        Some(Err(error)) if !(error.is_syntax() && several_documents(bytes)) => {
            let problem = not_json(&error, "");
            found.push((Origin::top(file, None), Err(problem)));
        }
        _ => lines(file, bytes, &mut found),
    }
    found
}

/// Whether a file that is no single document starts with one that ends on its first line.
fn several_documents(bytes: &[u8]) -> bool {
    let mut documents = Deserializer::from_slice(bytes).into_iter::<Value>();
    let first = documents.next().is_some_and(|d| d.is_ok());
    first && bytes[..documents.byte_offset()].iter().filter(|b| **b == b'\n').count() == 0
}

fn lines(file: &str, bytes: &[u8], found: &mut Vec<Found>) {
    for (place, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let origin = Origin::top(file, Some(place + 1));
        match serde_json::from_slice(line) {
            Ok(document) => unwrap(document, origin, found),
            Err(error) => found.push((origin, Err(not_json(&error, "this line")))),
        }
    }
}

fn not_json(error: &serde_json::Error, what: &str) -> Problem {
    let what = if what.is_empty() {
        "a JSON document in UTF-8".to_owned()
    } else {
        format!("{what} to be a JSON document in UTF-8")
    };
    Problem {
        pointer: String::new(),
        expected: what,
        found: error.to_string(),
        mend: "fetch it again, or mend the text at the line and column named".to_owned(),
    }
}

/// Unpacks `{code, data, meta}`, `{list: […]}` and arrays, nested as they may be.
fn unwrap(value: Value, origin: Origin, found: &mut Vec<Found>) {
    match value {
        Value::Array(items) => {
            for (place, item) in items.into_iter().enumerate() {
                let origin = origin.below(&place.to_string());
                unwrap(item, origin, found);
            }
        }
        Value::Object(fields) => match envelope(fields) {
            Envelope::None(fields) => found.push((origin, Ok(Value::Object(fields)))),
            Envelope::Around(key, inner) => unwrap(inner, origin.below(key), found),
            Envelope::Error(message) => {
                let problem = Problem {
                    pointer: origin.pointer.clone(),
                    expected: "a payload".to_owned(),
                    found: format!("the API's answer to a failed request: {message}"),
                    mend: "fetch it again; see the message for why the API refused".to_owned(),
                };
                found.push((origin, Err(problem)));
            }
        },
        other => {
            let problem = Problem {
                pointer: origin.pointer.clone(),
                expected: "a payload: an object, a list of objects, or {\"code\", \"data\", \"meta\"}"
                    .to_owned(),
                found: shown(&other),
                mend: "send the API's answer as it came".to_owned(),
            };
            found.push((origin, Err(problem)));
        }
    }
}

enum Envelope {
    None(Map<String, Value>),
    Around(&'static str, Value),
    Error(String),
}

/// Keys that an envelope has beside its content.
const AROUND: [&str; 7] = ["code", "data", "meta", "message", "list", "pagination", "status"];

fn envelope(mut fields: Map<String, Value>) -> Envelope {
    let content = ["data", "list"].into_iter().find(|key| fields.contains_key(*key));
    let only_around = fields.keys().all(|key| AROUND.contains(&key.as_str()));
    let code = fields.get("code").and_then(Value::as_i64).unwrap_or(200);
    if code >= 400 && (only_around || content.is_some()) {
        let told = [
            fields.get("data").and_then(|d| d.get("errMsg")),
            fields.get("meta").and_then(|m| m.get("message")),
            fields.get("message"),
        ];
        let told =
            told.into_iter().flatten().find(|v| !v.is_null()).map(Value::to_string).unwrap_or_default();
        return Envelope::Error(format!("code {code} {told}"));
    }
    match content {
        Some(key) if only_around => Envelope::Around(key, fields.remove(key).unwrap_or_default()),
        _ => Envelope::None(fields),
    }
}

#[cfg(test)]
mod tests;
