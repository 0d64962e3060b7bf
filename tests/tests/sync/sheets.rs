//! Resource `sheet_rows`: tabs of spreadsheets in `store.sheet_rows`.

use serde_json::{json, Value};
use tradeflow_fakes::fault::Fault;
use tradeflow_fakes::google::{Google, Tab};
use tradeflow_tests::database::Database;
use tradeflow_tests::sidecar::{Said, Tradeflow};

/// `tradeflow …` with sheets to sync, such as `s1/Companies/Email`.
fn with_sheets(command: Tradeflow, google: &Google, synced: &str) -> Tradeflow {
    command
        .env("TRADEFLOW_SHEETS_BASE_URL", &google.url())
        .env("TRADEFLOW_SHEETS_ACCOUNT", "env:GOOGLE_TEST_KEY")
        .env("GOOGLE_TEST_KEY", &google.key_file())
        .env("TRADEFLOW_SHEETS_SYNCED", synced)
        .env("TRADEFLOW_SHEETS_INTERVAL", "100ms")
}

fn sync(db: &Database, google: &Google, synced: &str, arguments: &[&str]) -> Said {
    let all = ["sync", "once", "--json"].into_iter().chain(arguments.iter().copied());
    with_sheets(Tradeflow::on(db, all), google, synced).run()
}

/// What a run of the one resource counted; it must have gone well.
fn counts(said: &Said) -> Vec<u64> {
    said.success();
    let json = said.json();
    ["read", "inserted", "updated", "unchanged", "deleted"]
        .map(|what| json["resources"][0][what].as_u64().expect("a count"))
        .to_vec()
}

fn edit<T>(google: &Google, spreadsheet: &str, edit: impl FnOnce(&mut Tab) -> T) -> T {
    google.edit(|state| {
        let spreadsheet = state.spreadsheets.get_mut(spreadsheet).expect("the spreadsheet is there");
        spreadsheet.version += 1;
        edit(&mut spreadsheet.tabs[0])
    })
}

async fn incidents(db: &Database, kind: &str) -> Vec<String> {
    db.column(&format!(
        "select message || ' | ' || coalesce(hint, '') from tradeflow.incidents where kind = '{kind}' and source = 'sheet-rows' order by id"
    ))
    .await
}

const COMPANIES: &str = "s1/Companies/Email";

fn companies(google: &Google) {
    google.spreadsheet(
        "s1",
        "Companies",
        json!([
            ["Name", "Email", "Limit"],
            ["=HYPERLINK(\"x\")", "a@b.c", 1000.10],
            ["0017", "d@e.f"],
            ["Three", "g@h.i", true]
        ]),
    );
}

#[tokio::test]
async fn rows_follow_the_sheet_and_only_changes_fire() {
    let db = Database::with_store().await;
    let google = Google::start();
    companies(&google);
    db.sql(
        "insert into tradeflow.rules (name, source, events) values ('any_row', 'store.sheet_rows', '{insert,update,delete}')",
    )
    .await;
    assert_eq!(counts(&sync(&db, &google, COMPANIES, &["sheet_rows"])), [3, 3, 0, 0, 0]);
    let row = |key: &str| {
        format!("select row_number || ' ' || cells::text from store.sheet_rows where spreadsheet_id = 's1' and tab = 'Companies' and row_key = '{key}'")
    };
    let text = r#"2 {"Name": "=HYPERLINK(\"x\")", "Email": "a@b.c", "Limit": 1000.1}"#;
    assert_eq!(db.one::<String>(&row("a@b.c")).await, text, "a text that looks like a formula is a text");
    assert_eq!(db.one::<String>(&row("d@e.f")).await, r#"3 {"Name": "0017", "Email": "d@e.f"}"#);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.firings").await, 0, "the first load is silent");

    // Nothing changed: Drive is asked once, the sheet is not.
    let before = google.requests().len();
    assert_eq!(counts(&sync(&db, &google, COMPANIES, &[])), [0, 0, 0, 0, 0]);
    let asked: Vec<String> = google.requests()[before..].iter().map(|request| request.path.clone()).collect();
    assert_eq!(asked, ["/token", "/drive/v3/files/s1"]);

    // Sorted by people, columns moved: the rows are the same.
    edit(&google, "s1", |tab| {
        tab.cells[1..].reverse();
        for row in &mut tab.cells {
            row.resize(3, Value::Null);
            row.reverse();
        }
    });
    counts(&sync(&db, &google, COMPANIES, &[]));
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.firings").await, 0, "sorting is no change");
    assert_eq!(
        db.one::<String>(&row("a@b.c")).await,
        r#"4 {"Name": "=HYPERLINK(\"x\")", "Email": "a@b.c", "Limit": 1000.1}"#
    );

    // One changed, one new, one gone.
    edit(&google, "s1", |tab| {
        tab.cells[1] = vec![json!(false), json!("g@h.i"), json!("Three")];
        tab.cells[2] = vec![json!(7), json!(4711), json!("Four")];
    });
    assert_eq!(counts(&sync(&db, &google, COMPANIES, &[])), [3, 1, 1, 1, 1]);
    let subjects = db.column::<String>("select subject from tradeflow.firings order by 1").await;
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    assert_eq!(
        db.column::<String>("select row_key from store.sheet_rows order by 1").await,
        ["4711", "a@b.c", "g@h.i"]
    );

    // A sheet that is added later comes in silence, too.
    google.spreadsheet("s2", "Quotes", json!([["Quote"], ["Q1"], ["Q2"]]));
    let both = format!("{COMPANIES},s2/Quotes/Quote");
    assert_eq!(counts(&sync(&db, &google, &both, &["sheet-rows"])), [2, 2, 0, 0, 0]);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.firings").await, 3);
    edit(&google, "s2", |tab| tab.cells.push(vec![json!("Q3")]));
    assert_eq!(counts(&sync(&db, &google, &both, &[])), [3, 1, 0, 2, 0]);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.firings").await, 4);
    assert_eq!(counts(&sync(&db, &google, &both, &["--sweep"])), [6, 0, 0, 6, 0]);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 0);
}

