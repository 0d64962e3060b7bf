//! What keeps a mistake small and lets one change one's mind: once rules, loops, pausing, silence, earlier definitions,
//! backfills; and rules that are run by the clock. One topic a module.

mod backfill;
mod loops;
mod once;
mod paused;
mod revert;
mod schedules;
mod silent;
