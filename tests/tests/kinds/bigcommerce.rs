//! Kinds `bigcommerce.*`.

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::state::{CompanyMode, ExtraField};
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_fakes::fault::Fault;

use super::scene::Scene;

/// A target that is this store.
pub async fn scene(shop: &BigCommerce) -> Scene {
    Scene::new("bigcommerce", format!("{}/stores/{}", shop.url(), shop.store_hash()), &shop.token()).await
}

/// A company of the sample store.
pub fn company(shop: &BigCommerce) -> i64 {
    shop.edit(|store| *store.companies.keys().next().expect("there is one"))
}

/// An open quote, with the time it was created.
fn quote(shop: &BigCommerce) -> (i64, String) {
    shop.edit(|store| {
        let (id, quote) = store.quotes.iter().find(|(_, q)| q.int("status") == 0).expect("there is one");
        (*id, chrono::DateTime::from_timestamp(quote.created, 0).expect("a time").to_rfc3339())
    })
}

/// An order that B2B Edition knows and that has no invoice.
pub fn order(shop: &BigCommerce) -> i64 {
    shop.edit(|store| {
        let invoiced: Vec<String> =
            store.invoices.values().map(|i| i.text("orderNumber").to_owned()).collect();
        let free = store
            .b2b_orders
            .iter()
            .find(|(id, view)| view.int("companyId") > 0 && !invoiced.contains(&id.to_string()));
        *free.expect("there is one").0
    })
}

/// How many requests wrote something.
pub fn writes(shop: &BigCommerce) -> usize {
    shop.requests().iter().filter(|r| r.method != "GET" && r.status < 300).count()
}

#[tokio::test]
async fn a_quote_is_changed_where_it_differs_and_read_back() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let (id, created) = quote(&shop);
    let params = json!({"quote_id": id, "created_at": created, "notes": "Too cheap", "allow_checkout": false, "expires_on": "2030-12-24"});
    let result = scene.run("bigcommerce.update_quote", params.clone()).await.done();
    assert_eq!(result["changed"]["notes"], "Too cheap");
    let day =
        chrono::NaiveDate::from_ymd_opt(2030, 12, 24).and_then(|d| d.and_hms_opt(0, 0, 0)).expect("a day");
    shop.edit(|store| {
        let quote = &store.quotes[&id];
        assert_eq!((quote.text("notes"), quote.int("expiredAt")), ("Too cheap", day.and_utc().timestamp()));
        assert_eq!(quote.data["allowCheckout"], json!(false));
    });
    // Its own write comes back as a change: nothing is written again.
    let before = writes(&shop);
    let result = scene.run("bigcommerce.update_quote", params).await.done();
    assert_eq!((result["skipped"].clone(), writes(&shop)), (json!(true), before));

    // Fields that are not named are sent along when they have a value, since the list is taken for all of it.
    shop.edit(|store| {
        store.quote_fields.extend(["Notes", "Project"].map(ExtraField::text));
        let field = |name: &str, value: Value| json!({"fieldName": name, "fieldValue": value});
        let fields =
            [field("Cost centre", json!("7")), field("Notes", Value::Null), field("Project", json!("old"))];
        store.patch_quote(id, json!({"extraFields": fields}));
    });
    let fields = json!({"quote_id": id, "created_at": created, "extra_fields": {"Project": "new"}});
    scene.run("bigcommerce.update_quote", fields.clone()).await.done();
    let of_quote = || shop.edit(|store| store.quotes[&id].data["extraFields"].clone());
    assert_eq!(
        of_quote(),
        json!([{"fieldName": "Cost centre", "fieldValue": "7"}, {"fieldName": "Project", "fieldValue": "new"}])
    );
    assert_eq!(scene.run("bigcommerce.update_quote", fields).await.done()["skipped"], json!(true));
    let emptied = json!({"quote_id": id, "created_at": created, "extra_fields": {"Project": ""}});
    scene.run("bigcommerce.update_quote", emptied.clone()).await.done();
    assert_eq!(of_quote()[1]["fieldValue"], json!(""));
    assert_eq!(scene.run("bigcommerce.update_quote", emptied).await.done()["skipped"], json!(true));

    // A message is posted once, also when the answer is lost.
    shop.faults().next_of("PUT", &format!("/api/v3/io/rfq/{id}"), 1, Fault::Lost);
    let message = json!({"quote_id": id, "created_at": created, "message": "Please order at least 10."});
    scene.run("bigcommerce.update_quote", message).await.done();
    let said = shop.edit(|store| store.quotes[&id].data["trackingHistory"].to_string());
    assert_eq!(said.matches("Please order at least 10.").count(), 1, "{said}");

    // Archived with a word; ordered ones are immutable.
    let archive = json!({"quote_id": id, "created_at": created, "archive": true});
    scene.run("bigcommerce.update_quote", archive).await.done();
    assert_eq!(shop.edit(|store| store.quotes[&id].int("status")), 6);
    shop.edit(|store| store.patch_quote(id, json!({"status": 4})));
    let late = json!({"quote_id": id, "created_at": created, "notes": "too late"});
    let error = scene.run("bigcommerce.update_quote", late).await.dead();
    assert!(error.contains("immutable"), "{error}");
}

