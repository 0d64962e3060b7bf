//! Invoices: from an order, or of our own making.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Value as Json};

use super::{data, made, may_exist, rows, store, text, PATIENCE};
use crate::bigcommerce::{value, Api, Store};
use crate::deliver::lock::Held;
use crate::deliver::params::{self, Amount, Day, Filled, Id, Text};
use crate::deliver::strategy::{Created, Creation, DeterministicId, LookUpFirst, Operation};
use crate::deliver::{Failure, Job, System, Tools};

/// An invoice's status when nothing is left to pay.
const PAID: i64 = 2;

/// `bigcommerce.create_invoice_from_order`. What a second call for an order does is not documented, so there is none: the
/// invoice is looked for first, and one of us creates it at a time.
pub struct FromOrder {
    store: Store,
    tools: Arc<Tools>,
    target: String,
    order: i64,
    due_on: Option<NaiveDate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FromOrderParams {
    bc_order_id: Id,
    due_on: Option<Day>,
}

impl Operation for FromOrder {
    type Strategy = LookUpFirst<FromOrder>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<FromOrder, Failure> {
        let params: FromOrderParams = params::read(&job.params)?;
        let target = job.target.name.clone();
        let due_on = params.due_on.map(|day| day.0);
        Ok(FromOrder {
            store: store(tools, job)?,
            tools: tools.clone(),
            target,
            order: params.bc_order_id.0,
            due_on,
        })
    }
}

impl FromOrder {
    /// The call that makes an invoice takes no day: the store's own terms say when it is due. Another day is set afterwards,
    /// by whichever attempt finds that it is not that one yet; a paid invoice stays as it is.
    async fn due(&self, id: &Json, invoice: &Json) -> Result<(), Failure> {
        let now = invoice.get("dueDate").and_then(value::int).and_then(|at| DateTime::from_timestamp(at, 0));
        let paid = invoice.get("status").and_then(value::int) == Some(PAID);
        let Some(day) = self.due_on.filter(|day| !paid && now.map(|at| at.date_naive()) != Some(*day)) else {
            return Ok(());
        };
        let (path, body) = (format!("ip/invoices/{}", text(id)), json!({"dueDate": midnight(day)}));
        self.store.call(Method::PUT, Api::B2b, &path, &[], Some(&body)).await?;
        Ok(())
    }
}

/// A day as these calls take it: unix seconds of its beginning in UTC.
fn midnight(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp()
}

fn result(id: &Json, number: &Json) -> Json {
    json!({"invoice_id": id, "invoice_number": number, "links": [{"object": "invoice", "id": text(id)}]})
}

impl Creation for FromOrder {
    async fn lock(&self) -> Result<Option<Held>, Failure> {
        let name = format!("{}: invoice of order {}", self.target, self.order);
        Ok(Some(self.tools.locks.hold(&name, PATIENCE).await?))
    }

    async fn find(&self) -> Result<Option<Json>, Failure> {
        let number = self.order.to_string();
        let Some(row) = search(&self.store, "orderNumber", &number).await? else { return Ok(None) };
        self.due(&row["id"], &row).await?;
        Ok(Some(result(&row["id"], &row["invoiceNumber"])))
    }

