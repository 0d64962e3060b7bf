//! What apply does: as a whole, within its project, one at a time.

use tradeflow_tests::eventually::eventually;
use tradeflow_tests::project::Shop;

const RULE: &str = "
insert into tradeflow.rules (name, source, condition) values ('big_quote', 'store.quotes', $$ new.grand_total > 1000 $$)
on conflict (name) do update set condition = excluded.condition;
insert into tradeflow.actions (rule, step, kind, target, params) values
  ('big_quote', 1, 'email', 'smtp', '{\"to\": \"a@example.com\", \"subject\": \"{{ facts.quote_number }}\", \"text\": \"x\"}'),
  ('big_quote', 2, 'email', 'smtp', '{\"to\": \"b@example.com\", \"subject\": \"{{ facts.quote_number }}\", \"text\": \"x\"}')
on conflict (rule, edge, step) do update set params = excluded.params;
";

#[tokio::test]
async fn what_no_file_says_any_more_stays_until_prune_and_others_are_left_alone() {
    let shop = Shop::with(["welcome_company_user"]).await;
    shop.write("rules/big.sql", RULE);
    shop.run(["apply"]).success();
    shop.db
        .sql(
            "insert into tradeflow.rules (name, source, condition) values ('by_hand', 'store.quotes', 'true');
             insert into tradeflow.rules (name, source, condition, project) values ('of_others', 'store.quotes', 'true', 'other');
             insert into tradeflow.settings (name, value) values ('by_hand', '1')",
        )
        .await;
    shop.remove("rules/welcome_company_user.sql");
    shop.remove("templates/welcome_company_user");
    let plan = shop.run(["plan"]);
    assert_eq!(plan.code, 0, "without --prune there is nothing to do:\n{}", plan.stdout);
    assert!(plan.stdout.contains("· rule welcome_company_user"), "{}", plan.stdout);
    shop.run(["apply"]).success();
    assert_eq!(shop.db.one::<i64>("select count(*) from tradeflow.rules").await, 4);

    let plan = shop.run(["plan", "--prune"]);
    assert_eq!(plan.code, 3, "{}", plan.stdout);
    assert!(
        plan.stdout.contains("- rule welcome_company_user")
            && !plan.stdout.contains("by_hand")
            && !plan.stdout.contains("of_others"),
        "{}",
        plan.stdout
    );
    shop.run(["apply", "--prune"]).success();
    assert_eq!(
        shop.db.column::<String>("select name from tradeflow.rules order by name").await,
        ["big_quote", "by_hand", "of_others"]
    );
    assert_eq!(
        shop.db
            .one::<i64>("select count(*) from tradeflow.templates where name = 'welcome_company_user'")
            .await,
        0
    );
    assert!(
        shop.db.one::<bool>("select to_regclass('rules.company_user_welcomes') is null").await,
        "its view is gone"
    );
    assert!(
        shop.db.one::<bool>("select to_regclass('rules.welcome_mails') is not null").await,
        "its table is not"
    );
    assert_eq!(shop.run(["plan", "--prune"]).code, 0);
}

#[tokio::test]
async fn a_step_that_leaves_its_rule_s_file_needs_no_prune() {
    let shop = Shop::new().await;
    shop.write("rules/big.sql", RULE);
    shop.run(["apply"]).success();
    let begin = RULE.find(",\n  ('big_quote', 2").unwrap();
    let end = RULE.find("\non conflict (rule").unwrap();
    shop.write("rules/big.sql", &format!("{}{}", &RULE[..begin], &RULE[end..]));
    let plan = shop.run(["plan"]);
    assert_eq!(plan.code, 3);
    assert!(plan.stdout.contains("- action big_quote/2"), "{}", plan.stdout);
    shop.run(["apply"]).success();
    assert_eq!(shop.db.column::<i32>("select step from tradeflow.actions").await, [1]);
}

#[tokio::test]
async fn a_column_that_leaves_a_file_gets_its_default_again() {
    let shop = Shop::new().await;
    shop.write(
        "rules/big.sql",
        &RULE.replace(
            "(name, source, condition) values ('big_quote', 'store.quotes',",
            "(name, source, max_firings, condition) values ('big_quote', 'store.quotes', 7,",
        ),
    );
    shop.run(["apply"]).success();
    assert_eq!(shop.db.one::<i32>("select max_firings from tradeflow.rules").await, 7);
    // Its own `do update` never mentions the column: what counts is what the file says, not what it does.
    shop.write("rules/big.sql", RULE);
    let plan = shop.run(["plan"]);
    assert!(plan.stdout.contains("max_firings: 7 → 1000"), "{}", plan.stdout);
    shop.run(["apply"]).success();
    assert_eq!(shop.db.one::<i32>("select max_firings from tradeflow.rules").await, 1000);
}

