//! Kinds `hubspot.*`.

use std::time::Duration;

use serde_json::json;
use tradeflow_fakes::fault::Fault;
use tradeflow_fakes::hubspot::HubSpot;
use tradeflow_tests::eventually::eventually;

use super::scene::Scene;

async fn scene(crm: &HubSpot) -> Scene {
    Scene::new("hubspot", crm.url(), &crm.token()).await
}

fn posts(crm: &HubSpot) -> usize {
    crm.requests().iter().filter(|r| r.path.ends_with("/batch/upsert") && r.status < 300).count()
}

#[tokio::test]
async fn a_deal_is_one_deal_whatever_happens() {
    let crm = HubSpot::start();
    let mut scene = scene(&crm).await;
    let deal = |stage: &str, amount: &str| {
        json!({"key": 17, "properties": {"dealname": "QN17", "amount": amount}, "stage": stage,
        "owner_email": "Anna@example.com", "forward_only": true})
    };
    let made = scene.run("hubspot.upsert_deal", deal("Quote draft", "100.10")).await.done();
    assert_eq!((made["created"].clone(), made["skipped"].clone()), (json!(true), json!(false)));
    // The answer is lost; the sidecar is killed before it hears one.
    crm.faults().next_of("POST", "/crm/objects/2026-09/deals/batch/upsert", 1, Fault::Lost);
    let sent = scene.run("hubspot.upsert_deal", deal("Quote sent", "120.00")).await.done();
    assert_eq!(sent["id"], made["id"]);
    crm.faults().next_of("POST", "/crm/objects/2026-09/deals/batch/upsert", 1, Fault::Slow { seconds: 30.0 });
    let rule = scene.fire("hubspot.upsert_deal", &deal("closedwon", "120.00")).await;
    let stage = |crm: &HubSpot| {
        crm.edit(|c| c.find("deals", "bc_quote_id", "17").map(|(_, r)| r.properties["dealstage"].clone()))
    };
    eventually("the deal to be won", || async {
        (stage(&crm).as_deref() == Some("closedwon")).then_some(())
    })
    .await;
    scene.kill_and_restart(&crm.token());
    scene.end(&rule).await.done();
    crm.edit(|c| {
        assert_eq!(c.all("deals").len(), 1);
        let (_, record) = c.find("deals", "bc_quote_id", "17").expect("it is there");
        assert_eq!(
            (record.properties["amount"].as_str(), record.properties["hubspot_owner_id"].as_str()),
            ("120.00", "70001")
        );
    });
    // A closed deal never goes back; the rest of the change arrives.
    let late = scene.run("hubspot.upsert_deal", deal("Negotiation", "99")).await.done();
    assert_eq!(late["stage_kept"], "closedwon");
    assert_eq!(stage(&crm).as_deref(), Some("closedwon"));
    // Its own write comes back: nothing is sent.
    let before = posts(&crm);
    assert_eq!(
        scene.run("hubspot.upsert_deal", deal("Negotiation", "99")).await.done()["skipped"],
        json!(true)
    );
    assert_eq!(posts(&crm), before);
    let links: Vec<String> =
        scene.db.column("select distinct other_id from tradeflow.links where object = 'deal'").await;
    assert_eq!(json!(links), json!([made["id"]]));
}

#[tokio::test]
async fn a_deal_that_people_made_is_taken_over_where_it_stands() {
    let crm = HubSpot::start();
    let scene = scene(&crm).await;
    let theirs = [("dealname", "QN17"), ("pipeline", "default"), ("dealstage", "contractsent")];
    let id = crm.edit(|c| c.add("deals", &theirs));
    let deal = json!({"key": 17, "match": "dealname", "properties": {"dealname": "QN17", "amount": "5"}, "stage": "Quote sent", "forward_only": true});
    let taken = scene.run("hubspot.upsert_deal", deal).await.done();
    assert_eq!(
        (taken["id"].clone(), taken["created"].clone(), taken["stage_kept"].clone()),
        (json!(id), json!(false), json!("contractsent"))
    );
    crm.edit(|c| {
        let deal = &c.all("deals")[&id].properties;
        assert_eq!((deal["dealstage"].as_str(), deal["amount"].as_str()), ("contractsent", "5"));
    });
}

