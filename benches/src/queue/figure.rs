//! What comes out of a case: lines of contenders, and how ours relates to the others or to a quiet queue.

use super::contender::{Contender, Sizes};
use crate::pairs::Spread;
use serde::Serialize;
use std::fmt::Write;

#[derive(Serialize)]
pub struct Figure {
    pub name: String,
    pub lines: Vec<Line>,
    pub ratio: Option<Spread>,
    pub goal: Option<String>,
    pub met: Option<bool>,
}

/// One contender in one case.
#[derive(Serialize)]
pub struct Line {
    pub contender: Contender,
    pub processes: usize,
    /// What else is to be said of it.
    pub note: String,
    /// Jobs per second.
    pub per_second: Option<Spread>,
    pub latency: Option<Latency>,
    pub memory: Option<Memory>,
    /// The tables as time went on.
    pub over_time: Vec<Sample>,
}

/// In seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    pub samples: usize,
}

/// Of one process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub idle: u64,
    pub peak: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    pub second: u64,
    pub jobs: i64,
    pub sizes: Sizes,
}

impl Latency {
    pub fn of(mut seconds: Vec<f64>) -> Latency {
        seconds.sort_by(f64::total_cmp);
        // The least value that so many of a hundred do not exceed.
        let at = |percent: usize| {
            let rank = (seconds.len() * percent).div_ceil(100).max(1);
            seconds.get(rank - 1).copied().unwrap_or(f64::NAN)
        };
        Latency { p50: at(50), p99: at(99), max: at(100), samples: seconds.len() }
    }
}

impl Memory {
    pub fn max(self, other: Memory) -> Memory {
        Memory { idle: self.idle.max(other.idle), peak: self.peak.max(other.peak) }
    }
}

impl Line {
    pub fn of(contender: Contender, processes: usize) -> Line {
        Line {
            contender,
            processes,
            note: String::new(),
            per_second: None,
            latency: None,
            memory: None,
            over_time: Vec::new(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("  {:<18}", self.contender.name());
        // Writing to a String cannot fail.
        if let Some(rate) = self.per_second {
            let _ = write!(text, " {:>7.0}/s ({:.0} to {:.0})", rate.median, rate.min, rate.max);
        }
        if let Some(Latency { p50, p99, max, samples }) = self.latency {
            let _ = write!(
                text,
                " p50 {:>6.2} ms  p99 {:>7.2} ms  max {:>7.2} ms  of {samples}",
                p50 * 1e3,
                p99 * 1e3,
                max * 1e3
            );
        }
        if let Some(Memory { idle, peak }) = self.memory {
            let _ = write!(text, "  {} MiB idle, {} at most", idle >> 20, peak >> 20);
        }
        if !self.note.is_empty() {
            let _ = write!(text, "  {}", self.note);
        }
        for Sample { second, jobs, sizes } in &self.over_time {
            let mib = sizes.bytes as f64 / 1048576.0;
            let _ = write!(
                text,
                "\n      after {second:>4} s, {jobs:>8} jobs: {:>8} dead rows, {mib:>7.1} MiB",
                sizes.dead
            );
        }
        text
    }
}

impl Figure {
    pub fn new(name: String) -> Figure {
        Figure { name, lines: Vec::new(), ratio: None, goal: None, met: None }
    }

    /// Its part of the table.
    pub fn text(&self) -> String {
        let mut text = self.name.clone();
        if let Some(ratio) = self.ratio {
            let _ = write!(text, "  {:.2} ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max);
        }
        match (&self.goal, self.met) {
            (Some(goal), Some(true)) => text += &format!("  {goal}: met"),
            (Some(goal), _) => text += &format!("  {goal}: NOT MET"),
            _ => {}
        }
        for line in &self.lines {
            text += "\n";
            text += &line.text();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;

    #[test]
    fn the_99th_percentile_of_a_hundred_is_the_second_greatest() {
        let latency = Latency::of((1..=100).rev().map(f64::from).collect());
        assert_eq!((latency.p50, latency.p99, latency.max), (50.0, 99.0, 100.0));
        assert_eq!(Latency::of(vec![7.0]).p50, 7.0);
    }
}
