//! Kind `bigcommerce.add_company_credit`: a sum is added once, whatever happens, and all sums are.

use serde_json::json;
use tradeflow_fakes::bigcommerce::state::Credit;
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_fakes::fault::Fault;
use tradeflow_tests::sidecar::Sidecar;

use super::bigcommerce::{company, scene};

fn give_credit(shop: &BigCommerce, id: i64, amount: i64) {
    let credit = Credit {
        enabled: true,
        currency: "USD".into(),
        available: amount.into(),
        limit_purchases: false,
        hold: false,
    };
    shop.edit(|store| store.credit.insert(id, credit));
}

fn available(shop: &BigCommerce, id: i64) -> String {
    shop.edit(|store| store.credit[&id].available.normalize().to_string())
}

#[tokio::test]
async fn credit_is_added_once_for_each_key() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let id = company(&shop);
    give_credit(&shop, id, 100);
    let kind = "bigcommerce.add_company_credit";
    let grant = json!({"company_id": id, "amount": "10.50", "key": "approved", "currency": "USD"});
    scene.run(kind, grant.clone()).await.done();
    assert_eq!(available(&shop, id), "110.5");
    // Approved again: granted once. An order used some of it meanwhile, and that stays used.
    give_credit(&shop, id, 50);
    assert_eq!(scene.run(kind, grant).await.done()["skipped"], json!(true));
    assert_eq!(available(&shop, id), "50");

    // Answers lost after the store took it, and before.
    let path = format!("/api/v3/io/companies/{id}/credit");
    for (key, fault) in [("a", Fault::Lost), ("b", Fault::status(503))] {
        let before: f64 = available(&shop, id).parse().expect("a number");
        shop.faults().next_of("PUT", &path, 1, fault);
        let end = scene.run(kind, json!({"company_id": id, "amount": 10, "key": key})).await;
        assert!(end.attempt == 2 && end.state == "done", "{key}: {end:?}");
        assert_eq!(available(&shop, id), format!("{}", before + 10.0), "{key}");
    }
    let open: i64 =
        scene.db.one("select count(*) from tradeflow.ledger_entries where settled_at is null").await;
    assert_eq!(open, 0);

    // With a cap over all that was added (10.50 + 20), and clawed back down to nothing.
    let capped = json!({"company_id": id, "amount": 100, "key": "capped", "cap": 40});
    let result = scene.run(kind, capped.clone()).await.done();
    assert_eq!(
        (result["amount"].to_string(), result["available"].to_string()),
        ("9.5".into(), "79.5".into())
    );
    assert_eq!(
        scene.run(kind, capped).await.done()["amount"].to_string(),
        "9.5",
        "what counted, asked again"
    );
    assert_eq!(available(&shop, id), "79.5");
    scene.run(kind, json!({"company_id": id, "amount": -1000, "key": "refund"})).await.done();
    assert_eq!(available(&shop, id), "0");

    // A company without credit gets one that it cannot overdraw.
    let other = shop.edit(|store| *store.companies.keys().nth(1).expect("there is one"));
    shop.edit(|store| store.credit.remove(&other));
    let error = scene.run(kind, json!({"company_id": other, "amount": 1})).await.dead();
    assert!(error.contains("no credit enabled"), "{error}");
    scene.run(kind, json!({"company_id": other, "amount": 5, "enable": true})).await.done();
    assert!(shop.edit(|store| store.credit[&other].enabled && store.credit[&other].limit_purchases));

    let error = scene.run(kind, json!({"company_id": id, "amount": 1, "currency": "EUR"})).await.dead();
    assert!(error.contains("USD, not EUR"), "{error}");
    shop.edit(|store| store.credit_feature = false);
    let error = scene.run(kind, json!({"company_id": id, "amount": 1})).await.dead();
    assert!(error.contains("credit is not enabled"), "{error}");
}

#[tokio::test]
async fn credit_added_at_the_same_moment_sums_up_from_any_number_of_sidecars() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let _second = Sidecar::command(&scene.db).env("HUBSPOT_TEST", &shop.token()).start();
    let id = company(&shop);
    give_credit(&shop, id, 0);
    scene
        .db
        .sql(&format!(
            "insert into tradeflow.rules (name, source, condition) values ('loyalty', 'public.jobs', 'new.id >= 1000');
             insert into tradeflow.actions (rule, kind, target, params) values ('loyalty', 'bigcommerce.add_company_credit', 'there',
               '{{\"company_id\": {id}, \"amount\": 1.25, \"key\": \"order {{{{ facts.id }}}}\"}}');
             insert into jobs select i from generate_series(1000, 1011) i"
        ))
        .await;
    scene
        .db
        .until("select count(*) = 12 from tradeflow.outbox_history where rule = 'loyalty' and state = 'done'")
        .await;
    assert_eq!(available(&shop, id), "15");
}
