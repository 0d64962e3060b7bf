//! `tradeflow test`: what passes, what fails and how that is said, and that nothing is left behind.

use std::path::Path;

use tradeflow_tests::database::Database;
use tradeflow_tests::eventually::eventually;
use tradeflow_tests::project::Shop;
use tradeflow_tests::sidecar::{binary, Sidecar};

/// Two steps, the second of which reads the first one's result.
const STEPS: &str = "
insert into tradeflow.targets (name, system, base_url) values ('crm', 'http', 'https://crm.example.com/v1') on conflict (name) do nothing;
insert into tradeflow.rules (name, source, condition) values ('deal', 'store.quotes', $$ new.status = 0 $$)
on conflict (name) do update set condition = excluded.condition;
insert into tradeflow.actions (rule, step, name, kind, target, params) values
  ('deal', 1, 'deal', 'http', 'crm', '{\"path\": \"deals\", \"body\": {\"quote\": \"{{ facts.quote_id }}\"}}'),
  ('deal', 2, 'told', 'email', 'smtp', '{\"to\": \"{{ settings.owner_email }}\", \"subject\": \"Deal {{ steps.deal.body.id }}\", \"text\": \"of {{ facts.quote_number }}\"}')
on conflict (rule, edge, step) do update set params = excluded.params;
";

async fn shop() -> Shop {
    let shop = Shop::new().await;
    shop.write("rules/deal.sql", STEPS);
    shop
}

