//! View rules: who enters and who leaves, and that no transaction misses it. One topic a module.

mod changes;
mod inputs;
mod members;
mod races;
mod skips;
