//! What is measured: one line of the table each.

use crate::bulk::Change;
use crate::contender::Contender;
use crate::options::Options;
use crate::rules::Mix;
use crate::single::Rows;

/// What a case does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bulk(Change),
    Single(Rows),
    Memory,
}

/// What is to be reached (DESIGN §8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The time's ratio to bare.
    UpTo(f64),
    /// The same, or at most this much above the dearest trigger that does nothing, in this run.
    UpToOrAboveFloor(f64, f64),
    /// The rate's ratio to bare.
    NoLess(f64),
}

pub struct Case {
    pub name: String,
    pub kind: Kind,
    pub contender: Contender,
    pub mix: Mix,
    pub rules: usize,
    pub goal: Option<Goal>,
}

impl Case {
    fn new(kind: Kind, contender: Contender, mix: Mix, rules: usize, goal: Option<Goal>) -> Case {
        let what = match kind {
            Kind::Bulk(Change::All) => "bulk",
            Kind::Bulk(Change::None) => "resync",
            Kind::Single(Rows::Any) => "single",
            Kind::Single(Rows::Silent) => "single-silent",
            Kind::Memory => "memory",
        };
        let name = match contender {
            Contender::FloorStatement | Contender::FloorWhen | Contender::FloorRow => {
                format!("{what}/{}", contender.name())
            }
            _ => format!("{what}/{}/{}/{rules}", contender.name(), mix.name()),
        };
        Case { name, kind, contender, mix, rules, goal }
    }
}

/// Everything, in the order in which it is measured: the floors first, since goals refer to them.
pub fn all() -> Vec<Case> {
    use Contender::*;
    use Mix::*;
    let bulk = Kind::Bulk(Change::All);
    let bulk_goal = |rules| match rules {
        10 => Some(Goal::UpToOrAboveFloor(1.15, 0.05)),
        100 => Some(Goal::UpTo(1.3)),
        1000 => Some(Goal::UpTo(1.5)),
        _ => None,
    };
    let single_goal = |rules| match rules {
        100 => Some(Goal::NoLess(0.9)),
        1000 => Some(Goal::NoLess(0.8)),
        _ => None,
    };
    let mut cases = Vec::new();
    let mut add =
        |kind, contender, mix, rules, goal| cases.push(Case::new(kind, contender, mix, rules, goal));

    for floor in [FloorStatement, FloorWhen, FloorRow] {
        add(bulk, floor, Realistic, 0, None);
    }
    for rules in [0, 10, 100, 1000] {
        add(bulk, Tradeflow, Realistic, rules, bulk_goal(rules));
    }
    for rules in [10, 100, 1000] {
        add(bulk, Tradeflow, Sparse, rules, bulk_goal(rules));
    }
    for rules in [10, 100, 1000] {
        add(bulk, Tradeflow, NoSkip, rules, bulk_goal(rules));
    }
    add(bulk, Tradeflow, Few, 1000, bulk_goal(1000));
    for rules in [100, 1000] {
        add(bulk, Tradeflow, Arithmetic, rules, None);
    }
    add(Kind::Bulk(Change::None), Tradeflow, Realistic, 1000, Some(Goal::UpTo(1.1)));
    for contender in [NativeWhen, PlpgsqlRow, SetBased] {
        for rules in [10, 100, 1000] {
            add(bulk, contender, Realistic, rules, None);
        }
    }

    for rows in [Rows::Silent, Rows::Any] {
        for rules in [0, 10, 100, 1000] {
            add(Kind::Single(rows), Tradeflow, Realistic, rules, single_goal(rules));
        }
        for rules in [100, 1000] {
            add(Kind::Single(rows), Tradeflow, NoSkip, rules, single_goal(rules));
        }
    }
    for contender in [NativeWhen, PlpgsqlRow, SetBased] {
        for rules in [10, 100, 1000] {
            add(Kind::Single(Rows::Any), contender, Realistic, rules, None);
        }
    }
    add(Kind::Memory, Tradeflow, NoSkip, 1000, None);
    cases
}

/// The cases that the options ask for.
pub fn chosen(options: &Options) -> Vec<Case> {
    all().into_iter().filter(|case| options.wants(case)).collect()
}