    async fn create(&self) -> Result<Created, Failure> {
        // The path wants B2B Edition's own id of the order. Without a filter by time its list shows the last year only.
        let order = self.order.to_string();
        let query = [("bcOrderId", order.as_str()), ("minModified", "1"), ("limit", "100")];
        let answer = self.store.get(Api::B2b, "orders", &query).await?;
        let row = rows(&answer).iter().find(|row| value::int(&row["bcOrderId"]) == Some(self.order));
        let Some(id) = row.and_then(|row| value::int(&row["id"])) else {
            return Err(Failure::not_yet(format!("B2B Edition does not know order {order} (yet)")));
        };
        let path = format!("ip/orders/{id}/invoices");
        match self.store.call(Method::POST, Api::B2b, &path, &[], Some(&json!({}))).await {
            Ok(answer) => {
                let (id, invoice) = (made(&answer, "invoiceId")?, data(&answer));
                self.due(&id, invoice).await?;
                Ok(Created::New(result(&id, &invoice["invoiceNumber"])))
            }
            Err(error) if may_exist(&error) => Ok(Created::Exists(error.into())),
            Err(error) => Err(error.into()),
        }
    }
}

/// `bigcommerce.create_invoice`: its number is unique in the store, and follows from the action when it is not given.
pub struct Invoice {
    store: Store,
    number: String,
    params: InvoiceParams,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvoiceParams {
    company_id: Id,
    number: Option<Filled>,
    amount: Amount,
    currency: Filled,
    due_on: Option<Day>,
    order_number: Option<Text>,
    purchase_order_number: Option<Text>,
    external_id: Option<Text>,
    pdf_url: Option<Text>,
    details: Option<Json>,
}

impl Operation for Invoice {
    type Strategy = DeterministicId<Invoice>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Invoice, Failure> {
        let params: InvoiceParams = params::read(&job.params)?;
        let number = match &params.number {
            Some(Filled(number)) => number.clone(),
            None => format!("TF-{}", job.action.idempotency_key),
        };
        Ok(Invoice { store: store(tools, job)?, number, params })
    }
}

impl Creation for Invoice {
    async fn find(&self) -> Result<Option<Json>, Failure> {
        let Some(row) = search(&self.store, "invoiceNumber", &self.number).await? else { return Ok(None) };
        // The number may be somebody else's: the same invoice has the same company and amount.
        let company = value::int(&row["customerId"]);
        let amount = row.pointer("/originalBalance/value").and_then(value::decimal);
        if company != Some(self.params.company_id.0) || amount != Some(self.params.amount.0) {
            return Err(Failure::dead(format!(
                "invoice number {} is taken by another invoice (company {}, {} {})",
                self.number,
                text(&row["customerId"]),
                amount.unwrap_or_default(),
                row.pointer("/originalBalance/code").map(text).unwrap_or_default()
            )));
        }
        Ok(Some(result(&row["id"], &row["invoiceNumber"])))
    }

    async fn create(&self) -> Result<Created, Failure> {
        let params = &self.params;
        // Read as text, written as a number.
        let balance =
            json!({"code": params.currency.0.to_uppercase(), "value": value::number(params.amount.0)});
        let mut body = json!({"invoiceNumber": self.number, "customerId": params.company_id.0.to_string(),
            "originalBalance": balance, "openBalance": balance});
        if let Some(day) = params.due_on {
            body["dueDate"] = midnight(day.0).into();
        }
        for (key, given) in [
            ("orderNumber", &params.order_number),
            ("purchaseOrderNumber", &params.purchase_order_number),
            ("externalId", &params.external_id),
            ("externalPdfUrl", &params.pdf_url),
        ] {
            if let Some(Text(given)) = given {
                body[key] = given.clone().into();
            }
        }
        if let Some(details) = &params.details {
            body["details"] = details.clone();
        }
        match self.store.call(Method::POST, Api::B2b, "ip/invoices", &[], Some(&body)).await {
            Ok(answer) => Ok(Created::New(result(&made(&answer, "id")?, &self.number.clone().into()))),
            Err(error) if may_exist(&error) => Ok(Created::Exists(error.into())),
            Err(error) => Err(error.into()),
        }
    }
}

/// The invoice with exactly this value: the search itself finds parts of it too.
async fn search(store: &Store, field: &str, value: &str) -> Result<Option<Json>, Failure> {
    let mut offset = 0;
    loop {
        let at = offset.to_string();
        let query = [("searchBy", field), ("q", value), ("limit", "100"), ("offset", at.as_str())];
        let answer = store.get(Api::B2b, "ip/invoices", &query).await?;
        let page = rows(&answer);
        if let Some(found) = page.iter().find(|row| text(&row[field]) == value) {
            return Ok(Some(found.clone()));
        }
        if page.len() < 100 || offset > 100_000 {
            return Ok(None);
        }
        offset += page.len();
    }
}
