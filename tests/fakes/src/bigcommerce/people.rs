//! What buyers, reps and the owner do in the store and its control panel, in one call each, with whole payloads and the
//! webhooks that tell it. What a test wants otherwise it says in `more`, whose keys are the payload's.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde_json::{json, Value};

use super::b2b::users;
use super::core::orders::{placed, status_name};
use super::state::{Entity, Store};
use crate::form::number;

/// A line of a quote or of an order.
#[derive(Debug, Clone)]
pub struct Line {
    pub product: i64,
    pub variant: i64,
    pub name: String,
    pub quantity: i64,
    pub base_price: Decimal,
    pub offered_price: Decimal,
}

impl Line {
    /// Variant 10 × `product`, at its base price. Panics when the price is no number.
    pub fn new(product: i64, name: &str, quantity: i64, price: &str) -> Line {
        let price = Decimal::from_str(price).unwrap_or_else(|error| panic!("the price {price}: {error}"));
        let variant = product * 10;
        Line { product, variant, name: name.to_owned(), quantity, base_price: price, offered_price: price }
    }

    /// Offered at another price than its base price.
    pub fn offered(self, price: &str) -> Line {
        let offered_price =
            Decimal::from_str(price).unwrap_or_else(|error| panic!("the price {price}: {error}"));
        Line { offered_price, ..self }
    }

    fn total(&self) -> Decimal {
        self.offered_price * Decimal::from(self.quantity)
    }
}

impl Store {
    /// A company signs up with the store's form: it is pending.
    pub fn sign_up(&mut self, name: &str, more: Value) -> i64 {
        let id = self.next_id("company");
        let email = format!("office@company-{id}.example");
        let mut data = json!({"companyId": id, "companyName": name, "companyEmail": email, "companyPhone": "",
            "companyStatus": "0", "bcGroupId": 0, "bcGroupName": "", "catalogId": "", "catalogName": null,
            "parentCompany": {}, "priceListAssign": [], "uuid": null, "extraFields": []});
        merge(&mut data, more);
        self.companies.insert(id, Entity::new(self.now(), data));
        self.tell("store/company/created", json!({"company_id": id}));
        id
    }

    /// The owner lets a company in, or turns it away: 0 Pending, 1 Approved, 2 Rejected, 3 Inactive.
    pub fn decide(&mut self, company: i64, status: i64) {
        self.patch_company(company, json!({"companyStatus": status.to_string()}));
    }

    /// Somebody joins a company, as an administrator unless `more` says otherwise.
    pub fn join(&mut self, company: i64, email: &str, first: &str, last: &str, more: Value) -> i64 {
        let mut row = json!({"companyId": company, "email": email, "firstName": first, "lastName": last, "role": 0,
            "companyRoleId": 1});
        merge(&mut row, more);
        let (id, _) = users::add(self, row);
        self.tell("store/company/user/created", json!({"company_id": company, "user_id": id}));
        id
    }

    /// A sales rep.
    pub fn hire(&mut self, name: &str, email: &str) -> i64 {
        let id = self.staff.keys().max().map_or(301, |last| last + 1);
        let data = json!({"id": id, "salesRepName": name, "email": email, "phoneNumber": "", "roleName": "Sales Rep"});
        self.staff.insert(id, Entity::new(self.now(), data));
        id
    }

    /// A rep looks after a company from now on, instead of whoever did. No webhook tells it.
    pub fn assign(&mut self, rep: i64, company: i64) {
        let now = self.now();
        self.assignments.retain(|(_, of), _| *of != company);
        self.assignments.insert((rep, company), now);
    }

    /// A buyer asks for a quote, which ends after 30 days.
    pub fn ask_for_quote(&mut self, company: i64, email: &str, lines: &[Line], more: Value) -> i64 {
        let id = self.next_id("quote");
        let name = self.companies.get(&company).map_or("", |c| c.text("companyName")).to_owned();
        let buyer = self.users.values().find(|user| user.text("email") == email);
        let buyer =
            buyer.map_or("A buyer".to_owned(), |u| format!("{} {}", u.text("firstName"), u.text("lastName")));
        let rep =
            self.assignments.keys().find(|(_, of)| *of == company).and_then(|(rep, _)| self.staff.get(rep));
        let rep = rep.map_or(json!({}), |rep| {
            json!({"salesRepName": rep.text("salesRepName"), "salesRepEmail": rep.text("email"), "salesRepPhoneNumber": ""})
        });
        let mut data = json!({"quoteId": id, "quoteUuid": format!("00000000-0000-4000-8000-{id:012}"),
            "quoteNumber": format!("QN{}", 200_000 + id), "quoteTitle": "", "referenceNumber": "", "status": 0,
            "companyInfo": {"companyId": company, "companyName": name},
            "contactInfo": {"companyName": name, "email": email, "name": buyer, "phoneNumber": ""},
            "salesRepInfo": rep, "createdBy": buyer, "recipients": [], "allowCheckout": true, "displayDiscount": true,
            "currency": {"currencyCode": "USD", "currencyExchangeRate": "1.00", "decimalPlaces": 2}, "extraFields": [],
            "notes": "", "legalTerms": "", "bcOrderId": "", "orderId": "", "channelId": 1, "channelName": "B2B Store",
            "discountType": 0, "discountValue": null, "expiredAt": self.now() + 30 * 86_400, "trackingHistory": []});
        merge(&mut data, quoted(lines));
        merge(&mut data, more);
        self.quotes.insert(id, Entity::new(self.now(), data));
        self.tell_quote("store/quote/created", id);
        id
    }

