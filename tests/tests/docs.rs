//! The documents hold together: links lead somewhere, from the README one gets to every page, ARCHITECTURE.md names what is
//! there and leaves nothing out, and what is to be typed can be pasted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the project").to_owned()
}

/// Every file of the project, by its path; below `target` and the like is nothing of it.
fn files() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root()];
    while let Some(folder) = open.pop() {
        for entry in
            std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path())
        {
            let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
            if entry.is_dir() && !["target", "node_modules", ".git", "__pycache__"].contains(&name.as_str()) {
                open.push(entry);
            } else if entry.is_file() && !name.ends_with(".pyc") {
                let path = entry.strip_prefix(root()).expect("below the project");
                found.insert(path.to_string_lossy().into_owned());
            }
        }
    }
    found
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn pages(files: &BTreeSet<String>) -> Vec<&String> {
    files.iter().filter(|path| path.ends_with(".md") && !path.contains("/scaffold/")).collect()
}

/// The lines outside of code blocks, numbered, without `code`.
fn prose(page: &str) -> Vec<(usize, String)> {
    let mut code = false;
    let mut lines = Vec::new();
    for (n, line) in read(page).lines().enumerate() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            lines.push((n + 1, line.to_owned()));
        }
    }
    lines
}

/// As GitHub makes the anchor of a heading.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (_, line) in prose(page).iter().filter(|(_, line)| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let slug: String = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let before = seen.entry(slug.clone()).or_default();
        all.insert(if *before == 0 { slug } else { format!("{slug}-{before}") });
        *before += 1;
    }
    all
}

/// The relative links of a page: its line, the file, the anchor.
fn links(page: &str) -> Vec<(usize, String, Option<String>)> {
    let mut found = Vec::new();
    for (n, line) in prose(page) {
        for rest in line.split("](").skip(1) {
            let Some((target, _)) = rest.split_once(')') else { continue };
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = match target.split_once('#') {
                Some((path, anchor)) => (path, Some(anchor.to_owned())),
                None => (target, None),
            };
            let file = match path {
                "" => page.to_owned(),
                path => normal(&Path::new(page).parent().expect("a folder").join(path)),
            };
            found.push((n, file, anchor));
        }
    }
    found
}

fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    parts.join("/")
}

