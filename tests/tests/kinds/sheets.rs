//! Kinds `sheets.*`.

use serde_json::{json, Value};
use tradeflow_fakes::fault::Fault;
use tradeflow_fakes::google::Google;
use tradeflow_tests::eventually::eventually;
use tradeflow_tests::sidecar::Sidecar;

use super::scene::Scene;

async fn scene(google: &Google) -> Scene {
    Scene::new("google", google.url(), &google.key_file()).await
}

fn rows(row: Value) -> Value {
    json!({"spreadsheet": "s1", "sheet": "Quotes", "key": "Quote", "rows": row})
}

#[tokio::test]
async fn rows_are_found_by_key_and_peoples_columns_survive() {
    let google = Google::start();
    google.spreadsheet(
        "s1",
        "Quotes",
        json!([["My note", "Quote", "Total"], ["call them", "QN2", 5], ["", "QN1", 7]]),
    );
    let scene = scene(&google).await;
    let params = rows(json!([{"Quote": "QN1", "Total": "10.10"}, {"Quote": "QN3", "Total": 3}]));
    let result = scene.run("sheets.upsert_rows", params.clone()).await.done();
    assert_eq!(result["created"], 1);
    assert_eq!(
        json!(google.cells("s1", "Quotes")),
        json!([
            ["My note", "Quote", "Total"],
            ["call them", "QN2", 5],
            ["", "QN1", "10.10"],
            [null, "QN3", 3]
        ])
    );
    // Sorted by people: found again; nothing that differs, nothing written.
    google.edit(|s| s.spreadsheets.get_mut("s1").expect("it is there").sort("Quotes", 1));
    let writes =
        |google: &Google| google.requests().iter().filter(|r| r.path.ends_with(":batchUpdate")).count();
    let before = writes(&google);
    scene.run("sheets.upsert_rows", params).await.done();
    assert_eq!(writes(&google), before);
    scene.run("sheets.upsert_rows", rows(json!({"Quote": "QN2", "Total": 6}))).await.done();
    let cells = google.cells("s1", "Quotes");
    let row = cells.iter().find(|r| r[1] == "QN2").expect("it is there");
    assert_eq!(json!(row), json!(["call them", "QN2", 6]));
    // Written back; columns and tabs added on request.
    let back = json!({"spreadsheet": "s1", "sheet": "Quotes", "key": "Quote", "value": "QN2", "set": {"Error": "=HYPERLINK(\"x\")"}, "add_columns": true});
    scene.run("sheets.write_back", back).await.done();
    let cells = google.cells("s1", "Quotes");
    let row = cells.iter().find(|r| r[1] == "QN2").expect("it is there");
    assert_eq!(
        (cells[0][3].clone(), row[3].clone()),
        (json!("Error"), json!("=HYPERLINK(\"x\")")),
        "a formula arrives as text"
    );
    let made = json!({"spreadsheet": "s1", "sheet": "Acme", "key": ["Quote", "Line"], "rows": [{"Quote": "Q", "Line": "a"}, {"Quote": "Q", "Line": "b"}], "create": true});
    scene.run("sheets.upsert_rows", made).await.done();
    let delete =
        json!({"spreadsheet": "s1", "sheet": "Acme", "where": {"Quote": "Q"}, "key": "Line", "keep": ["b"]});
    assert_eq!(scene.run("sheets.delete_rows", delete).await.done()["deleted"], 1);
    assert_eq!(json!(google.cells("s1", "Acme")), json!([["Quote", "Line"], ["Q", "b"]]));
}

#[tokio::test]
async fn many_edits_at_once_from_two_sidecars_lose_and_double_nothing() {
    let google = Google::start();
    google.spreadsheet("s1", "Quotes", json!([["Quote", "Total"]]));
    let scene = scene(&google).await;
    let _second = Sidecar::command(&scene.db).env("HUBSPOT_TEST", &google.key_file()).start();
    scene
        .db
        .sql(
            "insert into tradeflow.rules (name, source, condition) values ('quote', 'public.jobs', 'new.id >= 1000');
             insert into tradeflow.actions (rule, kind, target, params) values ('quote', 'sheets.upsert_rows', 'there',
               '{\"spreadsheet\": \"s1\", \"sheet\": \"Quotes\", \"key\": \"Quote\", \"rows\": {\"Quote\": \"{{ facts.id }}\", \"Total\": \"{{ facts.id }}\"}}')",
        )
        .await;
    // Each in a transaction of its own, half of them twice.
    for n in 0..30 {
        scene.db.sql(&format!("insert into jobs values ({})", 1000 + n)).await;
    }
    scene
        .db
        .until("select count(*) = 30 from tradeflow.outbox_history where rule = 'quote' and state = 'done'")
        .await;
    let mut keys: Vec<String> =
        google.cells("s1", "Quotes")[1..].iter().map(|row| row[0].to_string()).collect();
    keys.sort();
    let wanted: Vec<String> = (1000..1030).map(|n| n.to_string()).collect();
    assert_eq!(keys, wanted);
}