    /// A rep or the buyer changes the lines of a quote; totals follow.
    pub fn change_lines(&mut self, quote: i64, lines: &[Line]) {
        self.patch_quote(quote, quoted(lines));
    }

    /// A buyer places an order, paid by purchase order unless `more` says otherwise: both halves of it. Its core id.
    pub fn place_order(&mut self, company: i64, email: &str, lines: &[Line], more: Value) -> i64 {
        let (id, b2b, now) = (self.next_id("order"), self.next_id("b2b_order"), self.now());
        let buyer = self.users.values().find(|user| user.text("email") == email);
        let (customer, first, last) = buyer.map_or((0, "A".to_owned(), "Buyer".to_owned()), |user| {
            (user.int("customerId"), user.text("firstName").to_owned(), user.text("lastName").to_owned())
        });
        let money = |amount: Decimal| json!(format!("{amount:.4}"));
        let total: Decimal = lines.iter().map(Line::total).sum();
        let products: Vec<Value> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| {
                json!({"id": id * 100 + n as i64, "order_id": id, "product_id": line.product, "variant_id": line.variant,
                    "sku": sku(line), "name": line.name, "quantity": line.quantity, "quantity_shipped": 0, "quantity_refunded": 0,
                    "base_price": money(line.base_price), "price_ex_tax": money(line.offered_price), "price_inc_tax": money(line.offered_price),
                    "base_cost_price": "0.0000", "total_tax": "0.0000", "total_ex_tax": money(line.total()), "total_inc_tax": money(line.total()),
                    "refund_amount": "0.0000", "is_refunded": false, "parent_order_product_id": null, "product_options": []})
            })
            .collect();
        let items: i64 = lines.iter().map(|line| line.quantity).sum();
        let mut data = placed(id, customer, items, &money(total));
        data["billing_address"] = json!({"first_name": first, "last_name": last, "company": "", "email": email, "phone": "", "country_iso2": "US"});
        data["products"] = json!(products);
        merge(&mut data, more);
        let status = data["status_id"].as_i64().unwrap_or_default();
        data["status"] = status_name(status).unwrap_or_default().into();
        self.orders.insert(id, Entity::new(now, data));
        let view = json!({"id": b2b, "bcOrderId": id, "channelId": 1, "channelName": "B2B Store", "companyId": company,
            "currencyCode": "USD", "extraFields": [], "items": lines.len(), "poNumber": "", "totalIncTax": number(total)});
        self.b2b_orders.insert(id, Entity::new(now, view));
        self.tell("store/order/created", json!({"type": "order", "id": id}));
        id
    }

    /// A buyer takes a quote to checkout: an order of its lines, linked with it. The order's core id.
    pub fn order_quote(&mut self, quote: i64) -> i64 {
        let Some(of) = self.quotes.get(&quote) else { panic!("there is no quote {quote}") };
        let company = of.data["companyInfo"]["companyId"].as_i64().unwrap_or_default();
        let email = of.data["contactInfo"]["email"].as_str().unwrap_or_default().to_owned();
        let empty = Vec::new();
        let lines: Vec<Line> = of.data["productList"].as_array().unwrap_or(&empty).iter().map(line).collect();
        let order = self.place_order(company, &email, &lines, json!({}));
        let b2b = self.b2b_orders[&order].int("id").to_string();
        self.patch_quote(quote, json!({"status": 4, "bcOrderId": order.to_string(), "orderId": b2b}));
        order
    }

    /// The store gives an order another status, and its webhook tells it.
    pub fn set_order_status(&mut self, order: i64, status: i64) {
        self.patch_order(
            order,
            json!({"status_id": status, "status": status_name(status).unwrap_or_default()}),
        );
    }
}

fn merge(data: &mut Value, more: Value) {
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
}

fn sku(line: &Line) -> String {
    format!("SKU-{}", line.variant)
}

/// The lines of a quote with what follows from them.
fn quoted(lines: &[Line]) -> Value {
    let rows: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({"productId": line.product.to_string(), "variantId": line.variant.to_string(), "sku": sku(line),
                "productName": line.name, "quantity": line.quantity, "basePrice": number(line.base_price),
                "offeredPrice": number(line.offered_price), "discount": number(line.base_price - line.offered_price),
                "options": [], "orderQuantityMinimum": 0, "orderQuantityMaximum": 0, "purchasedHandled": false,
                "foundInBc": true, "type": "physical"})
        })
        .collect();
    let total: Decimal = lines.iter().map(Line::total).sum();
    let base: Decimal = lines.iter().map(|line| line.base_price * Decimal::from(line.quantity)).sum();
    json!({"productList": rows, "subtotal": number(base), "discount": number(base - total), "grandTotal": number(total),
        "totalAmount": number(total), "shippingTotal": 0, "taxTotal": 0})
}

/// A line as the quote's payload has it.
fn line(row: &Value) -> Line {
    let id = |key: &str| crate::form::int(row.get(key));
    let price = |key: &str| crate::form::decimal(&row[key]).unwrap_or_default();
    Line {
        product: id("productId"),
        variant: id("variantId"),
        name: row["productName"].as_str().unwrap_or_default().to_owned(),
        quantity: id("quantity"),
        base_price: price("basePrice"),
        offered_price: price("offeredPrice"),
    }
}
