//! Mistakes in a project's files: each is found at plan, with its file, line and column, and what to do.

use tradeflow_tests::project::Shop;

/// Plans with a further rule file, which must fail; what was said.
fn refused(shop: &Shop, sql: &str) -> String {
    shop.write("rules/zz.sql", sql);
    let said = shop.run(["plan"]);
    assert_eq!(said.code, 1, "it was accepted:\n{sql}\n{}", said.stdout);
    said.stderr
}

#[tokio::test]
async fn a_syntax_error_has_a_file_a_line_and_a_caret() {
    let shop = Shop::new().await;
    let said = refused(&shop, "-- why\ncreate or replace view x as select 1;\ncreat view y as select 1;\n");
    assert!(
        said.contains(
            "rules/zz.sql:3:1: syntax error at or near \"creat\"\n 3 | creat view y as select 1;\n   | ^"
        ),
        "{said}"
    );
}

#[tokio::test]
async fn mistakes_are_json_where_that_is_asked_for() {
    let shop = Shop::new().await;
    shop.write("rules/a.sql", "select 1;\n\ninsert into tradeflow.rules (name) valuse ('x');\n");
    for command in ["plan", "apply"] {
        let said = shop.run([command, "--json"]);
        assert_eq!(said.code, 1);
        let problem = &said.json()["error"]["problems"][0];
        assert_eq!(
            (&problem["place"]["file"], &problem["place"]["line"]),
            (&"rules/a.sql".into(), &3.into()),
            "{problem}"
        );
        assert!(problem["message"].as_str().is_some_and(|m| m.contains("syntax error")), "{problem}");
    }
    shop.remove("rules/a.sql");
    let said = shop.run(["recipe", "add", "quote_to_dela", "--json"]);
    assert_eq!(said.code, 1);
    let error = &said.json()["error"];
    assert!(
        error["message"].as_str().is_some_and(|m| m.contains("did you mean \"quote_to_deal\"?")),
        "{error}"
    );
}

#[tokio::test]
async fn an_error_in_a_condition_or_a_query_is_found_in_the_file() {
    let shop = Shop::new().await;
    let said = refused(
        &shop,
        "insert into tradeflow.rules (name, source, condition) values\n('a', 'store.quotes', $$\n  new.status = 4\n  and new.expird_at is null $$),\n\
         ('b', 'store.quotes', 'new.quote_number = ''x'' and new.nope')\non conflict (name) do update set condition = excluded.condition;\n",
    );
    assert!(said.contains("2 problems"), "{said}");
    assert!(said.contains("rules/zz.sql:4:7: rule \"a\": column new.expird_at does not exist (SQLSTATE 42703)\n 4 |   and new.expird_at is null $$),\n   |       ^"), "{said}");
    assert!(said.contains("rules/zz.sql:5:53: rule \"b\": column new.nope does not exist"), "{said}");
    let said = refused(
        &shop,
        "insert into tradeflow.rules (name, source, query) values ('a', 'store.quotes', $$\n  select q.nope\n  from store.quotes q $$)\non conflict (name) do update set query = excluded.query;\n",
    );
    assert!(said.contains("rules/zz.sql:2:10: "), "{said}");
}

#[tokio::test]
async fn an_error_in_the_insert_itself_is_found_too() {
    let shop = Shop::new().await;
    let said = refused(&shop, "insert into tradeflow.rules (name, sourc) values ('a', 'store.quotes') on conflict (name) do nothing;");
    assert!(
        said.contains("rules/zz.sql:1:36: column \"sourc\" of relation \"rules\" does not exist"),
        "{said}"
    );
    let said = refused(
        &shop,
        "insert into tradeflow.actions (rule, step, kind, target, params) values ('a', 1, 'email', 'smtp',\n '{\"to\": }') on conflict (rule, edge, step) do nothing;",
    );
    assert!(said.contains("rules/zz.sql:2:2: invalid input syntax for type json"), "{said}");
}