#[tokio::test]
async fn several_records_that_could_be_meant_are_told_however_many_there_are() {
    let crm = HubSpot::start();
    let scene = scene(&crm).await;
    // More than a page of a search that are another key's, and two behind them that are nobody's.
    crm.edit(|c| {
        c.properties.get_mut("companies").expect("a type").insert("bc_company_id".into(), true);
        for n in 0..200 {
            c.add("companies", &[("name", "Bolt"), ("bc_company_id", format!("other {n}").as_str())]);
        }
        c.add("companies", &[("name", "BOLT")]);
        c.add("companies", &[("name", "Bolt")]);
    });
    let bolt = json!({"key": 5, "match": "name", "properties": {"name": "Bolt"}});
    let error = scene.run("hubspot.upsert_company", bolt).await.dead();
    assert!(error.contains("2 records of companies have name Bolt"), "{error}");
    assert_eq!(crm.edit(|c| c.all("companies").len()), 202);
}

#[tokio::test]
async fn records_of_one_moment_go_together_and_one_bad_one_harms_no_other() {
    let crm = HubSpot::start();
    let scene = scene(&crm).await;
    scene
        .db
        .sql(
            "insert into tradeflow.rules (name, source, condition) values ('company', 'public.jobs', 'new.id >= 1000');
             insert into tradeflow.actions (rule, kind, target, params) values ('company', 'hubspot.upsert_company', 'there',
               '{\"key\": \"{{ facts.id }}\", \"properties\": {\"{{ facts.doc.property }}\": \"Company {{ facts.id }}\", \"name\": \"Company {{ facts.id }}\"}}');",
        )
        .await;
    // Names of properties are no templates; so the bad one comes by another rule.
    scene.db.sql("update tradeflow.actions set params = '{\"key\": \"{{ facts.id }}\", \"properties\": {\"name\": \"Company {{ facts.id }}\"}}' where rule = 'company'").await;
    scene.db.sql("insert into jobs select i from generate_series(1000, 1059) i").await;
    scene
        .db
        .until("select count(*) = 60 from tradeflow.outbox_history where rule = 'company' and state = 'done'")
        .await;
    assert_eq!(crm.edit(|c| c.all("companies").len()), 60);
    assert!(posts(&crm) <= 15, "{} requests for 60 records", posts(&crm));

    let bad =
        scene.fire("hubspot.upsert_company", &json!({"key": "x", "properties": {"nonsense": "1"}})).await;
    let good = scene.fire("hubspot.upsert_company", &json!({"key": "y", "properties": {"name": "Y"}})).await;
    assert!(scene.end(&bad).await.dead().contains("nonsense"));
    scene.end(&good).await.done();
}

#[tokio::test]
async fn a_record_waits_for_what_it_is_associated_with() {
    let crm = HubSpot::start();
    let scene = scene(&crm).await;
    let contact = json!({"key": 7, "properties": {"email": "a@example.com", "firstname": "A"}, "associate": [{"to": "companies", "key": 1060}]});
    let rule = scene.fire("hubspot.upsert_contact", &contact).await;
    let waits = format!("select coalesce(bool_or(error like '%(yet)%' or error like '%not a unique%'), false) from tradeflow.outbox where rule = '{rule}'");
    scene.db.until(&waits).await;
    scene.run("hubspot.upsert_company", json!({"key": 1060, "properties": {"name": "Acme"}})).await.done();
    scene.end(&rule).await.done();
    crm.edit(|c| {
        let (company, _) = c.find("companies", "bc_company_id", "1060").expect("it is there");
        let (_, contact) = c.find("contacts", "bc_user_id", "7").expect("it is there");
        assert!(contact.associated.contains(&("companies".to_owned(), company.clone())));
    });
}

