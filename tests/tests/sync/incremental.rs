//! Each resource's own way of being read by time.

use serde_json::json;
use tradeflow_fakes::bigcommerce::state::Entity;
use tradeflow_fakes::bigcommerce::{BigCommerce, Limits};
use tradeflow_fakes::fault::Fault;
use tradeflow_tests::database::Database;

use super::shop::{fails, once, sync};

/// More companies than two pages, all changed in the same second.
#[tokio::test]
async fn many_changes_in_one_second_are_all_read() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    shop.edit(|store| {
        let now = store.now() - 1000;
        for id in 5000..5350 {
            let data =
                json!({"companyId": id, "companyName": format!("Same second {id}"), "companyStatus": "1"});
            store.companies.insert(id, Entity::new(now, data));
        }
    });
    once(&db, &shop, &["companies"]);
    assert_eq!(db.one::<i64>("select count(*) from store.companies").await, 410);
}

/// A list that moves while it is read: a row of the first page changes, and everything behind it moves up by one.
#[tokio::test]
async fn a_list_that_moves_loses_no_row() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    shop.edit(|store| {
        let now = store.now() - 100_000;
        for id in 5000..5350 {
            let data = json!({"companyId": id, "companyName": format!("{id}"), "companyStatus": "1"});
            store.companies.insert(id, Entity::new(now + id, data));
        }
    });
    std::thread::scope(|scope| {
        let moving = scope.spawn(|| {
            // Once the first page was asked for, its rows go to the end.
            while !shop.requests().iter().any(|request| request.is("GET", "/api/v3/io/companies")) {
                std::thread::yield_now();
            }
            for id in 5000..5030 {
                shop.edit(|store| store.patch_company(id, json!({"companyPhone": "1"})));
            }
        });
        once(&db, &shop, &["companies"]);
        moving.join().expect("the mover ends well");
    });
    assert_eq!(db.one::<i64>("select count(*) from store.companies").await, 410);
    once(&db, &shop, &["companies"]);
    assert_eq!(db.one::<i64>("select count(*) from store.companies where company_phone = '1'").await, 30);
}

#[tokio::test]
async fn orders_older_than_a_year_are_read_too() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    shop.edit(|store| {
        for order in store.b2b_orders.values_mut() {
            order.created -= 2 * 365 * 86_400;
        }
    });
    once(&db, &shop, &["b2b-orders"]);
    assert_eq!(db.one::<i64>("select count(*) from store.orders where b2b_raw is not null").await, 520);
    assert!(shop.requests().iter().all(|request| request.param("minModified").is_some()));
}

#[tokio::test]
async fn invoices_are_walked_down_to_what_is_known() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    let many = shop.edit(|store| {
        let now = store.now();
        for n in 0..250 {
            let data = json!({"customerId": "1001", "invoiceNumber": format!("M-{n}"), "status": 0, "dueDate": now,
                "orderNumber": "", "openBalance": {"code": "USD", "value": "10.1000"},
                "originalBalance": {"code": "USD", "value": "10.1000"}, "isPendingPayment": "0", "source": 1});
            store.invoices.insert(900_000 + n, Entity::new(now - 100_000 + n * 10, data));
        }
        store.invoices.len() as i64
    });
    once(&db, &shop, &["invoices"]);
    assert_eq!(db.one::<i64>("select count(*) from store.invoices").await, many);
    assert_eq!(
        db.one::<String>("select open_balance::text from store.invoices where invoice_id = 900000").await,
        "10.1000"
    );
    shop.forget_requests();
    shop.edit(|store| {
        store.patch_invoice(900_000, json!({"status": 2, "openBalance": {"code": "USD", "value": "0.0000"}}))
    });
    let changed = once(&db, &shop, &["invoices"]);
    assert_eq!((changed.count("invoices", "updated"), changed.count("invoices", "requests")), (1, 1));
}

