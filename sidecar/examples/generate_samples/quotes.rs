//! Quotes: details with their lines, and one page of the list.

use serde_json::{json, Map, Value};

use super::catalog::{rate, Line};
use super::companies::Company;
use super::orders::Order;
use super::people::People;
use super::random::Random;
use super::wire::{envelope, flag, float, id, lines, money, text4, unix, Money};
use super::{File, DAY, TODAY};

/// A quote.
pub struct Quote {
    pub id: i64,
    pub number: String,
    /// Company and buyer; none for a quote to a consumer.
    pub buyer: Option<(usize, usize)>,
    pub currency: &'static str,
    pub status: i64,
    pub created: i64,
    pub updated: i64,
    pub expires: Option<i64>,
    pub order: Option<(i64, i64)>,
    pub lines: Vec<Line>,
}

const QUOTES: usize = 320;

/// Invents quotes of the last 120 days, the oldest first. Ordered ones belong to an order of the store.
pub fn invent(companies: &[Company], people: &People, orders: &[Order]) -> Vec<Quote> {
    let mut random = Random::new("quotes");
    let quoting: Vec<usize> =
        (0..companies.len()).filter(|c| matches!(companies[*c].status, 1 | 3)).collect();
    let recent = orders.iter().filter(|order| order.placed > TODAY - 100 * DAY && order.buyer.is_some());
    let mut ordered: Vec<&Order> = recent.collect();
    let step = 120 * DAY / QUOTES as i64;
    let invent = |n: usize| {
        let mut created = TODAY - 120 * DAY + n as i64 * step + random.between(0, step - 1);
        let lasts = *random.weighted(&[(2, 7), (5, 30), (2, 45), (1, 90)]) * DAY;
        let mut expires = if random.percent(4) { None } else { Some(created + lasts) };
        let (id, number) = (48_001 + n as i64, format!("QN{}", 101_200 + n));
        if random.percent(18) && !ordered.is_empty() {
            let order = ordered.remove(random.between(0, ordered.len() as i64 - 1) as usize);
            created = created.min(order.placed - DAY);
            expires = expires.map(|_| created + 90 * DAY);
            let (buyer, currency, lines) = (order.buyer, order.currency, order.lines.clone());
            let order_ids = Some((order.id, order.b2b_id));
            return Quote {
                id,
                number,
                buyer,
                currency,
                status: 4,
                created,
                updated: order.placed,
                expires,
                order: order_ids,
                lines,
            };
        }
        let company = *random.pick(&quoting);
        let users = people.users_of(company);
        let user = random.between(0, users.len() as i64 - 1) as usize;
        let buyer = if random.percent(5) { None } else { Some((company, (users[user].id - 5001) as usize)) };
        let currency = buyer.map_or("USD", |(company, _)| companies[company].currency);
        let status = match expires {
            Some(at) if at < TODAY => *random.weighted(&[(8, 5), (2, 6)]),
            _ => *random.weighted(&[(40, 0), (25, 2), (20, 3), (5, 7), (2, 6)]),
        };
        let updated = created + random.between(60, (TODAY - created).max(120) - 60);
        let lines = offer(&mut random, currency);
        Quote { id, number, buyer, currency, status, created, updated, expires, order: None, lines }
    };
    (0..QUOTES).map(invent).collect()
}

/// Lines of an offer: many without discount, some at more than 20 %, a few at more than 35 %.
fn offer(random: &mut Random, currency: &str) -> Vec<Line> {
    let discounts = [(45, (0, 0)), (30, (3, 15)), (15, (21, 30)), (10, (36, 50))];
    let mut lines: Vec<Line> = (0..random.between(1, 6))
        .map(|_| {
            let (low, high) = *random.weighted(&discounts);
            let percent = random.between(low, high);
            Line::invent(random, currency, percent)
        })
        .collect();
    // The same variant twice: a part of the quantity at another price.
    if random.percent(10) {
        let mut twin = lines[0].clone();
        twin.quantity = (twin.quantity / 2).max(1);
        twin.offered = twin.base;
        lines.push(twin);
    }
    lines
}

struct Totals {
    subtotal: Money,
    grand: Money,
    shipping: Money,
    tax: Money,
}

fn totals(quote: &Quote) -> Totals {
    let (subtotal, grand) =
        quote.lines.iter().map(Line::totals).fold((0, 0), |(a, b), (base, offered)| (a + base, b + offered));
    let shipping = if grand > 5_000_000 { 0 } else { 150_000 * rate(quote.currency) / 100 };
    Totals { subtotal, grand, shipping, tax: grand * 19 / 100 / 100 * 100 }
}

