//! The fake of BigCommerce refuses, ignores and answers as the vendor does.

use std::time::Duration;

use reqwest::Method;
use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::state::ExtraField;
use tradeflow_fakes::bigcommerce::{BigCommerce, Limits, Scope};
use tradeflow_fakes::fault::Fault;

struct Client {
    shop: BigCommerce,
    http: reqwest::Client,
}

impl Client {
    fn new() -> Client {
        let tls =
            rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .expect("TLS versions")
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
        let http =
            reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client");
        Client { shop: BigCommerce::start(), http }
    }

    fn request(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.shop.url()));
        let request =
            request.header("X-Auth-Token", self.shop.token()).header("X-Store-Hash", self.shop.store_hash());
        match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let answer = self.request(method, path, body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, None).await
    }

    async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::PUT, path, Some(body)).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::POST, path, Some(body)).await
    }
}

const B2B: &str = "/api/v3/io";
const CORE: &str = "/stores/abc123";

#[tokio::test]
async fn each_api_refuses_strangers_in_its_own_way() {
    let c = Client::new();
    c.shop.set(|settings| settings.token = "another".into());
    let request = |path: &str| c.http.get(format!("{}{path}", c.shop.url())).header("X-Auth-Token", "wrong");
    let b2b =
        request("/api/v3/io/companies").header("X-Store-Hash", "abc123").send().await.expect("an answer");
    assert_eq!(b2b.status(), 401);
    let no_hash = request("/api/v3/io/companies").send().await.expect("an answer");
    assert_eq!(no_hash.status(), 500);
    let core = request("/stores/abc123/v2/orders").send().await.expect("an answer");
    assert_eq!((core.status().as_u16(), core.text().await.expect("text").as_str()), (401, "Unauthorized"));
    assert_eq!(c.get("/stores/other/v2/orders").await.0, 403);
    c.shop.set(|settings| settings.scopes = vec![Scope::OrdersRead]);
    assert_eq!(c.get(&format!("{B2B}/companies")).await.0, 404);
    assert_eq!(c.get(&format!("{CORE}/v3/catalog/products")).await.0, 403);
    assert_eq!(c.get(&format!("{CORE}/v2/orders?limit=1")).await.0, 200);
    assert_eq!(c.put(&format!("{CORE}/v2/orders/1201"), json!({"status_id": 2})).await.0, 403);
}

#[tokio::test]
async fn lists_come_newest_first_in_pages_and_by_time() {
    let c = Client::new();
    let (_, first) = c.get(&format!("{B2B}/companies?limit=2")).await;
    assert_eq!(first["meta"]["pagination"]["totalCount"], json!(60));
    let updated = |row: &Value| row["updatedAt"].as_str().expect("a text").parse::<i64>().expect("digits");
    let (a, b) = (updated(&first["data"][0]), updated(&first["data"][1]));
    assert!(a > b && first["data"][0].get("extraFields").is_none());
    let (_, after) = c.get(&format!("{B2B}/companies?minModified={b}&isIncludeExtraFields=1")).await;
    assert_eq!(after["data"].as_array().map(Vec::len), Some(1), "the edge does not belong to it");
    assert!(after["data"][0]["extraFields"].is_array());
    assert_eq!(c.get(&format!("{B2B}/companies?limit=251")).await.0, 413);
    let (_, quotes) = c.get(&format!("{B2B}/rfq?limit=3&sortBy=updatedAt&orderBy=asc")).await;
    assert_eq!(quotes["data"]["list"].as_array().map(Vec::len), Some(3));
    assert_eq!(quotes["message"], json!("SUCCESS"));
    assert!(quotes["data"]["list"][0].get("grandTotal").is_none());
}

#[tokio::test]
async fn b2b_orders_without_a_filter_are_the_last_years() {
    let c = Client::new();
    let newest = c.shop.edit(|store| store.b2b_orders.values().map(|o| o.created).max().expect("orders"));
    c.shop.clock().set(newest + 366 * 86_400);
    assert_eq!(c.get(&format!("{B2B}/orders")).await.1["meta"]["pagination"]["totalCount"], json!(0));
    assert_eq!(
        c.get(&format!("{B2B}/orders?minModified=0")).await.1["meta"]["pagination"]["totalCount"],
        json!(520)
    );
}