#[tokio::test]
async fn what_is_answered_with_success_and_ignored_is_found_out() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let id = company(&shop);
    let path = format!("/api/v3/io/companies/{id}/status");
    let success = r#"{"code": 200, "data": {}, "meta": {"message": "SUCCESS"}}"#;
    shop.faults().next_of(
        "PUT",
        &path,
        1,
        Fault::Status { status: 200, body: success.into(), headers: vec![] },
    );
    let error = scene
        .run("bigcommerce.set_company_status", json!({"company_id": id, "status": "rejected"}))
        .await
        .dead();
    assert!(error.contains("read back") && error.contains("status"), "{error}");
    // 200 with an error inside; a page of HTML; a company that is not there.
    shop.faults().next_of(
        "GET",
        &format!("/api/v3/io/companies/{id}"),
        1,
        Fault::ErrorInside { code: 400, message: "no".into() },
    );
    let error =
        scene.run("bigcommerce.set_company_status", json!({"company_id": id, "status": 2})).await.dead();
    assert!(error.contains("HTTP 200 with code 400 inside: no"), "{error}");
    shop.faults().next_of("GET", &format!("/api/v3/io/companies/{id}"), 1, Fault::Html { status: 200 });
    let end = scene.run("bigcommerce.set_company_status", json!({"company_id": id, "status": 2})).await;
    assert_eq!(end.attempt, 2, "HTML passes: {end:?}");
    end.done();
    let error = scene
        .run("bigcommerce.set_company_status", json!({"company_id": 99999999, "status": 1}))
        .await
        .dead();
    assert!(error.contains("Company does not exist"), "{error}");
}

#[tokio::test]
async fn status_terms_fields_and_reps_are_absolute() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let id = company(&shop);
    let rep = shop.edit(|store| *store.staff.keys().last().expect("there is one"));
    let email = shop.edit(|store| store.staff[&rep].text("email").to_uppercase());
    for (kind, params) in [
        ("bigcommerce.set_company_status", json!({"company_id": id.to_string(), "status": "inactive"})),
        ("bigcommerce.set_payment_terms", json!({"company_id": id, "days": "45"})),
        (
            "bigcommerce.update_company_extra_fields",
            json!({"company_id": id, "fields": {"Segment": "gold", "Employees": 12}}),
        ),
        ("bigcommerce.assign_sales_staff", json!({"company_id": id, "email": email, "exclusive": true})),
    ] {
        let first = scene.run(kind, params.clone()).await.done();
        assert_eq!(first["skipped"], json!(false), "{kind}: {first}");
        let written = writes(&shop);
        let again = scene.run(kind, params).await.done();
        assert_eq!((again["skipped"].clone(), writes(&shop)), (json!(true), written), "{kind}");
    }
    shop.edit(|store| {
        assert_eq!(store.companies[&id].int("companyStatus"), 3);
        assert_eq!((store.terms[&id].enabled, store.terms[&id].days), (true, 45));
        let fields = store.companies[&id].data["extraFields"].to_string();
        assert!(
            fields.contains(r#""fieldValue":"gold""#) && fields.contains(r#""fieldValue":"12""#),
            "{fields}"
        );
        let reps: Vec<i64> = store.assignments.keys().filter(|(_, c)| *c == id).map(|(r, _)| *r).collect();
        assert_eq!(reps, [rep]);
    });
    let away = json!({"company_id": id, "sales_staff_id": rep, "assigned": false});
    scene.run("bigcommerce.assign_sales_staff", away).await.done();
    assert!(!shop.edit(|store| store.assignments.contains_key(&(rep, id))));
    // The store's terms count again; how many days it had is sent along, and ignored.
    let none = json!({"company_id": id, "enabled": false});
    scene.run("bigcommerce.set_payment_terms", none).await.done();
    assert!(!shop.edit(|store| store.terms[&id].enabled));
    // A wrong field is one company's error.
    let error = scene
        .run(
            "bigcommerce.update_company_extra_fields",
            json!({"company_id": id, "fields": {"Nonsense": "x"}}),
        )
        .await
        .dead();
    assert!(error.contains("Nonsense"), "{error}");
}

