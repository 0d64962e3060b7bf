//! Kinds `bigcommerce.*`: what a store can be told.
//!
//! None of these APIs knows a key that would make a repeat harmless (but for invoice numbers), so each kind reads before it
//! writes, and reads again afterwards.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::strategy::kind;
use super::{account, Deliver, Failure, Job, Tools};
use crate::api::{self, Answer};
use crate::bigcommerce::{value, Store};

mod company;
mod credit;
mod extra_fields;
mod invoice;
mod new_company;
mod order;
mod quote;
mod staff;
mod user;

/// How long an action waits for another one that writes the same thing.
const PATIENCE: Duration = Duration::from_secs(20);

/// All of them.
pub fn kinds(tools: &Arc<Tools>) -> Vec<Box<dyn Deliver>> {
    vec![
        kind::<quote::Update>(tools, "bigcommerce.update_quote"),
        kind::<quote::Link>(tools, "bigcommerce.link_order_to_quote"),
        kind::<company::Status>(tools, "bigcommerce.set_company_status"),
        kind::<company::Terms>(tools, "bigcommerce.set_payment_terms"),
        kind::<new_company::Company>(tools, "bigcommerce.create_company"),
        kind::<user::User>(tools, "bigcommerce.create_company_user"),
        kind::<extra_fields::ExtraFields>(tools, "bigcommerce.update_company_extra_fields"),
        kind::<staff::Assignment>(tools, "bigcommerce.assign_sales_staff"),
        kind::<credit::Credit>(tools, "bigcommerce.add_company_credit"),
        kind::<invoice::FromOrder>(tools, "bigcommerce.create_invoice_from_order"),
        kind::<invoice::Invoice>(tools, "bigcommerce.create_invoice"),
        kind::<order::Status>(tools, "bigcommerce.set_order_status"),
    ]
}

/// The store that a job's target is.
fn store(tools: &Tools, job: &Job<'_>) -> Result<Store, Failure> {
    let target = job.target;
    let token = account::secret(job, "the token")?;
    let client = tools.clients.of(target.allow_private).clone();
    Store::new(&target.base_url, &token, client, target.timeout, tools.pace)
        .map_err(|why| account::wrong(job, why))
}

/// What stands in an answer's envelope.
fn data(answer: &Answer) -> &Json {
    answer.body.get("data").unwrap_or(&Json::Null)
}

/// The rows of an answer's page.
fn rows(answer: &Answer) -> &[Json] {
    let data = data(answer);
    data.as_array().or_else(|| data.get("list")?.as_array()).map_or(&[], Vec::as_slice)
}

/// Whether a refusal may mean that it is there already. In which words is in no specification, so it is looked for again.
fn may_exist(error: &api::Error) -> bool {
    [400, 409, 422].into_iter().any(|status| error.is(status))
}

/// The id of what was just made. Without it the next attempt finds what is there by then.
fn made(answer: &Answer, key: &str) -> Result<Json, Failure> {
    let id = data(answer).get(key).filter(|id| value::int(id).is_some());
    id.cloned().ok_or_else(|| {
        Failure::retry(format!("success was answered to its creation, but there is no {key} in the answer"))
    })
}

/// An id as text.
fn text(id: &Json) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}