#[tokio::test]
async fn steps_go_on_with_what_the_test_says_the_other_side_answers() {
    let shop = shop().await;
    shop.write(
        "tests/deal.yaml",
        "answers: {crm: {status: 201, body: {id: 9001}}}
tests:
  - name: a quote becomes a deal
    steps:
      - run: insert into store.quotes (quote_id, quote_number, status, raw) values (17, 'QN17', 0, '{}')
        firings: [{rule: deal, subject: 17, event: insert, state: ready}]
        requests: [{target: crm, request: {method: POST, url: https://crm.example.com/v1/deals, body: {quote: 17}}}]
        mails: [{to: owner@example.com, subject: Deal 9001, text: of QN17}]
      - run: update store.quotes set notes = 'x'
        firings: []
        mails: []
        requests: []
",
    );
    let said = shop.run(["test"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("1 test in ") && said.stdout.contains("all passed"), "{}", said.stdout);
}

#[tokio::test]
async fn a_step_in_the_database_is_executed_and_taken_back() {
    let shop = Shop::new().await;
    shop.write(
        "rules/reps.sql",
        "insert into tradeflow.pools (name) values ('reps') on conflict (name) do nothing;
insert into tradeflow.pool_members (pool, member, weight) values ('reps', 'rita@example.com', 1), ('reps', 'bob@example.com', 2)
on conflict (pool, member) do update set weight = excluded.weight;
insert into tradeflow.rules (name, source, events, condition) values ('assign', 'store.companies', '{insert}', 'new.status = 0')
on conflict (name) do update set source = excluded.source, events = excluded.events, condition = excluded.condition;
insert into tradeflow.actions (rule, step, name, kind, target, params) values
  ('assign', 1, 'rep', 'sql', null, '{\"function\": \"tradeflow.pick\", \"args\": {\"pool\": \"reps\", \"subject\": \"{{ subject }}\"}}'),
  ('assign', 2, null, 'email', 'smtp', '{\"to\": \"{{ steps.rep.value }}\", \"subject\": \"{{ facts.company_name }} is yours\", \"text\": \"x\"}')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, params = excluded.params;
",
    );
    shop.write(
        "tests/reps.yaml",
        "tests:
  - name: companies go to the reps by weight
    steps:
      - run: insert into store.companies (company_id, company_name, status, raw) select n, 'C' || n, 0, '{}' from generate_series(1, 3) n
        mails: [{to: bob@example.com}, {to: bob@example.com}, {to: rita@example.com}]
        requests:
          - {kind: sql, request: {function: tradeflow.pick}}
          - {kind: sql}
          - {kind: sql, step: 1}
",
    );
    let said = shop.run(["test"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let said = shop.run(["test", "--in-place"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert_eq!(shop.db.one::<i64>("select count(*) from tradeflow.assignments").await, 0);
}

#[tokio::test]
async fn what_differs_is_said_and_reported() {
    let shop = shop().await;
    shop.write(
        "tests/deal.yaml",
        "tests:
  - name: wrong mail
    steps:
      - run: insert into store.quotes (quote_id, quote_number, status, raw) values (17, 'QN17', 0, '{}')
        mails: [{subject: Deal 1, text: of QN18}]
        firings: [{rule: deal, facts: {quote_number: QN18}}, {rule: other}]
  - name: unexpected
    steps:
      - run: insert into store.quotes (quote_id, quote_number, status, raw) values (17, 'QN17', 0, '{}')
        firings: []
        incidents: [\"Deal\"]
  - name: wrong SQL
    steps:
      - run: insert into store.quotes (quote_id, nope) values (17, 1)
",
    );
    let said = shop.run(["test", "--junit", shop.folder().join("junit.xml").to_str().unwrap()]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    for expected in [
        // The default answer has no body, so the second step cannot be rendered.
        "step 1: mail \"Deal 1\" differs:\n          it failed: params.subject",
        "step 1: firing of deal differs:\n          facts.quote_number: expected \"QN18\", is \"QN17\"",
        "step 1: firing of other did not come",
        "step 1: firing of deal for 17, ready was not expected",
        "FAILED  tests/deal.yaml › wrong SQL",
        "column \"nope\" of relation \"quotes\" does not exist (SQLSTATE 42703)\n          insert into store.quotes (quote_id, nope) values (17, 1)\n                                              ^",
        "3 tests in ",
        "3 failed",
    ] {
        assert!(said.stdout.contains(expected), "{expected}\nis not in\n{}", said.stdout);
    }
    let junit = shop.read("junit.xml");
    assert!(
        junit.contains("<testsuite name=\"tests/deal.yaml\" tests=\"3\"") && junit.contains("failures=\"3\""),
        "{junit}"
    );
    assert!(junit.contains("facts.quote_number: expected"), "{junit}");

    let json = shop.run(["test", "--json", "unexpected"]);
    let report = json.json();
    assert_eq!((report["passed"].as_u64(), report["failed"].as_u64()), (Some(0), Some(1)));
}

#[tokio::test]
async fn a_sql_test_claims_by_selects_that_return_nothing() {
    let shop = Shop::with(["quote_expiry_reminder"]).await;
    shop.write(
        "tests/reminder.sql",
        "-- A quote is reminded of three days before
update tradeflow.settings set value = '3' where name = 'reminder_days';
select tradeflow.set_clock('2026-03-01 09:00Z');
insert into store.quotes (quote_id, quote_number, status, contact_email, expired_at, raw)
values (17, 'QN17', 0, 'ada@example.com', '2026-03-20 12:00Z', '{}');
-- nothing yet
select * from mails;
select tradeflow.set_clock('2026-03-17 12:00Z');
select 'no mail' where not exists (select from mails where \"to\" = 'ada@example.com' and subject like '%QN17%');
",
    );
    let said = shop.run(["test", "three days before"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(
        said.stdout.contains("ok      tests/reminder.sql › A quote is reminded of three days before"),
        "{}",
        said.stdout
    );
    shop.edit("tests/reminder.sql", "2026-03-17 12:00Z", "2026-03-17 11:59Z");
    let said = shop.run(["test", "reminder.sql"]);
    assert_eq!(said.code, 1);
    assert!(
        said.stdout.contains("line 9: this returns rows, and must not:") && said.stdout.contains("no mail"),
        "{}",
        said.stdout
    );
}

#[tokio::test]
async fn nothing_is_kept_wherever_the_tests_run() {
    let shop = Shop::with(["quote_below_base_price", "welcome_company_user"]).await;
    let state = "select (select count(*) from store.quotes) + (select count(*) from tradeflow.rules) + (select count(*) from tradeflow.outbox)
                      + (select count(*) from tradeflow.clock) + (select count(*) from tradeflow.settings)";
    for arguments in [&["test"][..], &["test", "--in-place"]] {
        let said = shop.run(arguments.iter().copied());
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        let place = if arguments.len() == 1 { "made for it" } else { "in database " };
        assert!(said.stdout.contains(place), "{}", said.stdout);
        assert_eq!(shop.db.one::<i64>(state).await, 0);
    }
    assert_eq!(scratch(&shop).await, Vec::<String>::new(), "no database is left behind");
}

#[tokio::test]
async fn tests_may_bring_tables_of_their_own() {
    let shop = Shop::new().await;
    shop.write("tests/setup.sql", "create table public.budgets (id int primary key, left_over numeric); select tradeflow.watch('public.budgets');");
    shop.write("rules/budget.sql", "insert into tradeflow.rules (name, source, condition) values ('used_up', 'public.budgets', 'new.left_over <= 0') on conflict (name) do update set condition = excluded.condition;");
    shop.write("tests/budget.yaml", "tests:\n  - name: used up\n    given: insert into public.budgets values (1, 5)\n    steps:\n      - run: update public.budgets set left_over = 0\n        firings: [{rule: used_up, subject: 1, state: done}]\n");
    let said = shop.run(["test"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
}

#[tokio::test]
async fn a_file_that_is_no_test_is_named_with_its_line() {
    let shop = Shop::new().await;
    shop.write("tests/a.yaml", "tests:\n  - name: a\n    steps:\n      - mail: []\n");
    let said = shop.run(["test"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("tests/a.yaml:4:"), "{}", said.stderr);
    shop.remove("tests/a.yaml");
    let said = shop.run(["test"]);
    assert!(said.failure().contains("there are no tests"), "{}", said.stderr);
}

/// The databases that this project's runs have made.
async fn scratch(shop: &Shop) -> Vec<String> {
    let made = "select datname::text from pg_database d where datname like 'tradeflow\\_test\\_%'
                  and shobj_description(d.oid, 'pg_database') like '%' || current_database() || '%' order by 1";
    shop.db.column(made).await
}

/// Starts a run whose test waits; the database that it waits in.
async fn waiting_run(shop: &Shop, word: &str) -> (Sidecar, String) {
    let test = format!("-- {word}\nselect 'never' where pg_sleep(600) is null;\n");
    shop.write(&format!("tests/{word}.sql"), &test);
    let run = shop.command(["test", word]).start();
    let waiting = format!(
        "select datname::text from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()
           and datname in (select d.datname from pg_database d where shobj_description(d.oid, 'pg_database') like '%' || current_database() || '%')
           and datname <> all ('{{{}}}')",
        scratch(shop).await.join(",")
    );
    let database =
        eventually("the test to wait", || async { shop.db.column::<String>(&waiting).await.pop() }).await;
    (run, database)
}

/// SIGKILL; and what its test waits for is waited for no longer.
async fn kill(shop: &Shop, mut run: Sidecar, database: &str) {
    run.kill();
    shop.db
        .sql(&format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"))
        .await;
    let keeper = format!("select not exists (select from pg_stat_activity where datname = '{database}' or pid::text = split_part('{database}', '_', 3))");
    shop.db.until(&keeper).await;
}

#[tokio::test]
async fn a_killed_run_s_databases_go_with_the_next_run_and_a_living_one_s_stay() {
    let shop = Shop::new().await;
    shop.write("tests/quick.sql", "-- quick\nselect 'never' where false;\n");
    let (killed, of_killed) = waiting_run(&shop, "killed").await;
    kill(&shop, killed, &of_killed).await;
    let (living, of_living) = waiting_run(&shop, "living").await;
    assert_eq!(scratch(&shop).await, std::slice::from_ref(&of_living), "only the killed one's are gone");
    assert_eq!(shop.run(["test", "quick"]).code, 0);
    assert_eq!(
        scratch(&shop).await,
        std::slice::from_ref(&of_living),
        "a run that goes on keeps its databases"
    );
    kill(&shop, living, &of_living).await;
    assert_eq!(shop.run(["test", "quick"]).code, 0);
    assert_eq!(scratch(&shop).await, Vec::<String>::new());
}

/// The commands of a workflow's steps, in the order in which they are written.
fn commands(workflow: &str) -> Vec<String> {
    let read: serde_json::Value = serde_norway::from_str(workflow).expect("it is YAML");
    let jobs = read["jobs"].as_object().expect("jobs").values();
    let steps = jobs.flat_map(|job| job["steps"].as_array().expect("steps").iter());
    let mut commands: Vec<String> =
        steps.filter_map(|step| step["run"].as_str().map(str::to_owned)).collect();
    commands.sort_by_key(|command| workflow.find(command.as_str()));
    commands
}

#[tokio::test]
async fn what_new_writes_for_ci_and_for_readers_runs_on_an_empty_database() {
    let db = Database::empty().await;
    let folder = tempfile::tempdir().expect("a folder");
    let shop = folder.path().join("shop");
    let typed = |within: &Path, command: &str| {
        let programs = binary().parent().expect("its folder").display().to_string();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
        let mut bash = std::process::Command::new("bash");
        bash.args(["-ec", command])
            .current_dir(within)
            .env("PATH", path)
            .env("TRADEFLOW_DATABASE_URL", db.url());
        let said = bash.output().expect("bash runs");
        let told = [&said.stdout[..], &said.stderr[..]].concat();
        assert!(said.status.success(), "{command}:\n{}", String::from_utf8_lossy(&told));
    };
    typed(folder.path(), "tradeflow new shop && cd shop && tradeflow recipe add quote_expiry_reminder");
    let workflow =
        std::fs::read_to_string(shop.join(".github/workflows/tradeflow.yml")).expect("it is there");
    let commands = commands(&workflow);
    assert_eq!(commands.len(), 3, "{commands:?}");
    commands.iter().for_each(|command| typed(&shop, command));
    assert!(shop.join("junit.xml").exists());
    // Its README: everything but the address of the database, which each has of their own.
    let readme = std::fs::read_to_string(shop.join("README.md")).expect("it is there");
    let block =
        readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of sh");
    for line in block.lines().filter(|line| !line.starts_with("export ")) {
        // Exit code 3: there is something to apply.
        typed(&shop, &line.replace("tradeflow plan ", "tradeflow plan || [ $? -eq 3 ] "));
    }
}
