//! A company applies: approved with a rep and a mail, rejected, or put before a person.

use serde_json::json;
use tradeflow_fakes::bigcommerce::Store;
use tradeflow_fakes::fault::Fault;

use super::scene::Scene;

const RULE: &str = "company_approval";

const CRITERIA: &str = "insert into company_approval_criteria (position, industry, email_domain, decision, reps) values
      (1, null, '{mailinator.example}', 'reject', null), (2, '{Dental,Medical}', null, 'approve', '{rita@example.com}');
    insert into tradeflow.pool_members (pool, member) values ('sales_reps', '301'), ('sales_reps', '302')";

async fn scene(recipes: &[&str]) -> Scene {
    Scene::of(recipes)
        .set("shop_name", "Northwind Supply")
        .set("owner_email", "owner@example.com")
        .set("approval_review_hours", "48")
        .clock("2026-03-01 09:00Z")
        .store(|store| {
            store.hire("Rita Rep", "rita@example.com");
            store.hire("Sam Sales", "sam@example.com");
        })
        .sql(CRITERIA)
        .start()
        .await
}

fn apply(store: &mut Store, name: &str, industry: &str) -> i64 {
    store.sign_up(name, json!({"extraFields": [{"fieldName": "Industry", "fieldValue": industry}]}))
}

fn status(scene: &Scene, company: i64) -> i64 {
    scene.store.edit(|store| store.companies[&company].int("companyStatus"))
}

fn reps(scene: &Scene, company: i64) -> Vec<i64> {
    scene.store.edit(|store| {
        store.assignments.keys().filter(|(_, of)| *of == company).map(|(rep, _)| *rep).collect()
    })
}

/// The writes that the store took, in order.
fn writes(scene: &Scene) -> Vec<String> {
    let requests = scene.store.requests();
    let taken = requests.iter().filter(|r| r.method != "GET" && r.status < 300);
    taken.map(|r| r.path.rsplit("/io/").next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_match_is_approved_then_gets_a_rep_then_one_mail() {
    let mut scene = scene(&[RULE]).await;
    // The assignment fails twice: the mail waits for it.
    scene.store.faults().next_of("PUT", "/api/v3/io/sales-staffs/*", 2, Fault::status(503));
    let company = scene.store.edit(|store| apply(store, "Acme", "Dental"));
    scene.sync();
    scene.settled().await;
    assert_eq!((status(&scene, company), reps(&scene, company)), (1, vec![301]));
    assert_eq!(writes(&scene), [format!("companies/{company}/status"), "sales-staffs/301".to_owned()]);
    let mails = scene.mail.wait_for(1).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].subject, "Welcome to Northwind Supply: Acme is approved");
    assert_eq!(mails[0].to, [format!("office@company-{company}.example"), "rita@example.com".to_owned()]);
    let text = mails[0].text.clone().unwrap_or_default();
    assert!(text.contains("Your contact is Rita Rep, rita@example.com."), "{text}");
    let order: Vec<String> = scene
        .db()
        .column("select action || ' ' || state from tradeflow.outbox_history where rule = 'company_approval' order by finished_at")
        .await;
    assert_eq!(order, ["status done", "rep done", "assign done", "tell done"]);

    // Our own write comes back, and is nothing to do.
    scene.sync();
    scene.settled().await;
    assert_eq!((scene.firings(RULE).await, scene.mail.mails().len()), (1, 1));
    scene
        .restrained(&[RULE], |store, n| {
            apply(store, &format!("Later {n}"), "Medical");
        })
        .await;
    scene.mail.wait_for(2).await;
}

#[tokio::test]
async fn nothing_follows_a_step_that_did_not_succeed() {
    let scene = scene(&[RULE]).await;
    let refused = Fault::Status {
        status: 422,
        body: r#"{"code":422,"data":{"errMsg":"no"},"meta":{"message":"no"}}"#.into(),
        headers: vec![],
    };
    scene.store.faults().next_of("PUT", "/api/v3/io/companies/*", 1, refused.clone());
    let company = scene.store.edit(|store| apply(store, "Acme", "Dental"));
    scene.sync();
    scene.settled().await;
    assert_eq!((status(&scene, company), reps(&scene, company), scene.mail.mails().len()), (0, vec![], 0));
    assert_eq!(scene.states(RULE).await, ["dead"]);

    scene.store.faults().next_of("PUT", "/api/v3/io/sales-staffs/*", 1, refused);
    let second = scene.store.edit(|store| apply(store, "Bolt", "Dental"));
    scene.sync();
    scene.settled().await;
    assert_eq!((status(&scene, second), reps(&scene, second), scene.mail.mails().len()), (1, vec![], 0));
    // Once mended they go on where they stopped.
    tradeflow_tests::sidecar::Tradeflow::on(scene.db(), ["dead", "retry", "--rule", RULE]).run().success();
    scene.settled().await;
    let mails = scene.mail.wait_for(2).await;
    assert_eq!((mails.len(), status(&scene, company), reps(&scene, second)), (2, 1, vec![301]));
}

