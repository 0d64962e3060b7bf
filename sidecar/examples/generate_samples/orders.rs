//! Orders: the core half (V2, RFC 2822 times, text money) and B2B Edition's half.

use serde_json::{json, Value};

use super::catalog::{rate, Line};
use super::companies::Company;
use super::people::People;
use super::random::Random;
use super::wire::{float, id, lines, page, rfc2822, text4, Money};
use super::{File, DAY, TODAY};

/// An order.
pub struct Order {
    pub id: i64,
    pub b2b_id: i64,
    /// Company and buyer; none for a guest of the B2C storefront.
    pub buyer: Option<(usize, usize)>,
    pub currency: &'static str,
    pub status: i64,
    pub placed: i64,
    pub modified: i64,
    pub lines: Vec<Line>,
}

const ORDERS: usize = 520;
const STATUS: &[(i64, (i64, &str))] = &[
    (1, (0, "Incomplete")),
    (5, (1, "Pending")),
    (16, (2, "Shipped")),
    (3, (3, "Partially Shipped")),
    (2, (4, "Refunded")),
    (4, (5, "Cancelled")),
    (1, (6, "Declined")),
    (12, (7, "Awaiting Payment")),
    (2, (8, "Awaiting Pickup")),
    (5, (9, "Awaiting Shipment")),
    (34, (10, "Completed")),
    (12, (11, "Awaiting Fulfillment")),
    (1, (12, "Manual Verification Required")),
    (1, (13, "Disputed")),
    (1, (14, "Partially Refunded")),
];

/// Invents orders of the last 150 days, the oldest first.
pub fn invent(companies: &[Company], people: &People) -> Vec<Order> {
    let mut random = Random::new("orders");
    let buying: Vec<usize> = (0..companies.len()).filter(|c| companies[*c].status == 1).collect();
    let step = 150 * DAY / ORDERS as i64;
    (0..ORDERS)
        .map(|n| {
            let company = *random.pick(&buying);
            let users = people.users_of(company);
            let user = random.between(0, users.len() as i64 - 1) as usize;
            let buyer =
                if random.percent(12) { None } else { Some((company, (users[user].id - 5001) as usize)) };
            let currency = buyer.map_or("USD", |(company, _)| companies[company].currency);
            let placed = TODAY - 150 * DAY + n as i64 * step + random.between(0, step - 1);
            let modified = (placed + random.between(60, 12 * DAY)).min(TODAY - 60);
            let lines = (0..random.between(1, 4)).map(|_| Line::invent(&mut random, currency, 0)).collect();
            let status = random.weighted(STATUS).0;
            Order {
                id: 1201 + n as i64,
                b2b_id: 90_001 + n as i64 * 3,
                buyer,
                currency,
                status,
                placed,
                modified,
                lines,
            }
        })
        .collect()
}

struct Totals {
    goods: Money,
    tax: Money,
    shipping: Money,
    total: Money,
}

fn totals(order: &Order) -> Totals {
    let goods: Money = order.lines.iter().map(|line| line.offered * line.quantity).sum();
    let shipping = if goods > 5_000_000 { 0 } else { 120_000 * rate(order.currency) / 100 };
    let tax = goods * 19 / 100;
    Totals { goods, tax, shipping, total: goods + tax + shipping }
}

