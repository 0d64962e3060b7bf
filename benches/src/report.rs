//! What comes out: a table to read, and JSON.

use crate::case::{Case, Goal, Kind};
use crate::contender::Contender;
use crate::machine::{Machine, Versions};
use crate::memory::Memory;
use crate::pairs::{Measure, Pairs, Spread};
use crate::{further, queue};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One line of the table.
#[derive(Serialize)]
pub struct Figure {
    pub name: String,
    pub contender: Contender,
    pub mix: &'static str,
    pub rules: usize,
    /// Bulk: time with ÷ bare. Single-row: rate with ÷ bare.
    pub ratio: Option<Spread>,
    /// The same of the backend's processor time.
    pub cpu_ratio: Option<Spread>,
    /// Seconds for the upsert, or for the block of single-row upserts.
    pub bare_seconds: Option<Spread>,
    pub with_seconds: Option<Spread>,
    pub goal: Option<String>,
    pub met: Option<bool>,
    /// Upserts per second, bare and with.
    pub per_second: Option<(f64, f64)>,
    pub firings: Option<i64>,
    pub memory: Option<Memory>,
    pub pairs: Option<Pairs>,
}

#[derive(Serialize)]
pub struct Report {
    pub at: String,
    pub quick: bool,
    pub rows: i32,
    pub block: usize,
    /// Of the cases about queues: rounds, and jobs in each.
    pub rounds: usize,
    pub jobs: i64,
    pub machine: Machine,
    pub versions: Versions,
    pub settings: BTreeMap<String, String>,
    pub warnings: Vec<String>,
    pub figures: Vec<Figure>,
    pub further: Vec<further::Figure>,
    pub queues: Vec<queue::Figure>,
}

impl Figure {
    pub fn new(case: &Case) -> Figure {
        Figure {
            name: case.name.clone(),
            contender: case.contender,
            mix: case.mix.name(),
            rules: case.rules,
            ratio: None,
            cpu_ratio: None,
            bare_seconds: None,
            with_seconds: None,
            goal: None,
            met: None,
            per_second: None,
            firings: None,
            memory: None,
            pairs: None,
        }
    }

    /// Takes the measured pairs, and judges them.
    pub fn judge(&mut self, case: &Case, pairs: Pairs, earlier: &[Figure]) {
        let measure = if matches!(case.kind, Kind::Single(_)) { Measure::Rate } else { Measure::Time };
        let ratio = pairs.ratio(measure);
        let floor = earlier
            .iter()
            .filter(|f| matches!(f.contender, Contender::FloorStatement | Contender::FloorWhen))
            .filter_map(|f| Some(f.ratio?.median))
            .fold(f64::NAN, f64::max);
        let (goal, met) = match case.goal {
            None => (None, None),
            Some(Goal::UpTo(limit)) => (Some(format!("≤ {limit}")), Some(ratio.median <= limit)),
            Some(Goal::NoLess(limit)) => (Some(format!("≥ {limit}")), Some(ratio.median >= limit)),
            Some(Goal::UpToOrAboveFloor(limit, above)) => {
                let either = ratio.median <= limit || ratio.median <= floor + above;
                let floor = if floor.is_nan() { "not measured".into() } else { format!("{floor:.2}") };
                (Some(format!("≤ {limit}, or floor ({floor}) + {above}")), Some(either))
            }
        };
        (self.goal, self.met) = (goal, met);
        (self.bare_seconds, self.with_seconds) = (Some(pairs.bare()), Some(pairs.with()));
        self.cpu_ratio = Some(pairs.cpu_ratio(measure));
        self.ratio = Some(ratio);
        self.pairs = Some(pairs);
    }

    /// The line of the table.
    pub fn line(&self) -> String {
        if let Some(memory) = &self.memory {
            let mb = |bytes: i64| bytes as f64 / 1048576.0;
            return format!(
                "{:<40} compiled in {:.0} ms; {:.1} MB in contexts ({:.1} MB in all of the backend's), {:.1} MB of the process; after {} rows {:+.2} MB, {:+.2} MB and {:+.2} MB",
                self.name,
                memory.compile_seconds * 1e3,
                mb(memory.contexts),
                mb(memory.all_contexts),
                mb(memory.process),
                memory.rows,
                mb(memory.contexts_growth),
                mb(memory.all_contexts_growth),
                mb(memory.process_growth)
            );
        }
        let Some(ratio) = self.ratio else { return self.name.clone() };
        let what = match (self.per_second, self.bare_seconds, self.with_seconds) {
            (Some((bare, with)), ..) => format!("{bare:>6.0}/s → {with:>6.0}/s"),
            (None, Some(bare), Some(with)) => {
                format!("{:>6.0} ms → {:>6.0} ms", bare.median * 1e3, with.median * 1e3)
            }
            _ => String::new(),
        };
        let goal = match (&self.goal, self.met) {
            (Some(goal), Some(true)) => format!("{goal}: met"),
            (Some(goal), _) => format!("{goal}: NOT MET"),
            _ => String::new(),
        };
        let cpu = self.cpu_ratio.map(|cpu| format!("cpu {:.2}", cpu.median)).unwrap_or_default();
        format!(
            "{:<40} {:>5.2}  ({:.2} to {:.2})  {cpu}  {what}  {goal}",
            self.name, ratio.median, ratio.min, ratio.max
        )
    }
}

impl Report {
    /// Everything above the table.
    pub fn head(&self) -> String {
        let mut text = String::new();
        let (machine, versions) = (&self.machine, &self.versions);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}\n{} × {}, {} GB, Linux {}, load {} before\nPostgres {}, tradeflow {} ({}), {}",
            self.at,
            machine.cores,
            machine.cpu,
            machine.memory_gb,
            machine.kernel,
            machine.load_before,
            versions.postgres,
            versions.tradeflow,
            versions.commit,
            versions.rustc
        );
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let _ = writeln!(text, "{}", settings.join(" "));
        let _ = writeln!(
            text,
            "bulk, resync: upsert of {} rows, time with ÷ bare, median (least to greatest)\nsingle: prepared one-row upserts, one client, synchronous_commit off, blocks of {}; rate with ÷ bare\ndrain, growth: jobs a second from a closed gate to the last one done, median (least to greatest) of {} rounds of {} jobs that do nothing",
            self.rows, self.block, self.rounds, self.jobs
        );
        text
    }

    /// What follows the table.
    pub fn tail(&self) -> String {
        let queues = self.queues.iter().filter_map(|f| f.met);
        let judged: Vec<bool> = self
            .figures
            .iter()
            .filter_map(|f| f.met)
            .chain(self.further.iter().filter_map(|f| f.met))
            .chain(queues)
            .collect();
        let met = judged.iter().filter(|met| **met).count();
        let mut text = format!("{met} of {} goals met\n", judged.len());
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        text
    }
}
