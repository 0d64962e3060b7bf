//! What goes wrong, and the sidecars it befalls.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tradeflow_tests::database::Database;
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::proxy::Proxy;
use tradeflow_tests::sidecar::{Sidecar, Tradeflow};

use crate::destination::{Destination, Mood};
use crate::work::insist;

const SIDECARS: usize = 3;
/// Short, so that what is lost is found again while one watches.
const LEASE: Duration = Duration::from_secs(2);
/// The clock of this one's host jumps.
const TRAVELLER: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mishap {
    SidecarKilled,
    /// Frozen for longer than its leases, then it goes on as if nothing had been.
    SidecarFrozen,
    SidecarStopped,
    ConnectionsCut,
    /// Half open: nobody is told.
    ConnectionsSilenced,
    PostgresCrashes,
    PostgresRestarts,
    /// SIGKILL, upon which Postgres ends all sessions and recovers.
    BackendKilled,
    DestinationBad(Mood),
    MailsLost,
    MailsRefused,
    HistoryFull,
    ClockJumps,
}

pub struct Weather {
    pub destination: Destination,
    pub mails: MailSink,
    sidecars: Vec<Host>,
    full: Option<SmallDisk>,
    random: Random,
    to_come: Vec<Mishap>,
    seen: BTreeMap<Mishap, usize>,
    refused: usize,
}

/// Where one sidecar runs.
struct Host {
    proxy: Proxy,
    sidecar: Option<Sidecar>,
    /// The offset of its clock, in a file that libfaketime reads.
    clock: tempfile::TempDir,
}

impl Weather {
    pub async fn over(db: &Database, destination: Destination, mails: MailSink, random: Random) -> Weather {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, db.cluster().port()));
        let sidecars = (0..SIDECARS)
            .map(|_| Host {
                proxy: Proxy::start(server),
                sidecar: None,
                clock: tempfile::tempdir().expect("a folder"),
            })
            .collect();
        let mut weather = Weather {
            destination,
            mails,
            sidecars,
            full: SmallDisk::mount(db).await,
            random,
            to_come: Vec::new(),
            seen: BTreeMap::new(),
            refused: 0,
        };
        for which in 0..SIDECARS {
            weather.start(db, which);
        }
        weather
    }

    /// Whether each mishap was there.
    pub fn had_everything(&self) -> bool {
        self.all().iter().all(|mishap| self.seen.contains_key(mishap))
    }

    fn start(&mut self, db: &Database, which: usize) {
        let host = &mut self.sidecars[which];
        let url = db
            .url()
            .replace(&format!(":{}/", db.cluster().port()), &format!(":{}/", host.proxy.address().port()));
        let mut command = Sidecar::command(db)
            .env("TRADEFLOW_DATABASE_URL", &url)
            .env("TRADEFLOW_WORKER", &format!("sidecar-{which}"))
            .env("TRADEFLOW_LEASE", &format!("{}s", LEASE.as_secs()))
            .env("TRADEFLOW_CONCURRENCY", "16")
            .env("TRADEFLOW_SHUTDOWN_GRACE", "3s")
            .env("TRADEFLOW_LOG", "warn");
        if which == TRAVELLER {
            command = travelling(command, host.clock.path().join("offset"));
        }
        host.sidecar = Some(command.start());
    }

    /// What was refused is in the log of the one that had come too late.
    fn note_refusals(&mut self, which: usize) {
        let log = self.sidecars[which].sidecar.as_ref().map(Sidecar::log).unwrap_or_default();
        self.refused += log.lines().filter(|line| line.contains("refused: the lease was lost")).count();
    }

    /// The next mishap, from its beginning to its end.
    pub async fn next(&mut self, db: &mut Database) {
        if self.to_come.is_empty() {
            self.to_come = self.all();
        }
        let index = self.random.below(self.to_come.len());
        let mishap = self.to_come.swap_remove(index);
        *self.seen.entry(mishap).or_default() += 1;
        let which = self.random.below(SIDECARS);
        self.befall(db, mishap, which).await;
        // A little sun, or nothing would ever be done.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }

    fn all(&self) -> Vec<Mishap> {
        use Mishap::*;
        let mut all = vec![
            SidecarKilled,
            SidecarFrozen,
            SidecarKilled,
            SidecarStopped,
            ConnectionsCut,
            ConnectionsSilenced,
            SidecarKilled,
            PostgresCrashes,
            PostgresRestarts,
            BackendKilled,
            MailsLost,
            MailsRefused,
            ClockJumps,
        ];
        all.extend(Mood::BAD.map(DestinationBad));
        if self.full.is_some() {
            all.push(HistoryFull);
        }
        all
    }

    async fn befall(&mut self, db: &mut Database, mishap: Mishap, which: usize) {
        let over_lease = LEASE + Duration::from_millis(700);
        match mishap {
            Mishap::SidecarKilled => {
                self.note_refusals(which);
                if let Some(sidecar) = &mut self.sidecars[which].sidecar {
                    sidecar.kill();
                }
                self.start(db, which);
            }
            Mishap::SidecarFrozen => {
                if let Some(sidecar) = &self.sidecars[which].sidecar {
                    sidecar.pause();
                    tokio::time::sleep(over_lease).await;
                    sidecar.resume();
                }
            }
            Mishap::SidecarStopped => {
                if let Some(sidecar) = &mut self.sidecars[which].sidecar {
                    sidecar.terminate();
                    assert_eq!(sidecar.wait(Duration::from_secs(20)), 0, "{}", sidecar.log());
                }
                self.note_refusals(which);
                self.start(db, which);
            }
            Mishap::ConnectionsCut => self.sidecars[which].proxy.cut(),
            Mishap::ConnectionsSilenced => {
                self.sidecars[which].proxy.silence();
                tokio::time::sleep(over_lease).await;
            }
            Mishap::PostgresCrashes => {
                db.cluster_mut().crash();
                db.cluster_mut().restart();
            }
            Mishap::PostgresRestarts => {
                db.cluster_mut().stop();
                tokio::time::sleep(Duration::from_millis(500)).await;
                db.cluster_mut().restart();
            }
            Mishap::BackendKilled => {
                let pids = insist(db, "select pid from pg_stat_activity where application_name = 'tradeflow-sidecar' order by random() limit 1").await;
                if let Some(row) = pids.first() {
                    kill(row.get(0));
                }
                // Until it has recovered.
                insist(db, "select 1").await;
            }
            Mishap::DestinationBad(mood) => {
                self.destination.mood(mood);
                tokio::time::sleep(Duration::from_millis(1_200)).await;
                self.destination.mood(Mood::Well);
            }
            Mishap::MailsLost => self.mails.mode_for("drop", 2),
            Mishap::MailsRefused => self.mails.mode_for("temporary", 3),
            Mishap::HistoryFull => {
                if let Some(disk) = &self.full {
                    disk.fill();
                    tokio::time::sleep(over_lease).await;
                    disk.free();
                }
            }
            Mishap::ClockJumps => {
                let offsets = ["+86400s", "-86400s", "+3600s", "-7s", "+0s"];
                let offset = offsets[self.random.below(offsets.len())];
                std::fs::write(self.sidecars[TRAVELLER].clock.path().join("offset"), offset)
                    .expect("a temporary folder is writable");
                tokio::time::sleep(Duration::from_millis(1_200)).await;
            }
        }
    }

    /// The sun comes out: every sidecar runs, and nobody disturbs it.
    pub async fn clear(&mut self, db: &mut Database) {
        self.destination.mood(Mood::Well);
        self.mails.mode("ok");
        insist(db, "select 1").await;
        for which in 0..SIDECARS {
            let running = self.sidecars[which].sidecar.as_mut().is_some_and(Sidecar::is_running);
            assert!(running, "sidecar {which} ended by itself: {}", self.log(which));
        }
    }

    fn log(&self, which: usize) -> String {
        self.sidecars[which].sidecar.as_ref().map(Sidecar::log).unwrap_or_default()
    }

    /// What there was.
    pub fn report(&self) -> String {
        let now: usize = (0..SIDECARS)
            .map(|which| {
                self.log(which).lines().filter(|line| line.contains("refused: the lease was lost")).count()
            })
            .sum();
        let seen: Vec<String> =
            self.seen.iter().map(|(mishap, times)| format!("{times} × {mishap:?}")).collect();
        let skipped = if self.full.is_some() {
            ""
        } else {
            "; SKIPPED: HistoryFull (mounting a small disk needs root)"
        };
        format!("{}; {} late reports refused{skipped}", seen.join(", "), self.refused + now)
    }
}

