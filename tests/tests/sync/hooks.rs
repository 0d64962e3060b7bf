//! Webhooks: registered, believed, and what they tell stored.

use serde_json::json;
use tradeflow_fakes::bigcommerce::events::sign;
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_tests::database::Database;
use tradeflow_tests::eventually::eventually;
use tradeflow_tests::sidecar::{Sidecar, Tradeflow};

use super::shop::{once, with_shop};

const URL: &str = "https://hooks.shop.example/hooks/bigcommerce";

fn with_hooks(command: Tradeflow, shop: &BigCommerce) -> Tradeflow {
    with_shop(command, shop)
        .env("TRADEFLOW_HOOKS_URL", URL)
        .env("TRADEFLOW_HOOKS_CLIENT_SECRET", "env:TRADEFLOW_TEST_CLIENT_SECRET")
        .env("TRADEFLOW_TEST_CLIENT_SECRET", &shop.client_secret())
        .env("TRADEFLOW_HOOKS_HEADER_SECRET", "env:TRADEFLOW_TEST_HEADER_SECRET")
        .env("TRADEFLOW_TEST_HEADER_SECRET", "hush")
        .env("TRADEFLOW_HOOKS_CHECK_INTERVAL", "0s")
}

/// A sidecar that receives the store's webhooks; its address.
async fn receiving(db: &Database, shop: &BigCommerce) -> (Sidecar, String) {
    let command = with_hooks(Sidecar::command(db), shop).env("TRADEFLOW_LISTEN_ADDRESS", "127.0.0.1:0");
    let mut sidecar = command.start();
    let line = sidecar.wait_for_log("serving /metrics");
    let address = line.split("address=").nth(1).expect("an address").split_whitespace().next().expect("one");
    let url = format!("http://{}", address.trim_matches(|c: char| !c.is_ascii_digit()));
    shop.route("hooks.shop.example", &url);
    (sidecar, url)
}

fn hooks(db: &Database, shop: &BigCommerce, word: &str) -> tradeflow_tests::sidecar::Said {
    with_hooks(Tradeflow::on(db, ["hooks", word, "--json"]), shop).run()
}

#[tokio::test]
async fn hooks_are_registered_and_switched_on_again() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    assert_eq!(hooks(&db, &shop, "check").code, 1);
    let none = with_hooks(Tradeflow::on(&db, ["hooks", "list"]), &shop).run();
    assert!(none.success().contains("`tradeflow hooks register` creates them"), "{none:?}");
    let registered = hooks(&db, &shop, "register");
    registered.success();
    assert_eq!(registered.json()["created"].as_array().map(Vec::len), Some(13));
    assert_eq!(hooks(&db, &shop, "register").json()["created"], json!([]));
    hooks(&db, &shop, "check").success();
    shop.edit(|store| {
        let hook = store.hooks.values_mut().next().expect("a hook");
        hook.data.insert("is_active".into(), false.into());
    });
    let off = hooks(&db, &shop, "check");
    assert_eq!((off.code, off.json()["deactivated"].as_array().map(Vec::len)), (1, Some(1)));
    assert_eq!(hooks(&db, &shop, "register").json()["reactivated"].as_array().map(Vec::len), Some(1));
    hooks(&db, &shop, "check").success();
    assert_eq!(hooks(&db, &shop, "list").json().as_array().map(Vec::len), Some(13));
    let plain = with_shop(Tradeflow::on(&db, ["hooks", "check"]), &shop)
        .env("TRADEFLOW_HOOKS_URL", "http://x.example/")
        .run();
    assert!(plain.failure().contains("HTTPS on port 443 only"));
}

