//! Which kind of thing a payload is: said by its shape, else by the name of its folder or file, or by `--kind`.

use std::path::Path;

use serde_json::{Map, Value};

/// The kinds that can be stored, in the order in which they are loaded: what others refer to comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Kind {
    /// B2B Edition companies
    Companies,
    /// B2B Edition company users
    CompanyUsers,
    /// Sales staff with the companies assigned to them
    SalesStaff,
    /// B2B Edition quotes with their lines
    Quotes,
    /// BigCommerce V2 orders with their products
    Orders,
    /// B2B Edition's view of orders: company, PO number, invoice
    B2bOrders,
    /// Credit of companies
    CompanyCredit,
    /// Payment terms of companies
    PaymentTerms,
    /// B2B Edition invoices
    Invoices,
    /// Catalog products with their variants
    Products,
    /// Price lists with their assignments
    PriceLists,
    /// Prices of price lists
    Prices,
    /// Rows of spreadsheets, as the sync of sheets hands them over
    #[value(skip)]
    SheetRows,
}

impl Kind {
    /// Those that files may hold.
    pub const ALL: [Kind; 12] = [
        Kind::Companies,
        Kind::CompanyUsers,
        Kind::SalesStaff,
        Kind::Quotes,
        Kind::Orders,
        Kind::B2bOrders,
        Kind::CompanyCredit,
        Kind::PaymentTerms,
        Kind::Invoices,
        Kind::Products,
        Kind::PriceLists,
        Kind::Prices,
    ];

    /// Name as `--kind` and folders spell it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Companies => "companies",
            Kind::CompanyUsers => "company-users",
            Kind::SalesStaff => "sales-staff",
            Kind::Quotes => "quotes",
            Kind::Orders => "orders",
            Kind::B2bOrders => "b2b-orders",
            Kind::CompanyCredit => "company-credit",
            Kind::PaymentTerms => "payment-terms",
            Kind::Invoices => "invoices",
            Kind::Products => "products",
            Kind::PriceLists => "price-lists",
            Kind::Prices => "prices",
            Kind::SheetRows => "sheet-rows",
        }
    }

    /// What the children of an entity are called, for kinds that have some.
    pub fn lines_name(self) -> Option<&'static str> {
        match self {
            Kind::SalesStaff | Kind::PriceLists => Some("assignments"),
            Kind::Products => Some("variants"),
            Kind::Quotes | Kind::Orders => Some("lines"),
            _ => None,
        }
    }

    /// Tells the kind by keys that only one kind has.
    pub fn of_shape(fields: &Map<String, Value>) -> Option<Kind> {
        let has = |key: &str| fields.contains_key(key);
        if has("quoteNumber") || has("quoteId") || (has("productList") && has("contactInfo")) {
            Some(Kind::Quotes)
        } else if has("assignedCompanies") || has("salesRepName") {
            Some(Kind::SalesStaff)
        } else if has("status_id") && (has("date_created") || has("customer_id") || has("total_inc_tax")) {
            Some(Kind::Orders)
        } else if has("bcOrderId") && (has("statusCode") || has("totalIncTax") || has("poNumber")) {
            Some(Kind::B2bOrders)
        } else if has("invoiceNumber") && (has("openBalance") || has("originalBalance")) {
            Some(Kind::Invoices)
        } else if has("availableCredit") || has("creditEnabled") {
            Some(Kind::CompanyCredit)
        } else if has("paymentTerms") && has("isEnabled") {
            Some(Kind::PaymentTerms)
        } else if has("price_list_id") && has("variant_id") {
            Some(Kind::Prices)
        } else if has("inventory_tracking") && has("categories") {
            Some(Kind::Products)
        } else if has("email") && (has("role") || has("companyRoleId") || has("customerId")) {
            Some(Kind::CompanyUsers)
        } else if has("companyStatus") || has("bcGroupId") || (has("companyId") && has("companyName")) {
            Some(Kind::Companies)
        } else {
            None
        }
    }

    /// Tells the kind by the file's own name or the nearest folder that names one.
    pub fn of_path(path: &Path) -> Option<Kind> {
        let stem = path.file_stem().and_then(|s| s.to_str()).and_then(Kind::of_name);
        let folders = || path.parent()?.iter().rev().find_map(|part| Kind::of_name(part.to_str()?));
        stem.or_else(folders)
    }

    fn of_name(name: &str) -> Option<Kind> {
        // quotes, quotes-0001, quotes_2026: the part before the number names the kind.
        let name = name.to_ascii_lowercase().replace('_', "-");
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        match name {
            "companies" | "company" => Some(Kind::Companies),
            "company-users" | "company-user" | "users" | "user" => Some(Kind::CompanyUsers),
            "sales-staff" | "sales-staffs" | "sales-reps" => Some(Kind::SalesStaff),
            "quotes" | "quote" | "rfq" => Some(Kind::Quotes),
            "orders" | "order" => Some(Kind::Orders),
            "b2b-orders" | "b2b-order" => Some(Kind::B2bOrders),
            "company-credit" | "credit" => Some(Kind::CompanyCredit),
            "payment-terms" => Some(Kind::PaymentTerms),
            "invoices" | "invoice" => Some(Kind::Invoices),
            "products" | "product" => Some(Kind::Products),
            "price-lists" | "price-list" => Some(Kind::PriceLists),
            "prices" => Some(Kind::Prices),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shape(value: Value) -> Option<Kind> {
        Kind::of_shape(value.as_object().expect("an object"))
    }

    #[test]
    fn shapes_tell_the_kinds_apart() {
        assert_eq!(shape(json!({"quoteNumber": "QN1", "bcOrderId": "", "status": 0})), Some(Kind::Quotes));
        assert_eq!(shape(json!({"id": 1, "email": "a@b.c", "salesRepName": "A"})), Some(Kind::SalesStaff));
        assert_eq!(shape(json!({"id": 1, "status_id": 7, "date_created": ""})), Some(Kind::Orders));
        assert_eq!(shape(json!({"id": 1, "bcOrderId": 2, "statusCode": 7})), Some(Kind::B2bOrders));
        assert_eq!(
            shape(json!({"id": 1, "email": "a@b.c", "role": "1", "companyId": 3})),
            Some(Kind::CompanyUsers)
        );
        assert_eq!(shape(json!({"companyId": "1", "companyName": "A"})), Some(Kind::Companies));
        assert_eq!(shape(json!({"id": 1})), None);
    }

    #[test]
    fn folders_and_file_names_tell_the_kind() {
        let of = |path: &str| Kind::of_path(Path::new(path));
        assert_eq!(of("a/company_users/page-0001.json"), Some(Kind::CompanyUsers));
        assert_eq!(of("quotes/orders.json"), Some(Kind::Orders));
        assert_eq!(of("dump/quotes-0003.ndjson"), Some(Kind::Quotes));
        assert_eq!(of("rfq/2026/17.json"), Some(Kind::Quotes));
        assert_eq!(of("x/y.json"), None);
    }
}