#[tokio::test]
async fn archived_orders_are_noticed() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    once(&db, &shop, &["orders"]);
    shop.edit(|store| store.patch_order(1202, json!({"is_deleted": true})));
    once(&db, &shop, &["orders"]);
    assert!(db.one::<bool>("select is_deleted from store.orders where bc_order_id = 1202").await);
    once(&db, &shop, &["orders", "--sweep"]);
    assert_eq!(db.one::<i64>("select count(*) from store.orders").await, 520);
}

#[tokio::test]
async fn nothing_new_is_204_and_asks_with_the_whole_time() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    once(&db, &shop, &["orders", "products"]);
    shop.edit(|store| {
        store.orders.clear();
        store.products.clear();
    });
    shop.forget_requests();
    once(&db, &shop, &["orders", "products"]);
    let requests = shop.requests();
    assert!(requests.iter().any(|request| request.status == 204));
    let product = requests.iter().find(|request| request.path.ends_with("/products")).expect("products");
    assert!(product.param("date_modified:min").expect("a filter").ends_with('Z'));
}

/// The creation day that a quote's detail is asked for is the store's, not ours.
#[tokio::test]
async fn quotes_of_stores_in_other_zones_have_their_details() {
    for hours in [-11, 13] {
        let db = Database::with_store().await;
        let shop = BigCommerce::start();
        shop.edit(|store| store.zone_hours = hours);
        once(&db, &shop, &["quotes"]);
        assert_eq!(
            db.one::<i64>("select count(*) from store.quotes where not raw ? 'productList'").await,
            0,
            "{hours}"
        );
    }
}

/// At the store's rate a page of details takes a minute: what was fetched of it is not fetched again.
#[tokio::test]
async fn a_page_of_quotes_that_breaks_off_goes_on_where_it_was() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    let (all, late) = shop.edit(|store| {
        let mut ids: Vec<(i64, i64)> = store.quotes.iter().map(|(id, quote)| (quote.updated, *id)).collect();
        ids.sort_unstable();
        (ids.len() as i64, ids[70].1)
    });
    let path = format!("/api/v3/io/rfq/{late}");
    shop.faults().next_of("GET", &path, 1000, Fault::status(500));
    fails(&db, &shop, &["quotes"]);
    let stored: i64 = db.one("select count(*) from store.quotes where raw ? 'productList'").await;
    assert_eq!(stored, 60, "three times twenty");
    shop.faults().clear();
    shop.forget_requests();
    once(&db, &shop, &["quotes"]);
    let of = |request: &&tradeflow_fakes::request::Request| request.path.starts_with("/api/v3/io/rfq/");
    let asked = shop.requests().iter().filter(of).count() as i64;
    assert!((all - stored..all).contains(&asked), "{asked} of {all} details were asked for again");
    assert_eq!(db.one::<i64>("select count(*) from store.quotes where raw ? 'productList'").await, all);
}

#[tokio::test]
async fn a_store_without_credit_is_no_failure() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    shop.edit(|store| store.credit_feature = false);
    once(&db, &shop, &["companies", "company-credit", "payment-terms"]);
    assert_eq!(db.one::<i64>("select count(*) from store.company_payment_terms").await, 60);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 0);
}

/// The share of the writers is left, and the window's end is waited for.
#[tokio::test]
async fn the_budget_of_the_store_is_shared() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    shop.set(|settings| {
        settings.limits = Limits { b2b: Some((10, std::time::Duration::from_secs(1))), core: None }
    });
    once(&db, &shop, &["companies", "sales-staff", "payment-terms"]);
    assert_eq!(db.one::<i64>("select count(*) from store.company_payment_terms").await, 60);
    let refused = shop.requests().iter().filter(|request| request.status == 429).count();
    assert_eq!(refused, 0, "it stopped before the store refused");
    // Without any share for others, and with requests side by side, a refusal is waited out.
    let again = sync(&db, &shop, &["once", "payment-terms", "--json"])
        .env("TRADEFLOW_BIGCOMMERCE_WRITE_SHARE", "0")
        .env("TRADEFLOW_SYNC_DETAILS_AT_ONCE", "30")
        .env("TRADEFLOW_BIGCOMMERCE_ATTEMPTS", "12")
        .run();
    again.success();
}
