//! View rules: who enters and who leaves, and that no transaction misses it. One topic a module.

mod inputs;
mod members;
mod races;