#[tokio::test]
async fn no_match_is_a_task_with_a_deadline_and_nothing_is_sent() {
    let scene = scene(&[RULE]).await;
    let (yes, no, late) = scene.store.edit(|store| {
        (apply(store, "Yes", "Retail"), apply(store, "No", "Retail"), apply(store, "Late", "Retail"))
    });
    scene.sync();
    scene.settled().await;
    let tasks: Vec<String> = scene
        .db()
        .column("select concat_ws('|', title, array_to_string(options, ','), due_at - tradeflow.now() > '47 hours') from tradeflow.tasks order by title")
        .await;
    assert_eq!(
        tasks,
        ["Approve Late?|approve,reject|t", "Approve No?|approve,reject|t", "Approve Yes?|approve,reject|t"]
    );
    assert_eq!((scene.mail.mails().len(), writes(&scene).len()), (0, 0));

    // People decide.
    scene
        .db()
        .sql(&format!(
            "select tradeflow.decide(id, case subject when '{yes}' then 'approve' else 'reject' end) from tradeflow.tasks where subject in ('{yes}', '{no}')"
        ))
        .await;
    scene.settled().await;
    scene.mail.wait_for(2).await;
    assert_eq!((status(&scene, yes), reps(&scene, yes).len()), (1, 1));
    assert_eq!((status(&scene, no), reps(&scene, no).len()), (2, 0));
    assert_eq!(
        scene.mails_to(&format!("office@company-{yes}.example"))[0].subject,
        "Welcome to Northwind Supply: Yes is approved"
    );
    assert_eq!(
        scene.mails_to(&format!("office@company-{no}.example"))[0].subject,
        "Your application to Northwind Supply"
    );

    // Of the third nobody took notice in time.
    scene.clock("2026-03-03 08:59Z").await;
    assert_eq!(scene.mails_to("owner@example.com").len(), 0);
    scene.clock("2026-03-03 09:01Z").await;
    scene.mail.wait_for(3).await;
    assert_eq!(scene.mails_to("owner@example.com")[0].subject, "Still to decide: Late");
    scene.clock("2026-03-09 09:00Z").await;
    assert_eq!((scene.mail.mails().len(), status(&scene, late)), (3, 0));
}

#[tokio::test]
async fn a_manual_decision_wins_over_a_late_automatic_one() {
    let scene = scene(&[RULE]).await;
    scene.db().sql("select tradeflow.pause_target('bigcommerce', 'a long night')").await;
    let (known, unknown) =
        scene.store.edit(|store| (apply(store, "Known", "Dental"), apply(store, "Unknown", "Dental")));
    scene.sync();
    scene
        .db()
        .until(
            "select count(*) = 2 from tradeflow.outbox where rule = 'company_approval' and state = 'ready'",
        )
        .await;
    // One decision is known here by then, the other is not.
    scene.store.edit(|store| store.decide(known, 2));
    scene.sync();
    scene.store.edit(|store| store.decide(unknown, 2));
    scene.db().sql("select tradeflow.resume_target('bigcommerce')").await;
    scene.db().until("select count(*) = 2 from tradeflow.outbox_history where rule = 'company_approval' and state = 'cancelled'").await;
    scene.settled().await;
    assert_eq!((status(&scene, known), status(&scene, unknown)), (2, 2));
    assert_eq!((writes(&scene).len(), scene.mail.mails().len()), (0, 0));
    let reasons: Vec<String> = scene
        .db()
        .column(
            "select reason from tradeflow.outbox_history where rule = 'company_approval' order by subject",
        )
        .await;
    assert_eq!(reasons[1], format!("company {unknown} is rejected by now"));
    assert_eq!(scene.db().incidents().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_company_that_the_criteria_reject_is_told_so() {
    let mut scene = scene(&[RULE]).await;
    let reject = |store: &mut Store, n: usize| {
        store.sign_up(&format!("Spam {n}"), json!({"companyEmail": format!("x{n}@mailinator.example")}));
    };
    scene.store.edit(|store| reject(store, 0));
    scene.sync();
    scene.settled().await;
    scene.mail.wait_for(1).await;
    assert_eq!((status(&scene, 2001), scene.mails_to("x0@mailinator.example").len()), (2, 1));
    scene.restrained(&["company_rejection"], reject).await;
    scene.mail.wait_for(2).await;
}

#[tokio::test]
async fn together_with_assign_sales_staff_a_company_has_one_rep() {
    let scene = scene(&["assign_sales_staff", RULE]).await;
    let companies: Vec<i64> =
        scene.store.edit(|store| (0..6).map(|n| apply(store, &format!("Company {n}"), "Dental")).collect());
    scene.sync();
    scene.settled().await;
    scene.sync();
    scene.settled().await;
    for company in companies {
        assert_eq!((status(&scene, company), reps(&scene, company)), (1, vec![301]));
    }
    // The mail of the approval names the rep, who has a copy.
    assert_eq!(scene.mails_to("rita@example.com").len(), 6);
}
