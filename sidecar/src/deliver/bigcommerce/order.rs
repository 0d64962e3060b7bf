//! `bigcommerce.set_order_status`: through core V2. Set only when it differs, since setting may mail the customer and move
//! stock; and never with lines or fees in the same request, which would lose discounts.

use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Map, Value as Json};

use super::store;
use crate::bigcommerce::{Api, Store};
use crate::deliver::params::{self, Id, Text};
use crate::deliver::strategy::{AbsoluteSet, Operation, Setting};
use crate::deliver::{Failure, Job, System, Tools};

/// The system labels in the order of their ids; stores rename them, so the id is what counts.
const STATUSES: [&str; 15] = [
    "incomplete",
    "pending",
    "shipped",
    "partially shipped",
    "refunded",
    "cancelled",
    "declined",
    "awaiting payment",
    "awaiting pickup",
    "awaiting shipment",
    "completed",
    "awaiting fulfillment",
    "manual verification required",
    "disputed",
    "partially refunded",
];

pub struct Status {
    store: Store,
    order: i64,
    status: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    bc_order_id: Id,
    status: Text,
}

impl Operation for Status {
    type Strategy = AbsoluteSet<Status>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Status, Failure> {
        let params: Params = params::read(&job.params)?;
        let word = params.status.0.trim().to_lowercase();
        let code = STATUSES.iter().position(|s| *s == word).map(|n| n as i64).or_else(|| word.parse().ok());
        let status = code.filter(|n| (0..15).contains(n)).ok_or_else(|| {
            Failure::dead(format!(
                "params.status: 0 to 14, or one of {}; not \"{word}\"",
                STATUSES.join(", ")
            ))
        })?;
        Ok(Status { store: store(tools, job)?, order: params.bc_order_id.0, status })
    }
}

impl Setting for Status {
    async fn read(&self) -> Result<Map<String, Json>, Failure> {
        let answer = self.store.get(Api::V2, &format!("orders/{}", self.order), &[]).await?;
        match answer.body.get("status_id") {
            Some(status) => Ok(Map::from_iter([("status_id".to_owned(), status.clone())])),
            None => Err(Failure::dead(format!("there is no order {}", self.order))),
        }
    }

    async fn wanted(&self, _: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
        Ok(Map::from_iter([("status_id".to_owned(), self.status.into())]))
    }

    async fn write(&self, _: &Map<String, Json>, _: &Map<String, Json>) -> Result<(), Failure> {
        let body = json!({"status_id": self.status});
        self.store.call(Method::PUT, Api::V2, &format!("orders/{}", self.order), &[], Some(&body)).await?;
        Ok(())
    }
}