fn currency(random: &mut Random, code: &str) -> Value {
    let places = if code == "JPY" { 0 } else { 2 };
    let (whole, hundredths) = (rate(code) / 100, rate(code) % 100);
    let rate =
        if random.percent(50) { float(rate(code) * 100) } else { format!("{whole}.{hundredths:02}").into() };
    json!({"token": code, "location": "left", "currencyCode": code, "decimalToken": ".", "decimalPlaces": places, "thousandsToken": ",", "currencyExchangeRate": rate})
}

/// What list and detail share.
fn head(random: &mut Random, quote: &Quote, set: &mut Map<String, Value>) {
    let sums = totals(quote);
    set.insert("quoteId".into(), id(random, quote.id));
    set.insert("quoteNumber".into(), quote.number.as_str().into());
    set.insert("quoteTitle".into(), if quote.id % 3 == 0 { "Annual framework".into() } else { "".into() });
    if quote.id % 4 != 1 {
        set.insert("referenceNumber".into(), format!("REF-{}", quote.id % 977).into());
    }
    set.insert("status".into(), quote.status.into());
    set.insert("createdBy".into(), "Marie Curie".into());
    set.insert("createdAt".into(), unix(random, quote.created));
    set.insert("updatedAt".into(), unix(random, quote.updated));
    set.insert("expiredAt".into(), quote.expires.map_or(json!(""), |at| unix(random, at)));
    set.insert("subtotal".into(), money(random, sums.subtotal));
    set.insert("currency".into(), currency(random, quote.currency));
    set.insert("bcOrderId".into(), quote.order.map_or(String::new(), |(bc, _)| bc.to_string()).into());
    set.insert("orderId".into(), quote.order.map_or(String::new(), |(_, b2b)| b2b.to_string()).into());
    set.insert("channelId".into(), 1.into());
    set.insert("channelName".into(), "B2B Store".into());
}

fn listed(random: &mut Random, companies: &[Company], people: &People, quote: &Quote) -> Value {
    let mut fields = Map::new();
    head(random, quote, &mut fields);
    let company = quote.buyer.map_or("", |(company, _)| companies[company].name);
    let rep = quote.buyer.and_then(|(company, _)| people.rep_of(company)).map_or("", |rep| rep.name);
    fields.insert("company".into(), company.into());
    fields.insert("salesRep".into(), rep.into());
    Value::Object(fields)
}

fn detail(random: &mut Random, companies: &[Company], people: &People, quote: &Quote) -> Value {
    let mut fields = Map::new();
    head(random, quote, &mut fields);
    let sums = totals(quote);
    let blocked = quote.lines.iter().any(|line| line.offered * 100 < line.base * 60);
    let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    set("grandTotal", if random.percent(10) { text4(sums.grand) } else { money(random, sums.grand) });
    set("discount", money(random, sums.subtotal - sums.grand));
    let kind = if sums.subtotal == sums.grand { 0 } else { random.between(0, 2) };
    set("discountType", if random.percent(10) { kind.to_string().into() } else { kind.into() });
    set("discountValue", if kind == 0 { Value::Null } else { float(random.between(1, 50) * 10_000) });
    set("shippingTotal", money(random, sums.shipping));
    set("taxTotal", money(random, sums.tax));
    set("totalAmount", money(random, sums.grand + sums.shipping + sums.tax));
    set("allowCheckout", flag(random, !blocked));
    set("displayDiscount", flag(random, true));
    set(
        "notes",
        if random.percent(30) { "Prices valid for the quantities stated.".into() } else { "".into() },
    );
    set("legalTerms", "Quotes are valid for 30 days unless otherwise stated.".into());
    let user = quote.buyer.map(|(_, user)| &people.users[user]);
    let firm = quote.buyer.map(|(company, _)| &companies[company]);
    let name = user.map_or("Walk-in Customer".to_owned(), |user| format!("{} {}", user.first, user.last));
    let email = user.map_or_else(|| format!("walkin{}@mail.example", quote.id), |user| user.email.clone());
    let company_name = firm.map_or("", |firm| firm.name);
    set(
        "contactInfo",
        json!({"name": name, "email": email, "companyName": company_name, "phoneNumber": "512-200-1234"}),
    );
    // A consumer has no company: an empty list, an empty object or null.
    let none = [json!([]), json!({}), json!(null)];
    set(
        "companyInfo",
        firm.map_or_else(
            || random.pick(&none).clone(),
            |firm| json!({"companyId": firm.id, "companyName": firm.name, "companyAddress": "512 Bluebonnet Lane", "companyCity": firm.city, "companyState": "", "companyZipCode": "78704", "companyCountry": firm.country_name, "companyphoneNumber": ""}),
        ),
    );
    match quote.buyer.and_then(|(company, _)| people.rep_of(company)) {
        Some(rep) => {
            set(
                "salesRepInfo",
                json!({"salesRepName": rep.name, "salesRepEmail": rep.email, "salesRepPhoneNumber": rep.phone}),
            );
        }
        None if quote.id % 2 == 0 => {
            set("salesRepInfo", json!({}));
        }
        None => {}
    }
    if quote.id % 5 == 0 {
        set(
            "shippingMethod",
            json!({"id": 1725, "isCustom": true, "type": "custom", "cost": float(sums.shipping), "description": "LTL – with lift gate", "transitTime": "2 business days"}),
        );
    }
    set("recipients", if quote.id % 6 == 0 { json!([email, "purchasing@mail.example"]) } else { json!([]) });
    let history = json!([{"date": quote.created, "role": format!("Customer: {name}"), "message": "Are there bulk discounts available?"}]);
    set("trackingHistory", if quote.id % 3 == 0 { history } else { json!([]) });
    set(
        "extraFields",
        if quote.id % 4 == 0 {
            json!([{"fieldName": "Delivery week", "fieldValue": "CW 47"}])
        } else {
            json!([])
        },
    );
    let items = quote.lines.iter().map(|line| product(random, line)).collect();
    set("productList", Value::Array(items));
    Value::Object(fields)
}

