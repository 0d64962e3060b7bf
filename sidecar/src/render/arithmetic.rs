//! The operators of templates as functions: `operators.rs` makes templates call them.
//!
//! Integers stay integers; everything else is decimal, 28 significant digits, never a float. `/` of two integers
//! is decimal too. Text is compared with text, numbers with numbers; anything else is an error rather than a guess.

use std::cmp::Ordering;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use rust_decimal::Decimal;

use super::number::{decimal_value, is_number, Exact, Number};
use super::unknown::Unknown;

/// Text longer than this is not made by repeating.
const REPEAT_LIMIT: usize = 1 << 20;

/// Gives an environment the functions that rewritten templates call.
pub fn register(env: &mut Environment<'static>) {
    env.add_function("__add", add);
    env.add_function("__sub", |a: &Value, b: &Value| {
        calculate("-", a, b, i128::checked_sub, Decimal::checked_sub)
    });
    env.add_function("__mul", mul);
    env.add_function("__div", div);
    env.add_function("__floordiv", |a: &Value, b: &Value| {
        not_by_zero("//", a, b)?;
        calculate("//", a, b, floor_div, |x, y| x.checked_div(y).map(|d| d.floor()))
    });
    env.add_function("__rem", |a: &Value, b: &Value| {
        not_by_zero("%", a, b)?;
        // With the sign of the divisor, as in Python.
        calculate(
            "%",
            a,
            b,
            |x, y| x.checked_sub(y.checked_mul(floor_div(x, y)?)?),
            |x, y| x.checked_sub(y.checked_mul(x.checked_div(y)?.floor())?),
        )
    });
    env.add_function("__pow", pow);
    env.add_function("__neg", |a: &Value| {
        calculate("-", &Value::from(0), a, i128::checked_sub, Decimal::checked_sub)
    });
    env.add_function("__compare", compare);
    env.add_function("__exact", |digits: String| Value::from_object(Exact::new(digits.replace('_', ""))));
}

fn add(a: &Value, b: &Value) -> Result<Value, Error> {
    match (a.kind(), b.kind()) {
        (ValueKind::String, ValueKind::String) => {
            Ok(Value::from(format!("{}{}", a.as_str().unwrap_or_default(), b.as_str().unwrap_or_default())))
        }
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) => {
            Ok(a.try_iter()?.chain(b.try_iter()?).collect::<Vec<Value>>().into())
        }
        _ => calculate("+", a, b, i128::checked_add, Decimal::checked_add),
    }
}

fn mul(a: &Value, b: &Value) -> Result<Value, Error> {
    let repeated = |text: &Value, times: &Value| -> Option<Value> {
        let text = text.as_str()?;
        let times = usize::try_from(times.clone()).ok()?;
        (text.len().checked_mul(times)? <= REPEAT_LIMIT).then(|| Value::from(text.repeat(times)))
    };
    match (a.kind(), b.kind()) {
        (ValueKind::String, ValueKind::Number) => repeated(a, b).ok_or_else(|| impossible("*", a, b)),
        (ValueKind::Number, ValueKind::String) => repeated(b, a).ok_or_else(|| impossible("*", a, b)),
        _ => calculate("*", a, b, i128::checked_mul, Decimal::checked_mul),
    }
}

fn div(a: &Value, b: &Value) -> Result<Value, Error> {
    not_by_zero("/", a, b)?;
    calculate("/", a, b, |_, _| None, |x, y| x.checked_div(y).map(|d| d.normalize()))
}

fn pow(a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(unknown) = Unknown::among(&[a, b]) {
        return Ok(unknown);
    }
    let Some(Number::Int(exponent)) = Number::of(b) else { return Err(impossible("**", a, b)) };
    let Ok(exponent @ 0..=1000) = u32::try_from(exponent) else {
        return Err(invalid("`**` takes a whole exponent from 0 to 1000"));
    };
    calculate(
        "**",
        a,
        &Value::from(exponent),
        |x, _| x.checked_pow(exponent),
        |x, _| (0..exponent).try_fold(Decimal::ONE, |product, _| product.checked_mul(x)),
    )
}

fn floor_div(x: i128, y: i128) -> Option<i128> {
    let quotient = x.checked_div(y)?;
    let exact = x == y.checked_mul(quotient)?;
    Some(if !exact && (x < 0) != (y < 0) { quotient - 1 } else { quotient })
}

