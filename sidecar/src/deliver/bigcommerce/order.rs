//! `bigcommerce.set_order_status`: status and payment method, through core V2. Set only when it differs, since setting may mail the customer and move
//! stock; and never with lines or fees in the same request, which would lose discounts.

use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::store;
use crate::bigcommerce::{Api, Store};
use crate::deliver::params::{self, Filled, Id, Text};
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

const STATUS: &str = "status_id";
const PAYMENT_METHOD: &str = "payment_method";

pub struct Status {
    store: Store,
    order: i64,
    wanted: Map<String, Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    bc_order_id: Id,
    status: Option<Text>,
    payment_method: Option<Filled>,
}

impl Operation for Status {
    type Strategy = AbsoluteSet<Status>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Status, Failure> {
        let params: Params = params::read(&job.params)?;
        let mut wanted = Map::new();
        if let Some(Text(status)) = &params.status {
            wanted.insert(STATUS.into(), code(status)?.into());
        }
        wanted.extend(params.payment_method.map(|method| (PAYMENT_METHOD.to_owned(), method.0.into())));
        if wanted.is_empty() {
            return Err(Failure::dead("params: a status or a payment_method is needed"));
        }
        Ok(Status { store: store(tools, job)?, order: params.bc_order_id.0, wanted })
    }
}

/// The id of a status, given as that or as the system's label.
fn code(status: &str) -> Result<i64, Failure> {
    let word = status.trim().to_lowercase();
    let code = STATUSES.iter().position(|s| *s == word).map(|n| n as i64).or_else(|| word.parse().ok());
    code.filter(|n| (0..15).contains(n)).ok_or_else(|| {
        Failure::dead(format!("params.status: 0 to 14, or one of {}; not \"{word}\"", STATUSES.join(", ")))
    })
}

impl Setting for Status {
    async fn read(&self) -> Result<Map<String, Json>, Failure> {
        let answer = self.store.get(Api::V2, &format!("orders/{}", self.order), &[]).await?;
        if answer.body.get(STATUS).is_none() {
            return Err(Failure::dead(format!("there is no order {}", self.order)));
        }
        let get = |key: &str| (key.to_owned(), answer.body.get(key).cloned().unwrap_or_default());
        Ok(Map::from_iter([get(STATUS), get(PAYMENT_METHOD)]))
    }

    async fn wanted(&self, _: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
        Ok(self.wanted.clone())
    }

    async fn write(&self, _: &Map<String, Json>, differing: &Map<String, Json>) -> Result<(), Failure> {
        let body = Json::Object(differing.clone());
        self.store.call(Method::PUT, Api::V2, &format!("orders/{}", self.order), &[], Some(&body)).await?;
        Ok(())
    }
}
