//! A company that nobody looks after gets a rep: in turn by weight, once, and nobody who is absent or has enough.

use std::collections::BTreeMap;

use serde_json::json;
use tradeflow_fakes::bigcommerce::Store;

use super::scene::Scene;

const RULE: &str = "assign_sales_staff";

/// Rita (301), Sam (302) and Tom (303), who gets twice as many; the first company is 2001.
const POOL: &str = "insert into tradeflow.pool_members (pool, member, weight) values
    ('sales_reps', '301', 1), ('sales_reps', 'sam@example.com', 1), ('sales_reps', '303', 2)";

async fn scene(sidecars: usize) -> Scene {
    Scene::of(&[RULE])
        .clock("2026-03-01 09:00Z")
        .store(|store| {
            store.hire("Rita Rep", "rita@example.com");
            store.hire("Sam Sales", "sam@example.com");
            store.hire("Tom Travel", "tom@example.com");
        })
        .sql(POOL)
        .sidecars(sidecars)
        .start()
        .await
}

fn approved(store: &mut Store, name: &str) -> i64 {
    store.sign_up(name, json!({"companyStatus": "1"}))
}

/// How many companies each rep has in the store.
fn shares(scene: &Scene) -> BTreeMap<i64, usize> {
    scene.store.edit(|store| {
        let mut shares = BTreeMap::new();
        for (rep, _) in store.assignments.keys() {
            *shares.entry(*rep).or_default() += 1;
        }
        shares
    })
}

/// Who looks after a company in the store.
fn rep_of(scene: &Scene, company: i64) -> Vec<i64> {
    scene.store.edit(|store| {
        store.assignments.keys().filter(|(_, of)| *of == company).map(|(rep, _)| *rep).collect()
    })
}

#[tokio::test]
async fn forty_companies_from_four_syncs_at_once_are_shared_by_weight_and_stay() {
    let mut scene = scene(2).await;
    scene.store.edit(|store| {
        for n in 1..=40 {
            approved(store, &format!("Company {n}"));
        }
    });
    // One of our syncs at a time reads a resource; other tools have no such manners.
    let syncs = (0..4).map(|n| {
        let db = scene.db();
        async move {
            let session = db.connect().await;
            let upsert = "insert into store.companies (company_id, company_name, status, raw)
                select n, 'Company ' || n - 2000, 1, '{}' from generate_series(2001 + 10 * $1, 2010 + 10 * $1) n on conflict (company_id) do nothing";
            session.execute(upsert, &[&n]).await.expect("a sync");
        }
    });
    futures_util::future::join_all(syncs).await;
    scene.db().until("select count(*) = 40 from tradeflow.firings where rule = 'assign_sales_staff' and state = 'done'").await;
    let by_weight = BTreeMap::from([(301, 10), (302, 10), (303, 20)]);
    assert_eq!(shares(&scene), by_weight);
    scene.mail.wait_for(40).await;
    for (address, mails) in [("rita@example.com", 10), ("sam@example.com", 10), ("tom@example.com", 20)] {
        assert_eq!(scene.mails_to(address).len(), mails, "{address}");
    }
    let mail = &scene.mails_to("rita@example.com")[0];
    assert!(mail.subject.starts_with("Company ") && mail.subject.ends_with(" is yours now"), "{mail:?}");

    // Our own sync brings the rest of each company, then the assignments: nothing is to be done.
    scene.sync();
    // Sticky: other criteria, other weights and a rep who is away change nothing.
    scene
        .db()
        .sql(
            "update tradeflow.pool_members set weight = 9 where member = '301';
             update tradeflow.pool_members set absent = '{(,)}' where member = '303';
             insert into rules.sales_staff_criteria (position, industry, pool, reps) values (1, '{Dental}', 'sales_reps', '{301}')",
        )
        .await;
    scene.store.edit(|store| {
        for company in 2001..=2040 {
            let fields = json!({"extraFields": [{"fieldName": "Industry", "fieldValue": "Dental"}]});
            store.patch_company(company, fields);
        }
    });
    scene.sync();
    scene.settled().await;
    assert_eq!((scene.firings(RULE).await, shares(&scene)), (40, by_weight));

    scene
        .restrained(&[RULE], |store, n| {
            approved(store, &format!("Later {n}"));
        })
        .await;
    scene.mail.wait_for(41).await;
}