/// With a clock of its own: the time of day jumps, the monotonic clock does not, as when a host's clock is set.
fn travelling(command: Tradeflow, offset: PathBuf) -> Tradeflow {
    let library = ["x86_64", "aarch64"]
        .map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .expect("libfaketime is missing: run scripts/setup.sh");
    if !offset.exists() {
        std::fs::write(&offset, "+0s").expect("a temporary folder is writable");
    }
    command
        .env("LD_PRELOAD", &library)
        .env("FAKETIME_TIMESTAMP_FILE", &offset.to_string_lossy())
        .env("FAKETIME_CACHE_DURATION", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

fn kill(pid: i32) {
    // An error means that it ended by itself.
    let _ = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
}

/// A file system of its own for the history, which can be filled. Dropping it unmounts it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where nobody may mount.
    async fn mount(db: &Database) -> Option<SmallDisk> {
        let folder = db.cluster().socket_folder().parent()?.join("small");
        std::fs::create_dir(&folder).ok()?;
        let run = |program: &str, arguments: &[&str]| {
            Command::new(program)
                .args(arguments)
                .arg(&folder)
                .output()
                .is_ok_and(|output| output.status.success())
        };
        if !run("mount", &["-t", "tmpfs", "-o", "size=512m,mode=700", "tmpfs"]) {
            return None;
        }
        let disk = SmallDisk(folder.clone());
        assert!(
            run("chown", &["--reference", &db.cluster().socket_folder().to_string_lossy()]),
            "the server must own its disk"
        );
        db.sql(&format!("create tablespace small location '{}'", folder.display())).await;
        let days: Vec<String> = db
            .column("select inhrelid::regclass::text from pg_inherits where inhparent = 'tradeflow.outbox_history'::regclass")
            .await;
        for day in days {
            db.sql(&format!("alter table {day} set tablespace small")).await;
        }
        Some(disk)
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).expect("a file on the small disk");
        let block = vec![0; 1 << 20];
        // It ends when nothing fits any more.
        while std::io::Write::write(&mut file, &block).is_ok_and(|written| written > 0) {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may have files open there, and ends soon.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Numbers that a seed decides (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
