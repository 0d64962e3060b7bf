//! What a store holds. Ids of different things come from different spaces, as the vendor's do: an order has a core id
//! (`bc_order_id`) and another id in B2B Edition, a buyer is a core customer and a B2B user.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::{json, Map, Value};

use crate::clock::{iso8601, rfc2822, Clock};

/// A JSON object.
pub type Fields = Map<String, Value>;

/// A thing with times of its own.
#[derive(Debug, Clone, Default)]
pub struct Entity {
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds.
    pub updated: i64,
    /// The payload as the detail call answers it, without times.
    pub data: Fields,
}

/// A configured extra field. Extra fields are addressed by their name; all values are strings.
#[derive(Debug, Clone)]
pub struct ExtraField {
    pub name: String,
    /// 0 text, 1 multi-line text, 2 number, 3 dropdown.
    pub kind: u8,
    pub required: bool,
    /// Of a dropdown.
    pub options: Vec<String>,
}

impl ExtraField {
    /// A field for free text that nobody must fill in.
    pub fn text(name: &str) -> ExtraField {
        ExtraField { name: name.to_owned(), kind: 0, required: false, options: Vec::new() }
    }
}

/// Credit of a company. `available` is what is left, and is written outright.
#[derive(Debug, Clone)]
pub struct Credit {
    pub enabled: bool,
    pub currency: String,
    pub available: Decimal,
    pub limit_purchases: bool,
    pub hold: bool,
}

/// Net terms of a company.
#[derive(Debug, Clone)]
pub struct Terms {
    pub enabled: bool,
    pub days: i64,
}

/// How a company relates to customer groups; it decides which fields are legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanyMode {
    Independent,
    Dependent,
}

/// Something a webhook tells.
#[derive(Debug, Clone)]
pub struct Event {
    pub scope: String,
    pub data: Value,
}

/// The store.
pub struct Store {
    pub clock: Arc<Clock>,
    pub companies: BTreeMap<i64, Entity>,
    pub company_mode: CompanyMode,
    pub company_fields: Vec<ExtraField>,
    pub quote_fields: Vec<ExtraField>,
    pub users: BTreeMap<i64, Entity>,
    pub staff: BTreeMap<i64, Entity>,
    /// (rep, company) → unix seconds of the assignment.
    pub assignments: BTreeMap<(i64, i64), i64>,
    pub credit_feature: bool,
    pub credit: BTreeMap<i64, Credit>,
    pub terms: BTreeMap<i64, Terms>,
    pub quotes: BTreeMap<i64, Entity>,
    /// Core orders by core id.
    pub orders: BTreeMap<i64, Entity>,
    /// Orders generated on demand: so many, with core ids above [`Store::FIRST_GENERATED`].
    pub generated_orders: i64,
    /// B2B Edition's view, by core id; its own id is in `data`.
    pub b2b_orders: BTreeMap<i64, Entity>,
    /// Whether changing a core order's status also changes the B2B view's time. Not documented.
    pub status_touches_b2b: bool,
    /// Whether a second invoice for an order is refused. Not documented; the harsher way is to make it.
    pub refuse_second_invoice: bool,
    pub invoices: BTreeMap<i64, Entity>,
    pub products: BTreeMap<i64, Entity>,
    pub price_lists: BTreeMap<i64, Entity>,
    /// (list, variant, currency)
    pub price_records: BTreeMap<(i64, i64, String), Entity>,
    pub price_assignments: Vec<Fields>,
    pub customers: BTreeMap<i64, Entity>,
    pub hooks: BTreeMap<i64, Entity>,
    /// Deletions, told by nothing but webhooks.
    pub deleted: BTreeSet<(&'static str, i64)>,
    /// Hours the store's clock is off UTC; a quote's creation date is a day in that zone.
    pub zone_hours: i64,
    /// Whether a quote's detail must be asked for with its creation date, as the vendor's schema says.
    pub quote_date_required: bool,
    pub(crate) events: Vec<Event>,
    next: BTreeMap<&'static str, i64>,
}

impl Store {
    /// Core ids of generated orders begin above this.
    pub const FIRST_GENERATED: i64 = 10_000_000;

