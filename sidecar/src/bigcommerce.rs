//! BigCommerce: core V2 and V3, and B2B Edition's management API.
//!
//! | module | what |
//! |---|---|
//! | `store` | for actions: one request to the store that a target is, its answer or what it means that there is none |
//! | `value` | ids, amounts and flags however these APIs write them |

mod store;
pub mod value;

pub use store::{Area, Store};
