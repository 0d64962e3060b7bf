//! `set tradeflow.mode = 'silent'`: rows change and nothing fires.

use tradeflow_tests::database::Database;

async fn rows() -> Database {
    let db = Database::with_extension().await;
    db.watch("rows", "id int primary key, n int, due timestamptz").await;
    db.rule("big", "public.rows", "new.n > 10").await;
    db
}

#[tokio::test]
async fn nothing_fires_and_what_became_so_is_known() {
    let db = rows().await;
    db.sql("insert into tradeflow.rules (name, source, condition, fires) values ('first', 'public.rows', 'new.n > 10', 'once')").await;
    db.sql("set tradeflow.mode = 'silent'; insert into rows values (1, 11); update rows set n = 12; reset tradeflow.mode").await;
    assert!(db.fired().await.is_empty());
    db.sql("update rows set n = 13").await;
    assert!(db.fired().await.is_empty(), "it was so already");
    db.sql("update rows set n = 1; update rows set n = 14").await;
    assert_eq!(db.fired().await, ["big 1"], "the first answer was given in silence");
    db.sql("insert into rows values (2, 11)").await;
    assert_eq!(db.fired().await, ["big 2", "first 2"]);
}

#[tokio::test]
async fn a_burst_in_silence_is_none() {
    let db = rows().await;
    db.sql("begin; set local tradeflow.mode = 'silent'; insert into rows select g, 11 from generate_series(1, 2000) g; commit").await;
    assert!(db.fired().await.is_empty() && db.incidents().await.is_empty());
    db.sql("insert into rows values (0, 11)").await;
    assert_eq!(db.fired().await, ["big 0"]);
}

#[tokio::test]
async fn what_waits_is_cancelled_by_a_no_and_stays_otherwise() {
    let db = rows().await;
    db.target().await;
    db.sql("update tradeflow.rules set fire_at = 'new.due'").await;
    db.action("big").await;
    db.sql(
        "insert into rows select g, 11, now() + interval '3 days' from generate_series(1, 2) g;
            set tradeflow.mode = 'silent';
            update rows set n = 1 where id = 1; update rows set due = now() + interval '4 days' where id = 2",
    )
    .await;
    let left: Vec<String> = db.column("select subject || ' ' || state from tradeflow.outbox").await;
    assert_eq!(left, ["2 waiting"]);
}

#[tokio::test]
async fn it_takes_a_granted_right() {
    let db = rows().await;
    let sync = db.role(&[]).await;
    db.sql(&format!("grant all on rows to {sync}")).await;
    let session = db.connect_as(&sync, &sync).await;
    session.batch_execute("set tradeflow.mode = 'silent'").await.expect("it is a setting");
    // Refused whether the row concerns a rule or not.
    for statement in ["insert into rows values (1, 11)", "insert into rows values (1, 0)"] {
        let error = session.batch_execute(statement).await.expect_err("the right is missing");
        assert_eq!(error.code().expect("an SQL error").code(), "42501", "{statement}");
    }
    session
        .batch_execute("reset tradeflow.mode; insert into rows values (1, 11)")
        .await
        .expect("without it all is as ever");
    db.sql(&format!("grant tradeflow_silent to {sync}")).await;
    session
        .batch_execute("set tradeflow.mode = 'silent'; insert into rows values (2, 11)")
        .await
        .expect("it may now");
    assert_eq!(db.fired().await, ["big 1"]);
    db.sql(&format!("revoke all on rows from {sync}")).await;
}

#[tokio::test]
async fn a_word_that_is_no_mode_is_refused() {
    let db = rows().await;
    let error = db.error("set tradeflow.mode = 'silence'; insert into rows values (1, 0)").await;
    assert_eq!(error.code, "22023");
    db.sql("set tradeflow.mode = 'normal'; insert into rows values (1, 11)").await;
    assert_eq!(db.fired().await, ["big 1"]);
}

#[tokio::test]
async fn views_know_who_came_and_went_in_silence() {
    let db = rows().await;
    db.sql(
        "create view bigs as select n as subject, count(*) as n_rows from rows group by n having count(*) > 1;
         insert into tradeflow.rules (name, view) values ('bigs', 'public.bigs');
         insert into tradeflow.rule_inputs values ('bigs', 'public.rows', 'new.n');
         delete from tradeflow.rules where name = 'big'",
    )
    .await;
    db.sql("begin; set local tradeflow.mode = 'silent'; insert into rows values (1, 5), (2, 5); commit")
        .await;
    assert!(db.fired().await.is_empty());
    assert_eq!(db.column::<String>("select subject from tradeflow.members").await, ["5"]);
    db.sql("insert into rows values (3, 5), (4, 6), (5, 6)").await;
    assert_eq!(db.fired().await, ["bigs 6"], "5 was in already");
}