fn core(random: &mut Random, companies: &[Company], people: &People, order: &Order) -> Value {
    let label = STATUS.iter().find(|(_, (id, _))| *id == order.status).map_or("", |(_, (_, label))| *label);
    let user = order.buyer.map(|(_, user)| &people.users[user]);
    let firm = order.buyer.map(|(company, _)| &companies[company]);
    let shipped = matches!(order.status, 2 | 10).then_some(order.modified);
    let pieces: i64 = order.lines.iter().map(|line| line.quantity).sum();
    let method =
        *random.pick(&["Purchase Order", "Bank Deposit", "Credit Card", "Cash on Delivery", "Check"]);
    let paid = match (order.status, method) {
        (4, _) => "refunded",
        (7, _) => "pending",
        (6, _) => "declined",
        (_, "Credit Card") => "captured",
        _ => "",
    };
    let mut value = json!({
        "id": order.id,
        "customer_id": user.map_or(0, |user| user.customer_id),
        "date_created": rfc2822(Some(order.placed)),
        "date_modified": rfc2822(Some(order.modified)),
        "date_shipped": rfc2822(shipped),
        "status_id": order.status,
        "status": label,
        "custom_status": if order.status == 7 { "Invoice Sent" } else { label },
        "items_total": pieces,
        "items_shipped": if shipped.is_some() { pieces } else { 0 },
        "payment_method": method,
        "payment_provider_id": if paid == "captured" { json!(random.hex(12)) } else { json!("") },
        "payment_status": paid,
        "staff_notes": if random.percent(8) { "Call before delivery" } else { "" },
        "customer_message": if random.percent(6) { "Please deliver to the back entrance – thanks!" } else { "" },
        "cart_id": random.uuid(),
        "billing_address": {
            "first_name": user.map_or("Guest", |user| user.first),
            "last_name": user.map_or("Buyer", |user| user.last),
            "company": firm.map_or("", |firm| firm.name),
            "city": firm.map_or("Austin", |firm| firm.city),
            "country": firm.map_or("United States", |firm| firm.country_name),
            "country_iso2": firm.map_or("US", |firm| firm.country),
            "phone": "",
            "email": user.map_or_else(|| format!("guest{}@mail.example", order.id), |user| user.email.clone()),
        },
        "is_deleted": random.percent(1),
        "order_source": if user.is_some() { "checkout_api" } else { "www" },
        "channel_id": 1,
        "external_id": null,
        "external_order_id": if random.percent(30) { format!("SAP-{}", order.id + 400_000) } else { String::new() },
        "external_source": null,
    });
    let products: Vec<Value> =
        order.lines.iter().enumerate().map(|(n, line)| product(random, order, n, line)).collect();
    if let (Some(all), Value::Object(some)) = (value.as_object_mut(), amounts(random, order)) {
        all.extend(some);
    }
    let link = |resource: &str| {
        let resource = format!("/orders/{}/{resource}", order.id);
        json!({"url": format!("https://api.bigcommerce.com/stores/example/v2{resource}"), "resource": resource})
    };
    match order.id % 10 {
        // include=consignments.line_items instead of the products call
        0 => {
            value["consignments"] = json!({"shipping": [{"id": order.id * 2, "line_items": products}], "pickups": [], "downloads": []});
            value["products"] = link("products");
        }
        // fetched without its lines
        5 if order.id % 100 == 5 => value["products"] = link("products"),
        _ => value["products"] = products.into(),
    }
    value
}

/// The amounts of an order, in the shopper's currency.
fn amounts(random: &mut Random, order: &Order) -> Value {
    let sums = totals(order);
    let refunded = if order.status == 4 { sums.total } else { 0 };
    json!({
        "subtotal_ex_tax": text4(sums.goods),
        "subtotal_inc_tax": text4(sums.goods + sums.tax),
        "subtotal_tax": text4(sums.tax),
        "base_shipping_cost": text4(sums.shipping),
        "shipping_cost_ex_tax": text4(sums.shipping),
        "shipping_cost_inc_tax": text4(sums.shipping),
        "handling_cost_ex_tax": "0.0000",
        // Some fields are text or a number, as it pleases.
        "base_wrapping_cost": if random.percent(50) { json!("0.0000") } else { json!(0) },
        "total_ex_tax": text4(sums.goods + sums.shipping),
        "total_inc_tax": if random.percent(8) { float(sums.total) } else { text4(sums.total) },
        "total_tax": text4(sums.tax),
        "is_tax_inclusive_pricing": false,
        "refunded_amount": text4(refunded),
        "store_credit_amount": "0.0000",
        "gift_certificate_amount": "0.0000",
        "discount_amount": "0.0000",
        "coupon_discount": "0.0000",
        "currency_id": 1,
        "currency_code": order.currency,
        "currency_exchange_rate": "1.0000000000",
        "default_currency_code": order.currency,
        "store_default_currency_code": "USD",
        "store_default_to_transactional_exchange_rate": format!("{}.{:02}00000000", rate(order.currency) / 100, rate(order.currency) % 100),
    })
}

