//! SIGKILL after the vendor has done what was asked, before the sidecar hears of it or before the database does: every kind of
//! every vendor ends well, and its effect is there once.

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::state::{Credit, Terms};
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_fakes::fault::{Fault, Faults};
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;
use tradeflow_fakes::request::Request;
use tradeflow_tests::eventually::eventually;

use super::scene::{End, Scene};

/// When the sidecar dies. (Before it sends, nothing has happened: `crash.rs` and `executor::leases` have that for all kinds at once.)
#[derive(Clone, Copy, PartialEq)]
enum Point {
    /// It was done, and the answer is on its way.
    BeforeTheAnswer,
    /// The answer came, and the database is being told.
    BeforeTheCompletion,
}

/// While somebody has this lock, no completion is taken.
const HOLD_COMPLETIONS: &str = "
    create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(4711); return new; end $$;
    create trigger hold before insert on tradeflow.outbox_history for each row execute function hold()";

/// An action, and the request by which it takes effect.
struct Case {
    kind: &'static str,
    params: Value,
    method: &'static str,
    path: String,
}

fn case(kind: &'static str, params: Value, method: &'static str, path: impl Into<String>) -> Case {
    Case { kind, params, method, path: path.into() }
}

/// Fires all of them, kills the sidecar once the vendor has done all of them, and lets another end what it finds.
async fn killed(
    scene: &mut Scene,
    secret: &str,
    faults: &Faults,
    requests: impl Fn() -> Vec<Request>,
    cases: &[Case],
    point: Point,
) -> Vec<End> {
    let kinds = "select name from tradeflow.action_kinds where system = (select system from tradeflow.targets) order by 1";
    let mut covered: Vec<&str> = cases.iter().map(|case| case.kind).collect();
    covered.sort_unstable();
    assert_eq!(scene.db.column::<String>(kinds).await, covered, "each kind of the system is killed");
    let holder = scene.db.connect().await;
    if point == Point::BeforeTheCompletion {
        scene.db.sql(HOLD_COMPLETIONS).await;
        holder.batch_execute("select pg_advisory_lock(4711)").await.expect("nobody has it");
    }
    let mut rules = Vec::new();
    for Case { kind, params, method, path } in cases {
        if point == Point::BeforeTheAnswer {
            // Done at once; the answer comes long after the sidecar is gone.
            faults.next_of(method, path, 1, Fault::Slow { seconds: 60.0 });
        }
        rules.push(scene.fire(kind, params).await);
    }
    for Case { kind, method, path, .. } in cases {
        eventually(&format!("{kind} to be done"), || async {
            requests().iter().any(|request| request.is(method, path)).then_some(())
        })
        .await;
    }
    let completing =
        "select pid from pg_stat_activity where wait_event = 'advisory' and datname = current_database()";
    if point == Point::BeforeTheCompletion {
        scene.db.until(&format!("select exists ({completing})")).await;
    }
    scene.kill_and_restart(secret);
    if point == Point::BeforeTheCompletion {
        // What the dead one was saying must not come through later.
        scene.db.sql(&format!("select pg_terminate_backend(pid) from ({completing}) x")).await;
        holder.batch_execute("select pg_advisory_unlock(4711)").await.expect("it was ours");
    }
    let mut ends = Vec::new();
    for (rule, case) in rules.iter().zip(cases) {
        let end = scene.end(rule).await;
        assert!(end.state == "done" && end.attempt >= 2, "{}: {end:?}", case.kind);
        ends.push(end);
    }
    let incidents: Vec<String> = scene.db.column("select message from tradeflow.incidents").await;
    assert_eq!(incidents, Vec::<String>::new());
    ends
}

/// How many of these requests were done. The one whose answer nobody waited for has no status.
fn done(requests: &[Request], case: &Case) -> usize {
    let of_case = |request: &&Request| request.is(case.method, &case.path);
    requests.iter().filter(of_case).filter(|request| request.status < 300).count()
}

#[tokio::test]
async fn what_a_store_was_told_is_told_once() {
    store(Point::BeforeTheAnswer).await;
}

#[tokio::test]
async fn what_a_store_answered_is_told_once() {
    store(Point::BeforeTheCompletion).await;
}

