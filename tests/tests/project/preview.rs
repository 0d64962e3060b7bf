//! `tradeflow preview`: rendered, not sent.

use tradeflow_tests::project::Shop;

#[tokio::test]
async fn a_change_s_mails_are_shown_and_nothing_is_kept() {
    let shop = Shop::with(["quote_below_base_price", "quote_expiry_reminder"]).await;
    shop.run(["apply"]).success();
    shop.db
        .sql(
            "insert into store.quotes (quote_id, quote_number, company_name, status, contact_email, currency_code, raw) values (17, 'QN17', 'Ä & Co', 0, 'ada@example.com', 'EUR', '{}');
             insert into store.quote_items (quote_id, line_key, product_name, quantity, base_price, offered_price, raw) values (17, 'v1', 'Hinge', 4, 10, 10, '{}')",
        )
        .await;
    let change = "update store.quote_items set offered_price = 6; update store.quotes set expired_at = now() + interval '5 days'";
    let folder = shop.folder().join("preview");
    let said = shop.run(["preview", change, "--html", folder.to_str().unwrap()]);
    let text = said.success();
    assert!(
        text.contains("rule quote_below_base_price for {17,v1} (update of store.quote_items): at once"),
        "{text}"
    );
    assert!(
        text.contains("Subject: Stop: 40.0 % off in quote QN17") && text.contains("at 6.0000 EUR")
            || text.contains("at 6.00 EUR"),
        "{text}"
    );
    assert!(text.contains("rule quote_expiry_reminder for 17, 7 (update of store.quotes): left out, since its time has passed"), "{text}");
    assert!(
        text.contains("4 firings, 3 mails, 3 other actions; nothing was kept, nothing was sent"),
        "{text}"
    );
    // Closing the checkout goes by what the step before it finds: that was called, and is undone with the rest.
    assert!(
        text.contains("3 (close) bigcommerce.update_quote via bigcommerce\n    {")
            && text.contains("\"allow_checkout\": false")
            && text.contains("This offer is being checked."),
        "{text}"
    );
    assert_eq!(shop.db.one::<i64>("select count(*) from rules.quote_blocks").await, 0);
    // What the store will say to that nobody knows.
    assert!(
        text.contains("\"changed\": \"‹steps.close.changed›\"")
            && text.contains("‹steps.…› is what an earlier step will return"),
        "{text}"
    );
    let index = shop.read("preview/index.html");
    assert!(index.contains("Stop: 40.0 % off in quote QN17"), "{index}");
    assert!(shop.read("preview/01-quote-below-base-price-17-v1-1.html").contains("Ä &amp; Co"));
    assert_eq!(shop.db.one::<i64>("select count(*) from tradeflow.firings").await, 0);
    assert_eq!(shop.db.one::<i64>("select count(*) from store.quote_items where offered_price = 6").await, 0);

    let json = shop.run(["preview", "--json", change]).json();
    assert_eq!(json[0]["actions"][0]["request"]["to"][0], "owner@example.com");
    let nothing = shop.run(["preview", "update store.quotes set synced_at = now()"]);
    assert!(nothing.success().contains("no rule would fire"), "{}", nothing.stdout);
}