fn product(random: &mut Random, order: &Order, n: usize, line: &Line) -> Value {
    let (article, price) = (line.article, line.offered);
    let tax = price * 19 / 100;
    let shipped = if matches!(order.status, 2 | 10) { line.quantity } else { 0 };
    let options = if article.values.is_empty() {
        json!([])
    } else {
        let value = article.values[line.variant];
        let line_id = order.id * 10 + n as i64;
        json!([{"id": line_id * 10, "option_id": article.product_id + 1000, "order_product_id": line_id,
            "display_name": article.option, "display_value": value, "value": article.variant_id(line.variant).to_string(), "type": "Multiple choice"}])
    };
    json!({
        "id": order.id * 10 + n as i64,
        "order_id": order.id,
        "product_id": article.product_id,
        "variant_id": article.variant_id(line.variant),
        "name": article.name,
        "sku": article.variant_sku(line.variant),
        "type": "physical",
        "base_price": text4(line.base),
        "price_ex_tax": text4(price),
        "price_inc_tax": text4(price + tax),
        "price_tax": text4(tax),
        "base_total": text4(line.base * line.quantity),
        "total_ex_tax": text4(price * line.quantity),
        "total_inc_tax": text4((price + tax) * line.quantity),
        "total_tax": text4(tax * line.quantity),
        "quantity": line.quantity,
        "base_cost_price": text4(line.base * 6 / 10),
        "weight": if random.percent(50) { json!("1.0000") } else { json!(1) },
        "is_refunded": order.status == 4,
        "quantity_refunded": if order.status == 4 { line.quantity } else { 0 },
        "refund_amount": text4(if order.status == 4 { (price + tax) * line.quantity } else { 0 }),
        "quantity_shipped": shipped,
        "parent_order_product_id": null,
        "product_options": options,
    })
}

fn b2b(random: &mut Random, companies: &[Company], order: &Order) -> Value {
    let sums = totals(order);
    let firm = order.buyer.map(|(company, _)| &companies[company]);
    json!({
        "id": order.b2b_id,
        "bcOrderId": id(random, order.id),
        "companyId": firm.map_or(0, |firm| firm.id),
        "poNumber": if random.percent(55) { format!("PO-{}", 10_000 + order.id * 7) } else { String::new() },
        "statusCode": order.status,
        "status": STATUS.iter().find(|(_, (id, _))| *id == order.status).map_or("", |(_, (_, label))| *label),
        "totalIncTax": float(sums.total),
        "currencyCode": order.currency,
        "items": order.lines.len(),
        "channelId": 1,
        "channelName": "B2B Store",
        "money": [{"currencyLocation": "left", "currencyToken": "$", "decimalToken": ".", "decimalPlaces": 2, "thousandsToken": ","}],
        "extraFields": if random.percent(20) { json!([{"fieldName": "Cost centre", "fieldValue": "4711"}]) } else { json!([]) },
        "createdAt": order.placed,
        "updatedAt": order.modified + 30,
    })
}

/// Bare arrays of V2 orders, 100 a file, and pages of B2B Edition's list, 200 a file.
pub fn files(companies: &[Company], people: &People, orders: &[Order]) -> Vec<File> {
    let mut random = Random::new("order payloads");
    let mut files = Vec::new();
    for (n, chunk) in orders.chunks(100).enumerate() {
        let items: Vec<Value> =
            chunk.iter().map(|order| core(&mut random, companies, people, order)).collect();
        files.push((format!("orders/page-{:04}.json", n + 1), lines(&Value::Array(items))));
    }
    for (n, chunk) in orders.chunks(200).enumerate() {
        let items: Vec<Value> = chunk.iter().map(|order| b2b(&mut random, companies, order)).collect();
        files.push((
            format!("b2b-orders/page-{:04}.json", n + 1),
            lines(&page(items, orders.len(), n * 200, 200)),
        ));
    }
    files
}
