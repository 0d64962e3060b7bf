//! Reading from BigCommerce: core V2 and V3, and B2B Edition's management API.
//!
//! | module | what |
//! |---|---|
//! | `client` | one request: the right host and headers, tried again when that may help |
//! | `budget` | how many requests may be made now, and what the answers' headers say of it |
//! | `answer` | from bytes to JSON or to an error: each API says "no" in its own way |

mod answer;
mod budget;
mod client;

pub use answer::{page, Page};
pub use client::{Api, Client, Error};