#[tokio::test]
async fn a_sheet_that_cannot_be_read_is_told_and_the_others_go_on() {
    let db = Database::with_store().await;
    let google = Google::start();
    companies(&google);
    google.spreadsheet("twice", "T", json!([["Email", "n", "n"], ["x", 1, 2]]));
    google.spreadsheet("bare", "T", json!([[], ["x", 1, 2]]));
    google.spreadsheet("other", "T", json!([["Mail"], ["x"]]));
    google.spreadsheet("private", "T", json!([["Email"], ["x"]]));
    google.edit(|state| state.spreadsheets.get_mut("private").expect("it is there").shared = false);
    let wrong = "twice/T/Email,bare/T/Email,other/T/Email,private/T/Email,absent/T/Email,other/Nowhere/Email";
    let all = format!("{wrong},{COMPANIES}");
    let said = sync(&db, &google, &all, &["sheet_rows"]);
    assert_eq!((said.code, &said.json()["resources"][0]["rejected"]), (1, &json!(6)), "{said:?}");
    assert_eq!(
        db.column::<String>("select distinct spreadsheet_id from store.sheet_rows").await,
        ["s1"],
        "the good one is stored"
    );
    let told = incidents(&db, "sync_rejected").await;
    for (incident, text) in told.iter().zip([
        "the column \"n\" more than once (B, C)",
        "no header: its first row must name the columns",
        "no column \"Email\"; it has Mail",
        "share the spreadsheet with tradeflow@project",
        "mend its id in sheets.synced",
        "a tab \"Nowhere\" expected",
    ]) {
        assert!(incident.contains(text), "{text}: {incident}");
    }
    // The same again is counted, not told again.
    assert_eq!(sync(&db, &google, &all, &[]).code, 1);
    assert_eq!(incidents(&db, "sync_rejected").await.len(), told.len());
    let doctor = with_sheets(Tradeflow::on(&db, ["doctor"]), &google, &all).run();
    assert!(doctor.stdout.contains("sheet s1/Companies/Email can be read"), "{doctor:?}");
    assert!(doctor.stdout.contains("sheet twice/T/Email cannot be synced"), "{doctor:?}");

    // Mended: what was there before comes in silence.
    db.sql("insert into tradeflow.rules (name, source) values ('any_row', 'store.sheet_rows')").await;
    edit(&google, "twice", |tab| tab.cells[0][2] = json!("m"));
    assert_eq!(counts(&sync(&db, &google, "twice/T/Email", &[])), [1, 1, 0, 0, 0]);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.firings").await, 0);
    // Broken again: nothing of it is deleted.
    edit(&google, "twice", |tab| tab.cells.clear());
    assert_eq!(sync(&db, &google, "twice/T/Email", &[]).code, 1);
    assert_eq!(
        db.one::<i64>("select count(*) from store.sheet_rows where spreadsheet_id = 'twice'").await,
        1
    );
    // Nothing named, and a key that is none.
    assert!(sync(&db, &google, "", &["sheet_rows"]).failure().contains("no sheet is named"));
    let command = Tradeflow::on(&db, ["sync", "once", "sheet_rows"]);
    let said = with_sheets(command, &google, COMPANIES).env("GOOGLE_TEST_KEY", "hunter2").run();
    assert!(said.failure().contains("is not the JSON key") && !said.stderr.contains("hunter2"), "{said:?}");
}