#[tokio::test]
async fn extra_fields_of_many_companies_go_out_in_tens() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let ids: Vec<i64> = shop.edit(|store| store.companies.keys().copied().take(20).collect());
    shop.edit(|store| {
        for field in &mut store.company_fields {
            field.required = field.name == "Industry";
        }
    });
    shop.edit(|store| {
        for id in &ids {
            store.patch_company(
                *id,
                json!({"extraFields": [{"fieldName": "Industry", "fieldValue": "tools"}]}),
            );
        }
    });
    scene
        .db
        .sql(
            "insert into tradeflow.rules (name, source, condition, fires) values ('segment', 'public.jobs', 'new.id >= 1000', 'always');
             insert into tradeflow.actions (rule, kind, target, params) values ('segment', 'bigcommerce.update_company_extra_fields', 'there',
               '{\"company_id\": \"{{ facts.id }}\", \"fields\": {\"Segment\": \"{{ facts.doc.segment }}\"}}')",
        )
        .await;
    let values: Vec<String> = ids.iter().map(|id| format!("({id}, '{{\"segment\": \"s{id}\"}}')")).collect();
    scene.db.sql(&format!("insert into jobs values {}", values.join(", "))).await;
    scene
        .db
        .until("select count(*) = 20 from tradeflow.outbox_history where rule = 'segment' and state = 'done'")
        .await;
    shop.edit(|store| {
        for id in &ids {
            let fields = store.companies[id].data["extraFields"].to_string();
            assert!(fields.contains(&format!("s{id}")) && fields.contains("tools"), "{fields}");
        }
    });
    let bulk: Vec<usize> = shop
        .requests()
        .iter()
        .filter(|r| r.path == "/api/v3/io/companies/bulk")
        .map(|r| r.json().as_array().map_or(0, Vec::len))
        .collect();
    assert!(bulk.len() < 10 && bulk.iter().all(|n| *n <= 10) && bulk.iter().sum::<usize>() == 20, "{bulk:?}");
    // Half of a batch is done, and 500 is answered: all of it is there in the end.
    shop.faults().next_of("PUT", "/api/v3/io/companies/bulk", 1, Fault::HalfApplied);
    scene.db.sql("update jobs set doc = jsonb_build_object('segment', 't' || id) where id >= 1000").await;
    scene
        .db
        .until("select count(*) = 40 from tradeflow.outbox_history where rule = 'segment' and state = 'done'")
        .await;
    shop.edit(|store| {
        for id in &ids {
            assert!(store.companies[id].data["extraFields"].to_string().contains(&format!("t{id}")));
        }
    });
}

#[tokio::test]
async fn two_who_want_an_invoice_of_one_order_get_one() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let order = order(&shop);
    let params = json!({"bc_order_id": order, "due_on": "2030-01-31"});
    let (one, two) = (
        scene.fire("bigcommerce.create_invoice_from_order", &params).await,
        scene.fire("bigcommerce.create_invoice_from_order", &params).await,
    );
    let (one, two) = (scene.end(&one).await.done(), scene.end(&two).await.done());
    assert_eq!(one["invoice_id"], two["invoice_id"]);
    assert_ne!(one["created"], two["created"]);
    let due = |shop: &BigCommerce| {
        let id = one["invoice_id"].as_i64().expect("an id");
        shop.edit(|s| (s.invoices[&id].int("dueDate") - 1_896_048_000, s.invoices[&id].int("status")))
    };
    assert_eq!(due(&shop), (0, 0), "2030-01-31");
    // One that is there is due when it is asked for too, unless it is paid.
    scene
        .run("bigcommerce.create_invoice_from_order", json!({"bc_order_id": order, "due_on": "2030-02-01"}))
        .await
        .done();
    assert_eq!(due(&shop), (86_400, 0));
    let id = one["invoice_id"].as_i64().expect("an id");
    shop.edit(|s| s.patch_invoice(id, json!({"status": 2})));
    scene
        .run("bigcommerce.create_invoice_from_order", json!({"bc_order_id": order, "due_on": "2030-03-01"}))
        .await
        .done();
    assert_eq!(due(&shop), (86_400, 2));
    // Under a number of our own: the second of the same is the first, another one is an error.
    let own = json!({"company_id": company(&shop), "number": "R-1", "amount": "400.10", "currency": "USD", "due_on": "2030-01-01"});
    shop.faults().next_of("POST", "/api/v3/io/ip/invoices", 1, Fault::Lost);
    let first = scene.run("bigcommerce.create_invoice", own.clone()).await.done();
    assert_eq!(first["created"], json!(false), "the first attempt made it");
    let mut other = own;
    other["amount"] = json!(1);
    let error = scene.run("bigcommerce.create_invoice", other).await.dead();
    assert!(error.contains("R-1 is taken by another invoice"), "{error}");
}

