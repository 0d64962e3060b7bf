//! `tradeflow load` against a real database: what is written, what is left alone, what is said.
//!
//! These tests need schema `store` only; that the rules see the same is told in `cli.rs`.

use serde_json::{json, Value};
use tradeflow_tests::cluster::project;
use tradeflow_tests::database::Database;
use tradeflow_tests::sidecar::{Said, Tradeflow};

/// A database with the tables of schema `store`, nothing watched.
async fn store() -> Database {
    let db = Database::empty().await;
    let mut files: Vec<_> = std::fs::read_dir(project().join("sql/store"))
        .expect("the folder of the store's SQL")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| !path.ends_with("90_watch.sql"))
        .collect();
    files.sort();
    for file in files {
        db.sql(&std::fs::read_to_string(file).expect("SQL")).await;
    }
    db
}

fn load(db: &Database, name: &str, payload: &Value, flags: &[&str]) -> Said {
    let arguments = ["load", name].into_iter().chain(flags.iter().copied());
    Tradeflow::on(db, arguments).file(name, &payload.to_string()).run()
}

/// Loads and returns the counts of a kind.
fn counts(db: &Database, kind: &str, payload: &Value) -> Value {
    let said = load(db, &format!("{kind}/x.json"), payload, &["--json"]);
    said.success();
    said.json()["kinds"][kind].clone()
}

fn quote(id: i64, updated: i64, lines: Value) -> Value {
    json!({"quoteId": id, "quoteNumber": format!("QN{id}"), "status": 0, "updatedAt": updated, "grandTotal": "10.10",
        "companyInfo": {"companyId": 5, "companyName": "Acme"}, "productList": lines})
}

fn line(variant: i64, price: &str) -> Value {
    json!({"variantId": variant, "basePrice": "10.00", "offeredPrice": price, "quantity": 1, "options": []})
}

async fn versions(db: &Database) -> Vec<String> {
    db.column(
        "select quote_id || ' ' || xmin from store.quotes union all
         select line_key || ' ' || xmin from store.quote_items order by 1",
    )
    .await
}

