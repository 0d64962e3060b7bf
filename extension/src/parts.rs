//! `tradeflow._condition_parts`: the parts of a condition that AND joins at its top, as their author wrote them.
//!
//! Cut at the word AND where no parenthesis, CASE or BETWEEN owns it. Postgres' own parser has the last word: the
//! parts, joined again, must be the tree that the condition is; if not, it counts as one part.

use crate::error::{attempt, sql_function, Failure};
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use std::ffi::CString;

sql_function!(tradeflow_condition_parts, pg_finfo_tradeflow_condition_parts, condition_parts);

fn condition_parts(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text), strict.
    let condition = unsafe { pgrx::fcinfo::pg_getarg::<String>(fcinfo, 0) }.unwrap_or_default();
    let parts = split(&condition);
    let joined = parts.iter().map(|p| format!("(\n{p}\n)")).collect::<Vec<_>>().join(" and ");
    let parts = if parts.len() > 1 && same(&condition, &joined) { parts } else { vec![condition.trim()] };
    Ok(parts.into_iter().map(str::to_string).collect::<Vec<String>>().into_datum())
}

/// Whether two texts are the same expression.
fn same(a: &str, b: &str) -> bool {
    let parse = |text: &str| {
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: a C string; the tree is in the current memory context.
        unsafe { pg_sys::raw_parser(text.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_PLPGSQL_EXPR) }
    };
    // SAFETY: two valid parse trees; where they stand in their texts is not compared.
    attempt(|| Ok(unsafe { pg_sys::equal(parse(a).cast(), parse(b).cast()) })).unwrap_or(false)
}

/// Cuts at the top-level ANDs; one part when there is an OR beside them.
fn split(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    // What is open: parentheses and CASEs, each with the BETWEENs that still want their AND.
    let mut open: Vec<usize> = vec![0];
    while at < bytes.len() {
        let rest = &text[at..];
        match bytes[at] {
            b'\'' => at += quoted(rest, '\'', at > 0 && matches!(bytes[at - 1], b'e' | b'E')),
            b'"' => at += quoted(rest, '"', false),
            b'$' => at += dollar_quoted(rest),
            b'-' if rest.starts_with("--") => at += rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => at += comment(rest),
            b'(' | b'[' => {
                open.push(0);
                at += 1;
            }
            b')' | b']' => {
                close(&mut open);
                at += 1;
            }
            c if c.is_ascii_alphabetic() || c == b'_' || c >= 0x80 => {
                let length =
                    rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
                let top = open.len() == 1;
                match rest[..length].to_ascii_lowercase().as_str() {
                    "case" => open.push(0),
                    "end" => close(&mut open),
                    "between" => open.last_mut().into_iter().for_each(|n| *n += 1),
                    "and" => match open.last_mut() {
                        Some(wanted) if *wanted > 0 => *wanted -= 1,
                        _ if top => {
                            parts.push(text[begin..at].trim());
                            begin = at + length;
                        }
                        _ => {}
                    },
                    "or" if top => return vec![text],
                    _ => {}
                }
                at += length;
            }
            c if c.is_ascii_digit() => {
                at += rest.find(|c: char| !(c.is_alphanumeric() || c == '.')).unwrap_or(rest.len());
            }
            _ => at += 1,
        }
    }
    parts.push(text[begin..].trim());
    parts
}

fn close(open: &mut Vec<usize>) {
    if open.len() > 1 {
        open.pop();
    }
}

/// The length of a quoted text with its quotes; a doubled quote is part of it.
fn quoted(text: &str, quote: char, backslashes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && backslashes {
            characters.next();
        } else if c == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote => drop(characters.next()),
                _ => return at + 1,
            }
        }
    }
    text.len()
}

/// The length of a dollar-quoted text; of the dollar alone when it begins none.
fn dollar_quoted(text: &str) -> usize {
    let Some(end) = text[1..].find('$') else { return 1 };
    let tag = &text[..end + 2];
    if !tag[1..=end].chars().all(|c| c.is_alphanumeric() || c == '_') {
        return 1;
    }
    text[tag.len()..].find(tag).map_or(text.len(), |at| at + 2 * tag.len())
}

/// The length of a comment, which may hold others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn cuts_where_and_joins_the_whole() {
        assert_eq!(split("new.a = 1 AND new.b > 2\n and new.c"), ["new.a = 1", "new.b > 2", "new.c"]);
        assert_eq!(split("new.a between 1 and 2 and (x and y)"), ["new.a between 1 and 2", "(x and y)"]);
        assert_eq!(
            split("case when a and b then c else d end and e"),
            ["case when a and b then c else d end", "e"]
        );
        assert_eq!(
            split("a = ' and ' and \"b and c\" = $x$ and $x$"),
            ["a = ' and '", "\"b and c\" = $x$ and $x$"]
        );
        assert_eq!(
            split("a /* and /* and */ and */ and b -- and c"),
            ["a /* and /* and */ and */", "b -- and c"]
        );
        assert_eq!(split(r"a = e'\' and ' and b = 'it''s and'"), [r"a = e'\' and '", "b = 'it''s and'"]);
    }

    #[test]
    fn one_part_where_or_is_at_the_top() {
        assert_eq!(split("a and b or c"), ["a and b or c"]);
        assert_eq!(split("(a or b) and c"), ["(a or b)", "c"]);
    }
}
