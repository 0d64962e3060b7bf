//! Entering, leaving, and what is remembered in between.

use tradeflow_tests::database::Database;

/// Orders, and a view of the companies that spent 1,000 or more within 90 days. Today is 2026-11-22, noon.
pub async fn gold() -> Database {
    let db = Database::with_extension().await;
    db.watch(
        "orders",
        "id int primary key, company int, total numeric, placed timestamptz default tradeflow.now()",
    )
    .await;
    db.sql("select tradeflow.set_clock('2026-11-22 12:00+00')").await;
    db.sql(
        "create view gold as
           select company as subject, sum(total) as spent, min(placed) + interval '90 days' as recheck_at
           from orders where placed > tradeflow.now() - interval '90 days'
           group by company having sum(total) >= 1000",
    )
    .await;
    db.sql("insert into tradeflow.rules (name, view) values ('gold', 'gold')").await;
    db.sql(
        "insert into tradeflow.rule_inputs (rule, source, subject) values ('gold', 'orders', 'new.company')",
    )
    .await;
    db
}

/// Gives the rule actions for both edges.
pub async fn both_edges(db: &Database, rule: &str) {
    db.target().await;
    db.sql(&format!(
        "insert into tradeflow.actions (rule, edge, kind, target, params) values
           ('{rule}', 'enter', 'http', 'there', '{{\"path\": \"/in\"}}'), ('{rule}', 'leave', 'http', 'there', '{{\"path\": \"/out\"}}')"
    ))
    .await;
}

/// What fired since the last call: `edge subject occurrence facts`.
pub async fn edges(db: &Database) -> Vec<String> {
    db.column(
        "with gone as (delete from tradeflow.outbox returning *)
         select concat_ws(' ', edge, subject, nullif(occurrence, ''), facts) from gone order by id",
    )
    .await
}

pub const MEMBERS: &str = "select concat_ws(' ', subject, nullif(occurrence, '')) from tradeflow.members order by subject, occurrence";

