//! What there is to sync, and how each list is asked for.

use crate::bigcommerce::Api;
use crate::config::Config;
use crate::store::Kind;

use super::Error;

/// A resource, in the order in which they are synced: what others refer to comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    Companies,
    CompanyUsers,
    SalesStaff,
    Products,
    PriceLists,
    Quotes,
    Orders,
    B2bOrders,
    Invoices,
    CompanyCredit,
    PaymentTerms,
    SheetRows,
}

/// A table whose rows go when the source has them no longer.
#[derive(Debug)]
pub struct Swept {
    pub table: &'static str,
    pub key: &'static str,
    /// Tables whose rows go along, by the same key.
    pub along: &'static [&'static str],
}

/// How a list that can be read by time is asked for.
#[derive(Debug)]
pub struct Listing {
    pub kind: Kind,
    pub api: Api,
    pub path: &'static str,
    /// Rows of a page.
    pub limit: usize,
    /// Parameters that are always sent.
    pub fixed: &'static [(&'static str, &'static str)],
    pub since: Since,
    /// Keys of a row's id and of its time of change.
    pub id: &'static str,
    pub updated: &'static str,
}

/// How the lower edge of the time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// `minModified`, unix seconds; whether the edge belongs to it is not said, so one second less is asked for.
    Unix,
    /// `min_date_modified` in RFC 2822; the edge belongs to it.
    Rfc2822,
    /// `date_modified:min` in ISO 8601, always with its time: without, the API appends the current time of day.
    Iso,
    /// No such filter.
    None,
}

impl Resource {
    pub const ALL: [Resource; 12] = [
        Resource::Companies,
        Resource::CompanyUsers,
        Resource::SalesStaff,
        Resource::Products,
        Resource::PriceLists,
        Resource::Quotes,
        Resource::Orders,
        Resource::B2bOrders,
        Resource::Invoices,
        Resource::CompanyCredit,
        Resource::PaymentTerms,
        Resource::SheetRows,
    ];

    /// Those of the store.
    pub fn of_store() -> Vec<Resource> {
        Resource::ALL.into_iter().filter(|resource| resource.is_of_store()).collect()
    }

    /// What a configuration says is to be synced: of the store, if there is one, and the sheets, if some are named.
    pub fn configured(config: &Config) -> Result<Vec<Resource>, Error> {
        let mut found = Resource::named(&config.sync.resources)?;
        let sheets = !config.sheets.synced.is_empty();
        if sheets && config.bigcommerce.store_hash.is_empty() {
            found.clear();
        }
        if sheets && !found.contains(&Resource::SheetRows) {
            found.push(Resource::SheetRows);
        }
        Ok(found)
    }

    /// Name, as the command line and `sync_state` spell it.
    pub fn name(self) -> &'static str {
        self.kind().name()
    }

    /// Finds resources by their names, with hyphens or underscores. In the order in which they are synced.
    pub fn named(names: &[String]) -> Result<Vec<Resource>, Error> {
        let mut found = Vec::new();
        for name in names {
            let spelt = name.replace('_', "-");
            let resource = Resource::ALL.into_iter().find(|resource| resource.name() == spelt);
            found.push(resource.ok_or_else(|| Error::NoResource {
                name: name.clone(),
                known: Resource::ALL.map(Resource::name).join(", "),
            })?);
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The kind of its payloads.
    pub fn kind(self) -> Kind {
        match self {
            Resource::Companies => Kind::Companies,
            Resource::CompanyUsers => Kind::CompanyUsers,
            Resource::SalesStaff => Kind::SalesStaff,
            Resource::Products => Kind::Products,
            Resource::PriceLists => Kind::PriceLists,
            Resource::Quotes => Kind::Quotes,
            Resource::Orders => Kind::Orders,
            Resource::B2bOrders => Kind::B2bOrders,
            Resource::Invoices => Kind::Invoices,
            Resource::CompanyCredit => Kind::CompanyCredit,
            Resource::PaymentTerms => Kind::PaymentTerms,
            Resource::SheetRows => Kind::SheetRows,
        }
    }

    /// Whether it is the store's; else it is a spreadsheet's.
    pub fn is_of_store(self) -> bool {
        self != Resource::SheetRows
    }

    /// Whether it costs a request for each thing at every run.
    pub fn is_slow(self) -> bool {
        matches!(self, Resource::SalesStaff | Resource::CompanyCredit | Resource::PaymentTerms)
    }

    /// The table a sweep compares. B2B Edition's half of an order goes with the core half; credit and terms with the company;
    /// sheets compare their own rows.
    pub fn swept(self) -> Option<Swept> {
        let (table, key, along): (_, _, &[&str]) = match self {
            Resource::Companies => (
                "store.companies",
                "company_id",
                &["store.company_credit", "store.company_payment_terms", "store.company_sales_staff"],
            ),
            Resource::CompanyUsers => ("store.company_users", "b2b_user_id", &[]),
            Resource::SalesStaff => ("store.sales_staff", "sales_staff_id", &["store.company_sales_staff"]),
            Resource::Products => ("store.products", "product_id", &["store.variants"]),
            Resource::PriceLists => (
                "store.price_lists",
                "price_list_id",
                &["store.price_list_assignments", "store.price_list_records"],
            ),
            Resource::Quotes => ("store.quotes", "quote_id", &["store.quote_items"]),
            Resource::Orders => ("store.orders", "bc_order_id", &["store.order_items"]),
            Resource::Invoices => ("store.invoices", "invoice_id", &[]),
            Resource::B2bOrders | Resource::CompanyCredit | Resource::PaymentTerms | Resource::SheetRows => {
                return None
            }
        };
        Some(Swept { table, key, along })
    }

    /// The list of resources that have one which tells times.
    pub fn listing(self) -> Option<&'static Listing> {
        match self {
            Resource::Companies => Some(&COMPANIES),
            Resource::CompanyUsers => Some(&USERS),
            Resource::Products => Some(&PRODUCTS),
            Resource::Quotes => Some(&QUOTES),
            Resource::Orders => Some(&ORDERS),
            Resource::B2bOrders => Some(&B2B_ORDERS),
            Resource::Invoices => Some(&INVOICES),
            _ => None,
        }
    }
}

