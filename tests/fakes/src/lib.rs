//! Stateful, strict stand-ins for the vendors' APIs, for tests, benchmarks and the demo.
//!
//! Each vendor is a small server of its own on a free port, with state that requests change. It rejects what the real API
//! rejects, ignores what the real API ignores, sends the types the real API sends, and can be told to fail. Where a
//! vendor's behaviour is not documented, the choice is the harsher one for a client, and its comment says so.
//!
//! | module | what |
//! |---|---|
//! | [`bigcommerce`] | BigCommerce core V2/V3 and B2B Edition's management API, with webhooks |
//! | [`google`] | Google: service accounts, Sheets v4, a file's version in Drive |
//! | [`hubspot`] | HubSpot's CRM: records under unique properties, owners, pipelines, associations |
//! | [`server`] | the server all vendors share, with the record of requests |
//! | [`thread`] | what serves a port beside a test, and ends with it |
//! | [`request`], [`reply`] | a request as it came, an answer as it goes out |
//! | [`fault`] | what goes wrong on purpose |
//! | [`form`] | reading a request's JSON strictly, with the errors counted per field |
//! | [`clock`] | the time as a fake sees it |
//!
//! ```no_run
//! use tradeflow_fakes::bigcommerce::BigCommerce;
//! use tradeflow_fakes::fault::Fault;
//!
//! let shop = BigCommerce::start(); // the sample store, no rate limit
//! println!("{} {} {}", shop.url(), shop.token(), shop.store_hash());
//! shop.faults().next(2, Fault::status(503)); // the next two requests fail
//! shop.edit(|store| store.patch_quote(48002, serde_json::json!({"status": 2}))); // as a buyer or a rep would
//! assert!(shop.requests().iter().all(|request| request.method == "GET"));
//! ```

pub mod bigcommerce;
pub mod clock;
pub mod fault;
pub mod form;
pub mod google;
pub mod hubspot;
pub mod reply;
pub mod request;
pub mod server;
pub mod thread;
