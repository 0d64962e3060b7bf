//! A sync that is killed anywhere: in the end the copy is what the store is.
//!
//! `TRADEFLOW_TEST_KILLS=200` kills as often as that; without it a short form runs.

use std::time::Duration;

use serde_json::json;
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_tests::database::Database;

use super::shop::{assert_same, contents, once, sync};

/// A small generator with a seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Something happens in the store.
fn change(shop: &BigCommerce, random: &mut Random, n: usize) {
    shop.edit(|store| {
        let pick = |keys: Vec<i64>, random: &mut Random| keys[random.below(keys.len() as u64) as usize];
        let quote = pick(store.quotes.keys().copied().collect(), random);
        store.patch_quote(quote, json!({"notes": format!("change {n}")}));
        let order = pick(store.orders.keys().copied().collect(), random);
        store.patch_order(order, json!({"status_id": random.below(15), "staff_notes": format!("{n}")}));
        let view = pick(store.b2b_orders.keys().copied().collect(), random);
        store.patch_b2b_order(view, json!({"poNumber": format!("PO {n}")}));
        let company = pick(store.companies.keys().copied().collect(), random);
        store.patch_company(company, json!({"companyPhone": format!("{n}")}));
        let user = pick(store.users.keys().copied().collect(), random);
        store.patch_user(user, json!({"phoneNumber": format!("{n}")}));
        let product = pick(store.products.keys().copied().collect(), random);
        store.patch_product(product, json!({"price": n}));
        if n.is_multiple_of(7) {
            store.delete("quote", quote);
        }
    });
}

#[tokio::test]
async fn killed_anywhere_the_end_is_the_stores_state() {
    let kills: usize = std::env::var("TRADEFLOW_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    let mut random = Random(7);
    let mut finished = 0;
    for n in 0..kills {
        change(&shop, &mut random, n);
        let mut arguments = vec!["once"];
        arguments.extend((n % 5 == 4).then_some("--sweep"));
        // Now and then those that come late in a run, so that they are interrupted as often.
        let late = ["orders", "b2b-orders", "invoices", "company-credit", "payment-terms"];
        arguments.extend(late.into_iter().filter(|_| n % 3 == 1));
        let mut running = sync(&db, &shop, &arguments).start();
        // From the first moments to about where a run ends.
        tokio::time::sleep(Duration::from_millis(5 + random.below(500))).await;
        finished += usize::from(!running.is_running());
        running.kill();
    }
    assert!(kills < 50 || finished < kills, "no run was killed before its end");
    // What a killed session held is let go a moment later.
    db.until("select not exists (select from pg_locks where locktype = 'advisory')").await;
    once(&db, &shop, &[]);
    once(&db, &shop, &["--sweep"]);

    let fresh = Database::with_store().await;
    once(&fresh, &shop, &[]);
    // Both read the same store: raw keeps the keys of earlier payloads, which here are the same.
    assert_same(&contents(&db).await, &contents(&fresh).await);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 0);
}
