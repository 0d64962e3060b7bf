//! Filters and tests of templates: minijinja's own, made exact for numbers, and what mails to people need.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use rust_decimal::{Decimal, RoundingStrategy};

use super::arithmetic::{equal, order};
use super::number::{compare_values, decimal_value, is_number, to_json, Number};
use super::unknown::Unknown;

/// Gives an environment the filters and tests of tradeflow.
pub fn register(env: &mut Environment<'static>) {
    env.add_filter("money", money);
    env.add_filter("decimal", decimal);
    env.add_filter("float", decimal);
    env.add_filter("round", round);
    env.add_filter("abs", abs);
    env.add_filter("int", int);
    env.add_filter("sum", sum);
    env.add_filter("min", |v: &Value| extreme(v, false));
    env.add_filter("max", |v: &Value| extreme(v, true));
    env.add_filter("sort", sort);
    env.add_filter("date", date);
    env.add_filter("datetime", datetime);
    env.add_filter("tojson", tojson);
    env.add_filter("escape", escaped);
    env.add_filter("e", escaped);
    env.add_test("number", is_number);
    for name in ["eq", "equalto", "=="] {
        env.add_test(name, equal);
    }
    env.add_test("ne", |a: &Value, b: &Value| !equal(a, b));
    env.add_test("!=", |a: &Value, b: &Value| !equal(a, b));
    for name in ["lt", "lessthan", "<"] {
        env.add_test(name, |a: &Value, b: &Value| order(a, "<", b).map(|o| o.is_lt()));
    }
    for name in ["le", "<="] {
        env.add_test(name, |a: &Value, b: &Value| order(a, "<=", b).map(|o| o.is_le()));
    }
    for name in ["gt", "greaterthan", ">"] {
        env.add_test(name, |a: &Value, b: &Value| order(a, ">", b).map(|o| o.is_gt()));
    }
    for name in ["ge", ">="] {
        env.add_test(name, |a: &Value, b: &Value| order(a, ">=", b).map(|o| o.is_ge()));
    }
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}

/// A number, or text that is one.
fn number(value: &Value) -> Result<Decimal, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let parsed = match value.as_str() {
        Some(text) => Decimal::from_str_exact(text.trim()).ok(),
        None => Number::of(value).and_then(Number::decimal),
    };
    parsed.ok_or_else(|| invalid(format!("{value:?} is no number of at most 28 digits")))
}

fn decimal(value: &Value, default: Option<Value>) -> Result<Value, Error> {
    if let Some(unknown) = Unknown::among(&[value]) {
        return Ok(unknown);
    }
    match default {
        Some(default) if value.is_undefined() || value.is_none() => Ok(default),
        _ => number(value).map(decimal_value),
    }
}

fn abs(value: &Value) -> Result<Value, Error> {
    if let Some(unknown) = Unknown::among(&[value]) {
        return Ok(unknown);
    }
    number(value).map(|d| decimal_value(d.abs()))
}

fn int(value: &Value, default: Option<Value>) -> Result<Value, Error> {
    if let Some(unknown) = Unknown::among(&[value]) {
        return Ok(unknown);
    }
    match default {
        Some(default) if value.is_undefined() || value.is_none() => return Ok(default),
        _ => {}
    }
    if let Some(Number::Int(_)) = Number::of(value) {
        return Ok(value.clone());
    }
    let whole = number(value)?.trunc();
    i64::try_from(whole).map(Value::from).map_err(|_| invalid(format!("{value} is too large for `int`")))
}

/// Half away from zero, as invoices do it; `method` may be "ceil" or "floor".
fn round(value: &Value, digits: Option<i32>, method: Option<&str>) -> Result<Value, Error> {
    if let Some(unknown) = Unknown::among(&[value]) {
        return Ok(unknown);
    }
    let strategy = match method.unwrap_or("common") {
        "common" => RoundingStrategy::MidpointAwayFromZero,
        "ceil" => RoundingStrategy::ToPositiveInfinity,
        "floor" => RoundingStrategy::ToNegativeInfinity,
        other => return Err(invalid(format!("`round` knows common, ceil and floor, not {other}"))),
    };
    rounded(number(value)?, digits.unwrap_or(0), strategy).map(decimal_value)
}

/// Rounded and written with exactly so many digits.
fn rounded(value: Decimal, digits: i32, strategy: RoundingStrategy) -> Result<Decimal, Error> {
    let digits = u32::try_from(digits)
        .ok()
        .filter(|d| *d <= 28)
        .ok_or_else(|| invalid("digits must be from 0 to 28"))?;
    let mut result = value.round_dp_with_strategy(digits, strategy);
    result.rescale(digits);
    Ok(result)
}

/// `1234.5|money("USD")` is `1,234.50 USD`. Digits follow the currency unless given.
fn money(value: &Value, currency: Option<&str>, options: Kwargs) -> Result<Value, Error> {
    if let Some(unknown) = Unknown::among(&[value]) {
        return Ok(unknown);
    }
    let digits = options.get::<Option<i32>>("digits")?;
    let thousands = options.get::<Option<&str>>("thousands")?.unwrap_or(",");
    let point = options.get::<Option<&str>>("point")?.unwrap_or(".");
    options.assert_all_used()?;
    let digits = digits.unwrap_or_else(|| minor_digits(currency.unwrap_or_default()));
    let amount = rounded(number(value)?, digits, RoundingStrategy::MidpointAwayFromZero)?;
    let text = amount.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    if amount.is_sign_negative() && !amount.is_zero() {
        out.push('-');
    }
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push_str(thousands);
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push_str(point);
        out.push_str(fraction);
    }
    match currency {
        Some(code) if !code.is_empty() => Ok(format!("{out} {code}").into()),
        _ => Ok(out.into()),
    }
}

