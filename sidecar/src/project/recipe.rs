//! Ready rules that people copy into their project, read and change: `tradeflow recipe`.
//!
//! A recipe is a folder of `sql/recipes/`, which this program has inside it:
//!
//! ```text
//!  <name>/recipe.sql            becomes rules/<name>.sql; its first lines say what it does
//!  <name>/templates/<mail>/…    becomes templates/<mail>/…
//!  <name>/tests/…               becomes tests/…
//! ```

use std::path::PathBuf;

use include_dir::{include_dir, Dir};
use serde::Serialize;

use super::source::{self, File};
use super::{did_you_mean, new, Error, Project};

pub(super) mod settings;

use settings::Setting;

static RECIPES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sql/recipes");

/// What the mails of all recipes extend; a project without it gets it with its first recipe.
pub(super) const LAYOUT: (&str, &str) =
    ("templates/_layout/html.html", include_str!("scaffold/templates/_layout/html.html"));

/// A recipe.
#[derive(Debug, Clone, Serialize)]
pub struct Recipe {
    pub name: String,
    /// What it does, in a sentence.
    pub what: String,
    pub settings: Vec<Setting>,
    /// The tables it names in its first lines.
    pub tables: String,
    /// What it needs besides: targets, settings of the shop.
    pub needs: String,
    /// The files that `add` makes.
    pub files: Vec<String>,
    #[serde(skip)]
    contents: Vec<(String, &'static str)>,
}

/// What `add` did.
#[derive(Debug, Serialize)]
pub struct Added {
    pub recipe: String,
    pub files: Vec<PathBuf>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// All recipes, in the order of their names.
pub fn all() -> Vec<Recipe> {
    let mut all: Vec<Recipe> = RECIPES.dirs().filter_map(recipe).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The recipe of this name.
pub fn find(name: &str) -> Result<Recipe, Error> {
    let all = all();
    let suggestion = did_you_mean(name, all.iter().map(|r| r.name.clone()));
    all.into_iter().find(|r| r.name == name).ok_or_else(|| {
        Error::Usage(format!(
            "there is no recipe \"{name}\"{suggestion}\nhint: `tradeflow recipe list` shows all"
        ))
    })
}

fn recipe(dir: &'static Dir<'static>) -> Option<Recipe> {
    let name = dir.path().file_name()?.to_str()?.to_owned();
    let text = |file: &'static include_dir::File<'static>| file.contents_utf8();
    let sql = text(dir.get_file(dir.path().join("recipe.sql"))?)?;
    let mut contents = vec![(format!("rules/{name}.sql"), sql)];
    let mut open = vec![dir];
    while let Some(folder) = open.pop() {
        open.extend(folder.dirs());
        for file in folder.files().filter(|f| !f.path().ends_with("recipe.sql")) {
            let path = file.path().strip_prefix(dir.path()).ok()?.to_str()?.to_owned();
            contents.push((path, text(file)?));
        }
    }
    contents[1..].sort();
    let file = File { name: "recipe.sql".into(), text: sql.to_owned() };
    let first = sql.lines().next().unwrap_or_default().trim_start_matches("--").trim();
    Some(Recipe {
        what: first.split_once(": ").map_or(first, |(_, what)| what).to_owned(),
        settings: settings::of(&file),
        tables: heading(sql, "Tables"),
        needs: heading(sql, "Needs"),
        files: contents.iter().map(|(path, _)| path.clone()).collect(),
        contents,
        name,
    })
}

/// What the first lines say under a word, with the lines that go on below it.
fn heading(sql: &str, word: &str) -> String {
    let mut found = String::new();
    for line in sql.lines().map_while(|l| l.strip_prefix("--")) {
        if let Some(rest) = line.trim().strip_prefix(word).filter(|rest| rest.starts_with(' ')) {
            found = rest.trim().to_owned();
        } else if !found.is_empty() && line.starts_with("     ") {
            found.push_str(&format!(" {}", line.trim()));
        } else if !found.is_empty() {
            break;
        }
    }
    found
}

/// Copies a recipe into a project, with these settings.
pub fn add(project: &Project, name: &str, set: &[(String, String)]) -> Result<Added, Error> {
    let recipe = find(name)?;
    for (key, value) in set {
        let Some(setting) = recipe.settings.iter().find(|s| s.name == *key) else {
            let known: Vec<&str> = recipe.settings.iter().map(|s| s.name.as_str()).collect();
            let suggestion = did_you_mean(key, recipe.settings.iter().map(|s| s.name.clone()));
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(Error::Usage(format!(
                "recipe {name} has no setting \"{key}\"{suggestion}\nhint: its settings are {known}"
            )));
        };
        if let Some(problem) = setting.problem(value) {
            return Err(Error::Usage(format!(
                "setting {key}: {problem}\nhint: {}; its default is {}",
                setting.description, setting.value
            )));
        }
    }
    let existing = source::rules(project)?;
    for (path, _) in &recipe.contents {
        if project.root.join(path).exists() {
            return Err(Error::Usage(format!(
                "{} is there already\nhint: nothing was written; the recipe's files are yours to change. To begin anew, remove them first",
                project.root.join(path).display()
            )));
        }
    }
    let mut notes = Vec::new();
    let known: Vec<(String, Setting)> =
        existing.iter().flat_map(|f| settings::of(f).into_iter().map(|s| (f.name.clone(), s))).collect();
    let mut leave_out = Vec::new();
    for setting in &recipe.settings {
        let Some((file, there)) = known.iter().find(|(_, s)| s.name == setting.name) else { continue };
        if let Some((_, wanted)) =
            set.iter().find(|(key, value)| *key == setting.name && *value != there.value)
        {
            return Err(Error::Usage(format!(
                "setting {} is {} in {file} already, not {wanted}\nhint: nothing was written; change it there, then add the recipe without --set {0}",
                setting.name, there.value
            )));
        }
        notes
            .push(format!("setting {} is defined in {file} already; it stays {}", setting.name, there.value));
        leave_out.push(setting.name.clone());
    }
    let mut files = Vec::new();
    for (path, text) in &recipe.contents {
        let text = match path.starts_with("rules/") {
            true => settings::rewrite(text, set, &leave_out),
            false => (*text).to_owned(),
        };
        files.push(new::write(&project.root, path, &text)?);
    }
    if !project.root.join(LAYOUT.0).exists() {
        files.push(new::write(&project.root, LAYOUT.0, LAYOUT.1)?);
    }
    if !recipe.needs.is_empty() {
        notes.push(format!("it needs {}", recipe.needs));
    }
    Ok(Added { recipe: recipe.name, files, notes })
}

impl Recipe {
    /// The whole of it, for people.
    pub fn text(&self) -> String {
        let mut text = self.contents[0].1.trim_end().to_owned();
        text.push_str(&format!("\n\n-- Files: {}", self.files.join(", ")));
        text
    }
}

/// The recipes as a list for people.
pub fn list(recipes: &[Recipe]) -> String {
    let width = recipes.iter().map(|r| r.name.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = recipes.iter().map(|r| format!("{:width$}  {}", r.name, r.what)).collect();
    lines.push(String::new());
    lines.push(
        "`tradeflow recipe show NAME` prints one, `tradeflow recipe add NAME` copies it into the project"
            .into(),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_says_what_it_does_and_brings_tests() {
        let all = all();
        assert!(!all.is_empty());
        for recipe in all {
            let name = &recipe.name;
            assert!(
                recipe.contents[0].1.starts_with(&format!("-- {name}: ")),
                "{name}: the first line is `-- {name}: what it does`"
            );
            assert!(
                recipe.what.len() > 20 && !recipe.tables.is_empty() && !recipe.needs.is_empty(),
                "{name}: When, Then, Settings, Tables, Needs"
            );
            assert!(recipe.files.iter().any(|f| f.starts_with("tests/")), "{name} has no tests");
            let headed = heading(recipe.contents[0].1, "Settings");
            for setting in &recipe.settings {
                assert!(
                    headed.contains(&setting.name),
                    "{name}: the first lines do not name setting {}",
                    setting.name
                );
                assert!(
                    setting.kind != settings::Kind::Unknown,
                    "{name}: setting {} has no type",
                    setting.name
                );
                assert_eq!(setting.problem(&setting.value), None, "{name}: the default of {}", setting.name);
            }
            let rows = recipe.contents[0].1.matches("insert into tradeflow.settings").count();
            assert!(rows <= 1, "{name}: settings are one statement");
        }
    }
}