#[tokio::test]
async fn the_order_of_lines_is_no_change_and_missing_lines_go() {
    let db = store().await;
    counts(&db, "quotes", &quote(1, 100, json!([line(7, "9.00"), line(8, "8.00"), line(7, "5.00")])));
    let keys = "select line_key || '=' || offered_price from store.quote_items order by 1";
    assert_eq!(db.column::<String>(keys).await, ["v7#2=9.0000", "v7=5.0000", "v8=8.0000"]);
    let before: String = db.one("select xmin::text from store.quotes").await;

    // Moved lines get a new place, and nothing that is watched changes.
    counts(&db, "quotes", &quote(1, 100, json!([line(7, "5.00"), line(7, "9.00"), line(8, "8.00")])));
    assert_eq!(db.column::<String>(keys).await, ["v7#2=9.0000", "v7=5.0000", "v8=8.0000"]);
    let places = "select position from store.quote_items order by line_key";
    assert_eq!(db.column::<i32>(places).await, [1, 2, 3]);

    let left = counts(&db, "quotes", &quote(1, 101, json!([line(8, "8.50")])));
    assert_eq!(db.column::<String>(keys).await, ["v8=8.5000"]);
    assert_eq!((&left["lines_deleted"], &left["lines_updated"]), (&json!(2), &json!(1)));
    assert_ne!(db.one::<String>("select xmin::text from store.quotes").await, before);

    counts(&db, "quotes", &quote(1, 102, json!([])));
    assert_eq!(db.column::<String>(keys).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_older_payload_overwrites_nothing() {
    let db = store().await;
    counts(&db, "quotes", &quote(1, 200, json!([line(7, "9.00")])));
    let before = versions(&db).await;
    let mut older = quote(1, 199, json!([line(8, "1.00")]));
    older["status"] = json!(6);
    let counted = counts(&db, "quotes", &older);
    assert_eq!((&counted["outdated"], &counted["updated"]), (&json!(1), &json!(0)));
    assert_eq!(versions(&db).await, before);
    // Two states in one file, the older one last.
    counts(&db, "quotes", &json!([quote(2, 300, json!([line(7, "3.00")])), quote(2, 299, json!([]))]));
    assert_eq!(db.one::<i64>("select count(*) from store.quote_items where quote_id = 2").await, 1);
}

#[tokio::test]
async fn a_list_leaves_alone_what_only_the_detail_knows() {
    let db = store().await;
    counts(&db, "quotes", &quote(1, 100, json!([line(7, "9.00")])));
    let list = json!({"code": 200, "message": "SUCCESS", "data": {"pagination": {}, "list": [
        {"quoteId": "1", "quoteNumber": "QN1", "status": "3", "updatedAt": "160", "company": "Acme", "salesRep": "Ada"}]}});
    counts(&db, "quotes", &list);
    let row: String = db
        .one("select concat_ws(' ', status, grand_total, company_id, sales_rep_name, raw ? 'productList', raw ? 'salesRep') from store.quotes")
        .await;
    assert_eq!(row, "3 10.1000 5 Ada t t");
    assert_eq!(db.one::<i64>("select count(*) from store.quote_items").await, 1);
    // An explicit null clears, an absent key does not.
    counts(&db, "quotes", &json!({"quoteId": 1, "quoteNumber": "QN1", "updatedAt": 161, "grandTotal": null}));
    assert_eq!(
        db.one::<String>("select concat_ws(' ', grand_total, company_id) from store.quotes").await,
        "5"
    );
}

#[tokio::test]
async fn the_same_in_another_spelling_changes_nothing() {
    let db = store().await;
    let first = json!({"companyId": 5, "companyName": "Acme", "companyStatus": "1", "bcGroupId": 12, "updatedAt": "100"});
    let other = json!({"companyId": "5", "companyName": "Acme", "companyStatus": 1, "bcGroupId": "12", "updatedAt": 100});
    counts(&db, "companies", &first);
    let before: String = db.one("select xmin::text from store.companies").await;
    for payload in [&other, &first] {
        assert_eq!(counts(&db, "companies", payload)["unchanged"], json!(1));
    }
    assert_eq!(db.one::<String>("select xmin::text from store.companies").await, before);
    // What this version does not know is kept, also when nothing else changed.
    let mut new = first.clone();
    new["creditScore"] = json!({"points": "7.50"});
    assert_eq!(counts(&db, "companies", &new)["updated"], json!(1));
    assert_eq!(db.one::<String>("select raw #>> '{creditScore,points}' from store.companies").await, "7.50");
}

#[tokio::test]
async fn triggers_see_a_whole_batch_with_rows_and_lines() {
    let db = store().await;
    db.sql(
        "create table seen (what text, n bigint, partners bigint);
         create function see_quotes() returns trigger language plpgsql as $$ begin
           insert into seen select 'quotes', count(*), (select count(*) from store.quote_items i join new_rows n using (quote_id)) from new_rows;
           return null; end $$;
         create function see_lines() returns trigger language plpgsql as $$ begin
           insert into seen select 'lines', count(*), (select count(*) from store.quotes q join new_rows n using (quote_id)) from new_rows;
           return null; end $$;
         create trigger a after insert on store.quotes referencing new table as new_rows for each statement execute function see_quotes();
         create trigger a after insert on store.quote_items referencing new table as new_rows for each statement execute function see_lines();",
    )
    .await;
    let quotes: Vec<Value> =
        (1..=120).map(|id| quote(id, 100, json!([line(7, "9.00"), line(8, "9.00")]))).collect();
    counts(&db, "quotes", &Value::Array(quotes));
    let seen: Vec<String> = db.column("select concat_ws(' ', what, n, partners) from seen order by 1").await;
    assert_eq!(seen, ["lines 240 240", "quotes 120 240"]);
}

#[tokio::test]
async fn the_two_halves_of_an_order_meet_in_any_order() {
    let core = json!({"id": 17, "customer_id": 9, "status_id": 7, "date_created": "Wed, 25 Jun 2025 05:22:10 +0000",
        "date_modified": "Wed, 25 Jun 2025 05:22:10 +0000", "date_shipped": "", "total_inc_tax": "225.0000",
        "products": [{"id": 1, "name": "A", "quantity": 2, "base_price": "1.0000"}]});
    let b2b = json!({"id": 900, "bcOrderId": "17", "companyId": "5", "statusCode": 7, "poNumber": "PO-1", "updatedAt": 1, "totalIncTax": 225.0});
    for halves in [[("orders", &core), ("b2b-orders", &b2b)], [("b2b-orders", &b2b), ("orders", &core)]] {
        let db = store().await;
        for (kind, payload) in halves {
            counts(&db, kind, payload);
        }
        for (kind, payload) in halves {
            assert_eq!(counts(&db, kind, payload)["unchanged"], json!(1), "{kind}");
        }
        let row: String = db
            .one("select concat_ws(' ', b2b_order_id, company_id, total, po_number, raw ->> 'id', b2b_raw ->> 'id', shipped_at) from store.orders")
            .await;
        assert_eq!(row, "900 5 225.0000 PO-1 17 900");
        // Fetched again without its lines, the order keeps them; with fewer lines, it loses the others.
        let mut linked = core.clone();
        linked["products"] =
            json!({"url": "https://api.example/v2/orders/17/products", "resource": "/orders/17/products"});
        counts(&db, "orders", &linked);
        assert_eq!(db.one::<i64>("select count(*) from store.order_items where bc_order_id = 17").await, 1);
        let mut emptied = core.clone();
        emptied["products"] = json!([]);
        assert_eq!(counts(&db, "orders", &emptied)["lines_deleted"], json!(1));
    }
}

#[tokio::test]
async fn a_rep_loses_the_companies_no_longer_named() {
    let db = store().await;
    let rep = |companies: Value| json!({"code": 200, "data": {"id": 3, "email": "r@example.com", "name": "Ada", "assignedCompanies": companies}});
    counts(
        &db,
        "sales-staff",
        &rep(json!([{"id": 1, "assignedAt": 1721835018}, {"id": "2", "assignedAt": "1721835018"}])),
    );
    counts(
        &db,
        "sales-staff",
        &json!({"code": 200, "data": [{"id": 3, "email": "r@example.com", "salesRepName": "Ada", "companyCount": 2}]}),
    );
    let pairs = "select company_id from store.company_sales_staff order by 1";
    assert_eq!(db.column::<i64>(pairs).await, [1, 2]);
    counts(&db, "sales-staff", &rep(json!([{"id": 2, "assignedAt": 1721835018}])));
    assert_eq!(db.column::<i64>(pairs).await, [2]);
}

#[tokio::test]
async fn a_dry_run_counts_and_writes_nothing() {
    let db = store().await;
    let payload =
        json!([quote(1, 100, json!([line(7, "9.00")])), quote(1, 101, json!([])), quote(2, 100, json!([]))]);
    let said = load(&db, "quotes/x.json", &payload, &["--dry-run", "--json"]);
    said.success();
    let counted = &said.json()["kinds"]["quotes"];
    assert_eq!(
        (&counted["inserted"], &counted["updated"], &counted["lines_deleted"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(db.one::<i64>("select count(*) from store.quotes").await, 0);
}

#[tokio::test]
async fn strict_loads_nothing_of_a_file_with_a_bad_payload() {
    let db = store().await;
    let payload = json!([quote(1, 100, json!([])), {"quoteNumber": "QN2"}]);
    let said = load(&db, "quotes/x.json", &payload, &["--strict"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("/1/quoteId") && said.stdout.contains("held back 1"), "{said:?}");
    assert_eq!(db.one::<i64>("select count(*) from store.quotes").await, 0);
    assert_eq!(load(&db, "quotes/x.json", &payload, &[]).code, 1);
    assert_eq!(db.one::<i64>("select count(*) from store.quotes").await, 1);
}

#[tokio::test]
async fn what_the_database_refuses_costs_one_payload() {
    let db = store().await;
    db.sql("alter table store.quotes add constraint no_17 check (quote_id <> 17)").await;
    let quotes: Vec<Value> = (1..=40).map(|id| quote(id, 100, json!([line(id, "9.00")]))).collect();
    let said = load(&db, "quotes/x.json", &Value::Array(quotes), &[]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("/16") && said.stderr.contains("no_17"), "{}", said.stderr);
    assert_eq!(db.one::<i64>("select count(*) from store.quotes").await, 39);
    assert_eq!(db.one::<i64>("select count(*) from store.quote_items").await, 39);
    // What no Postgres can store is found before.
    let said = load(&db, "quotes/y.json", &json!({"quoteId": 50, "quoteNumber": "a\u{0}b"}), &[]);
    assert!(said.stderr.contains("/quoteNumber") && said.stderr.contains("U+0000"), "{}", said.stderr);
}

#[tokio::test]
async fn two_loads_at_once_lose_nothing() {
    let db = store().await;
    // The first load inserts a quote and is not done yet when the second brings another payload of it.
    db.sql(
        "create function dawdle() returns trigger language plpgsql as 'begin perform pg_sleep(1.5); return null; end';
         create trigger a after insert on store.quotes for each statement execute function dawdle()",
    )
    .await;
    let run = |payload: Value| {
        let url = db.url();
        std::thread::spawn(move || {
            Tradeflow::new(["load", "quotes/x.json"])
                .env("TRADEFLOW_DATABASE_URL", &url)
                .file("quotes/x.json", &payload.to_string())
                .run()
        })
    };
    let first = run(quote(1, 100, json!([line(7, "9.00")])));
    db.until("select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep')")
        .await;
    let second =
        run(json!({"quoteId": 1, "quoteNumber": "QN1", "status": 0, "updatedAt": 100, "salesRep": "Ada"}));
    for load in [first, second] {
        load.join().expect("a thread").success();
    }
    let whole = "select concat_ws(' ', grand_total, sales_rep_name, raw ? 'productList') from store.quotes";
    assert_eq!(db.one::<String>(whole).await, "10.1000 Ada t");
}

#[tokio::test]
async fn loads_that_meet_in_opposite_order_both_end() {
    let db = store().await;
    let details: Vec<Value> = (1..=400).map(|id| quote(id, 100, json!([line(7, "9.00")]))).collect();
    let backwards: Vec<Value> = details.iter().rev().cloned().collect();
    let loads = [json!(details), json!(backwards), json!(details)].map(|payload| {
        let url = db.url();
        std::thread::spawn(move || {
            Tradeflow::new(["load", "quotes/x.json", "--batch-size", "20"])
                .env("TRADEFLOW_DATABASE_URL", &url)
                .file("quotes/x.json", &payload.to_string())
                .run()
        })
    });
    for load in loads {
        load.join().expect("a thread").success();
    }
    assert_eq!(db.one::<i64>("select count(*) from store.quotes").await, 400);
    assert_eq!(db.one::<i64>("select count(*) from store.quote_items").await, 400);
}

#[tokio::test]
async fn a_member_of_tradeflow_sync_may_load_and_others_are_told_so() {
    let db = store().await;
    let (member, other) = (db.role(&["tradeflow_sync"]).await, db.role(&[]).await);
    let run = |role: &str| {
        Tradeflow::new(["load", "quotes/1.json"])
            .env("TRADEFLOW_DATABASE_URL", &db.url_as(role, role))
            .file("quotes/1.json", &quote(1, 100, json!([line(7, "9.00")])).to_string())
            .run()
    };
    run(&member).success();
    let said = run(&other);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("tradeflow_sync"), "{}", said.stderr);
}

#[tokio::test]
async fn mistakes_are_explained() {
    let db = store().await;
    let cases: [(&str, &str, &[&str], &[&str]); 6] = [
        ("x/y.json", r#"{"hello": 1}"#, &[], &["kinds companies", "--kind"]),
        ("x/y.json", r#"{"hello": 1}"#, &["--kind", "orders"], &["/id", "no such key", "(orders)"]),
        ("quotes/y.json", "{\"quoteId\": 1,\n oops}", &[], &["line 2"]),
        ("quotes/y.ndjson", "{\"quoteId\": 1}\n{\"quoteId\": \"x\"}\n", &[], &["y.ndjson:2 ", "/quoteId"]),
        (
            "quotes/y.json",
            r#"{"code": 404, "data": {"errMsg": "Quote gone"}, "meta": {"message": "x"}}"#,
            &[],
            &["404", "Quote gone"],
        ),
        (
            "orders/y.json",
            r#"{"id": 1, "status_id": 1, "date_created": "soon", "products": [{"id": 1, "quantity": 1.5}]}"#,
            &[],
            &["/date_created", "RFC 2822", "/products/0/quantity", "whole number"],
        ),
    ];
    for (name, text, flags, words) in cases {
        let arguments = ["load", name].into_iter().chain(flags.iter().copied());
        let said = Tradeflow::on(&db, arguments).file(name, text).run();
        assert_eq!(said.code, 1, "{text}");
        for word in words {
            assert!(said.stderr.contains(word), "\"{word}\" is missing in:\n{}", said.stderr);
        }
    }
    let said = Tradeflow::on(&db, ["load", "nowhere"]).run();
    assert!(said.code == 1 && said.stderr.contains("nowhere"), "{}", said.stderr);
    let empty = Database::empty().await;
    let said = load(&empty, "quotes/1.json", &quote(1, 1, json!([])), &[]);
    assert!(said.code == 1 && said.stderr.contains("tradeflow init"), "{}", said.stderr);
}