#[tokio::test]
async fn an_orders_status_is_set_when_it_differs() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let order = order(&shop);
    shop.edit(|store| store.patch_order(order, json!({"status_id": 11})));
    let params = json!({"bc_order_id": order, "status": "Awaiting Payment"});
    scene.run("bigcommerce.set_order_status", params.clone()).await.done();
    assert_eq!(shop.edit(|store| store.orders[&order].int("status_id")), 7);
    let written = writes(&shop);
    assert_eq!(scene.run("bigcommerce.set_order_status", params).await.done()["skipped"], json!(true));
    assert_eq!(writes(&shop), written);
    scene.run("bigcommerce.set_order_status", json!({"bc_order_id": 99999999, "status": 7})).await.dead();
    // What it is paid with, alone: the status stays.
    scene
        .run("bigcommerce.set_order_status", json!({"bc_order_id": order, "payment_method": "Bank Deposit"}))
        .await
        .done();
    let both = shop
        .edit(|s| (s.orders[&order].int("status_id"), s.orders[&order].text("payment_method").to_owned()));
    assert_eq!(both, (7, "Bank Deposit".to_owned()));
}

#[tokio::test]
async fn companies_and_users_are_made_once() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let admin = json!({"first_name": "Ada", "last_name": "Byron", "email": "Ada@new.example"});
    let params = json!({"name": "New Ltd", "admin": admin, "address": {"city": "London", "country": "GB"}});
    shop.faults().next_of("POST", "/api/v3/io/companies", 1, Fault::Lost);
    let made = scene.run("bigcommerce.create_company", params.clone()).await.done();
    assert_eq!(made["created"], json!(false), "the first attempt made it, the second found it");
    let again = scene.run("bigcommerce.create_company", params).await.done();
    assert_eq!(made["company_id"], again["company_id"]);
    let count = |shop: &BigCommerce| {
        shop.edit(|s| s.companies.values().filter(|c| c.text("companyName") == "New Ltd").count())
    };
    assert_eq!(count(&shop), 1);
    // By an extra field.
    let by = json!({"name": "Other Ltd", "extra_fields": {"Segment": "row 17"}, "match": "Segment", "address": {"country": "GB"},
        "admin": {"first_name": "Bo", "last_name": "Other", "email": "bo@other.example"}});
    let (one, two) = (
        scene.run("bigcommerce.create_company", by.clone()).await.done(),
        scene.run("bigcommerce.create_company", by).await.done(),
    );
    assert_eq!(
        (one["company_id"].clone(), one["created"].clone(), two["created"].clone()),
        (two["company_id"].clone(), json!(true), json!(false))
    );

    let user = json!({"company_id": made["company_id"], "email": "b@new.example", "first_name": "B", "last_name": "C", "role": "senior"});
    let first = scene.run("bigcommerce.create_company_user", user.clone()).await.done();
    let second = scene.run("bigcommerce.create_company_user", user.clone()).await.done();
    assert_eq!(
        (first["user_id"].clone(), second["created"].clone()),
        (second["user_id"].clone(), json!(false))
    );
    let mut elsewhere = user;
    elsewhere["company_id"] = company(&shop).into();
    let error = scene.run("bigcommerce.create_company_user", elsewhere).await.dead();
    assert!(error.contains("is a user of company"), "{error}");
    // What the store's company mode does not know is refused in its words.
    shop.edit(|store| store.company_mode = CompanyMode::Dependent);
    let grouped = json!({"name": "Grouped Ltd", "customer_group_id": 3, "address": {"country": "GB"},
        "admin": {"first_name": "G", "last_name": "R", "email": "g@grouped.example"}});
    let error = scene.run("bigcommerce.create_company", grouped).await.dead();
    assert!(error.contains("company mode"), "{error}");
    let bad =
        json!({"company_id": made["company_id"], "email": "nonsense", "first_name": "B", "last_name": "C"});
    let error = scene.run("bigcommerce.create_company_user", bad).await.dead();
    assert!(error.contains("valid email"), "{error}");
}

#[tokio::test]
async fn an_order_is_linked_to_its_quote_once() {
    let shop = BigCommerce::start();
    let scene = scene(&shop).await;
    let ((quote, created), order) = (quote(&shop), order(&shop));
    let params = json!({"quote_id": quote, "created_at": created, "bc_order_id": order});
    shop.faults().next_of("POST", &format!("/api/v3/io/rfq/{quote}/ordered"), 1, Fault::Lost);
    scene.run("bigcommerce.link_order_to_quote", params).await.done();
    assert_eq!(shop.edit(|store| store.quotes[&quote].int("status")), 4);
    let other = json!({"quote_id": quote, "created_at": created, "bc_order_id": order + 1});
    let error = scene.run("bigcommerce.link_order_to_quote", other).await.dead();
    assert!(error.contains("ordered already"), "{error}");
}