/// Whole numbers by the first function where that has an answer, everything else decimal by the second.
fn calculate(
    sign: &str,
    a: &Value,
    b: &Value,
    whole: impl Fn(i128, i128) -> Option<i128>,
    exact: impl Fn(Decimal, Decimal) -> Option<Decimal>,
) -> Result<Value, Error> {
    if let Some(unknown) = Unknown::among(&[a, b]) {
        return Ok(unknown);
    }
    let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) else { return Err(impossible(sign, a, b)) };
    if let (Number::Int(x), Number::Int(y)) = (x, y) {
        if let Some(result) = whole(x, y) {
            return Ok(i64::try_from(result).map_or_else(|_| Value::from(result), Value::from));
        }
    }
    let result = x.decimal().zip(y.decimal()).and_then(|(x, y)| exact(x, y));
    result.map(decimal_value).ok_or_else(|| {
        invalid(format!("{a} {sign} {b} needs more than 28 digits; calculate it in the rule's query"))
    })
}

fn not_by_zero(sign: &str, a: &Value, b: &Value) -> Result<(), Error> {
    match Number::of(b).and_then(Number::decimal) {
        Some(zero) if zero.is_zero() => Err(invalid(format!("{a} {sign} {b}: division by zero"))),
        _ => Ok(()),
    }
}

/// `a < b <= c`: operands and the signs between them.
fn compare(args: minijinja::value::Rest<Value>) -> Result<bool, Error> {
    for triple in args.windows(3).step_by(2) {
        let [a, sign, b] = triple else { break };
        if !holds(a, sign.as_str().unwrap_or_default(), b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(a: &Value, sign: &str, b: &Value) -> Result<bool, Error> {
    if a.is_undefined() || b.is_undefined() {
        return Err(Error::new(
            ErrorKind::UndefinedError,
            "a name in a comparison is not defined (ask with `is defined`)",
        ));
    }
    match sign {
        _ if Unknown::among(&[a, b]).is_some() => Ok(true),
        "==" => Ok(equal(a, b)),
        "!=" => Ok(!equal(a, b)),
        "in" => contains(a, b),
        "not in" => contains(a, b).map(|found| !found),
        _ => {
            let order = order(a, sign, b)?;
            Ok(match sign {
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
    }
}

/// Equal as numbers, or as minijinja says.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (Number::of(a), Number::of(b)) {
        (Some(x), Some(y)) => x.order(y) == Some(Ordering::Equal),
        _ => a == b,
    }
}

/// Which of two values of one type comes first.
pub fn order(a: &Value, sign: &str, b: &Value) -> Result<Ordering, Error> {
    if let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) {
        return x.order(y).ok_or_else(|| impossible(sign, a, b));
    }
    let same = a.kind() == b.kind() && !matches!(a.kind(), ValueKind::None | ValueKind::Plain);
    if same || is_number(a) && is_number(b) {
        return Ok(a.cmp(b));
    }
    Err(impossible(sign, a, b))
}

fn contains(item: &Value, container: &Value) -> Result<bool, Error> {
    match container.kind() {
        ValueKind::String => match item.as_str() {
            Some(part) => Ok(container.as_str().unwrap_or_default().contains(part)),
            None => Err(impossible("in", item, container)),
        },
        // The keys of a map are what iterating it gives.
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            Ok(container.try_iter()?.any(|x| equal(&x, item)))
        }
        _ => Err(impossible("in", item, container)),
    }
}

fn impossible(sign: &str, a: &Value, b: &Value) -> Error {
    if a.is_undefined() || b.is_undefined() {
        return Error::new(ErrorKind::UndefinedError, format!("an operand of `{sign}` is not defined"));
    }
    let name = |v: &Value| if is_number(v) { "number".to_owned() } else { v.kind().to_string() };
    let mut text = format!("`{sign}` does not take {} and {}", name(a), name(b));
    let text_and_number = |x: &Value, y: &Value| x.kind() == ValueKind::String && is_number(y);
    if text_and_number(a, b) || text_and_number(b, a) {
        text.push_str(" (settings are text: write `settings.name|decimal`)");
    } else if a.is_none() || b.is_none() {
        text.push_str(" (a fact is null: write `|default(0, true)`)");
    }
    invalid(text)
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}
