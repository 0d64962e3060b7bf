//! Whatever a vendor answers instead of what it should: the action is tried again, and its effect is there once.

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_fakes::fault::{Fault, Faults};
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;

use super::bigcommerce::company;
use super::scene::Scene;

/// What goes wrong; done or not, the sidecar cannot know.
fn faults() -> Vec<Fault> {
    vec![
        Fault::Html { status: 200 },
        Fault::Html { status: 502 },
        Fault::status(503),
        Fault::Truncated,
        Fault::Cut,
        Fault::Lost,
        Fault::Refused,
        Fault::HalfApplied,
    ]
}

/// Runs an action a fault; `params` of its number, which is what tells the effects apart.
async fn each(
    scene: &Scene,
    faults_of: &Faults,
    kind: &str,
    method: &str,
    path: &str,
    params: impl Fn(usize) -> Value,
) {
    for (n, fault) in faults().into_iter().enumerate() {
        let what = format!("{fault:?}");
        faults_of.next_of(method, path, 1, fault);
        let end = scene.run(kind, params(n)).await;
        assert!(end.state == "done" && end.attempt == 2, "{what}: {end:?}");
    }
    let incidents: Vec<String> = scene.db.column("select message from tradeflow.incidents").await;
    assert_eq!(incidents, Vec::<String>::new());
}

/// A token that is not taken (or may not do this): the target waits for an operator, and nothing is lost.
async fn denied(scene: &Scene, faults_of: &Faults, kind: &str, method: &str, path: &str, params: &Value) {
    faults_of.next_of(method, path, 1, Fault::status(401));
    let rule = scene.fire(kind, params).await;
    scene
        .db
        .until(&format!(
            "select coalesce(bool_or(error like '%refused with status 401%' and error like '%secret%'), false) from tradeflow.outbox where rule = '{rule}'"
        ))
        .await;
    let waits =
        "select throttled_until > clock_timestamp() + interval '30 seconds' from tradeflow.target_states";
    assert!(scene.db.one::<bool>(waits).await);
    scene.db.sql("update tradeflow.target_states set throttled_until = null; update tradeflow.outbox set run_at = now()").await;
    scene.end(&rule).await.done();
}

#[tokio::test]
async fn a_store_that_answers_badly() {
    let shop = BigCommerce::start();
    let base_url = format!("{}/stores/{}", shop.url(), shop.store_hash());
    let scene = Scene::new("bigcommerce", base_url, &shop.token()).await;
    let company = company(&shop);
    let params = |n: usize| json!({"company_id": company, "days": 15 * (1 + n % 2)});
    let path = format!("/api/v3/io/companies/{company}/payment-terms");
    each(&scene, shop.faults(), "bigcommerce.set_payment_terms", "PUT", &path, params).await;
    assert_eq!(shop.edit(|store| store.terms[&company].days), 30);
    let read = format!("/api/v3/io/companies/{company}/payment-terms");
    denied(&scene, shop.faults(), "bigcommerce.set_payment_terms", "GET", &read, &params(0)).await;
    assert_eq!(shop.edit(|store| store.terms[&company].days), 15);
}

#[tokio::test]
async fn a_crm_that_answers_badly() {
    let crm = HubSpot::start();
    let scene = Scene::new("hubspot", crm.url(), &crm.token()).await;
    let params = |n: usize| json!({"key": format!("k{n}"), "properties": {"name": format!("Company {n}")}});
    let path = "/crm/objects/2026-09/companies/batch/upsert";
    each(&scene, crm.faults(), "hubspot.upsert_company", "POST", path, params).await;
    assert_eq!(crm.edit(|state| state.all("companies").len()), faults().len());
    denied(&scene, crm.faults(), "hubspot.upsert_company", "POST", path, &params(99)).await;
    assert_eq!(crm.edit(|state| state.all("companies").len()), faults().len() + 1);
}

#[tokio::test]
async fn a_spreadsheet_that_answers_badly() {
    let google = Google::start();
    google.spreadsheet("s1", "Quotes", json!([["Quote", "Customer"]]));
    let scene = Scene::new("google", google.url(), &google.key_file()).await;
    let params = |n: usize| {
        json!({"spreadsheet": "s1", "sheet": "Quotes", "key": "Quote",
            "rows": {"Quote": format!("Q{n}"), "Customer": format!("=HYPERLINK(\"{n}\")")}})
    };
    let path = "/v4/spreadsheets/s1:batchUpdate";
    each(&scene, google.faults(), "sheets.upsert_rows", "POST", path, params).await;
    let cells = google.cells("s1", "Quotes");
    assert_eq!(cells.len(), 1 + faults().len());
    assert!(
        cells[1..].iter().enumerate().all(|(n, row)| row[1] == format!("=HYPERLINK(\"{n}\")")),
        "{cells:?}"
    );
}
