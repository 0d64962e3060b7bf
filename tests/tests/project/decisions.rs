//! Decision tables: ordinary tables, the first line that matches wins.

use tradeflow_tests::database::Database;
use tradeflow_tests::project::Shop;

#[tokio::test]
async fn a_criterion_that_is_null_lets_everything_pass() {
    let db = Database::with_extension().await;
    for (call, expected) in [
        ("null::text, 'x'", true),
        ("null::text, null", true),
        ("'x'::text, 'x'", true),
        ("'x'::text, 'y'", false),
        ("'x'::text, null", false),
        ("'x'::varchar, 'x'::text", true),
        ("5::bigint, 5", true),
        ("'{a,b}'::text[], 'b'::text", true),
        ("'{a,b}'::text[], null::text", false),
        ("null::text[], 'b'::text", true),
        ("'[1,5)'::int4range, 5", false),
        ("numrange(10, null), 12.5", true),
    ] {
        assert_eq!(db.one::<bool>(&format!("select tradeflow.matches({call})")).await, expected, "{call}");
    }
}

#[tokio::test]
async fn the_first_line_that_matches_wins_with_a_fallback_at_the_end() {
    let shop = Shop::new().await;
    shop.write(
        "rules/terms.sql",
        "create table if not exists terms (position int primary key, customer_group text, total numrange, days int not null);
insert into terms (position, customer_group, total, days) values
  (1, 'Gold', null, 60),
  (2, null, numrange(10000, null), 45),
  (1000, null, null, 14)
on conflict (position) do update set customer_group = excluded.customer_group, total = excluded.total, days = excluded.days;
insert into tradeflow.rules (name, source, condition, query) values ('terms', 'store.quotes', 'new.status = 0', $$
  select t.days from store.companies c
  cross join lateral (
    select x.* from terms x
    where tradeflow.matches(x.customer_group, c.bc_customer_group_name) and tradeflow.matches(x.total, new.grand_total)
    order by x.position limit 1) t
  where c.company_id = new.company_id $$)
on conflict (name) do update set condition = excluded.condition, query = excluded.query;
",
    );
    shop.run(["apply"]).success();
    shop.db
        .sql(
            "insert into store.companies (company_id, bc_customer_group_name, raw) values (1, 'Gold', '{}'), (2, null, '{}');
             insert into store.quotes (quote_id, company_id, status, grand_total, raw) values (1, 1, 0, 5, '{}'), (2, 2, 0, 20000, '{}'), (3, 2, 0, 5, '{}')",
        )
        .await;
    let days: Vec<String> = shop
        .db
        .column("select subject || ': ' || (facts ->> 'days') from tradeflow.firings order by subject")
        .await;
    assert_eq!(days, ["1: 60", "2: 45", "3: 14"]);

    // A line that people add in the database is theirs; one of the file that they change is drift.
    shop.db.sql("insert into rules.terms values (5, 'Silver', null, 21); update rules.terms set days = 7 where position = 1000").await;
    let plan = shop.run(["plan"]);
    assert_eq!(plan.code, 3, "{}", plan.stdout);
    assert!(
        plan.stdout.contains("~ row terms (1000)")
            && plan.stdout.contains("days: 7 → 14")
            && !plan.stdout.contains("terms (5)"),
        "{}",
        plan.stdout
    );
    // A line that leaves the file goes with --prune.
    shop.edit("rules/terms.sql", "  (2, null, numrange(10000, null), 45),\n", "");
    shop.run(["apply", "--prune"]).success();
    assert_eq!(
        shop.db.column::<i32>("select position from rules.terms order by position").await,
        [1, 5, 1000]
    );
}
