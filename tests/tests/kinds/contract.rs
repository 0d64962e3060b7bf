//! Every call of the kinds against the vendors' own specifications, by way of prism.
//!
//! The specifications are public but not ours to keep: `TRADEFLOW_VENDOR_SPECS` names a folder with clones of
//! `github.com/bigcommerce/docs` as `bigcommerce` and of `github.com/HubSpot/HubSpot-public-api-spec-collection` as `hubspot`.
//! Without it these tests say loudly that they check nothing. They need node.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_fakes::hubspot::HubSpot;
use tradeflow_tests::process::Process;

use super::scene::Scene;

/// The clone of a vendor's specifications; none, loudly, when there is none.
fn specs(vendor: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TRADEFLOW_VENDOR_SPECS").map(|dir| PathBuf::from(dir).join(vendor));
    let found = folder.filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: the contract with {vendor} is NOT checked: set TRADEFLOW_VENDOR_SPECS to a folder with a clone of its specifications");
    }
    found
}

/// The file below a folder whose path ends so.
fn file(folder: &Path, ending: &str) -> PathBuf {
    let mut open = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder is readable").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true if !path.ends_with(".git") => open.push(path),
                true => {}
                false if path.to_string_lossy().ends_with(ending) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found.into_iter().next().unwrap_or_else(|| panic!("{} has no …{ending}", folder.display()))
}

/// The proxies in front of a vendor.
struct Contract {
    process: Process,
    address: String,
}