#[tokio::test]
async fn whose_criteria_match_first_and_who_is_absent_or_has_enough() {
    let scene = scene(1).await;
    scene
        .db()
        .sql(
            "insert into rules.sales_staff_criteria (position, industry, spent, pool, reps) values
               (1, null, numrange(10000, null), 'sales_reps', '{tom@example.com}'), (2, '{Dental}', null, 'sales_reps', '{301}');
             update tradeflow.pool_members set cap = 2 where member = '301';
             update tradeflow.pool_members set absent = '{[2026-02-20,2026-03-10)}' where member = '303'",
        )
        .await;
    let dental =
        || json!({"companyStatus": "1", "extraFields": [{"fieldName": "Industry", "fieldValue": "Dental"}]});
    // What people assigned in the store counts towards the cap: one by hand, one by us.
    scene.store.edit(|store| {
        let own = approved(store, "Rita's own");
        store.assign(301, own);
    });
    scene.sync_with(&["sales-staff"]);
    scene.sync();
    scene.store.edit(|store| store.sign_up("Dental One", dental()));
    scene.sync();
    scene.settled().await;
    assert_eq!(rep_of(&scene, 2002), [301]);

    // Rita has enough, and her line knows nobody else: a person is told, and nothing is lost.
    scene.store.edit(|store| store.sign_up("Dental Two", dental()));
    scene.sync();
    scene.settled().await;
    assert_eq!(rep_of(&scene, 2003), [0; 0]);
    let incidents = scene.db().incidents().await;
    assert!(
        incidents
            .iter()
            .any(|i| i.contains("nobody can look after company 2003: everybody in pool sales_reps")),
        "{incidents:?}"
    );
    scene.db().sql("update tradeflow.pool_members set cap = null where member = '301'").await;
    let retried =
        tradeflow_tests::sidecar::Tradeflow::on(scene.db(), ["dead", "retry", "--rule", RULE]).run();
    retried.success();
    scene.settled().await;
    assert_eq!(rep_of(&scene, 2003), [301]);

    // The absent one is passed over until the holiday is over.
    scene.store.edit(|store| {
        for n in 0..4 {
            approved(store, &format!("While Tom is away {n}"));
        }
    });
    scene.sync();
    scene.settled().await;
    assert_eq!(scene.mails_to("tom@example.com").len(), 0);
    scene.clock("2026-03-11 09:00Z").await;
    scene.store.edit(|store| {
        for n in 0..8 {
            approved(store, &format!("After the holiday {n}"));
        }
    });
    scene.sync();
    scene.settled().await;
    let of_tom = scene.mails_to("tom@example.com").len();
    assert!((3..=5).contains(&of_tom), "half of eight, for nobody is made up for what they missed: {of_tom}");

    // When nobody is left, the fallback.
    scene
        .db()
        .sql(
            "update tradeflow.pool_members set absent = '{(,)}';
             update tradeflow.settings set value = 'sam@example.com' where name = 'sales_fallback'",
        )
        .await;
    let last = scene.store.edit(|store| approved(store, "The last one"));
    scene.sync();
    scene.settled().await;
    assert_eq!(rep_of(&scene, last), [302]);
}

#[tokio::test]
async fn a_rep_whom_people_assigned_a_moment_before_keeps_the_company() {
    let scene = scene(1).await;
    // The company is known here, the assignment is not yet.
    let company = scene.store.edit(|store| {
        let company = approved(store, "Acme");
        store.assign(302, company);
        company
    });
    scene.sync_with(&["companies"]);
    scene.settled().await;
    assert_eq!(rep_of(&scene, company), [302]);
    assert_eq!(scene.mail.mails().len(), 0);
    let reason: String = scene
        .db()
        .one("select reason from tradeflow.outbox_history where rule = 'assign_sales_staff' and state = 'cancelled'")
        .await;
    assert_eq!(reason, format!("company {company} is looked after by sales staff 302 by now"));
    assert_eq!(scene.db().incidents().await, Vec::<String>::new());
}
