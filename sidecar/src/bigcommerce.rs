//! BigCommerce: core V2 and V3, and B2B Edition's management API.
//!
//! | module | what |
//! |---|---|
//! | `store` | one request: hosts, headers, budget, and what the answer means |
//! | `answer` | that meaning: each API says "no" in its own way |
//! | `budget` | how many requests may be made now, by the sync and by actions |
//! | `client` | for the sync: asked again where that may help |
//! | `value` | ids, amounts and flags however these APIs write them |

mod answer;
mod budget;
mod client;
mod store;
pub mod value;

pub use answer::{page, Page};
pub use client::{Client, Error};
pub use store::{Api, Pace, Store};
