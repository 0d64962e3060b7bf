//! What stores and networks do wrong: each is told, and nothing is lost.

use serde_json::json;
use tradeflow_fakes::bigcommerce::{BigCommerce, Scope};
use tradeflow_fakes::fault::Fault;
use tradeflow_tests::database::Database;
use tradeflow_tests::sidecar::Tradeflow;

use super::shop::{contents, fails, once, sync, TOKEN};

async fn incident(db: &Database, resource: &str) -> String {
    let query = format!("select message || ' | ' || coalesce(hint, '') from tradeflow.incidents where kind = 'sync_error' and source = '{resource}' order by id desc limit 1");
    db.one::<String>(&query).await
}

#[tokio::test]
async fn a_wrong_token_and_missing_scopes_are_told_with_their_remedy() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    let run = |resource: &str| sync(&db, &shop, &["once", resource]).env(TOKEN, "wrong").run();
    assert_eq!(run("companies").code, 1);
    assert!(incident(&db, "companies").await.contains("is bigcommerce.access_token the token of this store"));
    assert_eq!(run("orders").code, 1);
    assert!(incident(&db, "orders").await.contains("401: Unauthorized"));
    assert_eq!(shop.requests().len(), 2, "what cannot pass is not tried again");

    shop.set(|settings| settings.scopes = vec![Scope::B2b]);
    fails(&db, &shop, &["orders"]);
    assert!(incident(&db, "orders").await.contains("lacks a scope"));
    shop.set(|settings| settings.scopes = vec![Scope::Orders]);
    fails(&db, &shop, &["companies"]);
    assert!(
        incident(&db, "companies").await.contains("B2B Edition \"modify\""),
        "{}",
        incident(&db, "companies").await
    );
    // The same failure again is counted, not told again.
    fails(&db, &shop, &["companies"]);
    let open =
        "select count || '' from tradeflow.incidents where source = 'companies' order by id desc limit 1";
    assert_eq!(db.one::<String>(open).await, "2");
    let listed = Tradeflow::on(&db, ["incidents", "list"]).run();
    assert!(listed.success().contains("    source companies\n  → a token without the scope"), "{listed:?}");
    let unset =
        sync(&db, &shop, &["once"]).env("TRADEFLOW_BIGCOMMERCE_ACCESS_TOKEN", "env:TRADEFLOW_NOT_SET").run();
    assert!(unset.failure().contains("env:TRADEFLOW_NOT_SET"), "{unset:?}");
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    for fault in [
        Fault::status(503),
        Fault::status(429),
        Fault::Html { status: 200 },
        Fault::Html { status: 502 },
        Fault::Truncated,
        Fault::Cut,
        Fault::Refused,
    ] {
        shop.faults().next(2, fault);
        once(&db, &shop, &["companies"]);
    }
    assert_eq!(db.one::<i64>("select count(*) from store.companies").await, 60);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 0);
}

#[tokio::test]
async fn what_goes_on_failing_is_told_and_the_next_run_catches_up() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    for (fault, says) in [
        (Fault::Html { status: 200 }, "an HTML page instead of JSON"),
        (Fault::Truncated, "JSON that breaks off"),
        (Fault::status(500), "fails (500"),
    ] {
        shop.faults().next(1000, fault);
        for _ in 0..3 {
            fails(&db, &shop, &["quotes"]);
        }
        assert!(incident(&db, "quotes").await.contains(says), "{}", incident(&db, "quotes").await);
        shop.faults().clear();
    }
    shop.faults().next(1, Fault::ErrorInside { code: 422, message: "no such thing".into() });
    fails(&db, &shop, &["quotes"]);
    assert!(incident(&db, "quotes").await.contains("HTTP 200 with code 422 inside: no such thing"));
    once(&db, &shop, &["quotes"]);
    assert_eq!(db.one::<i64>("select count(*) from store.quotes where raw ? 'productList'").await, 320);
    assert_eq!(db.one::<i32>("select failures from tradeflow.sync_state where resource = 'quotes'").await, 0);
}

