//! Actions with `recheck`: asked again before every execution.

use tradeflow_tests::database::Database;

async fn job() -> Database {
    let db = Database::with_extension().await;
    db.sql(
        "create table t (id int primary key, status int, n int);
         select tradeflow.watch('public.t');
         insert into tradeflow.rules (name, source, condition) values ('open', 'public.t', 'new.status = 0');
         insert into tradeflow.targets (name, system, base_url) values ('there', 'http', 'https://api.example.com');
         insert into tradeflow.actions (rule, step, kind, target, params, recheck) values
           ('open', 1, 'http', 'there', '{\"path\": \"/\"}', true), ('open', 2, 'http', 'there', '{\"path\": \"/2\"}', false)",
    )
    .await;
    db
}

const CLAIM: &str =
    "select coalesce(string_agg(format('%s %s %s', subject, step, facts ->> 'n'), ','), 'nothing')
                     from tradeflow.claim('me', 10, '1 minute')";

#[tokio::test]
async fn a_no_cancels_and_a_yes_brings_fresh_facts() {
    let db = job().await;
    db.sql("insert into t values (1, 0, 1), (2, 0, 1), (3, 0, 1); update t set status = 4 where id = 1; update t set n = 7 where id = 2; delete from t where id = 3").await;
    assert_eq!(db.one::<String>(CLAIM).await, "2 1 7");
    let gone: Vec<String> = db
        .column("select subject || ' ' || state || ': ' || reason from tradeflow.outbox_history order by id")
        .await;
    assert_eq!(
        gone,
        ["1 cancelled: no longer holds before execution", "3 cancelled: no longer holds before execution"]
    );

    // The second step did not ask for it.
    db.sql("update t set status = 4; select tradeflow.complete(array_agg(id), array_agg(attempt), array_agg('{}'::jsonb)) from tradeflow.outbox").await;
    assert_eq!(db.one::<String>(CLAIM).await, "2 2 7");
}

#[tokio::test]
async fn a_retry_asks_again() {
    let db = job().await;
    db.sql("insert into t values (1, 0, 1)").await;
    assert_eq!(db.one::<String>(CLAIM).await, "1 1 1");
    db.sql(
        "update t set status = 4;
         select tradeflow.fail(id, attempt, 'try later', 'retry') from tradeflow.outbox;
         select tradeflow.retry(array_agg(id)) from tradeflow.outbox",
    )
    .await;
    assert_eq!(db.one::<String>(CLAIM).await, "nothing");
    assert_eq!(db.one::<String>("select state from tradeflow.firings").await, "cancelled");
}

#[tokio::test]
async fn a_question_that_fails_holds_the_action() {
    let db = job().await;
    db.sql("insert into t values (1, 0, 1), (2, 0, 1)").await;
    db.sql("update tradeflow.rules set still = '10 / (new.n - 1) > 0'").await;
    assert_eq!(db.one::<String>(CLAIM).await, "nothing");
    assert_eq!(db.column::<String>("select state from tradeflow.outbox").await, ["held", "held"]);
    let message: String = db.one("select message from tradeflow.incidents limit 1").await;
    assert!(message.contains("division by zero") && message.contains("before an execution"), "{message}");
}
