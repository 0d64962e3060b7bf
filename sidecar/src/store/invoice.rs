//! B2B invoices.

use serde_json::Map;

use super::entity::Parts;
use super::record::Record;
use super::scalar::{code, flag, id, labelled, money, text, time, Labels};

const STATUS: Labels = &[(0, "Open"), (1, "Partially paid"), (2, "Paid")];

/// Reads a row of GET /ip/invoices or the answer of GET /ip/invoices/{id}.
pub fn read(invoice: &mut Record<'_>) -> Parts {
    let key = invoice.key(&["id", "invoiceId"]);
    let mut row = Map::new();
    // Despite its name the id of the B2B company.
    invoice.set(&mut row, "company_id", &["customerId"], id);
    invoice.set(&mut row, "invoice_number", &["invoiceNumber"], text);
    invoice.set(&mut row, "type", &["type"], text);
    invoice.set(&mut row, "status", &["status"], |v| labelled(v, STATUS));
    invoice.set(&mut row, "order_number", &["orderNumber"], text);
    invoice.set(&mut row, "purchase_order_number", &["purchaseOrderNumber"], text);
    invoice.set(&mut row, "is_pending_payment", &["isPendingPayment"], flag);
    invoice.set(&mut row, "source", &["source"], code);
    invoice.set(&mut row, "external_id", &["externalId"], text);
    invoice.set(&mut row, "external_customer_id", &["externalCustomerId"], text);
    invoice.set(&mut row, "due_at", &["dueDate"], time);
    invoice.set(&mut row, "created_at", &["createdAt"], time);
    invoice.set(&mut row, "updated_at", &["updatedAt"], time);
    for (column, key) in [("original_balance", "originalBalance"), ("open_balance", "openBalance")] {
        if let Some(mut balance) = invoice.object(key) {
            balance.set(&mut row, column, &["value"], money);
            balance.set(&mut row, "currency_code", &["code"], text);
            balance.finish();
        }
    }
    invoice.known(&["details", "extraFields", "externalPdfUrl", "channelId", "channelName", "notAllowedPay"]);
    let key = key?;
    row.insert("invoice_id".into(), key.into());
    Some((key, row, None))
}
