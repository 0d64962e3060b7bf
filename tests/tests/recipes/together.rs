//! All recipes at once, in one project, over the sample store.

use tradeflow_tests::sidecar::Tradeflow;

use super::scene::Scene;

#[tokio::test]
async fn all_recipes_over_the_sample_store_fire_nothing_until_something_happens() {
    let list = Tradeflow::new(["recipe", "list", "--json"]).run().json();
    let all: Vec<&str> =
        list.as_array().expect("a list").iter().filter_map(|recipe| recipe["name"].as_str()).collect();
    assert_eq!(all.len(), 18);
    let scene = Scene::of(&all).sample().start().await;
    let loaded: Vec<bool> = scene
        .db()
        .column("select exists (select from store.quotes) and exists (select from store.orders) and exists (select from store.company_users)")
        .await;
    assert_eq!(loaded, [true]);
    let again = scene.sync_with(&["--since", "2000-01-01T00:00:00Z", "--fire"]);
    assert!(again.all("read") > 500 && again.all("inserted") + again.all("updated") == 0);
    scene.settled().await;
    let fired: Vec<String> =
        scene.db().column("select rule || ' ' || subject from tradeflow.firings where rule <> 'turn'").await;
    assert_eq!(fired, Vec::<String>::new());

    // Something happens: a quote for somebody of the sample store is a deal, and rows of a sheet, and is reminded of later.
    let quote = scene.store.edit(|store| {
        let (company, email) = store
            .users
            .values()
            .find(|user| user.int("companyId") > 0)
            .map(|user| (user.int("companyId"), user.text("email").to_owned()))
            .expect("there is a buyer");
        let lines = [tradeflow_fakes::bigcommerce::Line::new(212, "Hinge", 500, "10.10")];
        store.ask_for_quote(company, &email, &lines, super::scene::nothing())
    });
    scene.sync();
    scene
        .db()
        .until(&format!(
            "select count(distinct rule) = 3 from tradeflow.firings
             where rule in ('quote_to_deal', 'quote_to_sheet_line', 'quote_expiry_reminder') and (subject = '{quote}' or subject like '{{{quote},%')"
        ))
        .await;
    let failed: Vec<String> = scene.db().column("select kind || ': ' || message from tradeflow.incidents where kind in ('rule_error', 'rule_invalid')").await;
    assert_eq!(failed, Vec::<String>::new());
}