#[tokio::test]
async fn one_change_that_is_refused_harms_no_other() {
    let google = Google::start();
    google.spreadsheet("s1", "Quotes", json!([["Quote", "Total"]]));
    let scene = scene(&google).await;
    // Together in one batch, with one that may make a tab and ones that may not.
    scene.db.sql("select tradeflow.pause_kind('sheets.upsert_rows')").await;
    let mut rules = Vec::new();
    for n in 0..5 {
        let total = if n == 2 { "x".repeat(50_001) } else { format!("{n}") };
        rules.push(
            scene.fire("sheets.upsert_rows", &rows(json!({"Quote": format!("Q{n}"), "Total": total}))).await,
        );
    }
    let row = json!({"Quote": "Q"});
    let new = |create: bool| json!({"spreadsheet": "s1", "sheet": "New", "key": "Quote", "rows": row, "create": create});
    let (may_not, may) = (
        scene.fire("sheets.upsert_rows", &new(false)).await,
        scene.fire("sheets.upsert_rows", &new(true)).await,
    );
    scene.db.sql("select tradeflow.resume_kind('sheets.upsert_rows')").await;
    for (n, rule) in rules.iter().enumerate() {
        let end = scene.end(rule).await;
        match n {
            2 => assert!(end.dead().contains("50000 characters")),
            _ => drop(end.done()),
        }
    }
    let mut quotes: Vec<String> =
        google.cells("s1", "Quotes")[1..].iter().map(|row| row[0].to_string()).collect();
    quotes.sort();
    assert_eq!(quotes, ["\"Q0\"", "\"Q1\"", "\"Q3\"", "\"Q4\""]);
    scene.end(&may).await.done();
    let end = scene.end(&may_not).await;
    assert!(end.state == "done" || end.error.contains("has no tab"), "{end:?}");
}

#[tokio::test]
async fn an_unknown_outcome_and_a_killed_sidecar_double_no_row() {
    let google = Google::start();
    google.spreadsheet("s1", "Quotes", json!([["Quote", "Total"]]));
    let mut scene = scene(&google).await;
    let path = "/v4/spreadsheets/s1:batchUpdate";
    google.faults().next_of("POST", path, 1, Fault::Lost);
    scene.run("sheets.upsert_rows", rows(json!({"Quote": "A", "Total": 1}))).await.done();
    google.faults().next_of("POST", path, 1, Fault::Slow { seconds: 30.0 });
    let rule = scene.fire("sheets.upsert_rows", &rows(json!({"Quote": "B", "Total": 2}))).await;
    eventually("the row to be there", || async { (google.cells("s1", "Quotes").len() == 3).then_some(()) })
        .await;
    scene.kill_and_restart(&google.key_file());
    let end = scene.end(&rule).await;
    assert_eq!(end.attempt, 2, "{end:?}");
    end.done();
    assert_eq!(json!(google.cells("s1", "Quotes")), json!([["Quote", "Total"], ["A", 1], ["B", 2]]));
    // Transient: limits, and a token taken back.
    google.edit(|state| state.revoke());
    assert_eq!(scene.run("sheets.upsert_rows", rows(json!({"Quote": "A", "Total": 5}))).await.attempt, 1);
    let limited = r#"{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded"}}"#;
    let headers = vec![("retry-after".to_owned(), "1".to_owned())];
    google.faults().next_of("POST", path, 1, Fault::Status { status: 429, body: limited.into(), headers });
    let end = scene.run("sheets.upsert_rows", rows(json!({"Quote": "A", "Total": 6}))).await;
    assert!(end.attempt == 2 && end.state == "done", "{end:?}");
}

#[tokio::test]
async fn what_a_sheet_lacks_is_said() {
    let google = Google::start();
    google.spreadsheet("s1", "Quotes", json!([["Quote", "Total", "Quote"]]));
    google.spreadsheet("empty", "Quotes", json!([]));
    google.edit(|state| state.spreadsheets.get_mut("empty").expect("it is there").shared = true);
    google.spreadsheet("private", "Quotes", json!([["Quote"]]));
    google.edit(|state| state.spreadsheets.get_mut("private").expect("it is there").shared = false);
    let scene = scene(&google).await;
    let of = |spreadsheet: &str, sheet: &str, row: Value| json!({"spreadsheet": spreadsheet, "sheet": sheet, "key": "Quote", "rows": row});
    let row = json!({"Quote": "A"});
    for (params, said) in [
        (of("s1", "Quotes", row.clone()), "more than once (A, C)"),
        (of("empty", "Quotes", row.clone()), "no header"),
        (of("s1", "Nowhere", row.clone()), "it has Quotes"),
        (of("private", "Quotes", row.clone()), "share the spreadsheet with tradeflow@project"),
        (of("absent", "Quotes", row), "404"),
        (of("s1", "Quotes", json!({"Quote": "", "Total": 1})), "no value for the key column"),
    ] {
        let error = scene.run("sheets.upsert_rows", params).await.dead();
        assert!(error.contains(said), "{said}: {error}");
    }
    let missing =
        json!({"spreadsheet": "s1", "sheet": "Quotes", "key": "Total", "value": 7, "set": {"Total": 8}});
    assert!(scene.run("sheets.write_back", missing).await.dead().contains("no row whose"));
    let all = json!({"spreadsheet": "s1", "sheet": "Quotes", "where": {"Total": "{{ facts.doc.nothing }}"}});
    let rule = scene.fire_with("sheets.delete_rows", &all, &json!({"nothing": null})).await;
    assert!(scene.end(&rule).await.dead().contains("not empty"), "an empty fact deletes nothing");
}