    /// An empty store.
    pub fn new(clock: Arc<Clock>) -> Store {
        let fields = ["Industry", "Preferred language", "Segment", "Credit limit"].map(ExtraField::text);
        let mut company_fields = fields.to_vec();
        company_fields.push(ExtraField { kind: 2, ..ExtraField::text("Employees") });
        Store {
            clock,
            companies: BTreeMap::new(),
            company_mode: CompanyMode::Independent,
            company_fields,
            quote_fields: vec![ExtraField::text("Cost centre")],
            users: BTreeMap::new(),
            staff: BTreeMap::new(),
            assignments: BTreeMap::new(),
            credit_feature: true,
            credit: BTreeMap::new(),
            terms: BTreeMap::new(),
            quotes: BTreeMap::new(),
            orders: BTreeMap::new(),
            generated_orders: 0,
            b2b_orders: BTreeMap::new(),
            status_touches_b2b: false,
            refuse_second_invoice: false,
            invoices: BTreeMap::new(),
            products: BTreeMap::new(),
            price_lists: BTreeMap::new(),
            price_records: BTreeMap::new(),
            price_assignments: Vec::new(),
            customers: BTreeMap::new(),
            hooks: BTreeMap::new(),
            deleted: BTreeSet::new(),
            zone_hours: 0,
            quote_date_required: true,
            events: Vec::new(),
            next: BTreeMap::new(),
        }
    }

    /// Unix seconds now.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// The next id of a space. Spaces begin far apart, so an id of one never is an id of another by accident.
    pub fn next_id(&mut self, space: &'static str) -> i64 {
        let first = match space {
            "company" => 2001,
            "user" => 7001,
            "customer" => 30_001,
            "quote" => 60_001,
            "order" => 4001,
            "b2b_order" => 150_001,
            "invoice" => 500_001,
            "product" => 1001,
            "group" => 101,
            "price_list" => 11,
            _ => 1,
        };
        let next = self.next.entry(space).or_insert(first);
        *next += 1;
        *next - 1
    }

    pub(crate) fn tell(&mut self, scope: &str, data: Value) {
        self.events.push(Event { scope: scope.to_owned(), data });
    }

    /// Merges into a company and tells it.
    pub fn patch_company(&mut self, id: i64, change: Value) {
        let now = self.now();
        if merge(self.companies.get_mut(&id), change, now) {
            self.tell("store/company/updated", json!({"company_id": id}));
        }
    }

    /// Merges into a user and tells it.
    pub fn patch_user(&mut self, id: i64, change: Value) {
        let now = self.now();
        if merge(self.users.get_mut(&id), change, now) {
            let company = self.users.get(&id).map_or(0, |user| user.int("companyId"));
            self.tell("store/company/user/updated", json!({"company_id": company, "user_id": id}));
        }
    }

    /// Merges into a quote and tells it.
    pub fn patch_quote(&mut self, id: i64, change: Value) {
        let now = self.now();
        let status = change.get("status").is_some();
        if merge(self.quotes.get_mut(&id), change, now) {
            let scope = if status { "store/quote/statusUpdated" } else { "store/quote/updated" };
            self.tell_quote(scope, id);
        }
    }

    /// Merges into a core order and tells it.
    pub fn patch_order(&mut self, id: i64, change: Value) {
        let now = self.now();
        let before = self.orders.get(&id).map_or(0, |order| order.int("status_id"));
        if merge(self.orders.get_mut(&id), change, now) {
            let after = self.orders.get(&id).map_or(0, |order| order.int("status_id"));
            self.tell("store/order/updated", json!({"type": "order", "id": id}));
            if before != after {
                self.tell_order_status(id, before, after);
            }
        }
    }

    /// Merges into B2B Edition's view of an order. Nothing tells it.
    pub fn patch_b2b_order(&mut self, id: i64, change: Value) {
        let now = self.now();
        merge(self.b2b_orders.get_mut(&id), change, now);
    }

    /// Merges into an invoice. Nothing tells it.
    pub fn patch_invoice(&mut self, id: i64, change: Value) {
        let now = self.now();
        merge(self.invoices.get_mut(&id), change, now);
    }

    /// Merges into a product (`variants` are replaced) and tells it.
    pub fn patch_product(&mut self, id: i64, change: Value) {
        let now = self.now();
        if merge(self.products.get_mut(&id), change, now) {
            self.tell("store/product/updated", json!({"type": "product", "id": id}));
        }
    }

