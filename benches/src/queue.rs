//! Figures 3 to 6: the outbox and its sidecar, beside job queues that live in Postgres too.
//!
//! | module | holds |
//! |---|---|
//! | [`contender`] | who is measured: tradeflow, graphile-worker, pg-boss; one database each, the same jobs |
//! | [`worker`] | their processes: started, ready, how much memory they hold |
//! | [`drain`] | how fast many jobs are done that are there already |
//! | [`latency`] | how long from a commit to the delivery of what it caused |
//! | [`growth`] | whether what lies about slows the queue: rows that wait, rows that a held snapshot keeps |
//! | [`figure`] | what comes out |

mod contender;
mod drain;
mod figure;
mod growth;
mod latency;
mod worker;

pub use figure::Figure;

use crate::options::Options;
use anyhow::Result;
use tradeflow_tests::cluster::Cluster;

/// What a case measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Drain rate with so many worker processes.
    Drain(usize),
    /// Latency, one job at a time or beside a steady load.
    Latency(latency::Load),
    /// Drain rate beside rows that wait for a later time.
    Waiting,
    /// Drain rate while a transaction has been open for a while.
    Snapshot,
}

impl Case {
    const ALL: [Case; 7] = [
        Case::Drain(1),
        Case::Drain(2),
        Case::Drain(4),
        Case::Latency(latency::Load::Idle),
        Case::Latency(latency::Load::Steady),
        Case::Waiting,
        Case::Snapshot,
    ];

    pub fn name(self) -> String {
        match self {
            Case::Drain(processes) => format!("drain/{processes}"),
            Case::Latency(load) => format!("latency/{}", load.name()),
            Case::Waiting => "growth/waiting".into(),
            Case::Snapshot => "growth/snapshot".into(),
        }
    }

    /// Measures it. `earlier` are the figures of this run so far: the fastest peer is the fastest at any number of processes.
    pub async fn measure(self, cluster: &Cluster, options: &Options, earlier: &[Figure]) -> Result<Figure> {
        let mut figure = Figure::new(self.name());
        match self {
            Case::Drain(processes) => {
                drain::measure(&mut figure, cluster, options, processes, earlier).await?
            }
            Case::Latency(load) => latency::measure(&mut figure, cluster, options, load).await?,
            Case::Waiting => growth::waiting(&mut figure, cluster, options).await?,
            Case::Snapshot => growth::snapshot(&mut figure, cluster, options).await?,
        }
        Ok(figure)
    }
}

/// The cases that the options ask for.
pub fn chosen(options: &Options) -> Vec<Case> {
    Case::ALL.into_iter().filter(|case| options.names(&case.name())).collect()
}
