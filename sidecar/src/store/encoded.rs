//! An entity as COPY takes it: smaller than the values it was made of, and made away from the connection.

use serde_json::Value;

use super::entity::{Entity, Origin};
use super::kind::Kind;

/// What stands before the tuples of COPY's binary format: its signature, no flags, no extension.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What stands behind them.
pub const TRAILER: &[u8] = &(-1i16).to_be_bytes();

/// The only version of a jsonb's binary form: its text follows.
const JSONB: u8 = 1;

/// An entity, ready to be written.
#[derive(Debug)]
pub struct Encoded {
    pub kind: Kind,
    pub id: i64,
    /// A tuple of COPY's binary format, for `pg_temp.incoming`.
    pub tuple: Vec<u8>,
    /// Where it came from, for messages.
    pub origin: Origin,
}

impl From<Entity> for Encoded {
    fn from(entity: Entity) -> Encoded {
        let tuple = tuple([&entity.item, &entity.payload]);
        Encoded { kind: entity.kind, id: entity.id, tuple, origin: entity.origin }
    }
}

/// How many columns, and each as its length and its bytes.
fn tuple(columns: [&Value; 2]) -> Vec<u8> {
    let mut tuple = Vec::with_capacity(2048);
    tuple.extend((columns.len() as i16).to_be_bytes());
    for column in columns {
        let place = tuple.len();
        tuple.extend([0, 0, 0, 0, JSONB]);
        // Neither a vector nor a value can fail.
        let written = serde_json::to_writer(&mut tuple, column);
        debug_assert!(written.is_ok(), "{written:?}");
        let length = (tuple.len() - place - 4) as i32;
        tuple[place..place + 4].copy_from_slice(&length.to_be_bytes());
    }
    tuple
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tuple_tells_the_length_of_each_column() {
        let tuple = tuple([&json!({"a": "x\ny"}), &json!(1.50)]);
        assert_eq!(tuple, b"\0\x02\0\0\0\x0d\x01{\"a\":\"x\\ny\"}\0\0\0\x04\x011.5");
        assert_eq!((HEADER.len(), TRAILER), (19, &[0xff, 0xff][..]));
    }
}
