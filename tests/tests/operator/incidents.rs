//! `tradeflow incidents`.

use serde_json::json;

use super::{bury, jobs, tradeflow};

#[tokio::test]
async fn lists_open_ones_with_what_to_do_and_takes_note() {
    let db = jobs().await;
    assert_eq!(tradeflow(&db, ["incidents", "list"]).success().trim(), "there is none");
    db.sql("insert into jobs values (1), (2), (3)").await;
    for id in [1, 2, 3] {
        bury(&db, id).await;
    }
    let said = tradeflow(&db, ["incidents", "list"]);
    for words in [
        "1  dead_action (",
        "action call of rule \"job\" for 1: the ERP said no",
        "rule job, subject 1, action 1",
        "→ mend the cause, then select tradeflow.retry(1)",
    ] {
        assert!(said.success().contains(words), "{words} is missing in:\n{}", said.stdout);
    }

    let said = tradeflow(&db, ["incidents", "ack", "1", "99"]);
    assert_eq!(said.code, 1);
    assert_eq!(said.stdout.trim(), "1 incident noted");
    assert!(said.stderr.contains("incident 99 is not open"), "{}", said.stderr);
    let ids = |arguments: &[&str]| -> Vec<i64> {
        let json = tradeflow(&db, ["incidents", "list", "--json"].iter().chain(arguments).copied()).json();
        json["incidents"].as_array().unwrap().iter().map(|i| i["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&[]), [3, 2]);
    assert_eq!(ids(&["--noted"]), [3, 2, 1]);
    assert_eq!(ids(&["--kind", "held_burst"]), Vec::<i64>::new());
    assert_eq!(ids(&["--rule", "job", "--limit", "1", "--since", "1h"]), [3]);
    assert!(tradeflow(&db, ["incidents", "list", "--noted"]).stdout.contains("noted by postgres"));

    assert_eq!(tradeflow(&db, ["incidents", "ack"]).code, 1);
    assert!(tradeflow(&db, ["incidents", "ack", "--all"]).failure().contains("say --yes"));
    assert_eq!(tradeflow(&db, ["incidents", "ack", "--rule", "later"]).success().trim(), "0 incidents noted");
    assert_eq!(
        tradeflow(&db, ["incidents", "ack", "--kind", "dead_action", "--json"]).json(),
        json!({"noted": [2, 3]})
    );
    assert_eq!(ids(&[]), Vec::<i64>::new());
}
