//! Projects: from files to the database and back to the files. One topic a module.

mod apply;
mod decisions;
mod mistakes;
mod pick;
mod plan;
mod preview;
mod recipes;
mod runner;
mod verify;
