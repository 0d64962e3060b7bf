//! Every resource arrives, a repetition is silent, and what is gone goes.

use serde_json::json;
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_tests::database::Database;

use super::shop::{contents, fails, once, sync};

async fn counts(db: &Database) -> Vec<i64> {
    db.column(
        "select n from (values
           (1, (select count(*) from store.companies)), (2, (select count(*) from store.company_users)),
           (3, (select count(*) from store.sales_staff)), (4, (select count(*) from store.company_sales_staff)),
           (5, (select count(*) from store.quotes where raw ? 'productList')), (6, (select count(*) from store.orders where raw is not null and b2b_raw is not null)),
           (7, (select count(*) from store.invoices)), (8, (select count(*) from store.products)),
           (9, (select count(*) from store.price_list_records)), (10, (select count(*) from store.company_credit)),
           (11, (select count(*) from store.company_payment_terms)), (12, (select count(*) from store.price_list_assignments))
         ) as t (place, n) order by place",
    )
    .await
}

fn of_shop(shop: &BigCommerce) -> Vec<i64> {
    shop.edit(|store| {
        [
            store.companies.len(),
            store.users.len(),
            store.staff.len(),
            store.assignments.len(),
            store.quotes.len(),
            store.orders.len(),
            store.invoices.len(),
            store.products.len(),
            store.price_records.len(),
            store.companies.len(),
            store.companies.len(),
            store.price_assignments.len(),
        ]
        .map(|n| n as i64)
        .to_vec()
    })
}

#[tokio::test]
async fn everything_arrives_once_and_a_repetition_is_silent() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    db.sql("insert into tradeflow.rules (name, source) values ('any_quote', 'store.quotes'), ('any_line', 'store.quote_items')").await;
    once(&db, &shop, &[]);
    assert_eq!(counts(&db).await, of_shop(&shop));
    let lines = "select (select count(*) from store.quote_items), (select count(*) from store.order_items), (select count(*) from store.variants)";
    let row = &db.rows(lines).await[0];
    let (quoted, ordered, variants) = shop.edit(|store| {
        let lines =
            |key: &str, of: &std::collections::BTreeMap<i64, tradeflow_fakes::bigcommerce::state::Entity>| {
                of.values().filter_map(|e| e.data.get(key)?.as_array()).map(|l| l.len() as i64).sum::<i64>()
            };
        (
            lines("productList", &store.quotes),
            lines("products", &store.orders),
            lines("variants", &store.products),
        )
    });
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)),
        (quoted, ordered, variants)
    );
    // What came of a line is kept with it, too.
    let kept = "select (select count(*) from store.quote_items where raw ? 'productId') + (select count(*) from store.variants where raw ->> 'id' = variant_id::text)
                  + (select count(*) from store.order_items where raw ->> 'id' = order_item_id::text and raw ? 'base_price')";
    assert_eq!(db.one::<i64>(kept).await, quoted + ordered + variants);
    // The first load fires nothing.
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.firings").await, 0);

    let before = contents(&db).await;
    let again = once(&db, &shop, &[]);
    assert_eq!((again.all("inserted"), again.all("updated"), again.all("deleted")), (0, 0, 0));
    let swept = once(&db, &shop, &["--sweep"]);
    assert_eq!((swept.all("inserted"), swept.all("updated"), swept.all("deleted")), (0, 0, 0));
    assert_eq!(swept.count("quotes", "read"), 0, "details that are known are not fetched again");
    assert_eq!(contents(&db).await, before);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 0);

    // A change is one request for the list and one for the detail, one firing, and money keeps its digits.
    let id = shop.edit(|store| *store.quotes.keys().next().expect("a quote"));
    shop.edit(|store| store.patch_quote(id, json!({"notes": "hello", "taxTotal": 12.3456})));
    shop.forget_requests();
    let changed = once(&db, &shop, &["quotes"]);
    assert_eq!((changed.count("quotes", "updated"), changed.count("quotes", "requests")), (1, 2));
    let row = format!("select notes || ' ' || tax_total from store.quotes where quote_id = {id}");
    assert_eq!(db.one::<String>(&row).await, "hello 12.3456");
    assert_eq!(db.column::<String>("select rule from tradeflow.firings").await, ["any_quote"]);
}