#[tokio::test]
async fn a_threshold_is_entered_once_and_left_once() {
    let db = gold().await;
    both_edges(&db, "gold").await;
    db.sql("insert into orders values (1, 7, 600)").await;
    assert!(edges(&db).await.is_empty());
    db.sql("insert into orders values (2, 7, 600)").await;
    assert_eq!(edges(&db).await, [r#"enter 7 {"spent": 1200}"#]);
    // More of it is nothing new.
    db.sql("insert into orders values (3, 7, 5)").await;
    assert!(edges(&db).await.is_empty());
    db.sql("delete from orders where id = 1").await;
    // What it was worth when it entered.
    assert_eq!(edges(&db).await, [r#"leave 7 {"spent": 1200}"#]);
    db.sql("update orders set total = 1000 where id = 2").await;
    assert_eq!(edges(&db).await, [r#"enter 7 {"spent": 1005}"#]);
}

#[tokio::test]
async fn a_rule_fires_nothing_for_those_who_are_in_already() {
    let db = gold().await;
    db.sql("insert into orders values (1, 1, 2000)").await;
    edges(&db).await;
    db.sql(
        "create view rich as select company as subject from orders group by company having sum(total) > 1500",
    )
    .await;
    db.sql("insert into tradeflow.rules (name, view) values ('rich', 'rich')").await;
    db.sql(
        "insert into tradeflow.rule_inputs (rule, source, subject) values ('rich', 'orders', 'new.company')",
    )
    .await;
    db.sql("insert into orders values (2, 1, 1), (3, 2, 1), (4, 2, 2000)").await;
    assert_eq!(db.fired().await, ["gold 2", "rich 2"]);
    // Turned off it is not asked; turned on again it knows what came meanwhile.
    db.sql("update tradeflow.rules set mode = 'off'; insert into orders values (5, 3, 5000); update tradeflow.rules set mode = 'live'").await;
    db.sql("update orders set total = total + 1").await;
    assert!(db.fired().await.is_empty());
    assert_eq!(
        db.column::<String>("select subject from tradeflow.members where rule = 'rich' order by 1").await,
        ["1", "2", "3"]
    );
}

#[tokio::test]
async fn leaving_cancels_what_still_waits() {
    let db = gold().await;
    both_edges(&db, "gold").await;
    db.sql("update tradeflow.actions set delay = '3 days' where edge = 'enter'").await;
    db.sql("insert into orders values (1, 7, 2000)").await;
    assert_eq!(db.column::<String>("select state from tradeflow.outbox").await, ["waiting"]);
    db.sql("delete from orders").await;
    assert_eq!(
        db.column::<String>("select edge || ' ' || state from tradeflow.outbox").await,
        ["leave ready"]
    );
    assert_eq!(
        db.column::<String>("select edge || ' ' || state || ' ' || reason from tradeflow.outbox_history")
            .await,
        ["enter cancelled no longer holds"]
    );
}

#[tokio::test]
async fn time_alone_ends_a_membership() {
    let db = gold().await;
    both_edges(&db, "gold").await;
    db.sql("insert into orders (id, company, total, placed) values
              (1, 7, 2000, '2026-11-22 12:00+00'), (2, 8, 900, '2026-11-20 12:00+00'), (3, 8, 900, '2026-11-22 12:00+00')")
        .await;
    assert_eq!(edges(&db).await, [r#"enter 7 {"spent": 2000}"#, r#"enter 8 {"spent": 1800}"#]);
    // The older order of 8 leaves the window after 90 days, that of 7 two days later.
    db.sql("select tradeflow.set_clock('2027-02-18 12:00+00')").await;
    db.sql("select tradeflow.tick()").await;
    assert_eq!(edges(&db).await, [r#"leave 8 {"spent": 1800}"#]);
    db.sql("select tradeflow.set_clock('2027-02-20 12:00+00')").await;
    db.sql("select tradeflow.tick()").await;
    assert_eq!(edges(&db).await, [r#"leave 7 {"spent": 2000}"#]);
    assert!(db.column::<String>(MEMBERS).await.is_empty());
}

#[tokio::test]
async fn several_occurrences_of_one_subject_are_answers_of_their_own() {
    let db = gold().await;
    db.sql(
        "create view tiers as
           select company as subject, tier.name as occurrence, sum(total) as spent
           from orders cross join (values ('silver', 100), ('gold', 1000)) tier(name, least)
           group by company, tier.name, tier.least having sum(total) >= tier.least",
    )
    .await;
    db.sql("delete from tradeflow.rules; insert into tradeflow.rules (name, view) values ('tiers', 'tiers')")
        .await;
    db.sql(
        "insert into tradeflow.rule_inputs (rule, source, subject) values ('tiers', 'orders', 'new.company')",
    )
    .await;
    both_edges(&db, "tiers").await;
    db.sql("insert into orders values (1, 7, 200)").await;
    assert_eq!(edges(&db).await, [r#"enter 7 silver {"spent": 200}"#]);
    db.sql("insert into orders values (2, 7, 2000)").await;
    assert_eq!(edges(&db).await, [r#"enter 7 gold {"spent": 2200}"#]);
    db.sql("delete from orders where id = 2").await;
    assert_eq!(edges(&db).await, [r#"leave 7 gold {"spent": 2200}"#]);
    assert_eq!(db.column::<String>(MEMBERS).await, ["7 silver"]);
}

#[tokio::test]
async fn a_future_time_enters_when_it_comes() {
    let db = gold().await;
    db.sql("create view soon as select id as subject, placed + interval '1 day' as fire_at, total from orders where total > 0").await;
    db.sql("delete from tradeflow.rules; insert into tradeflow.rules (name, view) values ('soon', 'soon')")
        .await;
    db.sql("insert into tradeflow.rule_inputs (rule, source, subject) values ('soon', 'orders', 'new.id')")
        .await;
    both_edges(&db, "soon").await;
    db.sql("insert into orders values (1, 7, 200), (2, 7, 300)").await;
    // One goes before its time came: it never entered, so it does not leave.
    db.sql("update orders set total = 0 where id = 2; update orders set total = 250 where id = 1").await;
    assert!(edges(&db).await.is_empty());
    db.sql("select tradeflow.set_clock('2026-11-23 12:00+00')").await;
    db.sql("select tradeflow.tick()").await;
    assert_eq!(edges(&db).await, [r#"enter 1 {"total": 250}"#]);
    db.sql("delete from orders").await;
    assert_eq!(edges(&db).await, [r#"leave 1 {"total": 250}"#]);
}

#[tokio::test]
async fn a_failing_view_is_an_incident_and_never_a_failed_commit() {
    let db = gold().await;
    db.sql("create view ratio as select company as subject, 100 / min(total) as ratio from orders group by company").await;
    db.sql("insert into tradeflow.rules (name, view) values ('ratio', 'ratio')").await;
    db.sql(
        "insert into tradeflow.rule_inputs (rule, source, subject) values ('ratio', 'orders', 'new.company')",
    )
    .await;
    db.sql("insert into orders values (1, 1, 0), (2, 2, 5000)").await;
    assert_eq!(db.fired().await, ["gold 2"]);
    assert_eq!(db.incidents().await, [r#"rule_error ratio - 22012 1: rule "ratio": division by zero"#]);
    assert_eq!(db.one::<i64>("select count(*) from orders").await, 2);
}