async fn store(point: Point) {
    let shop = BigCommerce::start();
    let base_url = format!("{}/stores/{}", shop.url(), shop.store_hash());
    let mut scene = Scene::new("bigcommerce", base_url, &shop.token()).await;
    // Each action has a thing of its own.
    let (companies, quotes, orders, rep) = shop.edit(|store| {
        let companies: Vec<i64> = store.companies.keys().copied().take(7).collect();
        let open = store.quotes.iter().filter(|(_, quote)| quote.int("status") == 0);
        let quotes: Vec<(i64, String)> = open
            .map(|(id, quote)| {
                (*id, chrono::DateTime::from_timestamp(quote.created, 0).expect("a time").to_rfc3339())
            })
            .take(2)
            .collect();
        let invoiced: Vec<String> =
            store.invoices.values().map(|invoice| invoice.text("orderNumber").to_owned()).collect();
        let views = store.b2b_orders.iter().filter(|(_, view)| view.int("companyId") > 0);
        let orders: Vec<i64> =
            views.map(|(id, _)| *id).filter(|id| !invoiced.contains(&id.to_string())).take(3).collect();
        let free = |rep: &&i64| !store.assignments.contains_key(&(**rep, companies[3]));
        let rep = *store.staff.keys().find(free).expect("a rep who does not have this company");
        store.patch_order(orders[0], json!({"status_id": 11}));
        let credit = Credit {
            enabled: true,
            currency: "USD".into(),
            available: 100.into(),
            limit_purchases: false,
            hold: false,
        };
        store.credit.insert(companies[4], credit);
        store.terms.insert(companies[1], Terms { enabled: true, days: 15 });
        (companies, quotes, orders, rep)
    });
    let b2b = |path: String| format!("/api/v3/io/{path}");
    let company = |n: usize| companies[n];
    let (changed, ordered) = (&quotes[0], &quotes[1]);
    let cases = [
        case(
            "bigcommerce.add_company_credit",
            json!({"company_id": company(4), "amount": 7}),
            "PUT",
            b2b(format!("companies/{}/credit", company(4))),
        ),
        case(
            "bigcommerce.assign_sales_staff",
            json!({"company_id": company(3), "sales_staff_id": rep}),
            "PUT",
            b2b(format!("sales-staffs/{rep}")),
        ),
        case(
            "bigcommerce.create_company",
            json!({"name": "Killed Ltd", "admin": {"first_name": "K", "last_name": "L", "email": "k@killed.example"}, "address": {"country": "GB"}}),
            "POST",
            b2b("companies".into()),
        ),
        case(
            "bigcommerce.create_company_user",
            json!({"company_id": company(6), "email": "u@killed.example", "first_name": "U", "last_name": "V"}),
            "POST",
            b2b("users".into()),
        ),
        case(
            "bigcommerce.create_invoice",
            json!({"company_id": company(5), "number": "K-1", "amount": "400.10", "currency": "USD", "due_on": "2030-01-01"}),
            "POST",
            b2b("ip/invoices".into()),
        ),
        case(
            "bigcommerce.create_invoice_from_order",
            json!({"bc_order_id": orders[1]}),
            "POST",
            b2b("ip/orders/*".into()),
        ),
        case(
            "bigcommerce.link_order_to_quote",
            json!({"quote_id": ordered.0, "created_at": ordered.1, "bc_order_id": orders[2]}),
            "POST",
            b2b(format!("rfq/{}/ordered", ordered.0)),
        ),
        case(
            "bigcommerce.set_company_status",
            json!({"company_id": company(0), "status": "inactive"}),
            "PUT",
            b2b(format!("companies/{}/status", company(0))),
        ),
        case(
            "bigcommerce.set_order_status",
            json!({"bc_order_id": orders[0], "status": 7}),
            "PUT",
            format!("/stores/{}/v2/orders/{}", shop.store_hash(), orders[0]),
        ),
        case(
            "bigcommerce.set_payment_terms",
            json!({"company_id": company(1), "days": 45}),
            "PUT",
            b2b(format!("companies/{}/payment-terms", company(1))),
        ),
        case(
            "bigcommerce.update_company_extra_fields",
            json!({"company_id": company(2), "fields": {"Segment": "gold"}}),
            "PUT",
            b2b("companies/bulk".into()),
        ),
        case(
            "bigcommerce.update_quote",
            json!({"quote_id": changed.0, "created_at": changed.1, "notes": "Too cheap"}),
            "PUT",
            b2b(format!("rfq/{}", changed.0)),
        ),
    ];
    let ends = killed(&mut scene, &shop.token(), shop.faults(), || shop.requests(), &cases, point).await;
    let requests = shop.requests();
    for case in &cases {
        // The refusal of a number that is taken comes with HTTP 200.
        let told = 1 + usize::from(case.kind == "bigcommerce.create_invoice");
        assert_eq!(done(&requests, case), told, "{} was done once", case.kind);
    }
    // What is made tells that it was there already.
    for (end, case) in ends.iter().zip(&cases).filter(|(_, case)| case.kind.contains(".create_")) {
        assert_eq!(end.result["created"], json!(false), "{}: {end:?}", case.kind);
    }
    shop.edit(|store| {
        assert_eq!(store.credit[&company(4)].available, 107.into());
        assert!(store.assignments.contains_key(&(rep, company(3))));
        let made = |name: &str| store.companies.values().filter(|c| c.text("companyName") == name).count();
        assert_eq!(made("Killed Ltd"), 1);
        assert_eq!(store.users.values().filter(|user| user.text("email") == "u@killed.example").count(), 1);
        let of_order =
            |n: i64| store.invoices.values().filter(|i| i.text("orderNumber") == n.to_string()).count();
        assert_eq!(of_order(orders[1]), 1);
        assert_eq!(store.invoices.values().filter(|i| i.text("invoiceNumber") == "K-1").count(), 1);
        assert_eq!(store.companies[&company(0)].int("companyStatus"), 3);
        assert_eq!((store.terms[&company(1)].enabled, store.terms[&company(1)].days), (true, 45));
        assert!(store.companies[&company(2)].data["extraFields"].to_string().contains("gold"));
        assert_eq!(store.orders[&orders[0]].int("status_id"), 7);
        assert_eq!(store.quotes[&changed.0].text("notes"), "Too cheap");
        assert_eq!(store.quotes[&ordered.0].int("status"), 4);
    });
    let links = "select count(*) from tradeflow.links where object = 'invoice'";
    assert_eq!(scene.db.one::<i64>(links).await, 2);
}

