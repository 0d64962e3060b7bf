//! JSON as the database wrote it, parsed where somebody reads it.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use serde_json::Value as Json;
use tokio_postgres::types::{accepts, to_sql_checked, FromSql, IsNull, ToSql, Type};

/// The text of a `json` or `jsonb` value. Most templates read little of it, and some actions have none.
#[derive(Debug)]
pub struct RawJson(Box<str>);

impl RawJson {
    /// As it is sent to the database, or would have come from it.
    pub fn of(json: &Json) -> RawJson {
        RawJson(json.to_string().into())
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// What it says. The database lets no other text through than JSON.
    pub fn parse(&self) -> Json {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl<'a> FromSql<'a> for RawJson {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<RawJson, Box<dyn Error + Sync + Send>> {
        let text = match raw {
            // jsonb is sent with the version of its format before the text.
            [1, text @ ..] if *of == Type::JSONB => text,
            _ if *of == Type::JSONB => return Err("a version of jsonb that is not known".into()),
            text => text,
        };
        Ok(RawJson(std::str::from_utf8(text)?.into()))
    }

    accepts!(JSON, JSONB);
}

impl ToSql for RawJson {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if *of == Type::JSONB {
            out.put_u8(1);
        }
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    accepts!(JSON, JSONB);
    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_as_they_are_and_other_formats_are_refused() {
        let raw = RawJson::from_sql(&Type::JSONB, b"\x01{\"n\": 10.10}").unwrap();
        assert_eq!(raw.parse().to_string(), r#"{"n":10.10}"#);
        assert!(RawJson::from_sql(&Type::JSONB, b"\x02{}").is_err());
        assert_eq!(RawJson::from_sql(&Type::JSON, b"[]").unwrap().text(), "[]");
    }
}