#[tokio::test]
async fn a_sweep_deletes_what_is_gone_but_never_half_a_table() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    once(&db, &shop, &[]);
    let quote = shop.edit(|store| {
        let quote = *store.quotes.keys().next().expect("a quote");
        store.delete("quote", quote);
        store.delete("order", 1201);
        store.delete("company", 1001);
        store.delete("product", 201);
        let invoice = *store.invoices.keys().next().expect("an invoice");
        store.delete("invoice", invoice);
        let price = store.price_records.keys().next().expect("a price").clone();
        store.price_records.remove(&price);
        quote
    });
    let kept = once(&db, &shop, &[]);
    assert_eq!(kept.count("quotes", "deleted"), 0, "only a sweep notices");
    once(&db, &shop, &["--sweep"]);
    assert_eq!(counts(&db).await, of_shop(&shop));
    let orphans = format!(
        "select (select count(*) from store.quote_items where quote_id = {quote}) + (select count(*) from store.order_items where bc_order_id = 1201)
           + (select count(*) from store.variants where product_id = 201) + (select count(*) from store.company_users where company_id = 1001)"
    );
    assert_eq!(db.one::<i64>(&orphans).await, 0);

    // An answer that lost most of its rows.
    let quotes = shop.edit(|store| std::mem::take(&mut store.quotes));
    once(&db, &shop, &["quotes", "--sweep"]);
    assert_eq!(db.one::<i64>("select count(*) from store.quotes").await, quotes.len() as i64);
    let held = "select message from tradeflow.incidents where kind = 'sync_held' and source = 'quotes'";
    assert!(db.one::<String>(held).await.contains("none was deleted"));
}

/// A table that grows while it is loaded makes no batch slower than the one before.
#[tokio::test]
async fn a_batch_reads_its_own_rows_and_no_table() {
    let db = Database::with_store().await;
    let shop = BigCommerce::empty();
    shop.edit(|store| store.generated_orders = 5_000);
    once(&db, &shop, &["orders"]);
    // Told when the session has ended.
    let read = |table: &str, rows: i64| {
        format!("select seq_tup_read from pg_stat_user_tables where schemaname = 'store' and relname = '{table}' and n_tup_ins >= {rows}")
    };
    for (table, rows) in [("orders", 5_000), ("order_items", 15_000)] {
        db.until(&format!("select exists ({})", read(table, rows))).await;
        let read: i64 = db.one(&read(table, rows)).await;
        assert!(read < rows, "{read} rows of {table} were read without an index");
    }
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    let said = once(&db, &shop, &["companies", "--dry-run"]);
    assert_eq!(said.count("companies", "inserted"), 60);
    let nothing =
        "select (select count(*) from store.companies) + (select count(*) from tradeflow.sync_state)";
    assert_eq!(db.one::<i64>(nothing).await, 0);
}

#[tokio::test]
async fn since_reads_a_part_and_moves_no_watermark() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    let newest = shop.edit(|store| store.companies.values().map(|c| c.updated).max().expect("companies"));
    let since = tradeflow_fakes::clock::iso8601(newest);
    let part = once(&db, &shop, &["companies", "--since", &since]);
    assert_eq!(part.count("companies", "read"), 1);
    assert_eq!(db.one::<Option<String>>("select watermark::text from tradeflow.sync_state").await, None);
    assert_eq!(once(&db, &shop, &["companies"]).count("companies", "read"), 60);
}

#[tokio::test]
async fn status_tells_the_lag_and_a_stranger_is_told_what_he_lacks() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    assert!(sync(&db, &shop, &["status"]).run().success().contains("Nothing was synced yet"));
    once(&db, &shop, &["sales-staff"]);
    let status = sync(&db, &shop, &["status", "--json"]).run();
    status.success();
    assert_eq!(status.json()[0]["resource"], json!("sales-staff"));
    assert!(status.json()[0]["lag"].as_f64().expect("seconds") < 600.0);

    let role = db.role(&["tradeflow_sync"]).await;
    let url = db.url_as(&role, &role);
    let said = sync(&db, &shop, &["once", "companies"]).env("TRADEFLOW_DATABASE_URL", &url).run();
    assert!(
        said.stdout.contains("may not load silently") && said.stdout.contains("grant tradeflow_silent"),
        "{said:?}"
    );
    db.sql(&format!("grant tradeflow_silent to {role}")).await;
    sync(&db, &shop, &["once", "companies"]).env("TRADEFLOW_DATABASE_URL", &url).run().success();
    let nobody = db.role(&[]).await;
    let said = sync(&db, &shop, &["once", "companies"])
        .env("TRADEFLOW_DATABASE_URL", &db.url_as(&nobody, &nobody))
        .run();
    assert!(said.stdout.contains("grant tradeflow_sync"), "{said:?}");
    let wrong = fails(&db, &shop, &["compannies"]);
    assert!(wrong.stderr.contains("there is no resource \"compannies\""), "{}", wrong.stderr);
}
