//! Tokens that are not taken, scopes that are missing, limits that are reached: told as each vendor tells them, and nothing is lost.

use std::time::{Duration, Instant};

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::{BigCommerce, Limits, Scope};
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;

use super::bigcommerce::{self, company, order, writes};
use super::scene::Scene;

#[tokio::test]
async fn limits_and_tokens_make_the_whole_target_wait() {
    let shop = BigCommerce::start();
    let scene = bigcommerce::scene(&shop).await;
    let id = company(&shop);
    shop.set(|settings| settings.limits = Limits { b2b: Some((3, Duration::from_secs(3))), core: None });
    let began = Instant::now();
    for (n, status) in ["rejected", "inactive"].iter().enumerate() {
        let end =
            scene.run("bigcommerce.set_company_status", json!({"company_id": id, "status": status})).await;
        assert!(end.state == "done", "{n}: {end:?}");
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "six requests took three windows' share");
    let until: bool = scene.db.one("select throttled_until is not null from tradeflow.target_states").await;
    assert!(until, "the target was asked to wait");

    shop.set(|settings| {
        settings.limits = Limits::off();
        settings.token = "another".into();
    });
    let rule = scene.fire("bigcommerce.set_company_status", &json!({"company_id": id, "status": 1})).await;
    let query = format!("select coalesce(bool_or(error like '%check the target''s secret%'), false) from tradeflow.outbox where rule = '{rule}'");
    scene.db.until(&query).await;
    let rows: Value = serde_json::from_str(
        &scene.db.one::<String>("select coalesce(jsonb_agg(o), '[]')::text from tradeflow.outbox o").await,
    )
    .expect("JSON");
    assert!(!rows.to_string().contains(&shop.token()), "no token is in a row");
}

#[tokio::test]
async fn a_missing_scope_is_told_as_each_api_hides_it_and_nothing_is_lost() {
    let shop = BigCommerce::start();
    let scene = bigcommerce::scene(&shop).await;
    let (id, order) = (company(&shop), order(&shop));
    shop.edit(|store| store.patch_order(order, json!({"status_id": 11})));
    shop.set(|settings| settings.scopes = vec![Scope::OrdersRead]);
    // B2B Edition says that there is no such thing; core that it may not be written.
    let terms = scene.fire("bigcommerce.set_payment_terms", &json!({"company_id": id, "days": 45})).await;
    let error = scene.end(&terms).await.dead();
    assert!(error.contains("status 404") && error.contains("B2B Edition: modify"), "{error}");
    let status =
        scene.fire("bigcommerce.set_order_status", &json!({"bc_order_id": order, "status": 7})).await;
    let told = format!("select coalesce(bool_or(error like '%status 403%what its token may do%'), false) from tradeflow.outbox where rule = '{status}'");
    scene.db.until(&told).await;
    assert_eq!(writes(&shop), 0);
    shop.set(|settings| settings.scopes = Scope::ALL.to_vec());
    scene.db.sql("select tradeflow.retry(id) from tradeflow.outbox where state = 'dead'; update tradeflow.target_states set throttled_until = null; update tradeflow.outbox set run_at = now()").await;
    scene.end(&status).await.done();
    scene
        .db
        .until(&format!(
            "select exists (select from tradeflow.outbox_history where rule = '{terms}' and state = 'done')"
        ))
        .await;
    assert_eq!(shop.edit(|store| (store.terms[&id].days, store.orders[&order].int("status_id"))), (45, 7));
    assert_eq!(writes(&shop), 2);
}

#[tokio::test]
async fn a_token_that_may_not_make_the_unique_property_is_told() {
    let crm = HubSpot::start();
    let scene = Scene::new("hubspot", crm.url(), &crm.token()).await;
    crm.edit(|c| c.scopes.retain(|scope| scope != "crm.schemas.companies.write"));
    let rule = scene.fire("hubspot.upsert_company", &json!({"key": 1, "properties": {"name": "One"}})).await;
    let told = format!("select coalesce(bool_or(error like '%refused with status 403%what its token may do%'), false) from tradeflow.outbox where rule = '{rule}'");
    scene.db.until(&told).await;
    assert!(crm.edit(|c| c.all("companies").is_empty()));
    crm.edit(|c| c.scopes.insert("crm.schemas.companies.write".to_owned()));
    scene.db.sql("update tradeflow.target_states set throttled_until = null; update tradeflow.outbox set run_at = now()").await;
    scene.end(&rule).await.done();
    assert!(crm.edit(|c| c.properties["companies"]["bc_company_id"]));
}

#[tokio::test]
async fn a_key_that_google_does_not_take_is_told_and_the_row_waits() {
    let (google, other) = (Google::start(), Google::start());
    google.spreadsheet("s1", "Quotes", json!([["Quote"]]));
    let key = other.key_file().replace(&other.url(), &google.url());
    let mut scene = Scene::new("google", google.url(), &key).await;
    let rule = scene
        .fire(
            "sheets.upsert_rows",
            &json!({"spreadsheet": "s1", "sheet": "Quotes", "key": "Quote", "rows": {"Quote": "A"}}),
        )
        .await;
    let told = format!("select coalesce(bool_or(error like '%Invalid JWT Signature%the target''s secret%'), false) from tradeflow.outbox where rule = '{rule}'");
    scene.db.until(&told).await;
    scene.kill_and_restart(&google.key_file());
    scene.db.sql("update tradeflow.target_states set throttled_until = null; update tradeflow.outbox set run_at = now()").await;
    scene.end(&rule).await.done();
    assert_eq!(json!(google.cells("s1", "Quotes")), json!([["Quote"], ["A"]]));
}