#[tokio::test]
async fn two_files_that_define_the_same_are_both_named() {
    let shop = Shop::with(["quote_expiry_reminder"]).await;
    let said = refused(&shop, "insert into tradeflow.rules (name, source) values ('quote_expiry_reminder', 'store.quotes') on conflict (name) do nothing;");
    assert!(said.contains("rules/zz.sql:1:52: rule \"quote_expiry_reminder\" is defined twice: also at rules/quote_expiry_reminder.sql:"), "{said}");
}

#[tokio::test]
async fn what_a_file_may_not_do_is_refused_statement_by_statement() {
    let shop = Shop::new().await;
    let statements = [
        "delete from store.quotes;",
        "do $$ begin perform 1; end $$;",
        "insert into tradeflow.outbox (id) values (1) on conflict do nothing;",
        "insert into tradeflow.settings (name, value) values ('a', 'b');",
        "insert into store.quotes (quote_id) values (1) on conflict do nothing;",
        "with gone as (delete from store.quotes returning 1) insert into tradeflow.settings (name, value) select 'a', 'b' from gone on conflict do nothing;",
        "create view x as select 1;",
        "create or replace view store.x as select 1;",
        "create table x (a int);",
        "select pg_sleep(1);",
        "drop table store.quotes;",
        "alter table store.quotes add column if not exists x int;",
        "set role postgres;",
        "begin;",
        "grant select on store.quotes to public;",
        "create extension hstore;",
        "copy store.quotes from program 'true';",
    ];
    let said = refused(&shop, &statements.join("\n"));
    assert!(said.contains(&format!("{} problems", statements.len())), "{said}");
    for line in 1..=statements.len() {
        assert!(said.contains(&format!("rules/zz.sql:{line}:1: ")), "line {line}:\n{said}");
    }
    assert_eq!(shop.db.one::<i64>("select count(*) from tradeflow.settings where name = 'a'").await, 0);
}

