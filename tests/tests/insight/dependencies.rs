//! `tradeflow.dependencies`.

use super::quotes;

/// Part, table, column and function of what a rule reads, one a line.
async fn reads(db: &tradeflow_tests::database::Database, rule: &str) -> Vec<String> {
    db.column(&format!(
        "select concat_ws(' ', part, table_name, coalesce(column_name, case when table_name is not null then '*' end), function)
         from tradeflow.dependencies where rule = '{rule}' order by 1"
    ))
    .await
}

#[tokio::test]
async fn columns_functions_and_what_is_behind_views() {
    let db = quotes().await;
    db.sql(
        "create table companies (id int primary key, tier text, note text);
         create function vip(text) returns boolean language sql stable as 'select $1 = $$gold$$';
         create view tiers as select id as company, tier from companies;
         insert into tradeflow.rules (name, source, condition, columns, query, fire_at) values
           ('r', 'quotes', 'old.status = 0 and vip(new.name)', '{status}',
            'select t.tier from tiers t where t.company = new.id and vip(t.tier)', 'new.at')",
    )
    .await;
    assert_eq!(
        reads(&db, "r").await,
        [
            "columns public.quotes status",
            "condition public.quotes name",
            "condition public.quotes status",
            "condition public.vip(text)",
            "fire_at public.quotes at",
            "key public.quotes id",
            "query public.companies id",
            "query public.companies tier",
            "query public.quotes id",
            "query public.tiers company",
            "query public.tiers tier",
            "query public.vip(text)",
            "source public.quotes *",
        ]
    );
    db.sql("update tradeflow.rules set query = null, fire_at = null, columns = null, condition = 'new.total > 1' where name = 'r'").await;
    assert_eq!(
        reads(&db, "r").await,
        ["condition public.quotes total", "key public.quotes id", "source public.quotes *"]
    );
    db.sql("delete from tradeflow.rules where name = 'r'").await;
    assert!(reads(&db, "r").await.is_empty());
}

#[tokio::test]
async fn a_view_rule_reads_what_its_view_reads() {
    let db = quotes().await;
    db.sql(
        "create view busy as select name as subject, count(*) as n from quotes where status = 1 group by name having count(*) > 2;
         insert into tradeflow.rules (name, view) values ('busy', 'busy');
         insert into tradeflow.rule_inputs (rule, source, subject) values ('busy', 'quotes', 'new.name')",
    )
    .await;
    let reads = reads(&db, "busy").await;
    for expected in [
        "view public.quotes status",
        "view public.quotes name",
        "view public.busy subject",
        "input public.quotes name",
    ] {
        assert!(reads.iter().any(|r| r == expected), "{expected} in {reads:?}");
    }
}