#[tokio::test]
async fn a_key_twice_or_none_and_half_a_sheet_gone() {
    let db = Database::with_store().await;
    let google = Google::start();
    let rows: Vec<Value> = (0..40).map(|n| json!([format!("k{n}"), n])).collect();
    google.spreadsheet("s1", "Companies", Value::Array([vec![json!(["Email", "n"])], rows].concat()));
    counts(&sync(&db, &google, COMPANIES, &[]));
    edit(&google, "s1", |tab| {
        tab.cells[2][0] = json!("k0");
        tab.cells[3][0] = Value::Null;
    });
    let said = sync(&db, &google, COMPANIES, &[]);
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("a row without a key is not stored") && said.stderr.contains("row=4"),
        "{said:?}"
    );
    let told = incidents(&db, "sync_rejected").await;
    assert!(told[0].contains("\"k0\" in rows 2 and 3") && told[0].contains("row 2 is stored"), "{told:?}");
    assert_eq!(db.one::<i64>("select count(*) from store.sheet_rows").await, 38, "k1 and k2 are gone");
    // So many at once are no deletion but an accident.
    edit(&google, "s1", |tab| tab.cells.truncate(10));
    sync(&db, &google, COMPANIES, &[]);
    assert_eq!(db.one::<i64>("select count(*) from store.sheet_rows").await, 38);
    let held = incidents(&db, "sync_held").await;
    assert!(held[0].contains("rows of sheet s1/Companies are not at the source any more"), "{held:?}");
    let command =
        Tradeflow::on(&db, ["sync", "once", "--sweep"]).env("TRADEFLOW_SYNC_SWEEP_MAX_DELETED", "100");
    with_sheets(command, &google, COMPANIES).run();
    assert_eq!(db.one::<i64>("select count(*) from store.sheet_rows").await, 7);
}

#[tokio::test]
async fn what_passes_is_caught_up_with_and_drive_is_not_needed() {
    let db = Database::with_store().await;
    let google = Google::start();
    companies(&google);
    for fault in [Fault::status(503), Fault::Html { status: 200 }, Fault::Truncated, Fault::Refused] {
        google.faults().next_of("GET", "/v4/*", 1, fault);
        assert_eq!(sync(&db, &google, COMPANIES, &[]).code, 1);
    }
    // The third in a row is told, and the fourth, whose reason is another.
    assert_eq!(incidents(&db, "sync_error").await.len(), 2);
    let dry = sync(&db, &google, COMPANIES, &["--dry-run"]);
    assert_eq!((counts(&dry)[1], db.one::<i64>("select count(*) from store.sheet_rows").await), (3, 0));
    counts(&sync(&db, &google, COMPANIES, &[]));
    assert_eq!(db.one::<i64>("select count(*) from store.sheet_rows").await, 3);
    // An account that may not ask Drive reads the sheet each time.
    let disabled = r#"{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "Google Drive API has not been used in project 1 before or it is disabled."}}"#;
    let fault = Fault::Status { status: 403, body: disabled.into(), headers: vec![] };
    google.faults().next_of("GET", "/drive/*", 1, fault);
    edit(&google, "s1", |tab| tab.cells[1][2] = json!(5));
    assert_eq!(counts(&sync(&db, &google, COMPANIES, &[])), [3, 0, 1, 2, 0]);
}

#[tokio::test]
async fn watch_asks_again_and_again() {
    let db = Database::with_store().await;
    let google = Google::start();
    companies(&google);
    db.sql("insert into tradeflow.rules (name, source) values ('any_row', 'store.sheet_rows')").await;
    let _watching =
        with_sheets(Tradeflow::on(&db, ["sync", "watch", "sheet_rows"]), &google, COMPANIES).start();
    db.until("select exists (select from tradeflow.sync_state where resource = 'sheet-rows' and finished_at is not null)").await;
    edit(&google, "s1", |tab| tab.cells.push(vec![json!("New"), json!("new@b.c")]));
    db.until("select exists (select from tradeflow.firings where subject like '%new@b.c%')").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.firings").await, 1);
}