/// ISO 4217: how many digits the minor unit of a currency has.
fn minor_digits(currency: &str) -> i32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

fn attribute_of(item: &Value, path: Option<&str>) -> Result<Value, Error> {
    path.into_iter().flat_map(|p| p.split('.')).try_fold(item.clone(), |value, part| {
        match part.parse::<usize>() {
            Ok(index) => value.get_item_by_index(index),
            Err(_) => value.get_attr(part),
        }
    })
}

fn sum(values: &Value, attribute: Option<&str>, options: Kwargs) -> Result<Value, Error> {
    let attribute = attribute.or(options.get("attribute")?);
    let mut total = number(&options.get::<Option<Value>>("start")?.unwrap_or(Value::from(0)))?;
    options.assert_all_used()?;
    let mut whole = total.scale() == 0;
    for item in values.try_iter()? {
        let item = attribute_of(&item, attribute)?;
        whole &= matches!(Number::of(&item), Some(Number::Int(_)));
        total =
            total.checked_add(number(&item)?).ok_or_else(|| invalid("the sum has more than 28 digits"))?;
    }
    Ok(match i64::try_from(total) {
        Ok(total) if whole => Value::from(total),
        _ => decimal_value(total),
    })
}

fn extreme(values: &Value, largest: bool) -> Result<Value, Error> {
    let items = values.try_iter()?;
    let found = if largest { items.max_by(compare_values) } else { items.min_by(compare_values) };
    Ok(found.unwrap_or(Value::UNDEFINED))
}

fn sort(values: &Value, options: Kwargs) -> Result<Value, Error> {
    let attribute = options.get::<Option<&str>>("attribute")?;
    let reverse = options.get::<Option<bool>>("reverse")?.unwrap_or(false);
    let case_sensitive = options.get::<Option<bool>>("case_sensitive")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut keyed = Vec::new();
    for item in values.try_iter()? {
        let key = attribute_of(&item, attribute)?;
        let key = match key.as_str() {
            Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
            _ => key,
        };
        keyed.push((key, item));
    }
    keyed.sort_by(|(a, _), (b, _)| if reverse { compare_values(b, a) } else { compare_values(a, b) });
    Ok(keyed.into_iter().map(|(_, item)| item).collect::<Vec<_>>().into())
}

/// For HTML's text and attributes. (minijinja's own also escapes the slash, which makes every link unreadable.)
pub fn escaped(value: &Value) -> Value {
    if value.is_safe() {
        return value.clone();
    }
    let text = value.to_string();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Value::from_safe_string(out)
}

fn tojson(value: &Value) -> Result<Value, Error> {
    let json = to_json(value)?.to_string();
    // The signs that would end a script or an attribute; JSON reads the escapes as the same text.
    let harmless =
        json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027");
    Ok(Value::from_safe_string(harmless))
}

/// `facts.expired_at|date("%d %B %Y", tz="Europe/Berlin")`.
fn date(state: &State, value: &Value, format: Option<&str>, options: Kwargs) -> Result<Value, Error> {
    if let Some(unknown) = Unknown::among(&[value]) {
        return Ok(unknown);
    }
    if let Some(day) = value.as_str().and_then(|text| text.trim().parse::<NaiveDate>().ok()) {
        // A date has no time and so no time zone: it must not become the day before somewhere.
        options.get::<Option<&str>>("tz")?;
        return written(
            day.and_time(NaiveTime::MIN).and_utc().with_timezone(&Tz::UTC),
            format.unwrap_or("%Y-%m-%d"),
        );
    }
    moment(state, value, options).and_then(|at| written(at, format.unwrap_or("%Y-%m-%d")))
}

fn datetime(state: &State, value: &Value, format: Option<&str>, options: Kwargs) -> Result<Value, Error> {
    if let Some(unknown) = Unknown::among(&[value]) {
        return Ok(unknown);
    }
    moment(state, value, options).and_then(|at| written(at, format.unwrap_or("%Y-%m-%d %H:%M %Z")))
}

fn moment(state: &State, value: &Value, options: Kwargs) -> Result<DateTime<Tz>, Error> {
    let named = options.get::<Option<String>>("tz")?;
    options.assert_all_used()?;
    let setting = || state.lookup("settings")?.get_attr("time_zone").ok()?.as_str().map(str::to_owned);
    let zone = named.or_else(setting).unwrap_or_else(|| "UTC".to_owned());
    let zone: Tz = zone.parse().map_err(|_| {
        invalid(format!("\"{zone}\" is no time zone; write one such as \"Europe/Berlin\" or \"UTC\""))
    })?;
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let at = match (value.as_str(), value.kind()) {
        (Some(text), _) => timestamp(text.trim()),
        (None, ValueKind::Number) => {
            i64::try_from(value.clone()).ok().and_then(|s| DateTime::from_timestamp(s, 0))
        }
        _ => None,
    };
    let at = at.ok_or_else(|| {
        invalid(format!(
            "{value:?} is no time; write \"2026-11-22T14:00:00Z\", \"2026-11-22\" or Unix seconds"
        ))
    })?;
    Ok(at.with_timezone(&zone))
}

/// What Postgres writes for timestamptz, timestamp and date; a time without zone is UTC.
fn timestamp(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.with_timezone(&Utc));
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(at) = DateTime::parse_from_str(text, format) {
            return Some(at.with_timezone(&Utc));
        }
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Some(Utc.from_utc_datetime(&at));
        }
    }
    text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc())
}

fn written(at: DateTime<Tz>, format: &str) -> Result<Value, Error> {
    use std::fmt::Write;
    let mut out = String::new();
    write!(out, "{}", at.format(format)).map_err(|_| invalid(format!("\"{format}\" is no date format")))?;
    Ok(out.into())
}
