//! What plan says, and that it does nothing.

use tradeflow_tests::project::Shop;

/// The lines of the changes of a plan in JSON: `what kind name`.
fn changes(plan: &serde_json::Value) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let all = plan["changes"].as_array().expect("changes are a list");
    all.iter().map(|c| format!("{} {} {}", text(&c["what"]), text(&c["kind"]), text(&c["name"]))).collect()
}

#[tokio::test]
async fn a_new_project_is_planned_applied_and_then_there_is_nothing_to_do() {
    let shop = Shop::with(["quote_expiry_reminder", "welcome_company_user"]).await;
    let plan = shop.run(["plan"]);
    assert_eq!(plan.code, 3, "{}{}", plan.stdout, plan.stderr);
    assert!(
        plan.stdout.contains(
            "+ rule quote_expiry_reminder: source \"store.quotes\"   rules/quote_expiry_reminder.sql"
        ),
        "{}",
        plan.stdout
    );
    assert!(plan.stdout.contains("+ view company_user_welcomes"), "{}", plan.stdout);
    assert_eq!(shop.db.one::<i64>("select count(*) from tradeflow.rules").await, 0, "a plan keeps nothing");
    assert!(!shop.db.one::<bool>("select to_regnamespace('rules') is not null").await);

    let applied = shop.run(["apply"]);
    assert!(applied.success().contains("applied: "), "{}", applied.stdout);
    assert_eq!(
        shop.db
            .column::<String>("select name from tradeflow.rules where project = 'shop' order by name")
            .await,
        ["quote_expiry_reminder", "welcome_company_user"]
    );
    assert_eq!(
        shop.db.one::<String>("select applied_by::text from tradeflow.projects where name = 'shop'").await,
        "postgres"
    );

    let again = shop.run(["plan"]);
    assert_eq!(again.code, 0, "{}", again.stdout);
    assert!(again.stdout.contains("nothing to change"), "{}", again.stdout);
    let version: i32 = shop.db.one("select max(version) from tradeflow.rules").await;
    shop.run(["apply"]).success();
    assert_eq!(
        shop.db.one::<i32>("select max(version) from tradeflow.rules").await,
        version,
        "applied twice is applied once"
    );
}

#[tokio::test]
async fn a_change_is_shown_with_its_difference_and_the_rows_it_holds_for() {
    let shop = Shop::with(["quote_expiry_reminder"]).await;
    shop.run(["apply"]).success();
    shop.db.sql("insert into store.quotes (quote_id, status, contact_email, expired_at, grand_total, raw) select n, 0, 'a@example.com', now() + interval '30 days', n, '{}' from generate_series(1, 10) n").await;
    shop.edit(
        "rules/quote_expiry_reminder.sql",
        "and new.expired_at > tradeflow.now()",
        "and new.expired_at > tradeflow.now() and new.grand_total > 7",
    );
    shop.edit("templates/quote_expiry_reminder/text.txt", "glad to help", "happy to help");
    let plan = shop.run(["plan", "--json"]);
    assert_eq!(plan.code, 3);
    let json = plan.json();
    assert_eq!(
        changes(&json),
        ["changed rule quote_expiry_reminder", "changed template quote_expiry_reminder"]
    );
    assert_eq!(
        json["changes"][1]["file"], "templates/quote_expiry_reminder/text.txt",
        "the part that changed"
    );
    assert_eq!(json["matches"][0]["matching"], 3);
    assert_eq!(json["matches"][0]["rows"], 10);
    // 7, 3 and 1 days before, for ten quotes.
    assert_eq!(json["waiting"][0]["actions"], 30);
    assert_eq!(json["waiting"][0]["state"], "waiting");

    let text = shop.run(["plan"]).stdout;
    assert!(text.contains("holds for 3 of the 10 rows of store.quotes now"), "{text}");
    assert!(
        text.contains("\n        - {{ facts.sales_rep_name }}") && text.contains("happy to help"),
        "{text}"
    );
    assert!(text.contains("30 waiting of rule quote_expiry_reminder: asked again by the new definition when their time comes"), "{text}");
}