#[tokio::test]
async fn a_rule_keeps_its_owner_and_its_versions_have_authors() {
    let shop = Shop::new().await;
    shop.write("rules/big.sql", RULE);
    shop.run(["apply"]).success();
    let role = shop.db.role(&[]).await;
    shop.db.sql(&format!("grant select on store.quotes to {role}; grant usage on schema store to {role}; update tradeflow.rules set owner = '{role}'")).await;
    shop.edit("rules/big.sql", "> 1000", "> 2000");
    shop.run(["apply"]).success();
    assert_eq!(shop.db.one::<String>("select owner::text from tradeflow.rules").await, role);
    assert_eq!(
        shop.db
            .column::<String>(
                "select version || ' ' || replaced_by from tradeflow.rule_versions order by version"
            )
            .await,
        ["1 postgres", "2 postgres"]
    );
}

#[tokio::test]
async fn nothing_is_applied_when_something_is_wrong() {
    let shop = Shop::new().await;
    shop.write("rules/big.sql", RULE);
    shop.write("rules/wrong.sql", "insert into tradeflow.rules (name, source, condition) values ('wrong', 'store.quotes', 'new.nope') on conflict (name) do nothing;");
    let said = shop.run(["apply"]);
    assert_eq!(said.code, 1);
    assert_eq!(shop.db.one::<i64>("select count(*) from tradeflow.rules").await, 0);
    assert_eq!(
        shop.db.one::<i64>("select count(*) from tradeflow.settings where name = 'shop_name'").await,
        0
    );
}

#[tokio::test]
async fn a_second_apply_meanwhile_waits_or_says_who_is_at_it() {
    let shop = Shop::new().await;
    let mut other = shop.db.connect().await;
    let transaction = other.transaction().await.unwrap();
    // What an apply under way holds.
    transaction.batch_execute("select pg_advisory_xact_lock(1953655924, 1)").await.unwrap();
    let said = shop.run(["apply", "--wait", "100ms"]);
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("another plan or apply is under way: postgres, process "),
        "{}",
        said.stderr
    );

    let waiting = shop.command(["apply", "--wait", "1m"]);
    let waiting = tokio::task::spawn_blocking(move || waiting.run());
    let queued = "select exists (select from pg_locks where locktype = 'advisory' and classid = 1953655924 and not granted)";
    eventually("the second apply to wait", || async { shop.db.one::<bool>(queued).await.then_some(()) })
        .await;
    transaction.commit().await.unwrap();
    waiting.await.unwrap().success();
}

#[tokio::test]
async fn a_view_may_change_its_columns_and_a_table_may_get_more() {
    let shop = Shop::new().await;
    let files = |columns: &str, more: &str| {
        format!(
            "create table if not exists limits (position int primary key, percent numeric);\n{more}\n\
             insert into limits (position, percent) values (1, 20), (2, 30) on conflict (position) do update set percent = excluded.percent;\n\
             create or replace view rich as select {columns} from store.companies c;\n\
             insert into tradeflow.rules (name, view) values ('rich', 'rich') on conflict (name) do update set view = excluded.view;\n\
             insert into tradeflow.rule_inputs (rule, source, subject) values ('rich', 'store.companies', 'new.company_id') on conflict (rule, source) do update set subject = excluded.subject;\n"
        )
    };
    shop.write("rules/rich.sql", &files("c.company_id as subject, c.company_name", ""));
    shop.run(["apply"]).success();
    shop.write(
        "rules/rich.sql",
        &files("c.company_id as subject, c.status", "alter table limits add column if not exists note text;"),
    );
    let plan = shop.run(["plan"]);
    assert_eq!(plan.code, 3, "{}", plan.stderr);
    assert!(plan.stdout.contains("~ view rich") && plan.stdout.contains("~ table limits"), "{}", plan.stdout);
    shop.run(["apply"]).success();
    assert_eq!(
        shop.db.one::<Option<String>>("select invalid from tradeflow.rules where name = 'rich'").await,
        None
    );
    shop.db.sql("insert into store.companies (company_id, status, raw) values (1, 1, '{}')").await;
    assert_eq!(shop.db.fired().await, ["rich 1"]);
}

#[tokio::test]
async fn two_projects_share_a_database_and_not_their_objects() {
    let shop = Shop::new().await;
    shop.write("rules/big.sql", RULE);
    shop.run(["apply"]).success();
    let other = tempfile::tempdir().unwrap();
    let path = other.path().to_str().unwrap();
    shop.run(["new", path, "--name", "second"]).success();
    std::fs::write(other.path().join("rules/00_shop.sql"), RULE).unwrap();
    let config = other.path().join("tradeflow.toml");
    let said = shop.command(["--config", config.to_str().unwrap(), "plan"]).run();
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains(
            "rules/00_shop.sql:2:63: rule \"big_quote\" belongs to project \"shop\" (rules/big.sql)"
        ),
        "{}",
        said.stderr
    );
}
