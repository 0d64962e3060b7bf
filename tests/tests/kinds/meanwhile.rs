//! What somebody decided meanwhile wins over an action that comes late: `only_if`, `only_if_none`, and what is cancelled then.

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::state::ExtraField;
use tradeflow_fakes::bigcommerce::BigCommerce;

use super::scene::Scene;

async fn scene(shop: &BigCommerce) -> (Scene, i64) {
    let scene =
        Scene::new("bigcommerce", format!("{}/stores/{}", shop.url(), shop.store_hash()), &shop.token())
            .await;
    (scene, shop.edit(|store| *store.companies.keys().next().expect("there is one")))
}

/// Fires a rule of two steps, the first of this kind; what became of the first, once all is over.
async fn followed(scene: &Scene, rule: &str, kind: &str, params: Value) -> String {
    scene
        .db
        .sql(&format!(
            "insert into tradeflow.rules (name, source, condition) values ('{rule}', 'public.jobs', $$ new.doc ->> 'for' = '{rule}' $$);
             insert into tradeflow.actions (rule, step, kind, target, params) values
               ('{rule}', 1, '{kind}', 'there', '{params}'), ('{rule}', 2, 'task', null, '{{\"pool\": \"follows\", \"title\": \"{rule}\"}}');
             insert into public.jobs select coalesce(max(id), 0) + 1, jsonb_build_object('for', '{rule}') from public.jobs"
        ))
        .await;
    scene
        .db
        .until(&format!(
            "select exists (select from tradeflow.outbox_history where rule = '{rule}')
                and not exists (select from tradeflow.outbox where rule = '{rule}' and state in ('ready', 'running', 'waiting'))"
        ))
        .await;
    scene
        .db
        .one(&format!(
            "select string_agg(concat_ws(' ', step, state, reason), '; ' order by step) from tradeflow.outbox_history where rule = '{rule}'"
        ))
        .await
}

#[tokio::test]
async fn a_status_that_somebody_set_meanwhile_stays_and_nothing_follows() {
    let shop = BigCommerce::start();
    let (scene, company) = scene(&shop).await;
    let params = json!({"company_id": company, "status": "approved", "only_if": "pending"});
    shop.edit(|store| store.patch_company(company, json!({"companyStatus": "2"})));
    assert_eq!(
        followed(&scene, "late", "bigcommerce.set_company_status", params.clone()).await,
        format!("1 cancelled company {company} is rejected by now")
    );
    shop.edit(|store| assert_eq!(store.companies[&company].int("companyStatus"), 2));
    shop.edit(|store| store.patch_company(company, json!({"companyStatus": "0"})));
    assert_eq!(
        followed(&scene, "in_time", "bigcommerce.set_company_status", params.clone()).await,
        "1 done; 2 done"
    );
    // What is there already may have been an attempt of ours whose answer was lost: the steps after it follow.
    assert_eq!(followed(&scene, "again", "bigcommerce.set_company_status", params).await, "1 done; 2 done");
    let several = json!({"company_id": company, "status": 3, "only_if": ["approved", 2]});
    assert_eq!(
        followed(&scene, "several", "bigcommerce.set_company_status", several).await,
        "1 done; 2 done"
    );
    assert_eq!(scene.db.incidents().await, Vec::<String>::new(), "a decision is nothing that went wrong");
    let error = scene
        .db
        .error(r#"update tradeflow.actions set params = params || '{"only_if": "open"}' where rule = 'late' and step = 1"#)
        .await;
    assert!(error.message.contains("only_if"), "{error:?}");
}

#[tokio::test]
async fn a_field_that_somebody_filled_meanwhile_keeps_the_others_as_they_are() {
    let shop = BigCommerce::start();
    let (scene, company) = scene(&shop).await;
    shop.edit(|store| store.company_fields.push(ExtraField::text("Segment locked")));
    let params = |segment: &str| json!({"company_id": company, "fields": {"Segment": segment}, "only_if": {"Segment locked": null}});
    let kind = "bigcommerce.update_company_extra_fields";
    // Not there at all is empty too.
    assert_eq!(followed(&scene, "free", kind, params("Gold")).await, "1 done; 2 done");
    let lock = json!({"extraFields": [{"fieldName": "Segment", "fieldValue": "Friends"}, {"fieldName": "Segment locked", "fieldValue": "yes"}]});
    shop.edit(|store| store.patch_company(company, lock.clone()));
    assert_eq!(
        followed(&scene, "locked", kind, params("Gold")).await,
        format!("1 cancelled the field \"Segment locked\" of company {company} is \"yes\" by now")
    );
    shop.edit(|store| {
        assert_eq!(store.companies[&company].data["extraFields"], lock["extraFields"]);
    });
}

#[tokio::test]
async fn a_company_that_somebody_took_meanwhile_is_theirs() {
    let shop = BigCommerce::start();
    let (scene, company) = scene(&shop).await;
    let reps = shop.edit(|store| {
        store.assignments.retain(|(_, of), _| *of != company);
        store.staff.keys().copied().collect::<Vec<_>>()
    });
    let params = |rep: i64| json!({"company_id": company, "sales_staff_id": rep, "only_if_none": true});
    let kind = "bigcommerce.assign_sales_staff";
    assert_eq!(followed(&scene, "first", kind, params(reps[0])).await, "1 done; 2 done");
    assert_eq!(followed(&scene, "first_again", kind, params(reps[0])).await, "1 done; 2 done");
    assert_eq!(
        followed(&scene, "second", kind, params(reps[1])).await,
        format!("1 cancelled company {company} is looked after by sales staff {} by now", reps[0])
    );
    shop.edit(|store| assert!(!store.assignments.contains_key(&(reps[1], company))));
}