#[tokio::test]
async fn what_was_changed_in_the_database_is_shown_as_drift_and_put_back() {
    let shop = Shop::with(["quote_below_base_price"]).await;
    shop.run(["apply"]).success();
    shop.db
        .sql(
            "update tradeflow.rules set mode = 'shadow';
             update tradeflow.settings set value = '99' where name = 'discount_warn_percent';
             delete from tradeflow.actions;
             create or replace function rules.discount_tier(base_price numeric, offered_price numeric, warn_percent numeric, block_percent numeric)
               returns int language sql immutable return 2",
        )
        .await;
    let plan = shop.run(["plan", "--json"]).json();
    let drift: std::collections::BTreeSet<String> = plan["drift"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| format!("{} {}", d["kind"].as_str().unwrap(), d["gone"]))
        .collect();
    let drift: Vec<&str> = drift.iter().map(String::as_str).collect();
    assert_eq!(drift, ["action true", "function false", "rule false", "setting false"]);
    let text = shop.run(["plan"]).stdout;
    assert!(text.contains("mode: \"live\" → \"shadow\""), "{text}");
    shop.run(["apply"]).success();
    assert_eq!(shop.db.column::<String>("select distinct mode from tradeflow.rules").await, ["live"]);
    assert_eq!(
        shop.db
            .one::<String>("select value from tradeflow.settings where name = 'discount_warn_percent'")
            .await,
        "20"
    );
    assert_eq!(shop.db.one::<i32>("select rules.discount_tier(10, 10, 20, 35)").await, 0);
    let after = shop.run(["plan", "--json"]).json();
    assert_eq!(after["drift"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn what_is_left_to_the_database_is_no_drift() {
    let shop = Shop::new().await;
    shop.run(["apply"]).success();
    // The target is inserted with `on conflict do nothing`: operators own it.
    shop.db.sql("update tradeflow.targets set base_url = 'smtp://mail.example.com:25'").await;
    let plan = shop.run(["plan"]);
    assert_eq!(plan.code, 0, "{}", plan.stdout);
    assert!(!plan.stdout.contains("Changed in the database"), "{}", plan.stdout);
    shop.run(["apply"]).success();
    assert_eq!(
        shop.db.one::<String>("select base_url from tradeflow.targets").await,
        "smtp://mail.example.com:25"
    );
}

#[tokio::test]
async fn another_version_of_the_extension_is_refused() {
    let shop = Shop::new().await;
    shop.db.sql("update pg_extension set extversion = '0.1.0' where extname = 'tradeflow'").await;
    let older = shop.run(["plan"]);
    assert_eq!(older.code, 1);
    assert!(
        older.stderr.contains("is 0.1.0, older than this program")
            && older.stderr.contains("alter extension tradeflow update"),
        "{}",
        older.stderr
    );
    shop.db.sql("update pg_extension set extversion = '99.0.0' where extname = 'tradeflow'").await;
    let newer = shop.run(["apply"]);
    assert_eq!(newer.code, 1);
    assert!(newer.stderr.contains("is 99.0.0, newer than this program"), "{}", newer.stderr);
}

#[tokio::test]
async fn a_user_without_the_right_is_told_which_one() {
    let shop = Shop::new().await;
    let role = shop.db.role(&[]).await;
    let said = shop.command(["plan"]).env("TRADEFLOW_DATABASE_URL", &shop.db.url_as(&role, &role)).run();
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains(&format!(
            "{role} may not write rules\nhint: as a superuser, `grant tradeflow_author to"
        )),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn an_author_applies_without_being_a_superuser() {
    let shop = Shop::with(["welcome_company_user", "quote_below_base_price"]).await;
    let role = shop.db.role(&["tradeflow_author"]).await;
    // Targets are an operator's.
    shop.db
        .sql(&format!(
            "insert into tradeflow.targets (name, system, base_url, sender) values ('smtp', 'smtp', 'smtp://mail.example.com', 'a@example.com');
             insert into tradeflow.targets (name, system, base_url) values ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/abc123');
             grant usage on schema store to {role}; grant select on all tables in schema store to {role};
             create schema rules authorization {role}"
        ))
        .await;
    let url = shop.db.url_as(&role, &role);
    shop.command(["apply"]).env("TRADEFLOW_DATABASE_URL", &url).run().success();
    assert_eq!(shop.db.column::<String>("select distinct owner::text from tradeflow.rules").await, [role]);
    let plan = shop.command(["plan"]).env("TRADEFLOW_DATABASE_URL", &url).run();
    assert_eq!(plan.code, 0, "{}{}", plan.stdout, plan.stderr);
}

#[tokio::test]
async fn what_is_only_an_example_is_told_until_it_is_set() {
    let shop = Shop::with(["quote_to_sheet", "assign_sales_staff"]).await;
    let told = |plan: &serde_json::Value| -> Vec<String> {
        let all = plan["to_set"].as_array().expect("a list").iter();
        all.map(|x| format!("{} {}", x["kind"].as_str().unwrap(), x["name"].as_str().unwrap())).collect()
    };
    let plan = shop.run(["plan", "--json"]).json();
    let settings = ["setting owner_email", "setting quotes_spreadsheet", "setting shop_url"];
    assert_eq!(told(&plan), [&["pool sales_reps"][..], &settings, &["target bigcommerce"]].concat());
    let text = shop.run(["apply"]);
    assert!(
        text.success().contains("  setting quotes_spreadsheet: the-id-in-its-address\n      in rules/quote_to_sheet.sql: The spreadsheet: what stands"),
        "{}",
        text.stdout
    );
    shop.edit("rules/quote_to_sheet.sql", "the-id-in-its-address", "1AbC");
    shop.edit("rules/00_shop.sql", "owner@example.com", "owner@northwind.test");
    shop.edit("rules/00_shop.sql", "https://shop.example.com", "https://shop.northwind.test");
    shop.db
        .sql(
            "update tradeflow.targets set base_url = 'https://api.bigcommerce.com/stores/abc123' where name = 'bigcommerce';
             insert into tradeflow.pool_members (pool, member) values ('sales_reps', '301')",
        )
        .await;
    assert_eq!(told(&shop.run(["plan", "--json"]).json()), Vec::<String>::new());
    assert!(!shop.run(["apply"]).stdout.contains("for you to fill"));
}