#[tokio::test]
async fn core_orders_are_bare_lists_with_strings() {
    let c = Client::new();
    let path =
        format!("{CORE}/v2/orders?include=consignments.line_items&consignment_structure=object&limit=1");
    let (_, orders) = c.get(&path).await;
    assert!(orders[0]["consignments"]["shipping"][0]["line_items"].is_array());
    assert!(orders[0]["total_inc_tax"].is_string() && orders[0]["products"]["url"].is_string());
    let nothing = c
        .request(Method::GET, &format!("{CORE}/v2/orders?min_id=99999999"), None)
        .send()
        .await
        .expect("an answer");
    assert_eq!((nothing.status().as_u16(), nothing.text().await.expect("text").as_str()), (204, ""));
    // A misspelt filter returns everything.
    let (_, all) = c.get(&format!("{CORE}/v2/orders?min_modified=Wed,%2001%20Jan%202070&limit=250")).await;
    assert_eq!(all.as_array().map(Vec::len), Some(250));
    assert_eq!(c.get(&format!("{CORE}/v2/orders?min_date_modified=tomorrow")).await.0, 400);
    assert_eq!(c.put(&format!("{CORE}/v2/orders/1201"), json!({"status_id": 15})).await.0, 400);
    assert_eq!(
        c.put(&format!("{CORE}/v2/orders/1201"), json!({"status_id": 10})).await.1["status_id"],
        json!(10)
    );
}

#[tokio::test]
async fn a_quote_takes_what_it_takes() {
    let c = Client::new();
    let id = c
        .shop
        .edit(|store| *store.quotes.iter().find(|(_, q)| q.int("status") == 2).expect("one in process").0);
    let path = format!("{B2B}/rfq/{id}");
    let status = |answer: (u16, Value)| answer.0;
    assert_eq!(status(c.put(&path, json!({"notes": "hello", "allowCheckout": false})).await), 200);
    // Unknown and read-only fields: 200, and nothing changes.
    assert_eq!(status(c.put(&path, json!({"createdAt": 1, "companyId": 7, "nonsense": true})).await), 200);
    for wrong in [
        json!({"allowCheckout": "no"}),
        json!({"status": 6}),
        json!({"status": "ordered"}),
        json!({"channelId": 1}),
        json!({"expiredAt": 1_800_000_000}),
        json!({"discount": 5}),
        json!({"subtotal": 1.0, "grandTotal": 1.0}),
        json!({"userEmail": "nobody@example.com"}),
        json!({"extraFields": [{"fieldName": "Unknown", "fieldValue": "x"}]}),
    ] {
        assert_eq!(status(c.put(&path, wrong.clone()).await), 422, "{wrong}");
    }
    c.shop
        .edit(|store| store.quote_fields.push(ExtraField { required: true, ..ExtraField::text("Project") }));
    let some = json!({"extraFields": [{"fieldName": "Cost centre", "fieldValue": "1"}]});
    assert_eq!(status(c.put(&path, some).await), 422, "required extra fields must be there");
    let created = c.shop.edit(|store| store.quotes[&id].created);
    let day = tradeflow_fakes::clock::utc(created).format("%m/%d/%Y").to_string();
    let (_, quote) = c.get(&format!("{path}?date={day}")).await;
    assert_eq!((&quote["data"]["notes"], &quote["data"]["allowCheckout"]), (&json!("hello"), &json!(false)));
    assert_eq!(status(c.get(&path).await), 422, "the date is required");
    // Linked to an order it is final.
    assert_eq!(status(c.post(&format!("{path}/ordered"), json!({"orderId": 1201})).await), 422);
    assert_eq!(status(c.post(&format!("{path}/ordered"), json!({"orderId": "1201"})).await), 200);
    assert_eq!(status(c.put(&path, json!({"notes": "late"})).await), 400);
    assert_eq!(status(c.ask(Method::DELETE, &path, None).await), 400);
    let (core, b2b) = c.shop.edit(|store| {
        (store.quotes[&id].text("bcOrderId").to_owned(), store.quotes[&id].text("orderId").to_owned())
    });
    assert_eq!((core.as_str(), b2b.as_str()), ("1201", "90001"));
}

