//! `tradeflow explain`, `backtest` and `tail`.

use serde_json::{json, Value as Json};
use tradeflow_tests::database::Database;
use tradeflow_tests::sidecar::Tradeflow;

use super::{bury, jobs, tradeflow};

#[tokio::test]
async fn explains_for_people_and_for_programs() {
    let db = jobs().await;
    db.sql("insert into tradeflow.rules (name, source, condition) values ('both', 'public.jobs', 'new.id > 0 and new.n > 10 and old.n is distinct from new.n');
            insert into jobs values (1, 7), (2, 70)")
        .await;
    let no = tradeflow(&db, ["explain", "both", "1"]);
    for words in [
        "both for 1: It does not hold for the row: new.n > 10 is not true.",
        "yes   new.id > 0",
        "NO    new.n > 10",
        "—     old.n IS DISTINCT FROM new.n",
    ] {
        let found = no.success().to_lowercase();
        assert!(found.contains(&words.to_lowercase()), "{words} is missing in:\n{}", no.stdout);
    }
    let yes = tradeflow(&db, ["explain", "both", "2"]);
    assert!(
        yes.success().contains("It fired 1 time(s)") && yes.stdout.contains("fired 20"),
        "{}",
        yes.stdout
    );
    bury(&db, 1).await;
    let dead = tradeflow(&db, ["explain", "job", "1"]);
    assert!(dead.success().contains("1 call → erp: dead: the ERP said no"), "{}", dead.stdout);
    assert_eq!(tradeflow(&db, ["explain", "both", "1", "--json"]).json()["first_no"], "new.n > 10");
    assert!(tradeflow(&db, ["explain", "nobody", "1"]).failure().contains("rule \"nobody\" does not exist"));
}

#[tokio::test]
async fn replays_what_was_logged_through_a_rule_and_a_draft() {
    let db = Database::with_extension().await;
    db.watch("jobs", "id int primary key, n int").await;
    db.sql(
        "select tradeflow.watch('jobs', log => true);
            insert into tradeflow.rules (name, source, condition) values ('big', 'public.jobs', 'new.n > 10');
            insert into jobs values (1, 5), (2, 15), (3, 25)",
    )
    .await;
    let said = tradeflow(&db, ["backtest", "big", "--since", "30d"]);
    assert_eq!(said.success().trim(), "2 fire as they did, 0 in the replay only, 0 did then only, 0 errors");
    let counts = |arguments: &[&str]| {
        tradeflow(&db, ["backtest", "big", "--json"].iter().chain(arguments).copied()).json()["counts"]
            .clone()
    };
    assert_eq!(
        counts(&["--condition", "new.n < 20"]),
        json!({"same": 1, "added": 1, "missing": 1, "error": 0})
    );
    assert_eq!(counts(&["--until", "2000-01-01"]), json!({"same": 0, "added": 0, "missing": 0, "error": 0}));
    let said = tradeflow(&db, ["backtest", "big", "--condition", "new.n < 20"]);
    assert!(
        said.success()
            .lines()
            .any(|line| line.starts_with("missing") && line.contains("insert") && line.contains(" 3 ")),
        "{}",
        said.stdout
    );

    let draft = |text: &str| {
        Tradeflow::on(&db, ["backtest", "big", "--draft", "draft.json", "--json", "--all"])
            .file("draft.json", text)
            .run()
    };
    assert_eq!(draft(r#"{"condition": "new.n > 20"}"#).json()["counts"]["missing"], 1);
    let failing = draft(r#"{"condition": "1 / (new.n - 5) > 0"}"#);
    assert_eq!((failing.code, &failing.json()["counts"]["error"]), (1, &json!(1)));
    assert!(draft("{").failure().contains("draft.json is no JSON"));
    assert!(draft(r#"{"conditon": "true"}"#).failure().contains("a rule has no \"conditon\""));
    assert!(tradeflow(&db, ["backtest", "nobody"]).failure().contains("rule \"nobody\" does not exist"));
}

/// The events that `tail --json` told so far: `event id` of actions, `incident kind`.
fn events(log: &str) -> Vec<String> {
    let lines =
        log.lines().filter_map(|line| serde_json::from_str::<Json>(line.get(line.find('{')?..)?).ok());
    lines
        .map(|event| match event["event"].as_str() {
            Some("incident") => format!("incident {}", event["kind"].as_str().unwrap_or_default()),
            kind => format!("{} {}", kind.unwrap_or_default(), event["id"]),
        })
        .collect()
}

#[tokio::test]
async fn follows_what_happens() {
    let db = jobs().await;
    db.sql("insert into jobs values (100)").await;
    let mut tail =
        Tradeflow::on(&db, ["tail", "--json", "--interval", "50ms", "--since", "2000-01-01"]).start();
    tail.wait_for_log("\"subject\":\"100\"");
    db.sql("insert into jobs values (1), (-2)").await;
    tail.wait_for_log("\"subject\":\"-2\"");
    db.sql("select tradeflow.claim('w', 10, '1 minute'); select tradeflow.complete('{2}', '{1}', array['{}'::jsonb])").await;
    tail.wait_for_log("\"event\":\"step\"");
    tail.wait_for_log("\"event\":\"done\"");
    db.sql("select tradeflow.fail(1, 1, 'busy', 'retry', '1 hour')").await;
    tail.wait_for_log("\"event\":\"retry\"");
    db.sql("select tradeflow.retry(1); select tradeflow.claim('w', 1, '1 minute', '{http}'); select tradeflow.fail(1, 2, 'no', 'dead')").await;
    tail.wait_for_log("\"event\":\"incident\"");
    let mut told = events(&tail.log());
    told.sort();
    assert_eq!(
        told,
        ["done 2", "fired 1", "fired 2", "fired 3", "incident dead_action", "retry 1", "step 4"],
        "each once"
    );
}

/// A transaction that took its ids first and commits last.
#[tokio::test]
async fn misses_nothing_that_commits_late() {
    let db = jobs().await;
    let mut tail =
        Tradeflow::on(&db, ["tail", "--json", "--interval", "50ms", "--rule", "job", "--since", "1h"])
            .start();
    let slow = db.connect().await;
    slow.batch_execute("begin; insert into jobs values (1)").await.expect("it fires");
    // Something later is told, whenever it began to look.
    let mut id = 1;
    tradeflow_tests::eventually::eventually("a firing with a later id is told", || {
        id += 1;
        let (db, log) = (&db, tail.log());
        async move {
            db.sql(&format!("insert into jobs values ({id})")).await;
            log.contains("\"event\":\"fired\"").then_some(())
        }
    })
    .await;
    slow.batch_execute("commit").await.expect("it commits");
    tail.wait_for_log("\"subject\":\"1\"");
}

#[tokio::test]
async fn follows_in_lines_for_people_until_it_is_told_to_stop() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (-2)").await;
    bury(&db, 1).await;
    let mut tail = Tradeflow::on(&db, ["tail", "--since", "1h", "--interval", "50ms"]).start();
    let line = tail.wait_for_log("  fired      later  -2  1 email → smtp  in 2d");
    assert!(line.len() > 40, "{line}");
    tail.wait_for_log("  fired      job  1  call → erp");
    tail.wait_for_log("  incident   job  1  dead_action  action call of rule \"job\" for 1: the ERP said no");
    tail.interrupt();
    assert_eq!(tail.wait(std::time::Duration::from_secs(10)), 0);
}
