//! docs/reference/ is made of what the database and the program say about themselves; `make reference` (or `BLESS=1`)
//! writes it anew. A page that is not what they say now fails the test of its name.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use tradeflow_tests::cluster::project;
use tradeflow_tests::database::Database;
use tradeflow_tests::golden;
use tradeflow_tests::sidecar::Tradeflow;

const REMEDY: &str = "make reference";

/// A page: file, title, what the index says of it, and what makes its body.
struct Page {
    file: &'static str,
    title: &'static str,
    about: &'static str,
    body: fn() -> String,
}

const PAGES: [Page; 8] = [
    Page {
        file: "tables",
        title: "Tables of schema tradeflow",
        about: "rules, actions, targets, outbox, incidents, settings: every table and column, with its constraints and rights",
        body: || relations("tradeflow", &["r", "p"]),
    },
    Page {
        file: "views",
        title: "Views of schema tradeflow",
        about: "what to look at: firings, health, statistics",
        body: || relations("tradeflow", &["v"]),
    },
    Page {
        file: "store",
        title: "Tables of schema store",
        about: "the synced store: companies, quotes, orders, invoices, products",
        body: || relations("store", &["r", "p"]),
    },
    Page {
        file: "functions",
        title: "Functions",
        about: "the SQL API: what each function does, who may call it, and the SQLSTATEs it ends with",
        body: functions,
    },
    Page {
        file: "kinds",
        title: "Kinds of action",
        about: "every kind with its parameters, as tradeflow.action_kinds has them",
        body: kinds,
    },
    Page {
        file: "settings",
        title: "Settings and session parameters",
        about: "what the extension itself reads",
        body: settings,
    },
    Page {
        file: "cli",
        title: "The command line",
        about: "`--help` of every command",
        body: command_line,
    },
    Page {
        file: "configuration",
        title: "Configuration of the sidecar",
        about: "every key of tradeflow.toml, with its default and its environment variable",
        body: configuration,
    },
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("index", index), Trial::test("no_other_pages", no_other_pages)];
    for page in PAGES {
        trials.push(Trial::test(page.file, move || {
            let text = format!("# {}\n\n{NOTE}\n\n{}\n", page.title, (page.body)().trim_end());
            Ok(golden::compare(&path(page.file), &text, REMEDY)?)
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

const NOTE: &str =
    "<!-- Written by `make reference`: change the comments in sql/ or the program's help instead. -->";

fn folder() -> PathBuf {
    project().join("docs/reference")
}

fn path(page: &str) -> PathBuf {
    folder().join(page).with_extension("md")
}

fn index() -> Result<(), Failed> {
    let rows: String = PAGES
        .iter()
        .map(|page| format!("| [{}]({}.md) | {} |\n", page.title, page.file, page.about))
        .collect();
    let text = format!(
        "# Reference\n\n{NOTE}\n\nMade of what the database (`comment on`) and the program (`--help`) say about themselves; a test fails when a page is out of date.\n\n| | |\n|---|---|\n{rows}\nTemplates, filters and what becomes of failures: [docs/actions](../actions/README.md). Metrics: [docs/operations.md](../operations.md#metrics).\n"
    );
    Ok(golden::compare(&path("README"), &text, REMEDY)?)
}

/// A page whose title has changed leaves none behind.
fn no_other_pages() -> Result<(), Failed> {
    for entry in std::fs::read_dir(folder())? {
        let file = entry?.path();
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if name != "README" && !PAGES.iter().any(|page| page.file == name) {
            return Err(format!(
                "{} is no page: remove it, or add it to tests/tests/reference.rs",
                file.display()
            )
            .into());
        }
    }
    Ok(())
}

/// The lines that a query of tests/reference gives.
fn lines(query: &str, parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)]) -> String {
    let read = |name: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference").join(name).with_extension("sql");
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let query = read(query);
    let rows = golden::with_database(Database::with_store, async |db| {
        db.sql(&read("prelude")).await;
        db.client().query(&query, parameters).await.unwrap_or_else(|error| panic!("{error:?}\nin: {query}"))
    });
    assert!(!rows.is_empty(), "nothing is found by {query}");
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

fn relations(schema: &str, kinds: &[&str]) -> String {
    let kinds = format!("{{{}}}", kinds.join(","));
    with_contents(&lines("relations", &[&schema, &kinds]))
}

/// What the SQLSTATEs mean here. One that a comment names and this does not fails the test.
const SQLSTATES: [(&str, &str); 15] = [
    ("0A000", "it is not possible with this rule, or this Postgres"),
    ("22004", "something that is needed is NULL"),
    ("22023", "a value that is none: the message names what is possible"),
    ("23514", "a value that a column cannot have"),
    ("2BP01", "others still need it"),
    ("42501", "the right, or the membership, is missing"),
    ("42601", "a template or expression that cannot be read, with its position"),
    ("42703", "there is no such column"),
    ("42704", "there is no such rule, target, kind, setting, …"),
    ("42809", "a table or view of the wrong kind"),
    ("42P01", "there is no such table"),
    ("42P17", "a definition that would not do what it says"),
    ("54000", "more than is possible at once"),
    ("55000", "not now: not watched, not logged, off, paused or invalid"),
    ("TF001", "the lease was lost meanwhile, and everything is undone"),
];

fn functions() -> String {
    let means: serde_json::Map<String, serde_json::Value> =
        SQLSTATES.iter().map(|(code, means)| ((*code).to_owned(), (*means).into())).collect();
    let states = lines("sqlstates", &[&serde_json::Value::Object(means).to_string()]);
    assert!(!states.contains("MEANING MISSING"), "a SQLSTATE has no meaning here:\n{states}");
    for (code, _) in SQLSTATES {
        assert!(states.contains(code), "no comment names {code} any more: take it out of here");
    }
    format!(
        "{}\n## SQLSTATEs\n\n| | means | raised by |\n|---|---|---|\n{states}",
        with_contents(&lines("functions", &[])).trim_end().to_owned() + "\n"
    )
}

fn kinds() -> String {
    with_contents(&lines("kinds", &[]))
}

/// Postgres knows nothing of them before they are set, so they are told here; rules::, safety::silent and operator::traces
/// test what they do.
const SESSION: &str = "\
| parameter | |
|---|---|
| `tradeflow.mode` | `silent`: what this session changes fires nothing, and what views and `once` rules know is kept current. Takes membership in `tradeflow_silent` |
| `tradeflow.traceparent` | the trace that this session's changes are part of (W3C Trace Context); each action keeps it and HTTP deliveries send it on |";

fn settings() -> String {
    format!(
        "Settings are rows of [`tradeflow.settings`](tables.md#settings) (`insert into tradeflow.settings (name, value) …`). These the extension reads by itself; \
         templates read `time_zone` (default UTC) for their dates, recipes declare their own ([docs/recipes](../recipes/README.md)).\n\n\
         | setting | default | |\n|---|---|---|\n{}\n\
         ## Session parameters\n\n{SESSION}",
        lines("settings", &[]),
    )
}

/// A list of the headings before the text.
fn with_contents(text: &str) -> String {
    let links: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| format!("[{heading}](#{})", heading.replace('.', "").replace(' ', "-")))
        .collect();
    format!("{}\n\n{text}", links.join(" · "))
}

/// `--help` of the program and of every command below it.
fn command_line() -> String {
    let mut pages = String::new();
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(words) = waiting.pop() {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = Tradeflow::new(arguments).env("COLUMNS", "120").run().success().to_owned();
        // What every command has is said once.
        let help = if words.is_empty() { help } else { without_section(&help, "Options of every command:") };
        let level = "#".repeat((words.len() + 2).min(4));
        let title = std::iter::once("tradeflow")
            .chain(words.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ");
        pages.push_str(&format!("{level} {title}\n\n```text\n{}\n```\n\n", help.trim_end()));
        let below = subcommands(&help).into_iter().map(|name| words.iter().cloned().chain([name]).collect());
        let mut below: Vec<Vec<String>> = below.collect();
        below.reverse();
        waiting.extend(below);
    }
    pages
}

/// A help without one of its sections: its heading, and what is indented below it.
fn without_section(help: &str, heading: &str) -> String {
    let mut inside = false;
    let kept = help.lines().filter(|line| {
        if !line.is_empty() && !line.starts_with(' ') {
            inside = *line == heading;
        }
        !inside
    });
    kept.map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The commands that a help names, but for `help` itself.
fn subcommands(help: &str) -> Vec<String> {
    let lines =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Continuation lines of a description are indented further.
    let names = lines
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

fn configuration() -> String {
    let text = Tradeflow::new(["config"]).run().success().to_owned();
    format!("`tradeflow config` prints it. Flags win over the environment, the environment over the file, the file over these defaults.\n\n```toml\n{}\n```", text.trim_end())
}
