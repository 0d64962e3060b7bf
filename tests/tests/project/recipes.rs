//! Recipes: listed, shown, added; and each one's own tests pass.

use tradeflow_tests::project::Shop;
use tradeflow_tests::sidecar::Tradeflow;

fn names() -> Vec<String> {
    let list = Tradeflow::new(["recipe", "list", "--json"]).run().json();
    let all = list.as_array().expect("a list");
    all.iter().map(|r| r["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn all_recipes_together_pass_their_own_tests() {
    let shop = Shop::new().await;
    for name in names() {
        shop.run(["recipe", "add", &name]).success();
    }
    let said = shop.run(["plan"]);
    assert_eq!(said.code, 3, "there is something to apply: {}{}", said.stdout, said.stderr);
    assert!(!said.stdout.contains("warning"), "{}", said.stdout);
    let said = shop.run(["test"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    shop.run(["apply"]).success();
    let said = shop.run(["plan"]);
    assert_eq!(said.code, 0, "what was applied is what the files say: {}{}", said.stdout, said.stderr);
    assert_eq!(
        shop.db
            .column::<String>("select name || ': ' || invalid from tradeflow.rules where invalid is not null")
            .await,
        Vec::<String>::new()
    );
}

#[test]
fn a_recipe_shows_itself() {
    let list = Tradeflow::new(["recipe", "list"]).run();
    assert!(
        list.success()
            .lines()
            .any(|line| line.starts_with("quote_expiry_reminder ")
                && line.contains(" who holds an open quote is")),
        "{}",
        list.stdout
    );
    let shown = Tradeflow::new(["recipe", "show", "quote_expiry_reminder"]).run();
    assert!(
        shown.success().starts_with("-- quote_expiry_reminder: who holds an open quote"),
        "{}",
        shown.stdout
    );
    let json = Tradeflow::new(["recipe", "show", "quote_expiry_reminder", "--json"]).run().json();
    assert_eq!(json["settings"][0]["name"], "reminder_days");
    assert_eq!(json["settings"][0]["type"], "integers");
    assert!(json["files"].as_array().unwrap().contains(&"rules/quote_expiry_reminder.sql".into()));
}

#[tokio::test]
async fn what_is_misspelt_is_refused_with_what_was_meant() {
    let shop = Shop::new().await;
    for (arguments, said) in [
        (
            ["quote_expiry_remainder", "reminder_days=7"],
            "there is no recipe \"quote_expiry_remainder\"; did you mean \"quote_expiry_reminder\"?",
        ),
        (
            ["quote_expiry_reminder", "reminder_day=7"],
            "no setting \"reminder_day\"; did you mean \"reminder_days\"?",
        ),
        (
            ["quote_expiry_reminder", "reminder_days=soon"],
            "setting reminder_days: \"soon\" is no list of whole numbers",
        ),
        (
            ["quote_expiry_reminder", "reminder_audience=all"],
            "setting reminder_audience: \"all\" is none of buyer, rep, both",
        ),
        (["quote_below_base_price", "discount_warn_percent=120"], "120 is not between 0 and 100"),
    ] {
        let refused = shop.run(["recipe", "add", arguments[0], "--set", arguments[1]]);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    assert!(!shop.folder().join("rules/quote_expiry_reminder.sql").exists(), "nothing was written");
}

#[tokio::test]
async fn settings_are_given_when_a_recipe_is_added() {
    let shop = Shop::new().await;
    shop.run(["recipe", "add", "quote_expiry_reminder", "--set", "reminder_days=10,5"]).success();
    shop.run(["apply"]).success();
    assert_eq!(
        shop.db.one::<String>("select value from tradeflow.settings where name = 'reminder_days'").await,
        "10,5"
    );
    // The recipe's tests say which settings they are about, so they pass with others as well.
    assert_eq!(shop.run(["test"]).code, 0);
}

#[tokio::test]
async fn a_setting_that_the_project_has_is_not_defined_again() {
    let shop = Shop::new().await;
    shop.write("rules/01_mine.sql", "insert into tradeflow.settings (name, value, description) values\n  ('reminder_days', '4', 'Mine')  -- integers\non conflict (name) do nothing;\n");
    let refused = shop.run(["recipe", "add", "quote_expiry_reminder", "--set", "reminder_days=7"]);
    assert!(
        refused.failure().contains("setting reminder_days is 4 in rules/01_mine.sql already, not 7"),
        "{}",
        refused.stderr
    );
    let added = shop.run(["recipe", "add", "quote_expiry_reminder"]);
    assert!(
        added.success().contains("setting reminder_days is defined in rules/01_mine.sql already; it stays 4"),
        "{}",
        added.stdout
    );
    assert_eq!(shop.run(["plan"]).code, 3);
}

#[tokio::test]
async fn files_that_are_there_are_not_overwritten() {
    let shop = Shop::with(["quote_expiry_reminder"]).await;
    shop.edit("rules/quote_expiry_reminder.sql", "is about to expire", "expires soon");
    let refused = shop.run(["recipe", "add", "quote_expiry_reminder"]);
    assert!(
        refused.failure().contains("rules/quote_expiry_reminder.sql is there already"),
        "{}",
        refused.stderr
    );
    assert!(shop.read("rules/quote_expiry_reminder.sql").contains("expires soon"));
}

#[test]
fn every_recipe_has_its_page_and_its_line_in_the_index() {
    let folder = tradeflow_tests::cluster::project().join("docs/recipes");
    let index = std::fs::read_to_string(folder.join("README.md")).expect("there is an index");
    for name in names() {
        assert!(index.contains(&format!("[`{name}`]({name}.md)")), "docs/recipes/README.md: {name}");
        let page = std::fs::read_to_string(folder.join(format!("{name}.md"))).unwrap_or_default();
        for part in ["```mermaid", "## The SQL in short", "## How to verify", "## Limits"] {
            assert!(page.contains(part), "docs/recipes/{name}.md has no {part}");
        }
    }
}

/// The table of a page says the settings that there are, and their defaults: `–` is none, `the shop's` is rules/00_shop.sql's.
#[test]
fn every_page_has_the_recipe_s_settings_with_their_defaults() {
    let folder = tradeflow_tests::cluster::project().join("docs/recipes");
    let mut wrong = Vec::new();
    for name in names() {
        let page = std::fs::read_to_string(folder.join(format!("{name}.md"))).expect("the page is there");
        let mut told: std::collections::BTreeMap<&str, &str> = page
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split(" | ");
                Some((cells.next()?.strip_suffix('`')?, cells.next()?.trim().trim_matches('`')))
            })
            .filter(|(_, default)| *default != "the shop's")
            .collect();
        let shown = Tradeflow::new(["recipe", "show", &name, "--json"]).run().json();
        for setting in shown["settings"].as_array().expect("settings") {
            let (key, value) =
                (setting["name"].as_str().expect("a name"), setting["value"].as_str().expect("a value"));
            let same = |told: &str| match told.strip_suffix(" …").or(told.strip_suffix('…')) {
                Some(begin) => value.starts_with(begin.trim_end_matches(',').trim_end()),
                None => told == value || told == "–" && value.is_empty(),
            };
            match told.remove(key) {
                Some(default) if same(default) => {}
                other => wrong.push(format!("{name}: {key} is \"{value}\", the page says {other:?}")),
            }
        }
        wrong.extend(told.keys().map(|key| format!("{name}: the page has {key}, the recipe has not")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What two recipes need is brought by both; it must not matter which of them was added last.
#[test]
fn what_several_recipes_bring_they_write_in_the_same_words() {
    let mut known: std::collections::HashMap<String, (String, String)> = std::collections::HashMap::new();
    for recipe in names() {
        let shown = Tradeflow::new(["recipe", "show", &recipe]).run();
        let mut lines = shown.success().lines();
        while let Some(line) = lines.next() {
            let (end, head) = match line {
                _ if line.starts_with("create or replace function ") => ("$$;", line.split('(').next()),
                _ if line.starts_with("create table if not exists ") => (");", Some(line)),
                _ => continue,
            };
            let mut text = vec![line];
            text.extend(lines.by_ref().take_while(|line| *line != end && !line.is_empty()));
            let (head, text) = (head.unwrap_or(line).to_owned(), text.join("\n"));
            let before = known.entry(head.clone()).or_insert_with(|| (recipe.clone(), text.clone()));
            assert_eq!(before.1, text, "{head} of {} and {recipe}", before.0);
        }
    }
    assert!(known.contains_key("create or replace function quote_block"), "{:?}", known.keys());
}