#[test]
fn every_link_leads_somewhere() {
    let files = files();
    let pages = pages(&files);
    assert!(pages.len() > 60, "{pages:?}");
    let mut broken = Vec::new();
    let mut checked = 0;
    for page in pages {
        for (line, file, anchor) in links(page) {
            checked += 1;
            if !root().join(&file).exists() {
                broken.push(format!("{page}:{line}: there is no {file}"));
            } else if let Some(anchor) = anchor.filter(|_| file.ends_with(".md")) {
                if !anchors(&file).contains(&anchor) {
                    broken.push(format!("{page}:{line}: {file} has no heading #{anchor}"));
                }
            }
        }
    }
    assert!(checked > 300, "only {checked} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn from_the_readme_one_gets_to_every_page() {
    let files = files();
    let mut reached = BTreeSet::from(["README.md".to_owned()]);
    let mut open = vec!["README.md".to_owned()];
    while let Some(page) = open.pop() {
        for (_, file, _) in links(&page) {
            // A folder is opened at its README.
            let file = if root().join(&file).is_dir() { format!("{file}/README.md") } else { file };
            if file.ends_with(".md") && files.contains(&file) && reached.insert(file.clone()) {
                open.push(file);
            }
        }
    }
    // What is not read by people who look for something, but beside the files that it is about.
    let beside =
        |page: &&&String| ["sidecar/", "tests/reference", ".github/"].iter().any(|at| page.starts_with(at));
    let missed: Vec<&String> =
        pages(&files).into_iter().filter(|page| !reached.contains(*page) && !beside(&page)).collect();
    assert!(missed.is_empty(), "no link leads to {missed:?}");
    // The index of docs/ has them all at first hand.
    let index: BTreeSet<String> = links("docs/README.md").into_iter().map(|(_, file, _)| file).collect();
    let listed =
        |page: &String| index.contains(page) || index.iter().any(|at| format!("{at}/README.md") == *page);
    let tops: Vec<&String> = files
        .iter()
        .filter(|page| page.starts_with("docs/") && page.ends_with(".md") && *page != "docs/README.md")
        .filter(|page| page.matches('/').count() == 1 || page.ends_with("/README.md"))
        .filter(|page| !listed(page))
        .collect();
    assert!(tops.is_empty(), "docs/README.md does not have {tops:?}");
}

/// What stands in backquotes.
fn quoted(page: &str) -> BTreeSet<String> {
    prose(page)
        .iter()
        .flat_map(|(_, line)| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn architecture_names_what_is_there() {
    let files = files();
    let is_there = |name: &str| {
        let name = name.trim_end_matches('/');
        files.iter().any(|file| {
            let stem = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
            let ends = |path: &str| path == name || path.ends_with(&format!("/{name}"));
            ends(file)
                || ends(stem)
                || Path::new(file).ancestors().skip(1).any(|folder| ends(&folder.to_string_lossy()))
        })
    };
    // Paths, not commands, functions and types: they have a slash, an ending, or the number of a file of sql/.
    let is_path = |word: &&String| {
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c));
        let numbered = word.len() > 3
            && word.as_bytes()[..2].iter().all(u8::is_ascii_digit)
            && word.as_bytes()[2] == b'_';
        plain
            && (word.contains('/')
                || word.ends_with(".rs")
                || word.ends_with(".sql")
                || word.ends_with(".sh")
                || numbered)
    };
    let words = quoted("ARCHITECTURE.md");
    let paths: Vec<&String> = words.iter().filter(is_path).collect();
    assert!(paths.len() > 80, "{paths:?}");
    let missing: Vec<&&String> = paths.iter().filter(|path| !is_there(path)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

#[test]
fn architecture_leaves_no_file_out() {
    // What is below a folder is found from the file or folder of that name.
    let text = read("ARCHITECTURE.md");
    let crate_docs = read("extension/src/lib.rs");
    let named = |file: &str, text: &str| {
        let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        text.split(|c: char| !(c.is_alphanumeric() || "_-".contains(c))).any(|word| word == stem)
    };
    let told =
        |file: &str| named(file, &text) || (file.starts_with("extension/") && named(file, &crate_docs));
    let missing: Vec<String> = files()
        .into_iter()
        .filter(|file| {
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            let source = [".rs", ".sql", ".sh", ".py"].iter().any(|ending| file.ends_with(ending));
            source && ["extension/src", "sidecar/src", "sql", "scripts"].contains(&folder)
        })
        .filter(|file| !told(file))
        .collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not say what these are for: {missing:?}");
    let crates = read("Cargo.toml");
    for part in ["extension", "sidecar", "tests", "tests/fakes", "tests/model", "benches"] {
        assert!(crates.contains(&format!("\"{part}\"")) && text.contains(&format!("`{part}/")), "{part}");
    }
}

#[test]
fn what_is_to_be_typed_can_be_pasted() {
    // `plan` ends with 3 where there is something to apply: what stands behind && would not be reached.
    let wrong: Vec<&String> = pages(&files())
        .into_iter()
        .filter(|page| read(page).contains("tradeflow plan &&"))
        .map(|page| &*Box::leak(Box::new(page.clone())))
        .collect();
    assert!(wrong.is_empty(), "plan && … does not reach what follows: {wrong:?}");
    // Every command of a block of sh is one that the program has.
    let help = Command::new(tradeflow_tests::sidecar::binary()).arg("--help").output().expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let known = |word: &str| help.lines().any(|line| line.split_whitespace().next() == Some(word));
    let mut checked = 0;
    for page in pages(&files()) {
        let mut code = false;
        for (n, line) in read(page).lines().enumerate() {
            if line.starts_with("```") {
                code = !code && line.starts_with("```sh");
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            if !code || words.first() != Some(&"tradeflow") {
                continue;
            }
            let command = words.get(1).copied().unwrap_or("--help");
            checked += 1;
            assert!(
                command.starts_with('-') || known(command),
                "{page}:{}: there is no command {command}",
                n + 1
            );
        }
    }
    assert!(checked > 60, "only {checked} commands were found");
}

/// A subcommand's help, and those below it.
fn helps(words: &[String]) -> Vec<(String, String)> {
    let help = Command::new(tradeflow_tests::sidecar::binary()).args(words).arg("--help").output();
    let help = String::from_utf8_lossy(&help.expect("it runs").stdout).into_owned();
    let commands =
        help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
    let below: Vec<String> = commands
        .lines()
        .filter_map(|line| {
            line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split_whitespace().next()
        })
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    let mut all = vec![(words.join(" "), help.clone())];
    for name in below {
        all.extend(helps(&[words, &[name]].concat()));
    }
    all
}

/// Prose is wrapped where the terminal ends, not where its source did: then lines would be long and short in turn.
#[test]
fn help_fits_the_terminal() {
    let all = helps(&[]);
    assert!(all.len() > 40, "only {} commands were found", all.len());
    let mut ragged = Vec::new();
    for (command, help) in all {
        for pair in help.lines().collect::<Vec<_>>().windows(2) {
            let [line, next] = pair else { continue };
            let prose = |line: &str| line.starts_with(char::is_alphabetic) && !line.ends_with(':');
            let word = next.split_whitespace().next().unwrap_or_default();
            // The width that clap takes for one that is not a terminal's.
            if prose(line)
                && prose(next)
                && !next.starts_with("Exit code")
                && line.chars().count() < 60
                && line.chars().count() + 1 + word.chars().count() <= 100
                && !line.ends_with('.')
            {
                ragged.push(format!("tradeflow {command} --help: \"{line}\" / \"{next}\""));
            }
        }
    }
    assert!(ragged.is_empty(), "{}", ragged.join("\n"));
}
