//! Ways to get it wrong. Each takes one precaution away; the checker must find what comes of it.

/// The precaution that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// `complete()` and `fail()` do not look whether the attempt holds the lease.
    ReportsUnchecked,
    /// `started()` says yes to an attempt that lost its lease.
    StartedUnchecked,
    /// The rescuer makes everything ready again, also what cannot be taken back and had begun.
    RescueIgnoresStarted,
    /// The rescuer does not look at the time.
    RescueIgnoresLease,
    /// `claim()` takes actions in any order.
    ClaimIgnoresLane,
    /// `claim()` passes a dead action that is to hold up its lane.
    ClaimIgnoresDead,
    /// A worker sends what cannot be taken back without asking `started()`.
    SendsUnasked,
    /// A worker that does not know whether a mail arrived reports that it failed, to be tried again.
    UnknownIsFailure,
    /// A worker reports success before it delivers.
    ReportsFirst,
    /// What waits for its next attempt is forgotten when the worker that reported it crashes: nobody wakes it.
    RetryInMemory,
}

impl Broken {
    pub const ALL: [Broken; 10] = [
        Broken::ReportsUnchecked,
        Broken::StartedUnchecked,
        Broken::RescueIgnoresStarted,
        Broken::RescueIgnoresLease,
        Broken::ClaimIgnoresLane,
        Broken::ClaimIgnoresDead,
        Broken::SendsUnasked,
        Broken::UnknownIsFailure,
        Broken::ReportsFirst,
        Broken::RetryInMemory,
    ];
}