/// Nobody runs `hooks register`: who receives webhooks, and who syncs, look after them.
#[tokio::test]
async fn hooks_are_looked_after_without_anybody_doing_it() {
    let db = Database::with_store().await;
    for words in [["run", "--poll-only"].as_slice(), &["sync", "watch", "companies"]] {
        let shop = BigCommerce::start();
        let on = |shop: &BigCommerce| {
            shop.edit(|store| store.hooks.values().filter(|h| h.data["is_active"] == json!(true)).count())
        };
        let _running = with_hooks(Tradeflow::on(&db, words.iter().copied()), &shop)
            .env("TRADEFLOW_HOOKS_CHECK_INTERVAL", "50ms")
            .env("TRADEFLOW_LISTEN_ADDRESS", "127.0.0.1:0")
            .start();
        eventually("all to be registered", || async { (on(&shop) == 13).then_some(()) }).await;
        // The store switches them off, and tells nobody.
        shop.edit(|store| {
            for hook in store.hooks.values_mut().take(3) {
                hook.data.insert("is_active".into(), false.into());
            }
        });
        eventually("all to be on again", || async { (on(&shop) == 13).then_some(()) }).await;
        assert_eq!(shop.edit(|store| store.hooks.len()), 13, "none twice");
        // It refuses them: a person is told, once.
        shop.set(|settings| settings.token = "another".into());
        db.until("select exists (select from tradeflow.incidents where source = 'webhooks' and kind = 'sync_error' and count > 1)").await;
        db.sql("delete from tradeflow.incidents").await;
    }
}

#[tokio::test]
async fn doctor_says_what_webhooks_lack() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    let doctor = |name: &str, value: &str| {
        let command = with_hooks(Tradeflow::on(&db, ["doctor"]), &shop).env(name, value);
        command.run().stdout
    };
    let said = doctor("TRADEFLOW_LISTEN_ADDRESS", "");
    for text in [
        "webhooks: listen_address is empty",
        "webhooks: the user may write down what they tell",
        "webhooks: hooks.url cannot be reached from here",
        "webhooks: 13 of 13 are missing or switched off",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let said = doctor("TRADEFLOW_HOOKS_CLIENT_SECRET", "env:TRADEFLOW_NOT_SET");
    assert!(said.contains("hooks.client_secret") && said.contains("TRADEFLOW_NOT_SET"), "{said}");
    let said = doctor("TRADEFLOW_HOOKS_REQUIRE_SIGNATURE", "false");
    assert!(!said.contains("anybody could send webhooks"), "the header's secret is enough: {said}");
    let open = with_hooks(Tradeflow::on(&db, ["doctor"]), &shop)
        .env("TRADEFLOW_HOOKS_REQUIRE_SIGNATURE", "false")
        .env("TRADEFLOW_HOOKS_HEADER_SECRET", "");
    assert!(open.run().stdout.contains("anybody could send webhooks"));
}

#[tokio::test]
async fn what_a_webhook_tells_is_stored() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    once(&db, &shop, &[]);
    hooks(&db, &shop, "register").success();
    db.sql("insert into tradeflow.rules (name, source) values ('any_company', 'store.companies')").await;
    let (_sidecar, _) = receiving(&db, &shop).await;
    let quote = shop.edit(|store| {
        let quote = *store.quotes.keys().next().expect("a quote");
        store.patch_quote(quote, json!({"notes": "by webhook"}));
        store.patch_company(1001, json!({"companyPhone": "by webhook"}));
        store.patch_order(1201, json!({"staff_notes": "by webhook"}));
        store.patch_product(201, json!({"name": "by webhook"}));
        store.delete("quote", 48300);
        quote
    });
    db.until(&format!(
        "select coalesce((select notes from store.quotes where quote_id = {quote}) = 'by webhook'
           and (select company_phone from store.companies where company_id = 1001) = 'by webhook'
           and (select staff_notes from store.orders where bc_order_id = 1201) = 'by webhook'
           and (select name from store.products where product_id = 201) = 'by webhook'
           and not exists (select from store.quotes where quote_id = 48300) and not exists (select from store.quote_items where quote_id = 48300), false)"
    ))
    .await;
    db.until("select not exists (select from tradeflow.sync_events where done_at is null)").await;
    assert_eq!(db.column::<String>("select subject from tradeflow.firings").await, ["1001"]);
    // A quote nobody knows yet is found by what changed.
    let made = shop.edit(|store| {
        let mut new = store.quotes[&quote].clone();
        let id = 61_000;
        (new.created, new.updated) = (store.now(), store.now());
        new.data.insert("quoteId".into(), id.into());
        store.quotes.insert(id, new);
        store.patch_quote(id, json!({"notes": "new"}));
        id
    });
    db.until(&format!(
        "select exists (select from store.quotes where quote_id = {made} and raw ? 'productList')"
    ))
    .await;
}