#[tokio::test]
async fn a_wrong_statement_is_said_to_be() {
    let shop = Shop::new().await;
    let said = shop.run(["preview", "update store.quotes set nope = 1"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("column \"nope\""), "{}", said.stderr);
}

#[tokio::test]
async fn what_another_system_will_return_is_shown_by_its_name() {
    let shop = Shop::with(["manual_payment_invoice"]).await;
    shop.run(["apply"]).success();
    shop.db
        .sql(
            "insert into store.companies (company_id, company_name, raw) values (9, 'Acme', '{}');
             insert into store.orders (bc_order_id, b2b_order_id, company_id, status_id, payment_method, total, currency_code, billing_email, billing_name, placed_at, raw)
             values (1201, 5201, 9, 11, 'Credit Card', 119.9, 'EUR', 'ada@example.com', 'Ada', now(), '{}')",
        )
        .await;
    let change = "update store.orders set payment_method = 'Bank Deposit' where bc_order_id = 1201";
    let folder = shop.folder().join("preview");
    let said = shop.run(["preview", change, "--html", folder.to_str().unwrap()]);
    let text = said.success();
    assert!(text.contains("Subject: Invoice ‹steps.invoice.invoice_number› for your order 1201"), "{text}");
    assert!(text.contains("#/invoiceDetail/‹steps.invoice.invoice_id›"), "{text}");
    assert!(!text.contains("would fail"), "{text}");
    let page = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .find(|name| name.starts_with("01-manual-payment-invoice"))
        .expect("the mail is a page");
    assert!(shop.read(&format!("preview/{page}")).contains("<b>‹steps.invoice.invoice_number›</b>"));
    let json = shop.run(["preview", "--json", change]).json();
    let unknown: Vec<&str> = json[0]["actions"][1]["unknown"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|name| name.as_str())
        .collect();
    assert_eq!(unknown, ["steps.invoice.invoice_id", "steps.invoice.invoice_number"]);
}

/// Rules whose step 1 is a function, and whose step 2 reads what it returned.
const STEPS: &str = "
create or replace function halved(n int) returns int language sql as 'select 12 / n';
insert into tradeflow.rules (name, source, condition) values ('half', 'store.quotes', $$ new.status = 2 $$)
on conflict (name) do update set condition = excluded.condition;
insert into tradeflow.actions (rule, step, name, kind, target, params) values
  ('half', 1, 'half', 'sql', null, '{\"function\": \"halved\", \"args\": {\"n\": \"{{ facts.quote_id }}\"}}'),
  ('half', 2, null, 'email', 'smtp', '{\"to\": \"owner@example.com\", \"subject\": \"Half: {{ steps.half.value * 2 }}\", \"text\": \"x\"}'),
  ('half', 3, null, 'email', 'smtp', '{\"to\": \"owner@example.com\", \"subject\": \"{{ steps.half.value|length }}\", \"text\": \"x\"}')
on conflict (rule, edge, step) do update set params = excluded.params;
";

#[tokio::test]
async fn a_step_that_is_a_function_is_called_as_whoever_previews_and_its_error_is_told() {
    let shop = Shop::new().await;
    shop.write("rules/half.sql", STEPS);
    shop.run(["apply"]).success();
    shop.db.sql("insert into store.quotes (quote_id, status, raw) values (3, 0, '{}'), (0, 0, '{}')").await;
    let text = |id: i32| {
        let said =
            shop.run(["preview", &format!("update store.quotes set status = 2 where quote_id = {id}")]);
        said.success().to_owned()
    };
    assert!(text(3).contains("Subject: Half: 8\n"), "{}", text(3));
    let failing = text(0);
    assert!(
        failing.contains("1 (half) sql\n    it would fail: division by zero (SQLSTATE 22012)"),
        "{failing}"
    );
    // Who may not call it learns what the steps after it look like all the same.
    let role = shop.db.role(&["tradeflow_author", "tradeflow_sync"]).await;
    shop.db
        .sql(&format!(
            "revoke execute on function rules.halved(int) from public; grant usage on schema rules to {role}"
        ))
        .await;
    let url = shop.db.url_as(&role, &role);
    let change = "update store.quotes set status = 2 where quote_id = 3";
    let said = shop.command(["preview", change]).env("TRADEFLOW_DATABASE_URL", &url).run();
    let text = said.success();
    assert!(text.contains("Subject: Half: ‹steps.half.value›\n"), "{text}");
    // Where a template takes more than the name, it is shown as it is written.
    assert!(
        text.contains("3 email via smtp (as it is written)")
            && text.contains("{{ steps.half.value|length }}"),
        "{text}"
    );
}

#[tokio::test]
async fn statements_cannot_commit() {
    let shop = Shop::new().await;
    let said = shop.run(["preview", "insert into store.quotes (quote_id, raw) values (1, '{}'); commit"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert_eq!(shop.db.one::<i64>("select count(*) from store.quotes").await, 0);
}