#[tokio::test]
async fn companies_users_and_staff() {
    let c = Client::new();
    let status = |answer: (u16, Value)| answer.0;
    assert_eq!(
        status(c.put(&format!("{B2B}/companies/1060/status"), json!({"companyStatus": 4})).await),
        422
    );
    assert_eq!(
        status(c.put(&format!("{B2B}/companies/1060/status"), json!({"companyStatus": 1})).await),
        200
    );
    let eleven: Vec<_> = (0..11).map(|n| json!({"companyId": 1001 + n})).collect();
    assert_eq!(status(c.put(&format!("{B2B}/companies/bulk"), json!(eleven)).await), 413);
    let segment =
        json!([{"companyId": 1001, "extraFields": [{"fieldName": "Segment", "fieldValue": "gold"}]}]);
    assert_eq!(status(c.put(&format!("{B2B}/companies/bulk"), segment).await), 200);
    let number = json!({"extraFields": [{"fieldName": "Segment", "fieldValue": 3}]});
    assert_eq!(status(c.put(&format!("{B2B}/companies/1001"), number).await), 422, "values are strings");
    let (_, found) =
        c.get(&format!("{B2B}/companies?extraFields=Segment:gold&extraFieldFilterType=exact-match")).await;
    assert_eq!(found["data"][0]["companyId"], json!(1001));
    let user = json!({"companyId": 1001, "email": "New.Buyer@example.com", "firstName": "N", "lastName": "B", "role": 1, "channelIds": [1]});
    let (code, made) = c.post(&format!("{B2B}/users"), user.clone()).await;
    assert!(code == 200 && made["data"]["userId"] != made["data"]["bcId"]);
    let (code, again) = c.post(&format!("{B2B}/users"), user).await;
    assert!(code == 422 && again["data"]["errMsg"]["email"].is_array());
    let staff = format!("{B2B}/sales-staffs/308");
    assert_eq!(status(c.put(&staff, json!({"companyId": 1001, "assignStatus": true})).await), 422);
    assert_eq!(status(c.put(&staff, json!([{"companyId": 1, "assignStatus": true}])).await), 422);
    assert_eq!(status(c.put(&staff, json!([{"companyId": 1001, "assignStatus": true}])).await), 200);
    assert_eq!(c.get(&staff).await.1["data"]["assignedCompanies"][0]["id"], json!(1001));
}