impl Contract {
    fn start(routes: Vec<Value>) -> Contract {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kinds/contract.mjs");
        let mut command = Command::new("node");
        command.arg(script).arg(json!(routes).to_string());
        let mut process = Process::start("contract", &command);
        // Reading a specification takes prism seconds, on a busy machine many: longer than tests wait for anything else.
        let began = std::time::Instant::now();
        while !process.output().contains("listening ") && process.is_running() {
            assert!(began.elapsed().as_secs() < 300, "prism does not begin: {}", process.output());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        let port = process.wait_for("the proxies", |line| line.strip_prefix("listening ").map(str::to_owned));
        Contract { process, address: format!("http://127.0.0.1:{port}") }
    }

    /// Requests that the specification does not allow, but for those known to be its own mistakes.
    fn violations(&self, known: &[(&str, &str, &str)]) -> (usize, Vec<String>) {
        let output = self.process.output();
        let requests: Vec<Value> =
            output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let mut wrong = Vec::new();
        for request in &requests {
            let (method, url) =
                (request["method"].as_str().unwrap_or_default(), request["url"].as_str().unwrap_or_default());
            for violation in request["violations"].as_array().into_iter().flatten() {
                let text = format!("{} at {}", violation["message"], violation["location"]);
                let excused = known
                    .iter()
                    .any(|(m, part, what)| *m == method && url.contains(part) && text.contains(what));
                if !excused {
                    wrong.push(format!("{method} {url}: {text}"));
                }
            }
        }
        wrong.sort();
        wrong.dedup();
        (requests.len(), wrong)
    }
}

impl Drop for Contract {
    /// Asked to end, and not killed: it ends the proxies, which would outlive it.
    fn drop(&mut self) {
        if self.process.is_running() {
            self.process.signal("TERM");
            self.process.wait(std::time::Duration::from_secs(10));
        }
    }
}

#[tokio::test]
async fn bigcommerce_is_called_as_its_specification_says() {
    let Some(specs) = specs("bigcommerce") else { return };
    let shop = BigCommerce::start();
    let b2b = |prefix: &str, spec: &str| {
        json!({"prefix": format!("/api/v3/io{prefix}"), "strip": "/api/v3/io",
        "spec": file(&specs, &format!("b2b-edition/specs/api-v3/{spec}.yaml")), "root": specs, "upstream": format!("{}/api/v3/io", shop.url())})
    };
    let mut routes = vec![
        b2b("/companies", "company/company"),
        b2b("/rfq", "quote/quote"),
        b2b("/users", "user/user"),
        b2b("/sales-staffs", "sales_staff/sales_staff"),
        b2b("/orders", "order/order"),
    ];
    let company = shop.edit(|store| *store.companies.keys().next().expect("there is one"));
    for part in ["credit", "payment-terms"] {
        routes.push(b2b(&format!("/companies/{company}/{part}"), "payment/payment"));
    }
    routes.push(json!({"prefix": "/api/v3/io/ip", "strip": "/api/v3/io/ip", "root": specs, "upstream": format!("{}/api/v3/io/ip", shop.url()),
        "spec": file(&specs, "api-v3/invoice_management/invoice/invoice.yaml")}));
    let v2 = format!("/stores/{}/v2", shop.store_hash());
    routes.push(json!({"prefix": v2, "strip": v2, "spec": file(&specs, "orders.v2.oas2.yml"), "root": specs, "upstream": format!("{}{v2}", shop.url())}));
    let contract = Contract::start(routes);
    let scene = Scene::new(
        "bigcommerce",
        format!("{}/stores/{}", contract.address, shop.store_hash()),
        &shop.token(),
    )
    .await;

    let (quote, created) = shop.edit(|store| {
        let (id, quote) = store.quotes.iter().find(|(_, q)| q.int("status") == 0).expect("there is one");
        (*id, chrono::DateTime::from_timestamp(quote.created, 0).expect("a time").to_rfc3339())
    });
    let order = shop.edit(|store| {
        let invoiced: Vec<String> =
            store.invoices.values().map(|i| i.text("orderNumber").to_owned()).collect();
        *store
            .b2b_orders
            .iter()
            .find(|(id, v)| v.int("companyId") > 0 && !invoiced.contains(&id.to_string()))
            .expect("there is one")
            .0
    });
    let rep = shop.edit(|store| *store.staff.keys().next().expect("there is one"));
    shop.edit(|store| store.patch_order(order, json!({"status_id": 11})));
    for (kind, params) in [
        ("set_company_status", json!({"company_id": company, "status": "inactive"})),
        ("set_payment_terms", json!({"company_id": company, "days": 45})),
        ("set_payment_terms", json!({"company_id": company, "enabled": false})),
        ("update_company_extra_fields", json!({"company_id": company, "fields": {"Segment": "gold"}})),
        ("assign_sales_staff", json!({"company_id": company, "sales_staff_id": rep, "exclusive": true})),
        ("add_company_credit", json!({"company_id": company, "amount": "7.50", "enable": true})),
        (
            "update_quote",
            json!({"quote_id": quote, "created_at": created, "notes": "n", "message": "m", "allow_checkout": false, "expires_on": "2030-12-24"}),
        ),
        (
            "update_quote",
            json!({"quote_id": quote, "created_at": created, "legal_terms": "l", "title": "t", "reference_number": "r", "display_discount": true,
                "extra_fields": {"Cost centre": 7}}),
        ),
        ("create_invoice_from_order", json!({"bc_order_id": order})),
        ("create_invoice_from_order", json!({"bc_order_id": order, "due_on": "2030-01-31"})),
        (
            "create_invoice",
            json!({"company_id": company, "number": "R-1", "amount": "400.10", "currency": "USD", "due_on": "2030-01-01"}),
        ),
        (
            "create_invoice",
            json!({"company_id": company, "amount": "1", "currency": "USD", "order_number": 17, "purchase_order_number": "PO-1", "external_id": 5, "pdf_url": "https://example.com/r.pdf"}),
        ),
        ("set_order_status", json!({"bc_order_id": order, "status": 7})),
        ("set_order_status", json!({"bc_order_id": order, "payment_method": "Bank Deposit"})),
        ("link_order_to_quote", json!({"quote_id": quote, "created_at": created, "bc_order_id": order})),
        (
            "create_company",
            json!({"name": "New", "admin": {"first_name": "A", "last_name": "B", "email": "a@new.example"}, "address": {"city": "London", "country": "GB"}}),
        ),
        (
            "create_company_user",
            json!({"company_id": company, "email": "b@new.example", "first_name": "B", "last_name": "C"}),
        ),
        // As much as there is to say.
        (
            "create_company",
            json!({"name": "Newer", "email": "o@newer.example", "phone": 15550101, "customer_group_id": 0, "channel_ids": [1], "send_mail": true,
                "extra_fields": {"Segment": "gold"}, "match": "Segment",
                "admin": {"first_name": "A", "last_name": "B", "email": "a@newer.example", "phone": "1"},
                "address": {"line1": "1 Main Street", "line2": "Floor 2", "city": "Austin", "state": "Texas", "zip": 78704, "country": "United States"}}),
        ),
        (
            "create_company_user",
            json!({"company_id": company, "email": "c@new.example", "first_name": "B", "last_name": "C", "phone": "1", "company_role_id": 2, "channel_ids": [1], "send_mail": true}),
        ),
    ] {
        scene.run(&format!("bigcommerce.{kind}"), params).await.done();
    }
    // What the specification itself has wrong, or contradicts in its prose.
    let known = [
        // The body is typed as an object; the prose, and the limit of ten, say a list.
        ("PUT", "/companies/bulk", "object"),
        // The invoices' file still names the deprecated authToken, which must not be combined with X-Store-Hash.
        ("GET", "/ip/invoices", "Invalid security scheme"),
        ("POST", "/ip/invoices", "Invalid security scheme"),
        ("PUT", "/ip/invoices", "Invalid security scheme"),
        ("POST", "/ip/orders/", "Invalid security scheme"),
        // It describes no body; an empty object is what the prose shows.
        ("POST", "/ip/orders/", "No supported content types"),
    ];
    let (requests, wrong) = contract.violations(&known);
    println!("{requests} requests");
    assert!(requests >= 30, "{requests} requests came through");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn hubspot_is_called_as_its_specification_says() {
    let Some(specs) = specs("hubspot") else { return };
    let crm = HubSpot::start();
    let route = |prefix: &str, spec: &str| json!({"prefix": prefix, "strip": "", "spec": file(&specs, spec), "upstream": crm.url()});
    let mut associations = route("/crm/objects/", "2026-09/associations.json");
    associations["contains"] = json!("/associations/");
    let contract = Contract::start(vec![
        associations,
        route("/crm/objects/", "2026-09/objects.json"),
        route("/crm/owners/", "2026-09/crmOwners.json"),
        route("/crm/pipelines/", "2026-09/pipelines.json"),
        route("/crm/properties/", "2026-09/properties.json"),
    ]);
    let scene = Scene::new("hubspot", contract.address.clone(), &crm.token()).await;
    for (kind, params) in [
        ("upsert_company", json!({"key": 1060, "properties": {"name": "Acme"}})),
        (
            "upsert_contact",
            json!({"key": 7, "properties": {"email": "a@example.com"}, "associate": [{"to": "companies", "key": 1060}]}),
        ),
        (
            "upsert_deal",
            json!({"key": 17, "properties": {"dealname": "QN17", "amount": "10.10"}, "stage": "Quote sent", "forward_only": true, "owner_email": "anna@example.com",
                "associate": [{"to": "contacts", "key": 7}, {"to": "companies", "key": 1060}]}),
        ),
        // Made by people before: read by its address, and searched for by its name.
        ("upsert_contact", json!({"key": 8, "match": "email", "properties": {"email": "b@example.com"}})),
        ("upsert_company", json!({"key": 1061, "match": "name", "properties": {"name": "Bolt"}})),
        ("set_owner", json!({"object": "companies", "key": 1060, "owner_email": "ben@example.com"})),
    ] {
        scene.run(&format!("hubspot.{kind}"), params).await.done();
    }
    let (requests, wrong) = contract.violations(&[]);
    println!("{requests} requests");
    assert!(requests >= 10, "{requests} requests came through");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
