//! Somebody joins a company, and is told how quoting works and who looks after them.

use serde_json::json;

use super::scene::{nothing, Scene};

const RULE: &str = "welcome_company_user";

/// Other mails for junior buyers, and for who reads German.
const MAILS: &str = "insert into welcome_mails (position, role_name, template) values (10, 'Junior Buyer', 'welcome_junior');
    insert into welcome_mails (position, language, template) values (20, 'de', 'welcome_de');
    insert into tradeflow.templates (name, subject, text) values
      ('welcome_junior', 'Welcome, {{ facts.first_name }}', 'You ask, a colleague orders.'),
      ('welcome_de', 'Willkommen, {{ facts.first_name }}', 'Angebote: Warenkorb füllen. {{ facts.rep_name }} hilft.')";

/// Acme (2001) with a rep, Bolt (2002) without one.
async fn scene() -> Scene {
    Scene::of(&[RULE])
        .set("shop_name", "Northwind Supply")
        .clock("2026-03-01 09:00Z")
        .store(|store| {
            let rita = store.hire("Rita Rep", "rita@example.com");
            let acme = store.sign_up("Acme", json!({"companyStatus": "1"}));
            store.sign_up("Bolt", json!({"companyStatus": "1"}));
            store.assign(rita, acme);
            store.join(acme, "first@acme.example", "First", "User", nothing());
        })
        .sql(MAILS)
        .start()
        .await
}

#[tokio::test]
async fn a_mass_import_in_silence_welcomes_nobody_and_one_new_user_gets_one_mail() {
    let mut scene = scene().await;
    scene.store.edit(|store| {
        for n in 0..500 {
            store.join(2001, &format!("user{n}@acme.example"), "Imported", "User", nothing());
        }
    });
    let imported = scene.sync_with(&["--silent"]);
    assert_eq!(imported.count("company-users", "inserted"), 500);
    scene.settled().await;
    assert_eq!((scene.firings(RULE).await, scene.mail.mails().len()), (0, 0));

    scene.store.edit(|store| store.join(2001, "ada@acme.example", "Ada", "Lovelace", nothing()));
    scene.sync();
    scene.settled().await;
    let mails = scene.mail.wait_for(1).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(
        (mails[0].to.clone(), mails[0].subject.as_str()),
        (vec!["ada@acme.example".to_owned()], "Welcome to Northwind Supply, Ada")
    );
    let (text, html) = (mails[0].text.clone().unwrap_or_default(), mails[0].html.clone().unwrap_or_default());
    assert!(text.contains("Your contact is Rita Rep, rita@example.com."), "{text}");
    assert!(text.contains("Request a quote") && html.contains("How to ask for a quote"), "{text}\n{html}");

    let joined = |store: &mut tradeflow_fakes::bigcommerce::Store, n: usize| {
        store.join(2001, &format!("later{n}@acme.example"), "Later", "User", nothing());
    };
    scene.restrained(&[RULE], joined).await;
    let mails = scene.mail.wait_for(2).await;
    assert_eq!((mails.len(), mails[1].to.clone()), (2, vec!["later3@acme.example".to_owned()]));
}

#[tokio::test]
async fn it_waits_for_a_rep_but_not_longer_than_a_day() {
    let scene = scene().await;
    scene.store.edit(|store| {
        store.join(2002, "bob@bolt.example", "Bob", "Bolt", nothing());
    });
    scene.sync();
    scene.settled().await;
    assert_eq!(scene.mail.mails().len(), 0);
    // A rep is assigned meanwhile: that one is named. No webhook tells of it: the sync finds it.
    scene.store.edit(|store| store.assign(301, 2002));
    scene.sync();
    scene.settled().await;
    let mails = scene.mail.wait_for(1).await;
    assert!(mails[0].text.clone().unwrap_or_default().contains("Your contact is Rita Rep"), "{mails:?}");
    // Nobody is assigned: after a day without.
    scene.store.edit(|store| {
        let crate_co = store.sign_up("Crate", json!({"companyStatus": "1"}));
        store.join(crate_co, "eve@crate.example", "Eve", "Crate", nothing());
    });
    scene.sync();
    scene.clock("2026-03-02 08:59Z").await;
    assert_eq!(scene.mail.mails().len(), 1);
    scene.clock("2026-03-02 09:00Z").await;
    let mails = scene.mail.wait_for(2).await;
    assert_eq!(mails[1].to, ["eve@crate.example"]);
    assert!(!mails[1].text.clone().unwrap_or_default().contains("Your contact"), "{mails:?}");
    // A rep who comes later makes no second one.
    scene.store.edit(|store| store.assign(301, 2003));
    scene.sync();
    scene.clock("2026-03-09 09:00Z").await;
    assert_eq!((scene.mail.mails().len(), scene.firings(RULE).await), (2, 2));
}

#[tokio::test]
async fn the_mail_goes_by_role_and_language_also_when_a_webhook_tells_of_the_user() {
    let scene = Scene::of(&[RULE])
        .store(|store| {
            let rita = store.hire("Rita Rep", "rita@example.com");
            let acme = store.sign_up("Acme", json!({"companyStatus": "1"}));
            store.assign(rita, acme);
        })
        .sql(MAILS)
        .webhooks()
        .start()
        .await;
    let german = json!({"extraFields": [{"fieldName": "Language", "fieldValue": "de"}]});
    scene.store.edit(|store| {
        store.join(2001, "jo@acme.example", "Jo", "Junior", json!({"role": 2, "companyRoleId": 3}));
        store.join(2001, "hans@acme.example", "Hans", "Groß", german);
    });
    scene.mail.wait_for(2).await;
    scene.settled().await;
    let subject =
        |address: &str| scene.mails_to(address).iter().map(|m| m.subject.clone()).collect::<Vec<_>>();
    assert_eq!(subject("jo@acme.example"), ["Welcome, Jo"]);
    assert_eq!(subject("hans@acme.example"), ["Willkommen, Hans"]);
    assert_eq!(scene.mail.mails().len(), 2);
}