    /// Takes a thing away: `company`, `user`, `quote`, `order`, `invoice`, `product`.
    pub fn delete(&mut self, what: &'static str, id: i64) -> bool {
        let uuid = self.quotes.get(&id).map(|quote| quote.text("quoteUuid").to_owned());
        let company = self.users.get(&id).map_or(0, |user| user.int("companyId"));
        let gone = match what {
            "company" => self.companies.remove(&id).is_some(),
            "user" => self.users.remove(&id).is_some(),
            "quote" => self.quotes.remove(&id).is_some(),
            "order" => {
                self.b2b_orders.remove(&id);
                self.orders.remove(&id).is_some()
            }
            "invoice" => self.invoices.remove(&id).is_some(),
            "product" => self.products.remove(&id).is_some(),
            _ => false,
        };
        if !gone {
            return false;
        }
        self.deleted.insert((what, id));
        match what {
            "company" => {
                self.assignments.retain(|(_, of), _| *of != id);
                self.credit.remove(&id);
                self.terms.remove(&id);
                let users: Vec<i64> =
                    self.users.iter().filter(|(_, u)| u.int("companyId") == id).map(|(id, _)| *id).collect();
                for user in users {
                    self.users.remove(&user);
                }
                self.tell("store/company/deleted", json!({"company_id": id}));
            }
            "user" => self.tell("store/company/user/deleted", json!({"company_id": company, "user_id": id})),
            "quote" => self.tell("store/quote/deleted", json!({"quote_id": id, "quote_uuid": uuid})),
            "product" => self.tell("store/product/deleted", json!({"type": "product", "id": id})),
            // The vendor has no event for a deleted order (only for an archived one) and none for invoices.
            _ => {}
        }
        true
    }

    pub(crate) fn tell_quote(&mut self, scope: &str, id: i64) {
        let uuid = self.quotes.get(&id).map(|quote| quote.text("quoteUuid").to_owned());
        self.tell(scope, json!({"quote_id": id, "quote_uuid": uuid}));
    }

    pub(crate) fn tell_order_status(&mut self, id: i64, before: i64, after: i64) {
        let status = json!({"previous_status_id": before, "new_status_id": after});
        self.tell("store/order/statusUpdated", json!({"type": "order", "id": id, "status": status}));
    }
}

impl Entity {
    /// A thing made now.
    pub fn new(now: i64, data: Value) -> Entity {
        let data = if let Value::Object(data) = data { data } else { Map::new() };
        Entity { created: now, updated: now, data }
    }

    /// The text under a key; empty when there is none.
    pub fn text(&self, key: &str) -> &str {
        self.data.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The whole number under a key, written as number or text; 0 when there is none.
    pub fn int(&self, key: &str) -> i64 {
        crate::form::int(self.data.get(key))
    }

    /// The payload with B2B Edition's times as numbers.
    pub fn with_unix_times(&self) -> Fields {
        let mut data = self.data.clone();
        data.insert("createdAt".into(), self.created.into());
        data.insert("updatedAt".into(), self.updated.into());
        data
    }

    /// The same as texts of digits, as companies have it.
    pub fn with_unix_texts(&self) -> Fields {
        let mut data = self.data.clone();
        data.insert("createdAt".into(), self.created.to_string().into());
        data.insert("updatedAt".into(), self.updated.to_string().into());
        data
    }

    /// The payload with V2's times.
    pub fn with_rfc_times(&self) -> Fields {
        let mut data = self.data.clone();
        data.insert("date_created".into(), rfc2822(self.created).into());
        data.insert("date_modified".into(), rfc2822(self.updated).into());
        data
    }

    /// The payload with V3's times.
    pub fn with_iso_times(&self) -> Fields {
        let mut data = self.data.clone();
        data.insert("date_created".into(), iso8601(self.created).into());
        data.insert("date_modified".into(), iso8601(self.updated).into());
        data
    }
}

/// Merges the top-level keys of `change` and touches the thing. False: there is none.
fn merge(entity: Option<&mut Entity>, change: Value, now: i64) -> bool {
    let (Some(entity), Value::Object(change)) = (entity, change) else { return false };
    entity.data.extend(change);
    entity.updated = now.max(entity.updated);
    true
}
