//! Kinds `bigcommerce.*`: what a store can be told.
//!
//! None of these APIs knows a key that would make a repeat harmless (but for invoice numbers), so each kind reads before it
//! writes, and reads again afterwards.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::strategy::kind;
use super::{account, Deliver, Failure, Job, Tools};
use crate::api::Answer;
use crate::bigcommerce::Store;

mod company;
mod credit;
mod extra_fields;
mod invoice;
mod order;
mod quote;
mod staff;

/// How long an action waits for another one that writes the same thing.
const PATIENCE: Duration = Duration::from_secs(20);

/// All of them.
pub fn kinds(tools: &Arc<Tools>) -> Vec<Box<dyn Deliver>> {
    vec![
        kind::<quote::Update>(tools, "bigcommerce.update_quote"),
        kind::<quote::Link>(tools, "bigcommerce.link_order_to_quote"),
        kind::<company::Status>(tools, "bigcommerce.set_company_status"),
        kind::<company::Terms>(tools, "bigcommerce.set_payment_terms"),
        kind::<company::Company>(tools, "bigcommerce.create_company"),
        kind::<company::User>(tools, "bigcommerce.create_company_user"),
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