#[tokio::test]
async fn credit_terms_and_invoices() {
    let c = Client::new();
    let status = |answer: (u16, Value)| answer.0;
    let credit = format!("{B2B}/companies/1001/credit");
    assert_eq!(status(c.put(&credit, json!({})).await), 400);
    assert_eq!(status(c.put(&credit, json!({"availableCredit": "12.5"})).await), 422);
    let (_, set) = c.put(&credit, json!({"creditEnabled": true, "availableCredit": 12.50})).await;
    assert_eq!(set["data"]["availableCredit"].to_string(), "12.5");
    let terms = format!("{B2B}/companies/1001/payment-terms");
    assert_eq!(status(c.put(&terms, json!({"isEnabled": true, "paymentTerms": 31})).await), 422);
    assert_eq!(status(c.put(&terms, json!({"isEnabled": false})).await), 422, "the number is wanted too");
    assert_eq!(
        c.put(&terms, json!({"isEnabled": false, "paymentTerms": 60})).await.1["data"]["paymentTerms"],
        json!(30)
    );
    c.shop.edit(|store| store.credit_feature = false);
    assert_eq!(status(c.get(&credit).await), 400);
    // The invoice of an order is asked for by the id B2B Edition gave it.
    assert_eq!(status(c.post(&format!("{B2B}/ip/orders/1201/invoices"), json!({})).await), 404);
    let (_, made) = c.post(&format!("{B2B}/ip/orders/90001/invoices"), json!({})).await;
    let id = made["data"]["invoiceId"].as_i64().expect("an id");
    let (_, invoice) = c.get(&format!("{B2B}/ip/invoices/{id}")).await;
    assert!(invoice["data"]["openBalance"]["value"].is_string() && invoice["data"]["customerId"].is_string());
    assert_eq!(invoice["data"]["orderNumber"], json!("1201"));
    let amount = json!({"code": "USD", "value": 10.0});
    let manual = json!({"invoiceNumber": "X-1", "customerId": "1001", "originalBalance": amount, "openBalance": amount});
    assert_eq!(status(c.post(&format!("{B2B}/ip/invoices"), manual.clone()).await), 200);
    let (code, again) = c.post(&format!("{B2B}/ip/invoices"), manual).await;
    assert_eq!((code, again["code"].clone()), (200, json!(400)), "numbers are unique, and HTTP says success");
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_and_told() {
    let c = Client::new();
    c.shop.set(|settings| settings.limits = Limits { b2b: Some((2, Duration::from_secs(60))), core: None });
    let path = format!("{B2B}/companies");
    let first = c.request(Method::GET, &path, None).send().await.expect("an answer");
    assert_eq!(first.headers()["x-requests-remaining"], "1 times");
    assert!(first.headers().contains_key("x-request-window-resets-after"));
    c.get(&path).await;
    assert_eq!(c.get(&path).await.0, 429);
    assert_eq!(c.get(&format!("{CORE}/v2/time")).await.0, 200);
}

#[tokio::test]
async fn what_is_planned_to_go_wrong_goes_wrong_once() {
    let c = Client::new();
    let path = format!("{B2B}/companies?limit=5");
    c.shop.faults().next(1, Fault::Html { status: 503 });
    assert!(c.get(&path).await.1.as_str().expect("HTML").starts_with("<!DOCTYPE"));
    c.shop.faults().next(1, Fault::Truncated);
    assert!(c.get(&path).await.1.is_string(), "no JSON");
    c.shop.faults().next(1, Fault::ErrorInside { code: 404, message: "gone".into() });
    assert_eq!(c.get(&path).await.1["code"], json!(404));
    c.shop.faults().next(1, Fault::RepeatedPage);
    let (_, repeated) = c.get(&format!("{path}&offset=5")).await;
    assert_eq!(repeated["data"], c.get(&path).await.1["data"]);
    for fault in [Fault::Lost, Fault::Cut, Fault::Refused] {
        c.shop.faults().next(1, fault);
        let sent = c
            .request(Method::PUT, &format!("{B2B}/companies/1060/status"), Some(json!({"companyStatus": 1})))
            .send();
        let read = match sent.await {
            Ok(answer) => answer.text().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(read.is_err());
    }
    let two: Vec<_> = [1001, 1002].iter().map(|id| json!({"companyId": id, "companyPhone": "1"})).collect();
    c.shop.faults().next(1, Fault::HalfApplied);
    assert_eq!(c.put(&format!("{B2B}/companies/bulk"), json!(two)).await.0, 500);
    let phones =
        c.shop.edit(|store| [1001, 1002].map(|id| store.companies[&id].text("companyPhone").to_owned()));
    assert!(phones[0] == "1" && phones[1] != "1");
}

#[tokio::test]
async fn webhooks_are_registered_strictly_and_delivered_signed() {
    let c = Client::new();
    let hooks = format!("{CORE}/v3/hooks");
    let hook =
        |scope: &str, to: &str| json!({"scope": scope, "destination": to, "headers": {"X-Secret": "s"}});
    for (scope, to) in [
        ("store/company/updated", "http://shop.example/hooks"),
        ("store/company/updated", "https://shop.example:8443/hooks"),
        ("store/nothing", "https://shop.example/hooks"),
    ] {
        assert_eq!(c.post(&hooks, hook(scope, to)).await.0, 422, "{scope} {to}");
    }
    let good = hook("store/company/updated", "https://shop.example/hooks/bigcommerce");
    assert_eq!(c.post(&hooks, good.clone()).await.0, 200);
    assert_eq!(c.post(&hooks, good).await.0, 422, "the same again");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let app = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| async move {
        send.send((headers, body)).expect("the test listens");
        axum::http::StatusCode::NO_CONTENT
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    c.shop.route("shop.example", &url);
    c.shop.edit(|store| store.patch_company(1001, json!({"companyPhone": "1"})));
    let (headers, body) = receive.recv().await.expect("a delivery");
    let key = standardwebhooks::Webhook::from_bytes(c.shop.client_secret().into_bytes()).expect("a key");
    key.verify(body.as_bytes(), &headers).expect("a good signature");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["data"], json!({"company_id": 1001}));
    assert_eq!(headers["x-secret"], "s");
    // Bulk creation tells nobody.
    let mut quiet = json!([{"companyName": "Quiet Ltd", "companyEmail": "q@quiet.example", "companyPhone": "", "country": "GB",
        "adminFirstName": "Q", "adminLastName": "Uiet"}]);
    assert_eq!(
        c.post(&format!("{B2B}/companies/bulk"), quiet.clone()).await.0,
        422,
        "the admin's address is wanted too"
    );
    quiet[0]["adminEmail"] = json!("q@quiet.example");
    assert_eq!(c.post(&format!("{B2B}/companies/bulk"), quiet).await.0, 200);
    c.shop.edit(|store| store.patch_company(1002, json!({"companyPhone": "2"})));
    let (_, body) = receive.recv().await.expect("a delivery");
    assert!(body.contains("1002"));
}