static COMPANIES: Listing = Listing {
    kind: Kind::Companies,
    api: Api::B2b,
    path: "/companies",
    limit: 100,
    fixed: &[("isIncludeExtraFields", "1"), ("sortBy", "updatedAt"), ("orderBy", "ASC")],
    since: Since::Unix,
    id: "companyId",
    updated: "updatedAt",
};

/// No sort parameter: the newest change comes first.
static USERS: Listing = Listing {
    kind: Kind::CompanyUsers,
    api: Api::B2b,
    path: "/users",
    limit: 100,
    fixed: &[("isIncludeExtraFields", "1")],
    since: Since::Unix,
    id: "id",
    updated: "updatedAt",
};

static QUOTES: Listing = Listing {
    kind: Kind::Quotes,
    api: Api::B2b,
    path: "/rfq",
    limit: 100,
    fixed: &[("sortBy", "updatedAt"), ("orderBy", "asc")],
    since: Since::Unix,
    id: "quoteId",
    updated: "updatedAt",
};

/// Without a time filter it is the last year only, so one is always sent.
static B2B_ORDERS: Listing = Listing {
    kind: Kind::B2bOrders,
    api: Api::B2b,
    path: "/orders",
    limit: 200,
    fixed: &[("showExtra", "true"), ("sortBy", "updatedAt"), ("orderBy", "ASC")],
    since: Since::Unix,
    id: "bcOrderId",
    updated: "updatedAt",
};

/// No filter by change.
static INVOICES: Listing = Listing {
    kind: Kind::Invoices,
    api: Api::B2b,
    path: "/ip/invoices",
    limit: 100,
    fixed: &[("isIncludeExtraFields", "1"), ("sortBy", "updatedAt"), ("orderBy", "DESC")],
    since: Since::None,
    id: "id",
    updated: "updatedAt",
};

static ORDERS: Listing = Listing {
    kind: Kind::Orders,
    api: Api::V2,
    path: "/orders",
    limit: 250,
    fixed: &[
        ("sort", "date_modified:asc"),
        ("include", "consignments.line_items"),
        ("consignment_structure", "object"),
    ],
    since: Since::Rfc2822,
    id: "id",
    updated: "date_modified",
};

/// Archived orders are not in the list unless they are asked for.
pub static ARCHIVED_ORDERS: Listing = Listing {
    kind: Kind::Orders,
    api: Api::V2,
    path: "/orders",
    limit: 250,
    fixed: &[
        ("is_deleted", "true"),
        ("sort", "date_modified:asc"),
        ("include", "consignments.line_items"),
        ("consignment_structure", "object"),
    ],
    since: Since::Rfc2822,
    id: "id",
    updated: "date_modified",
};

static PRODUCTS: Listing = Listing {
    kind: Kind::Products,
    api: Api::V3,
    path: "/catalog/products",
    limit: 250,
    fixed: &[("include", "variants,custom_fields"), ("sort", "date_modified"), ("direction", "asc")],
    since: Since::Iso,
    id: "id",
    updated: "date_modified",
};