#[tokio::test]
async fn forged_old_and_repeated_webhooks_change_nothing() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    once(&db, &shop, &["companies"]);
    let (mut sidecar, url) = receiving(&db, &shop).await;
    shop.edit(|store| store.patch_company(1001, json!({"companyPhone": "secretly changed"})));
    let body = json!({"scope": "store/company/updated", "store_id": "1001", "data": {"company_id": 1001},
        "hash": "x", "created_at": 1, "producer": "stores/abc123"})
    .to_string();
    let now = shop.clock().now();
    let post = |id: &str, at: i64, signature: String, secret: &str| {
        let mut command = std::process::Command::new("curl");
        command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-d", &body]);
        for header in [
            "content-type: application/json".to_owned(),
            format!("webhook-id: {id}"),
            format!("webhook-timestamp: {at}"),
            format!("webhook-signature: {signature}"),
            format!("x-tradeflow-secret: {secret}"),
        ] {
            command.args(["-H", &header]);
        }
        let output = command.arg(format!("{url}/hooks/bigcommerce")).output().expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let good = |id: &str, at: i64| sign(&shop.client_secret(), id, at, &body);
    assert_eq!(post("a", now, sign("another", "a", now, &body), "hush"), "401");
    assert_eq!(post("b", now - 301, good("b", now - 301), "hush"), "401");
    assert_eq!(post("c", now, good("c", now), "wrong"), "401");
    assert_eq!(post("d", now, good("other id", now), "hush"), "401");
    let told = db
        .column::<String>("select message from tradeflow.incidents where kind = 'hook_refused' order by id")
        .await;
    assert_eq!(told.len(), 3, "the wrong signature came twice and is counted: {told:?}");
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.sync_events").await, 0);
    sidecar.wait_for_log("webhook refused");

    shop.forget_requests();
    assert_eq!(post("e", now, good("e", now), "hush"), "204");
    assert_eq!(
        post("e", now, good("e", now), "hush"),
        "204",
        "the same again is answered well, and is nothing"
    );
    db.until("select company_phone is not distinct from 'secretly changed' from store.companies where company_id = 1001").await;
    db.until("select not exists (select from tradeflow.sync_events where done_at is null)").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.sync_events").await, 1);
    let fetched =
        shop.requests().iter().filter(|request| request.is("GET", "/api/v3/io/companies/1001")).count();
    assert_eq!(fetched, 1);
}

/// Written down before it is answered: a sidecar that dies, and a store that does not answer, lose nothing.
#[tokio::test]
async fn a_webhook_outlives_the_sidecar_and_the_stores_failures() {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    once(&db, &shop, &["companies"]);
    hooks(&db, &shop, "register").success();
    let (mut sidecar, _) = receiving(&db, &shop).await;
    shop.faults().next_of("GET", "/api/v3/io/companies/1002", 4, tradeflow_fakes::fault::Fault::status(500));
    shop.edit(|store| store.patch_company(1002, json!({"companyPhone": "late"})));
    db.until("select exists (select from tradeflow.sync_events where error is not null)").await;
    sidecar.kill();
    db.sql("update tradeflow.sync_events set due_at = now()").await;
    let (_other, _) = receiving(&db, &shop).await;
    db.until("select company_phone is not distinct from 'late' from store.companies where company_id = 1002")
        .await;
    eventually("an end of the deliveries", || async {
        shop.deliveries().iter().any(|d| d.status == 204).then_some(())
    })
    .await;
}