#[tokio::test]
async fn a_template_that_mentions_what_is_not_there_is_found_with_its_line() {
    let shop = Shop::with(["quote_expiry_reminder"]).await;
    shop.edit(
        "templates/quote_expiry_reminder/text.txt",
        "{{ facts.quote_number }}",
        "\n{{ facts.qoute_number }}",
    );
    shop.edit("templates/quote_expiry_reminder/subject.txt", "facts.quote_number", "settings.shop_nmae");
    let said = shop.run(["plan"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("templates/quote_expiry_reminder/text.txt:4:4: rule \"quote_expiry_reminder\" has no fact `qoute_number`; did you mean \"quote_number\"?\n 4 | {{ facts.qoute_number }}"), "{}", said.stderr);
    assert!(
        said.stderr.contains("templates/quote_expiry_reminder/subject.txt:1:")
            && said.stderr.contains("there is no setting `shop_nmae`; did you mean \"shop_name\"?"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn an_action_without_the_target_it_needs_is_found() {
    let shop = Shop::new().await;
    let rule = |kind: &str, target: &str| {
        format!(
            "insert into tradeflow.rules (name, source) values ('a', 'store.quotes') on conflict (name) do update set source = excluded.source;\n\
             insert into tradeflow.actions (rule, step, kind, target, params) values\n ('a', 1, {kind}, {target})\n\
             on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, params = excluded.params;"
        )
    };
    let said = refused(
        &shop,
        &rule("'email'", "null, '{\"to\": \"a@example.com\", \"subject\": \"x\", \"text\": \"x\"}'"),
    );
    assert!(
        said.contains("rules/zz.sql:3:3: ")
            && said.contains("kind \"email\" needs a target of system smtp")
            && said.contains("\"smtp\""),
        "{said}"
    );
    let said = refused(&shop, &rule("'task'", "'smtp', '{\"pool\": \"a\", \"title\": \"x\"}'"));
    assert!(said.contains("kind \"task\" has no target"), "{said}");
    // What is for trying things out needs none.
    shop.write("rules/zz.sql", &rule("'noop'", "null, '{}'"));
    assert_eq!(shop.run(["plan"]).code, 3);
}

#[tokio::test]
async fn parameters_are_looked_at_like_templates() {
    let shop = Shop::new().await;
    let rule = |params: &str| {
        format!(
            "insert into tradeflow.rules (name, source) values ('a', 'store.quotes') on conflict (name) do update set source = excluded.source;\n\
             insert into tradeflow.actions (rule, step, kind, target, params) values\n ('a', 1, 'email', 'smtp', '{params}')\n\
             on conflict (rule, edge, step) do update set params = excluded.params;"
        )
    };
    let said =
        refused(&shop, &rule("{\"to\": \"{{ facts.contact_mail }}\", \"subject\": \"x\", \"text\": \"x\"}"));
    assert!(
        said.contains(
            "rules/zz.sql:3:40: rule \"a\" has no fact `contact_mail`; did you mean \"contact_email\"?"
        ),
        "{said}"
    );
    let said = refused(&shop, &rule("{\"to\": \"a@example.com\", \"template\": \"welcom\"}"));
    assert!(said.contains("there is no template \"welcom\""), "{said}");
    let said =
        refused(&shop, &rule("{\"to\": \"{{ steps.invoice.id }}\", \"subject\": \"x\", \"text\": \"x\"}"));
    assert!(said.contains("`steps.invoice`: no step of rule \"a\" comes before this one"), "{said}");
    // What is asked for first may be missing.
    shop.write("rules/zz.sql", &rule("{\"to\": \"{{ facts.nope|default(settings.owner_email) }}\", \"subject\": \"x\", \"text\": \"x\"}"));
    assert_eq!(shop.run(["plan"]).code, 3);
}

#[tokio::test]
async fn a_setting_of_the_wrong_type_is_found_where_it_stands() {
    let shop = Shop::with(["quote_below_base_price"]).await;
    shop.edit(
        "rules/quote_below_base_price.sql",
        "'discount_warn_percent', '20'",
        "'discount_warn_percent', 'twenty'",
    );
    let said = shop.run(["plan"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("rules/quote_below_base_price.sql:14:29: setting \"discount_warn_percent\": \"twenty\" is no number"), "{}", said.stderr);
}

#[tokio::test]
async fn files_of_a_mail_that_are_none_or_missing_are_named() {
    let shop = Shop::with(["quote_expiry_reminder"]).await;
    shop.remove("templates/quote_expiry_reminder/subject.txt");
    shop.write("templates/quote_expiry_reminder/body.txt", "x");
    let said = shop.run(["plan"]).stderr;
    assert!(said.contains("templates/quote_expiry_reminder/body.txt is no part of a mail"), "{said}");
    assert!(said.contains("templates/quote_expiry_reminder/subject.txt is missing"), "{said}");
}

#[tokio::test]
async fn outside_of_a_project_there_is_none() {
    let said = tradeflow_tests::sidecar::Tradeflow::new(["plan"]).run();
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("there is no project here") && said.stderr.contains("tradeflow new"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_target_that_two_files_make_when_it_is_missing_is_one_unless_they_differ() {
    let shop = Shop::new().await;
    let target = |token: &str| {
        format!("insert into tradeflow.targets (name, system, base_url, secret) values\n  ('crm', 'hubspot', 'https://api.hubapi.com', 'env:{token}')\non conflict (name) do nothing;\n")
    };
    shop.write("rules/a.sql", &target("HUBSPOT_TOKEN"));
    shop.write("rules/b.sql", &target("HUBSPOT_TOKEN"));
    let said = shop.run(["plan"]);
    assert_eq!(
        (said.code, said.stdout.matches("+ target crm").count()),
        (3, 1),
        "{}{}",
        said.stdout,
        said.stderr
    );
    shop.run(["apply"]).success();
    assert_eq!(shop.run(["plan"]).code, 0);
    let said = refused(&shop, &target("HUBSPOT_OTHER"));
    assert!(
        said.contains("rules/zz.sql:2:4: target \"crm\" is defined twice: also at rules/a.sql:2:4"),
        "{said}"
    );
}
