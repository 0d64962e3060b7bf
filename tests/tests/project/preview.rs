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
    // Closing the checkout goes by what the step before it finds.
    assert!(
        text.contains(
            "3 bigcommerce.update_quote via bigcommerce\n    it reads the result of an earlier step"
        ),
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