#[tokio::test]
async fn an_owner_is_set_when_the_record_is_there_and_an_unmapped_one_is_told() {
    let crm = HubSpot::start();
    let scene = scene(&crm).await;
    let owner = json!({"object": "companies", "key": 5, "owner_email": "ben@example.com"});
    let rule = scene.fire("hubspot.set_owner", &owner).await;
    scene
        .db
        .until(&format!(
            "select coalesce(bool_or(error is not null), false) from tradeflow.outbox where rule = '{rule}'"
        ))
        .await;
    let failures: i32 =
        scene.db.one("select failures from tradeflow.target_states where target = 'there'").await;
    assert_eq!(failures, 0, "that HubSpot has no such record yet is no failure of HubSpot's");
    scene.run("hubspot.upsert_company", json!({"key": 5, "properties": {"name": "Five"}})).await.done();
    scene.end(&rule).await.done();
    assert_eq!(
        crm.edit(|c| c
            .find("companies", "bc_company_id", "5")
            .map(|(_, r)| r.properties["hubspot_owner_id"].clone()))
            .as_deref(),
        Some("70002")
    );
    assert_eq!(scene.run("hubspot.set_owner", owner).await.done()["skipped"], json!(true));
    // By HubSpot's own ids; and nobody.
    let of_five = || {
        crm.edit(|c| {
            let (id, record) = c.find("companies", "bc_company_id", "5").expect("it is there");
            (id.clone(), record.properties["hubspot_owner_id"].clone())
        })
    };
    let by_id = json!({"object": "company", "id": of_five().0, "owner_id": "70001"});
    scene.run("hubspot.set_owner", by_id).await.done();
    assert_eq!(of_five().1, "70001");
    scene.run("hubspot.set_owner", json!({"object": "companies", "key": 5, "owner_email": ""})).await.done();
    assert_eq!(of_five().1, "");
    let nobody = json!({"object": "companies", "key": 5, "owner_email": "carl@example.com"});
    let error = scene.run("hubspot.set_owner", nobody).await.dead();
    assert!(error.contains("carl@example.com"), "{error}");
    let incidents: i64 =
        scene.db.one("select count(*) from tradeflow.incidents where kind = 'dead_action'").await;
    assert_eq!(incidents, 1);
}

#[tokio::test]
async fn limits_locks_and_refusals() {
    let crm = HubSpot::start();
    let scene = scene(&crm).await;
    let company = |key: &str| json!({"key": key, "properties": {"name": key}});
    scene.run("hubspot.upsert_company", company("first")).await.done();
    crm.edit(|c| c.limit = Some((0, Duration::from_secs(1))));
    let rule = scene.fire("hubspot.upsert_company", &company("limited")).await;
    scene
        .db
        .until(
            "select exists (select from tradeflow.target_states where throttled_until > clock_timestamp())",
        )
        .await;
    crm.edit(|c| c.limit = None);
    scene.end(&rule).await.done();
    for status in [423, 477, 502] {
        let body = r#"{"status": "error", "message": "not now"}"#.to_owned();
        let headers = vec![("retry-after".to_owned(), "1".to_owned())];
        crm.faults().next_of(
            "POST",
            "/crm/objects/2026-09/companies/batch/upsert",
            1,
            Fault::Status { status, body, headers },
        );
        let end = scene.run("hubspot.upsert_company", company(&format!("s{status}"))).await;
        assert!(end.attempt == 2 && end.state == "done", "{status}: {end:?}");
    }
    let wrong = json!({"key": 1, "properties": {"dealname": "x"}, "stage": "No such stage"});
    assert!(scene.run("hubspot.upsert_deal", wrong).await.dead().contains("Quote draft"));
    for (params, said) in [
        (
            json!({"key": 1, "properties": {"dealstage": "closedwon"}, "forward_only": true}),
            "params.properties.dealstage",
        ),
        (
            json!({"key": 1, "properties": {"dealname": "x"}, "pipeline": "Sales Pipeline"}),
            "params.pipeline: which stage",
        ),
        (json!({"key": 1, "properties": {"closedate": "soon"}}), "valid date"),
    ] {
        let error = scene.run("hubspot.upsert_deal", params).await.dead();
        assert!(error.contains(said), "{error}");
    }
    let amount = json!({"key": 1, "properties": {"amount": "much"}});
    assert!(scene.run("hubspot.upsert_deal", amount).await.dead().contains("valid number"));
}