#[tokio::test]
async fn what_a_crm_was_told_is_one_record() {
    crm(Point::BeforeTheAnswer).await;
}

#[tokio::test]
async fn what_a_crm_answered_is_one_record() {
    crm(Point::BeforeTheCompletion).await;
}

async fn crm(point: Point) {
    let crm = HubSpot::start();
    let mut scene = Scene::new("hubspot", crm.url(), &crm.token()).await;
    let company = json!({"key": 5, "properties": {"name": "Five"}});
    scene.run("hubspot.upsert_company", company).await.done();
    let upsert = |object: &str| format!("/crm/objects/2026-09/{object}/batch/upsert");
    let cases = [
        case(
            "hubspot.set_owner",
            json!({"object": "companies", "key": 5, "owner_email": "ben@example.com"}),
            "PATCH",
            "/crm/objects/2026-09/companies/5",
        ),
        case(
            "hubspot.upsert_company",
            json!({"key": 6, "properties": {"name": "Six"}}),
            "POST",
            upsert("companies"),
        ),
        case(
            "hubspot.upsert_contact",
            json!({"key": 7, "properties": {"email": "a@example.com", "firstname": "A"}}),
            "POST",
            upsert("contacts"),
        ),
        case(
            "hubspot.upsert_deal",
            json!({"key": 17, "properties": {"dealname": "QN17", "amount": "10.10"}, "stage": "Quote sent"}),
            "POST",
            upsert("deals"),
        ),
    ];
    // The company made above is a request to the same path.
    let before = crm.requests().len();
    let since = || crm.requests().split_off(before);
    killed(&mut scene, &crm.token(), crm.faults(), since, &cases, point).await;
    assert_eq!(done(&since(), &cases[0]), 1, "the owner was found set");
    crm.edit(|state| {
        for (object, count) in [("companies", 2), ("contacts", 1), ("deals", 1)] {
            assert_eq!(state.all(object).len(), count, "{object}");
        }
        let (_, company) = state.find("companies", "bc_company_id", "5").expect("it is there");
        assert_eq!(company.properties["hubspot_owner_id"], "70002");
        let (_, deal) = state.find("deals", "bc_quote_id", "17").expect("it is there");
        assert_eq!(deal.properties["amount"], "10.10");
    });
}

#[tokio::test]
async fn what_a_sheet_was_told_is_there_once() {
    sheet(Point::BeforeTheAnswer).await;
}

#[tokio::test]
async fn what_a_sheet_answered_is_there_once() {
    sheet(Point::BeforeTheCompletion).await;
}

async fn sheet(point: Point) {
    let google = Google::start();
    let rows = json!([["Quote", "Total"], ["A", 1], ["B", 2]]);
    for spreadsheet in ["added", "shrunk", "told"] {
        google.spreadsheet(spreadsheet, "Quotes", rows.clone());
    }
    let mut scene = Scene::new("google", google.url(), &google.key_file()).await;
    let change = |spreadsheet: &str| format!("/v4/spreadsheets/{spreadsheet}:batchUpdate");
    let cases = [
        case(
            "sheets.delete_rows",
            json!({"spreadsheet": "shrunk", "sheet": "Quotes", "where": {"Quote": "A"}}),
            "POST",
            change("shrunk"),
        ),
        case(
            "sheets.upsert_rows",
            json!({"spreadsheet": "added", "sheet": "Quotes", "key": "Quote", "rows": {"Quote": "C", "Total": 3}}),
            "POST",
            change("added"),
        ),
        case(
            "sheets.write_back",
            json!({"spreadsheet": "told", "sheet": "Quotes", "key": "Quote", "value": "B", "set": {"Total": 5}}),
            "POST",
            change("told"),
        ),
    ];
    killed(&mut scene, &google.key_file(), google.faults(), || google.requests(), &cases, point).await;
    let requests = google.requests();
    for case in &cases {
        assert_eq!(done(&requests, case), 1, "{} was done once", case.kind);
    }
    for (spreadsheet, cells) in [
        ("shrunk", json!([["Quote", "Total"], ["B", 2]])),
        ("added", json!([["Quote", "Total"], ["A", 1], ["B", 2], ["C", 3]])),
        ("told", json!([["Quote", "Total"], ["A", 1], ["B", 5]])),
    ] {
        assert_eq!(json!(google.cells(spreadsheet, "Quotes")), cells, "{spreadsheet}");
    }
}
