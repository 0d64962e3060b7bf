//! What maps changed rows to subjects.

use super::members::{both_edges, edges, gold};

#[tokio::test]
async fn a_row_that_moves_to_another_subject_counts_for_both() {
    let db = gold().await;
    both_edges(&db, "gold").await;
    db.sql("insert into orders values (1, 1, 1000), (2, 2, 500), (3, 2, 400)").await;
    assert_eq!(edges(&db).await, [r#"enter 1 {"spent": 1000}"#]);
    db.sql("update orders set company = 2 where id = 1").await;
    assert_eq!(edges(&db).await, [r#"enter 2 {"spent": 1900}"#, r#"leave 1 {"spent": 1000}"#]);
}

#[tokio::test]
async fn a_select_maps_to_any_number_of_subjects_of_another_table() {
    let db = gold().await;
    db.watch("companies", "id int primary key, parent int, name text").await;
    db.sql("insert into companies values (1, null, 'a'), (2, 1, 'b'), (3, 1, 'c')").await;
    db.sql(
        "create view family as
           select p.id as subject, p.name, sum(o.total) as spent
           from companies p join companies c on p.id in (c.id, c.parent) join orders o on o.company = c.id
           group by p.id, p.name having sum(o.total) >= 1000",
    )
    .await;
    db.sql(
        "delete from tradeflow.rules; insert into tradeflow.rules (name, view) values ('family', 'family')",
    )
    .await;
    db.sql(
        "insert into tradeflow.rule_inputs (rule, source, subject) values
           ('family', 'orders', 'select unnest(array[c.id, c.parent]) from companies c where c.id = new.company'),
           ('family', 'companies', 'select unnest(array[new.id, new.parent])')",
    )
    .await;
    both_edges(&db, "family").await;
    db.sql("insert into orders values (1, 2, 600), (2, 3, 600)").await;
    assert_eq!(edges(&db).await, [r#"enter 1 {"name": "a", "spent": 1200}"#]);
    db.sql("update companies set parent = null where id = 3").await;
    assert_eq!(edges(&db).await, [r#"leave 1 {"name": "a", "spent": 1200}"#]);
    db.sql("update orders set total = 1500 where id = 2").await;
    assert_eq!(edges(&db).await, [r#"enter 3 {"name": "c", "spent": 1500}"#]);
}

#[tokio::test]
async fn one_statement_may_concern_a_hundred_thousand_subjects() {
    let db = gold().await;
    db.sql("update tradeflow.rules set max_firings = 1000000").await;
    db.sql("create index on orders (company)").await;
    db.sql("insert into orders select i, i, case when i % 1000 = 0 then 2000 else 1 end from generate_series(1, 100000) i").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 100);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.members").await, 100);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.view_checks").await, 0);
}

#[tokio::test]
async fn a_burst_is_held() {
    let db = gold().await;
    db.sql("update tradeflow.rules set max_firings = 3").await;
    db.sql("insert into orders select i, i, 2000 from generate_series(1, 4) i").await;
    assert_eq!(
        db.fired_in_detail().await,
        ["gold 1 view held", "gold 2 view held", "gold 3 view held", "gold 4 view held"]
    );
    assert!(db.incidents().await[0].starts_with("held_burst gold"));
}

#[tokio::test]
async fn bad_input_is_refused_with_what_to_do() {
    let db = gold().await;
    let refused = [
        ("update tradeflow.rule_inputs set subject = 'new.placed'", "42804", "subject must be integer"),
        ("update tradeflow.rule_inputs set subject = 'new.nobody'", "42703", "new.nobody"),
        ("update tradeflow.rule_inputs set subject = 'select company from orders; select 1'", "42601", "syntax error"),
        ("create view no_subject as select 1 as x; insert into tradeflow.rules (name, view) values ('x', 'no_subject')", "42703", "no column subject"),
        ("create view dice as select (random() * 6)::int as subject; insert into tradeflow.rules (name, view) values ('x', 'dice')", "42P17", "volatile"),
        ("create view numbered as select row_number() over (order by id) as subject from orders; insert into tradeflow.rules (name, view) values ('x', 'numbered')", "42P17", "window function"),
        ("create collation shouted (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
          create view shouting as select 'x' collate shouted as subject; insert into tradeflow.rules (name, view) values ('x', 'shouting')", "42P17", "collation"),
        ("insert into tradeflow.rules (name, view) values ('x', 'orders')", "42809", "no view"),
        ("insert into tradeflow.rules (name, view) values ('x', 'nothing')", "42P01", "does not exist"),
        ("insert into tradeflow.rules (name, view, source) values ('x', 'gold', 'orders')", "23502", "one of source, view and schedule"),
        ("insert into tradeflow.rules (name, view, condition) values ('x', 'gold', 'true')", "23514", "it has a view, so it has no condition"),
    ];
    for (statement, code, words) in refused {
        let error = db.error(statement).await;
        assert_eq!(error.code, code, "{statement}: {error:?}");
        assert!(format!("{error:?}").contains(words), "{statement}: {error:?}");
    }
}