#[tokio::test]
async fn a_page_that_repeats_forever_ends_the_run() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    // More than a page of what the sample store has few of.
    shop.edit(|store| {
        let (id, company) = store.companies.iter().next().map(|(id, c)| (*id, c.clone())).expect("a company");
        let (rep, staff) = store.staff.iter().next().map(|(id, s)| (*id, s.clone())).expect("a rep");
        let (key, price) =
            store.price_records.iter().next().map(|(k, p)| (k.clone(), p.clone())).expect("a price");
        for n in 1..=150 {
            let (mut company, mut staff) = (company.clone(), staff.clone());
            company.updated += n;
            company.data.insert("companyId".into(), (id + 100_000 + n).into());
            staff.data.insert("id".into(), (rep + 100_000 + n).into());
            store.companies.insert(id + 100_000 + n, company);
            store.staff.insert(rep + 100_000 + n, staff);
        }
        for n in 1..=1200 {
            let (mut key, mut price) = (key.clone(), price.clone());
            key.1 += 1_000_000 + n;
            price.data.insert("variant_id".into(), key.1.into());
            store.price_records.insert(key, price);
        }
    });
    for resource in
        ["companies", "orders", "b2b-orders", "company-users", "quotes", "sales-staff", "price-lists"]
    {
        shop.faults().next(100_000, Fault::RepeatedPage);
        fails(&db, &shop, &[resource]);
        shop.faults().clear();
        let told = incident(&db, resource).await;
        assert!(told.contains("again and again") || told.contains("ignores its time filter"), "{told}");
        once(&db, &shop, &[resource]);
    }
    assert_eq!(
        db.one::<i64>("select count(*) from store.orders where raw is not null and b2b_raw is not null")
            .await,
        520
    );
    assert_eq!(db.one::<i64>("select count(*) from store.company_users").await, 198);
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_told_and_the_rest_arrives() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    let (bad, odd) = shop.edit(|store| {
        let mut ids = store.quotes.keys().copied();
        let (bad, odd) = (ids.next().expect("a quote"), ids.next().expect("another"));
        store.patch_quote(bad, json!({"grandTotal": "a lot"}));
        store.patch_quote(odd, json!({"status": 99}));
        (bad, odd)
    });
    let said = fails(&db, &shop, &["quotes"]);
    assert_eq!(said.json()["resources"][0]["rejected"], json!(1));
    assert_eq!(db.one::<i64>("select count(*) from store.quotes").await, 319);
    let told = "select message || detail from tradeflow.incidents where kind = 'sync_rejected'";
    let told = db.one::<String>(told).await;
    assert!(told.contains("an amount of money") && told.contains("grandTotal"), "{told}");
    // A code nobody knew is stored as it is.
    assert_eq!(db.one::<i16>(&format!("select status from store.quotes where quote_id = {odd}")).await, 99);
    shop.edit(|store| store.patch_quote(bad, json!({"grandTotal": "17.50"})));
    once(&db, &shop, &["quotes"]);
    assert_eq!(
        db.one::<String>(&format!("select grand_total::text from store.quotes where quote_id = {bad}")).await,
        "17.5000"
    );
}

#[tokio::test]
async fn two_syncs_at_once_do_not_meet() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    shop.faults().next_of("GET", "/api/v3/io/companies", 1, Fault::Slow { seconds: 2.0 });
    let running = sync(&db, &shop, &["once", "companies"]).start();
    while shop.requests().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let other = once(&db, &shop, &["companies"]);
    assert_eq!(other.count("companies", "read"), 0);
    drop(running);
    db.until("select not exists (select from pg_locks where locktype = 'advisory')").await;
    once(&db, &shop, &["companies"]);
    assert_eq!(contents(&db).await.len(), 60);
}
