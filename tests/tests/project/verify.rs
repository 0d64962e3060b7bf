//! "How to verify" of each recipe's page: typed, over the sample store, with all recipes in one project.

use tradeflow_tests::cluster::project;
use tradeflow_tests::project::Shop;
use tradeflow_tests::sidecar::Tradeflow;

/// A recipe's page, and the blocks of its section: what the fence says, and the text.
fn how_to_verify(recipe: &str) -> Vec<(String, String)> {
    let path = project().join(format!("docs/recipes/{recipe}.md"));
    let page = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let section = page.split("## How to verify").nth(1).and_then(|rest| rest.split("\n## ").next());
    let parts =
        section.unwrap_or_else(|| panic!("{recipe}: no such section")).split("```").skip(1).step_by(2);
    parts
        .map(|block| {
            let (fence, text) = block.split_once('\n').expect("a fence has a line");
            (fence.to_owned(), text.to_owned())
        })
        .collect()
}

/// Of `tradeflow preview "…"`: the statement.
fn previewed(line: &str) -> Option<&str> {
    line.strip_prefix("tradeflow preview \"")?.rsplit_once('"').map(|(sql, _)| sql)
}

#[tokio::test]
async fn what_the_pages_of_the_recipes_tell_to_type_works_over_the_sample_store() {
    let shop = Shop::new().await;
    let list = Tradeflow::new(["recipe", "list", "--json"]).run().json();
    let recipes: Vec<&str> =
        list.as_array().expect("a list").iter().filter_map(|r| r["name"].as_str()).collect();
    let samples = project().join("sidecar/samples/store");
    shop.run(["load", samples.to_str().expect("UTF-8")]).success();
    for recipe in &recipes {
        shop.run(["recipe", "add", recipe]).success();
    }
    shop.run(["apply"]).success();
    // What is to be there before something follows: reps to choose from.
    shop.db.sql("insert into tradeflow.pool_members (pool, member) select 'sales_reps', sales_staff_id::text from store.sales_staff").await;
    let mut wrong = Vec::new();
    for recipe in &recipes {
        let blocks = how_to_verify(recipe);
        assert!(
            blocks.iter().any(|(fence, _)| fence == "sh") && blocks.iter().any(|(fence, _)| fence == "sql"),
            "{recipe}"
        );
        for (fence, text) in blocks {
            match fence.as_str() {
                "sh" => wrong.extend(text.lines().filter_map(|line| typed(&shop, recipe, line))),
                "sql" => shop.db.sql(&text).await,
                other => panic!("{recipe}: a block of {other}"),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Types a line; what is not as its reader would expect.
fn typed(shop: &Shop, recipe: &str, line: &str) -> Option<String> {
    if let Some(sql) = previewed(line) {
        let said = shop.run(["preview", sql]);
        let rules: Vec<&str> = said
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix("rule "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        // A recipe's rules bear its name, or a word of it.
        let own = rules.iter().any(|rule| {
            rule.starts_with(recipe) || recipe == "company_approval" && rule.starts_with("company_re")
        });
        return match said.code == 0
            && own
            && !said.stdout.contains("it would fail")
            && !said.stderr.contains("incident")
        {
            true => None,
            false => Some(format!("{recipe}: {line}\n{}{}", said.stdout, said.stderr)),
        };
    }
    let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
    match words.as_slice() {
        // The tests themselves are run elsewhere (recipes.rs): the word must pick this recipe's.
        ["tradeflow", "test", word] => {
            let file = shop.folder().join(format!("tests/{recipe}.yaml"));
            let picks = recipe.contains(word) && file.exists();
            (!picks).then(|| format!("{recipe}: {line} picks none of its tests"))
        }
        // It takes a spreadsheet; the recipe's acceptance test has one.
        ["tradeflow", "sync", "once", "sheet_rows" | "sheet-rows"] => None,
        _ => Some(format!("{recipe}: this test does not know how to type {line}")),
    }
}
