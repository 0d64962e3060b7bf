//! How values travel: the same thing now as a number, now as text, as the APIs do it.

use serde_json::{json, Number, Value};

use super::random::Random;

/// Money in ten-thousandths.
pub type Money = i64;

/// A decimal as core V2 writes it: text with four decimals.
pub fn text4(money: Money) -> Value {
    let sign = if money < 0 { "-" } else { "" };
    let money = money.abs();
    format!("{sign}{}.{:04}", money / 10_000, money % 10_000).into()
}

/// A decimal as B2B Edition writes it: a JSON float such as 1495.0 or 20.1.
pub fn float(money: Money) -> Value {
    let sign = if money < 0 { "-" } else { "" };
    let amount = money.abs();
    let fraction = format!("{:04}", amount % 10_000);
    let fraction = fraction.trim_end_matches('0');
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    let token = format!("{sign}{}.{fraction}", amount / 10_000);
    token.parse::<Number>().map(Value::Number).unwrap_or_default()
}

/// Money as a float; now and then as text, or as a whole number.
pub fn money(random: &mut Random, amount: Money) -> Value {
    match random.between(1, 12) {
        1 => text4(amount),
        2 if amount % 10_000 == 0 => json!(amount / 10_000),
        _ => float(amount),
    }
}

/// An id as a number; now and then as text.
pub fn id(random: &mut Random, id: i64) -> Value {
    if random.percent(15) {
        id.to_string().into()
    } else {
        id.into()
    }
}

/// Yes or no as true, 1 or "1".
pub fn flag(random: &mut Random, yes: bool) -> Value {
    match random.between(1, 10) {
        1 => json!(i32::from(yes)),
        2 => json!(i32::from(yes).to_string()),
        3 => json!(if yes { "true" } else { "false" }),
        _ => json!(yes),
    }
}

/// Unix seconds as a number; now and then as text.
pub fn unix(random: &mut Random, at: i64) -> Value {
    if random.percent(10) {
        at.to_string().into()
    } else {
        at.into()
    }
}

/// RFC 2822 as core V2 writes it; "" for never.
pub fn rfc2822(at: Option<i64>) -> Value {
    let time = at.and_then(|at| chrono::DateTime::from_timestamp(at, 0));
    time.map(|t| t.format("%a, %d %b %Y %H:%M:%S +0000").to_string()).unwrap_or_default().into()
}

/// `{code, data, meta}` around one thing.
pub fn envelope(data: Value) -> Value {
    json!({"code": 200, "data": data, "meta": {"message": "SUCCESS"}})
}

/// `{code, data: […], meta}` around a page of a list.
pub fn page(items: Vec<Value>, total: usize, offset: usize, limit: usize) -> Value {
    let pagination = json!({"totalCount": total, "offset": offset, "limit": limit});
    json!({"code": 200, "data": items, "meta": {"message": "SUCCESS", "pagination": pagination}})
}

/// JSON text with each element of its (innermost) list on a line of its own: fit for diffs, and small.
pub fn lines(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("[\n{}\n]\n", items.join(",\n"))
        }
        Value::Object(fields) if fields.values().any(is_list) => {
            let parts: Vec<String> = fields
                .iter()
                .map(|(key, inner)| {
                    let text =
                        if is_list(inner) { lines(inner).trim_end().to_owned() } else { inner.to_string() };
                    format!("{}: {text}", Value::from(key.as_str()))
                })
                .collect();
            format!("{{{}}}\n", parts.join(", "))
        }
        other => format!("{other:#}\n"),
    }
}

fn is_list(value: &Value) -> bool {
    value.is_array() || value.get("list").is_some_and(Value::is_array)
}
