//! `tradeflow rules`, and view `rule_stats`.

use super::{bury, jobs, tradeflow};

#[tokio::test]
async fn lists_rules_with_what_they_do() {
    let db = jobs().await;
    db.sql(
        "insert into tradeflow.rules (name, source, condition) values ('broken', 'public.jobs', 'new.n > tradeflow.setting(''limit'')::int');
         insert into tradeflow.rules (name, source, mode) values ('quiet', 'public.jobs', 'off');
         insert into jobs values (1), (2), (-3);",
    )
    .await;
    bury(&db, 1).await;
    db.sql("select tradeflow.complete('{2}', '{1}', array['{}'::jsonb])").await;
    let said = tradeflow(&db, ["rules", "list"]);
    let line = |rule: &str| {
        let line = said.success().lines().find(|line| line.starts_with(rule)).unwrap_or_default();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    // Open is the second step of 2.
    assert_eq!(&line("job ")[..7], ["job", "public.jobs", "live", "1", "1", "0", "1"]);
    assert_eq!(line("job ").last().map(String::as_str), Some("1 incident"));
    assert_eq!(&line("later")[..7], ["later", "public.jobs", "live", "1", "0", "0", "0"]);
    assert_eq!(line("quiet")[2], "off");
    assert_eq!(line("broken")[2], "invalid");
    assert!(line("broken").last().unwrap().contains("limit"), "{}", said.stdout);

    let json = tradeflow(&db, ["rules", "list", "--json"]).json();
    let job = json["rules"].as_array().unwrap().iter().find(|r| r["rule"] == "job").unwrap().clone();
    assert_eq!((&job["dead"], &job["done_24h"], &job["status"]), (&1.into(), &1.into(), &"live".into()));
    assert!(job["median_latency_seconds_24h"].as_f64().is_some(), "{job}");
}

#[tokio::test]
async fn pauses_and_resumes() {
    let db = jobs().await;
    let said = tradeflow(&db, ["rules", "pause", "job", "--reason", "wrong price list"]);
    assert!(said.success().contains("tradeflow rules resume job"), "{}", said.stdout);
    assert!(tradeflow(&db, ["rules", "pause", "job"]).success().contains("is paused already"));
    let list = tradeflow(&db, ["rules", "list"]);
    assert!(list.stdout.contains("paused") && list.stdout.contains("wrong price list"), "{}", list.stdout);
    db.sql("insert into jobs values (1)").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 0);
    assert!(tradeflow(&db, ["rules", "resume", "job"]).success().contains("is asked again"));
    assert!(tradeflow(&db, ["rules", "resume", "job"]).success().contains("is not paused"));
    db.sql("insert into jobs values (2)").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 1);
    for (command, paused, changed) in
        [("pause", true, true), ("pause", true, false), ("resume", false, true), ("resume", false, false)]
    {
        let said = tradeflow(&db, ["rules", command, "job", "--json"]).json();
        assert_eq!(said, serde_json::json!({"rule": "job", "paused": paused, "changed": changed}));
    }
    let none = tradeflow(&db, ["rules", "pause", "nobody"]);
    assert!(none.failure().contains("there is no rule \"nobody\""), "{}", none.stderr);
}