fn product(random: &mut Random, line: &Line) -> Value {
    let article = line.article;
    let percent = if line.base == 0 { 0 } else { (line.base - line.offered) * 1_000_000 / line.base };
    let options = if article.values.is_empty() {
        json!([])
    } else {
        json!([{"optionId": article.product_id + 1000, "optionName": article.option,
            "optionValue": id(random, article.variant_id(line.variant)), "optionLabel": article.values[line.variant]}])
    };
    let mut value = json!({
        "productId": id(random, article.product_id),
        "variantId": id(random, article.variant_id(line.variant)),
        "productName": article.name,
        "sku": article.variant_sku(line.variant),
        "quantity": if random.percent(8) { line.quantity.to_string().into() } else { json!(line.quantity) },
        "basePrice": money(random, line.base),
        "discount": float(percent),
        "offeredPrice": money(random, line.offered),
        "options": options,
        "inventoryTracking": "variant",
        "inventoryLevel": random.between(0, 900),
        "type": "physical",
        "foundInBc": true,
        "purchasedHandled": false,
    });
    if random.percent(30) {
        value["costPrice"] = float(line.base * 6 / 10);
    }
    if random.percent(20) {
        value["orderQuantityMinimum"] = 5.into();
        value["orderQuantityMaximum"] = 0.into();
    }
    value
}

/// Details 50 a file (as answers, as bare objects, one a line), one by itself, and the first page of the list.
pub fn files(companies: &[Company], people: &People, quotes: &[Quote]) -> Vec<File> {
    let mut random = Random::new("quote payloads");
    let newest: Vec<Value> =
        quotes.iter().rev().take(50).map(|quote| listed(&mut random, companies, people, quote)).collect();
    let pagination = json!({"totalCount": quotes.len(), "offset": 0, "limit": 50});
    let list = json!({"code": 200, "data": {"list": newest, "pagination": pagination}, "message": "SUCCESS"});
    let mut files = vec![("quotes/list-0001.json".to_owned(), lines(&list))];
    let (alone, paged) = quotes.split_at(1);
    for quote in alone {
        // The answer of GET /rfq/{id} need not repeat the id: the file's name tells it.
        let mut payload = detail(&mut random, companies, people, quote);
        if let Some(fields) = payload.as_object_mut() {
            fields.remove("quoteId");
        }
        files.push((format!("quotes/{}.json", quote.id), lines(&envelope(payload))));
    }
    for (n, chunk) in paged.chunks(50).enumerate() {
        let details: Vec<Value> =
            chunk.iter().map(|quote| detail(&mut random, companies, people, quote)).collect();
        let file = match n % 3 {
            0 => (
                format!("quotes/page-{:04}.json", n + 1),
                lines(&details.into_iter().map(envelope).collect()),
            ),
            1 => (format!("quotes/page-{:04}.json", n + 1), lines(&Value::Array(details))),
            _ => {
                let text: String = details.iter().map(|quote| format!("{quote}\n")).collect();
                (format!("quotes/page-{:04}.ndjson", n + 1), text)
            }
        };
        files.push(file);
    }
    files
}
