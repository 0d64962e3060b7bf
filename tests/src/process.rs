//! A child process whose output is kept and which never outlives the test.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A running program. Dropping it ends it.
pub struct Process {
    name: String,
    child: Child,
    ends: Ends,
    stdin: Option<ChildStdin>,
    lines: Arc<Lines>,
}

/// How a program is made to end.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    /// By SIGKILL, also when the test process dies in whatever way.
    Killed,
    /// By itself, tidying up, as soon as its standard input closes; which it does when the test process dies.
    InputClosed,
}

#[derive(Default)]
struct Lines {
    all: Mutex<Vec<String>>,
    more: Condvar,
}

impl Process {
    /// Starts `program`, which will be killed, with its output (both streams) kept line by line.
    pub fn start(name: &str, program: &Command) -> Self {
        // The kernel kills it when the thread that started it ends: no test leaves it behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program.get_program());
        Self::spawn(name, command, program, Ends::Killed)
    }

    /// Starts `program`, which ends by itself when its standard input closes.
    pub fn start_until_input_closes(name: &str, program: &Command) -> Self {
        Self::spawn(name, Command::new(program.get_program()), program, Ends::InputClosed)
    }

    fn spawn(name: &str, mut command: Command, program: &Command, ends: Ends) -> Self {
        command.args(program.get_args());
        for (key, value) in program.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(dir) = program.get_current_dir() {
            command.current_dir(dir);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let lines = Arc::new(Lines::default());
        keep(child.stdout.take().expect("stdout is piped"), lines.clone());
        keep(child.stderr.take().expect("stderr is piped"), lines.clone());
        let stdin = child.stdin.take();
        Self { name: name.to_owned(), child, ends, stdin, lines }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said so far.
    pub fn output(&self) -> String {
        self.lines.lock().join("\n")
    }

    /// The lines it has said so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Waits for the first line for which `find` has an answer, however long ago it was said.
    pub fn wait_for<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        self.wait_for_after(0, what, find)
    }

    /// The same, looking only at what it says after its first `seen` lines.
    pub fn wait_for_after<T>(&mut self, seen: usize, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        self.wait_within(crate::eventually::PATIENCE, seen, what, find)
    }

    /// The same, for what takes longer than most.
    pub fn wait_within<T>(
        &mut self,
        patience: Duration,
        mut seen: usize,
        what: &str,
        find: impl Fn(&str) -> Option<T>,
    ) -> T {
        let began = Instant::now();
        loop {
            let fresh = self.lines.after(seen, Duration::from_millis(100));
            if let Some(answer) = fresh.iter().find_map(|line| find(line)) {
                return answer;
            }
            seen += fresh.len();
            if fresh.is_empty() {
                let ended = self.child.try_wait().expect("a child can be asked");
                let late = began.elapsed() > patience;
                assert!(
                    ended.is_none() && !late,
                    "{} did not say {what} ({}); it said:\n{}",
                    self.name,
                    ended.map_or("still running".into(), |status| status.to_string()),
                    self.output()
                );
            }
        }
    }

    /// Writes one line to its standard input.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).unwrap_or_else(|error| {
            panic!("{} does not listen: {error}; it said:\n{}", self.name, self.lines.lock().join("\n"))
        });
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// SIGTERM, or any other signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {}", self.name);
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&mut self) {
        // An error means that it ended by itself, which is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end; it may go on for `within`.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(
                began.elapsed() < within,
                "{} still runs after {within:?}:\n{}",
                self.name,
                self.output()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if self.ends == Ends::Killed {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}\n---", self.name, self.output());
        }
    }
}

impl Lines {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.all.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The lines after the first `seen`, waiting up to `patience` for one.
    fn after(&self, seen: usize, patience: Duration) -> Vec<String> {
        let all = self.lock();
        let (all, _) = self
            .more
            .wait_timeout_while(all, patience, |all| all.len() <= seen)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        all[seen..].to_vec()
    }
}

fn keep(stream: impl std::io::Read + Send + 'static, lines: Arc<Lines>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            lines.lock().push(text);
            lines.more.notify_all();
            line.clear();
        }
    });
}
