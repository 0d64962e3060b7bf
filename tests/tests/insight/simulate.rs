//! `tradeflow.simulate`.

use super::quotes;

const ROWS: &str = "select concat_ws(' ', rule, event, edge, subject, state, facts ->> 'total', facts ->> 'n', actions) from tradeflow.simulate";

#[tokio::test]
async fn firings_are_returned_and_nothing_is_kept() {
    let db = quotes().await;
    db.sql(
        "insert into tradeflow.targets (name, system, base_url) values ('erp', 'http', 'https://erp.example.com');
         insert into tradeflow.actions (rule, step, name, kind, target, params) values ('big', 1, 'tell', 'http', 'erp', '{\"path\": \"/x\"}'), ('big', 2, 'again', 'http', 'erp', '{\"path\": \"/y\"}');
         create view busy as select name as subject, count(*) as n from quotes group by name having count(*) > 1;
         insert into tradeflow.rules (name, view) values ('busy', 'busy');
         insert into tradeflow.rule_inputs (rule, source, subject) values ('busy', 'quotes', 'new.name');
         insert into quotes (id, status, total, name) values (1, 0, 150, 'a')",
    )
    .await;
    let simulated = db
        .column::<String>(&format!(
            "{ROWS}($$ update quotes set status = 1; insert into quotes (id, name) values (2, 'a') $$)"
        ))
        .await;
    assert_eq!(
        simulated,
        [
            r#"big update enter 1 ready 150.00 [{"kind": "http", "name": "tell", "step": 1, "params": {"path": "/x"}, "target": "erp"}, {"kind": "http", "name": "again", "step": 2, "params": {"path": "/y"}, "target": "erp"}]"#,
            "busy view enter a done 2 []",
        ]
    );
    for nothing in [
        "tradeflow.outbox",
        "tradeflow.outbox_history",
        "tradeflow.members",
        "quotes where status = 1",
        "tradeflow.change_log where event = 'update'",
    ] {
        assert_eq!(db.one::<i64>(&format!("select count(*) from {nothing}")).await, 0, "{nothing}");
    }
    // It does fire when it happens.
    db.sql("update quotes set status = 1").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 1);
}

#[tokio::test]
async fn only_what_the_statement_fires() {
    let db = quotes().await;
    db.sql("insert into quotes (id, status, total) values (1, 1, 150)").await;
    let simulated = db
        .column::<String>("select subject from tradeflow.simulate('insert into quotes (id, status, total) values (2, 1, 200)')")
        .await;
    assert_eq!(simulated, ["2"]);
    db.sql("begin; insert into quotes (id, status, total) values (3, 1, 200)").await;
    assert_eq!(db.column::<String>("select subject from tradeflow.simulate('insert into quotes (id, status, total) values (4, 1, 200)')").await, ["4"]);
    db.sql("commit").await;
    assert_eq!(
        db.column::<String>("select subject from tradeflow.firings order by firing_id").await,
        ["1", "3"]
    );
}

#[tokio::test]
async fn runs_as_the_caller_and_its_errors_are_the_statements() {
    let db = quotes().await;
    assert_eq!(
        db.error("select * from tradeflow.simulate('insert into quotes (id) values (null)')").await.code,
        "23502"
    );
    assert_eq!(db.error("select * from tradeflow.simulate('nonsense')").await.code, "42601");
    let author = db.role(&["tradeflow_author"]).await;
    let client = db.connect_as(&author, &author).await;
    let refused = client
        .query(
            "select * from tradeflow.simulate('insert into quotes (id, status, total) values (1, 1, 200)')",
            &[],
        )
        .await
        .unwrap_err();
    assert_eq!(refused.code().map(|c| c.code().to_string()).as_deref(), Some("42501"));
    db.sql(&format!("grant insert on quotes to {author}")).await;
    let rows = client.query("select subject from tradeflow.simulate('insert into quotes (id, status, total) values (1, 1, 200)')", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    db.sql(&format!("drop owned by {author}")).await;
}
