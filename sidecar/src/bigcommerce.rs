//! BigCommerce: core V2 and V3, and B2B Edition's management API.
//!
//! | module | what |
//! |---|---|
//! | `client` | for the sync: one request, tried again when that may help |
//! | `budget` | how many requests may be made now, and what the answers' headers say of it |
//! | `answer` | from bytes to JSON or to an error: each API says "no" in its own way |
//! | `store` | for actions: one request to the store that a target is, its answer or what it means that there is none |
//! | `value` | ids, amounts and flags however these APIs write them |

mod answer;
mod budget;
mod client;
mod store;
pub mod value;

pub use answer::{page, Page};
pub use client::{Api, Client, Error};
pub use store::{Area, Store};
