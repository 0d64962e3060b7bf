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

#[test]
fn the_demo_mails_what_fired_twice_and_leaves_nothing_running() {
    let folder = open_folder();
    let dir = folder.path().join("demo");
    for time in ["first", "second"] {
        let (output, text) = run(script("demo.sh").env("DEMO_DIR", &dir).env("DEMO_ONCE", "1"));
        assert!(output.status.success(), "{time} time:\n{text}");
        for line in [
            "fired rule quote_below_base_price",
            "“Check: 25.0 % off in quote",
            "“Stop: 40.0 % off in quote",
            "“Welcome to Northwind Supply, Ada”",
            "fired rule quote_expiry_reminder",
            "From commit to delivery:",
        ] {
            assert!(text.contains(line), "{line} is missing the {time} time:\n{text}");
        }
        assert_eq!(text.matches("→ mail to").count(), 4, "nothing else fired:\n{text}");
        assert_eq!(processes_in(&dir), Vec::<String>::new());
    }
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
