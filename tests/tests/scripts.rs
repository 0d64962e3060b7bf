//! The scripts behind `make`: the demo and the installation.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use tradeflow_tests::cluster::project;

/// A folder that the server's unprivileged user may enter.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("it is ours");
    folder
}

fn script(name: &str) -> Command {
    let mut command = Command::new(project().join("scripts").join(name));
    command.env("PROFILE", "dev").current_dir(project());
    command
}

fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().expect("the script runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

/// Command lines of processes that mention a folder, but for scripts that are tests themselves.
fn processes_in(folder: &Path) -> Vec<String> {
    let wanted = folder.to_str().expect("a path of text");
    std::fs::read_dir("/proc")
        .expect("Linux has /proc")
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(wanted))
        .collect()
}

/// The names in a folder of the project, each made of a file's own.
fn names(folder: &str, name: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let files = std::fs::read_dir(project().join(folder)).expect("the folder is there");
    let files = files.map(|file| file.expect("an entry is readable").path());
    let mut names: Vec<String> = files.filter_map(|file| name(&file)).collect();
    names.sort();
    names
}

/// The use cases that the demo shows: what follows the number in the names of its files.
fn cases() -> Vec<String> {
    names("scripts/demo/cases", |file| {
        let python = file.extension().is_some_and(|extension| extension == "py");
        let (_, name) = file.file_stem()?.to_str()?.split_once('_')?;
        python.then(|| name.to_owned())
    })
}

#[test]
fn the_demo_has_a_case_for_each_recipe() {
    assert_eq!(cases(), names("sql/recipes", |file| Some(file.file_name()?.to_str()?.to_owned())));
}

#[test]
fn the_demo_shows_each_use_case_may_be_repeated_and_leaves_nothing_running() {
    let folder = open_folder();
    let dir = folder.path().join("demo");
    let demo = |words: &[&str]| {
        let mut command = script("demo.sh");
        run(command.env("DEMO_DIR", &dir).env("DEMO_ONCE", "1").args(words))
    };
    let (output, text) = demo(&[]);
    assert!(output.status.success(), "{text}");
    let cases = cases();
    assert!(text.contains(&format!("{0} of {0} use cases", cases.len())), "{text}");
    for recipe in &cases {
        // Its row ends with the time that its actions took, or says that it had none.
        let row = text.lines().find(|line| {
            line.trim_start_matches([' ', '1', '2', '3', '4', '5', '6', '7', '8', '9', '0'])
                .starts_with(recipe.as_str())
        });
        let row = row.unwrap_or_else(|| panic!("{recipe} is missing:\n{text}"));
        assert!(row.ends_with(" ms"), "{row}");
    }
    assert!(text.contains("payloads read, 0 firings."), "a re-sync fires nothing:\n{text}");
    assert_eq!(processes_in(&dir), Vec::<String>::new());

    let (output, text) = demo(&["welcome"]);
    assert!(output.status.success() && text.contains("1 of 1 use cases"), "{text}");
    assert!(text.contains("mail to ada@example.com: “Welcome to Northwind Supply, Ada”"), "{text}");
    assert_eq!(processes_in(&dir), Vec::<String>::new());
    let (output, text) = run(script("demo.sh").env("DEMO_DIR", &dir).arg("--clean"));
    assert!(output.status.success() && !dir.exists(), "{text}");
}

#[test]
fn a_second_demo_in_the_same_folder_is_refused() {
    let folder = open_folder();
    let lock = folder.path().join("lock");
    let mut holder = Command::new("flock");
    holder.arg(&lock).args(["sleep", "60"]);
    let holder = tradeflow_tests::process::Process::start("flock", &holder);
    // flock opens the file before it locks it; the demo that is tried must come later.
    while std::fs::read_to_string("/proc/locks")
        .is_ok_and(|locks| !locks.contains(&format!(" {} ", holder.id())))
    {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let (output, text) = run(script("demo.sh").env("DEMO_DIR", folder.path()).env("DEMO_ONCE", "1"));
    assert!(!output.status.success());
    assert!(text.contains("a demo is running already"), "{text}");
}

#[test]
fn an_installation_has_all_files_and_is_not_repeated_without_need() {
    let folder = open_folder();
    let install = || {
        let (output, text) = run(script("install-extension.sh").env("DESTDIR", folder.path()));
        assert!(output.status.success(), "{text}");
        let mut files = Vec::new();
        collect(folder.path(), &mut files);
        files.sort();
        files
    };
    let first = install();
    let names: Vec<&str> = first.iter().filter_map(|(path, _)| path.file_name()?.to_str()).collect();
    let wanted = [
        "tradeflow.so",
        "tradeflow--0.1.0--0.2.0.sql",
        "tradeflow--0.1.0.sql",
        "tradeflow--0.2.0.sql",
        "tradeflow.control",
    ];
    assert_eq!(names, wanted);
    assert_eq!(first, install(), "nothing changed, so nothing is written");
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, SystemTime)>) {
    for entry in std::fs::read_dir(folder).expect("it is readable") {
        let path = entry.expect("an entry is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            let changed = path.metadata().and_then(|data| data.modified()).expect("a file has a time");
            files.push((path, changed));
        }
    }
}
