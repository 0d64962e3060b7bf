//! The rules that are measured: what a store's people write, some of which match.

/// A rule over `bench.shape`'s columns.
pub struct Rule {
    pub name: String,
    pub condition: String,
    /// The column of `rules.columns`, where the rule has one.
    pub column: Option<&'static str>,
}

/// Which rules, and which payload they meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Ten that match 1 % of the rows each, the rest as various as people write them, never true.
    Realistic,
    /// The same rules over a payload that changes every column they read: nothing can be skipped for being unchanged.
    NoSkip,
    /// The ten, ten more whose arithmetic must be done for every row, and the rest about columns that did not change.
    Few,
    /// As `Realistic`, but one in ten of the matching rows fires, 1 % of all rows: what a sync brings.
    Sparse,
    /// The ten, and arithmetic over two columns that change in every row: no rule can be spared by any means.
    Arithmetic,
}

impl Mix {
    pub fn name(self) -> &'static str {
        match self {
            Mix::Realistic => "realistic",
            Mix::NoSkip => "no-skip",
            Mix::Few => "20-relevant",
            Mix::Sparse => "sparse",
            Mix::Arithmetic => "arithmetic",
        }
    }

    /// Which of the payloads of `sql/schema.sql`.
    pub fn payload(self) -> &'static str {
        match self {
            Mix::Realistic | Mix::Few | Mix::Sparse => "calm",
            Mix::NoSkip | Mix::Arithmetic => "volatile",
        }
    }

    /// `count` rules: at most ten that match, and others.
    pub fn rules(self, count: usize) -> Vec<Rule> {
        let others = (0..count.saturating_sub(MATCHING.len())).map(|x| match self {
            Mix::Realistic | Mix::NoSkip | Mix::Sparse => various(x),
            Mix::Few if x < 10 => arithmetic(x),
            Mix::Few => [various_mail, various_region, various_rep][x % 3](x),
            Mix::Arithmetic => arithmetic(x),
        });
        MATCHING
            .iter()
            .take(count)
            .map(|(condition, column)| match self {
                Mix::Sparse => (format!("{condition} and new.quote_id % 1000 < 100"), *column),
                _ => (condition.to_string(), *column),
            })
            .chain(others)
            .enumerate()
            .map(|(n, (condition, column))| Rule { name: format!("r{n:04}"), condition, column })
            .collect()
    }
}

type Definition = (String, Option<&'static str>);

/// Rule n of these is true for the rows of bucket n (sql/schema.sql), 1 % of all.
const MATCHING: [(&str, Option<&str>); 10] = [
    ("new.status = 4 and new.grand_total > 50", None),
    ("new.status_name = 'Escalated'", None),
    ("new.grand_total < old.grand_total * 0.5 and new.grand_total < 50", None),
    ("new.grand_total > 40000 and new.currency_code in ('EUR', 'USD', 'GBP')", None),
    ("new.expired_at between now() and now() + interval '3 days'", None),
    ("new.discount > new.subtotal * 0.4", None),
    ("new.extra_fields ->> 'priority' = 'rush'", None),
    ("lower(new.sales_rep_email) = 'key.accounts@store.example'", None),
    ("new.notes like 'URGENT%'", Some("notes")),
    ("old.currency_code is distinct from new.currency_code and new.currency_code = 'CHF'", None),
];

/// Never true. Of 50 in a row, one is arithmetic that holds for no row but must be done for all, one a search in a
/// text; the others can in principle be told from a single value of the row.
fn various(x: usize) -> Definition {
    match x % 50 {
        18 => return arithmetic(x / 50),
        37 => return (format!("new.notes like '%clause {x}%'"), Some("notes")),
        _ => {}
    }
    let none = match x % 10 {
        0 => format!("new.status = {} and new.grand_total > {}", [0, 2, 3, 7][x / 10 % 4], 1_000_000 + x),
        1 => return various_mail(x),
        2 => format!("new.grand_total >= {}", 200_000 + x),
        3 => format!("new.expired_at < now() - interval '{} days' and new.status <> 4", 1 + x),
        4 => return various_region(x),
        5 => return various_rep(x),
        6 => format!(
            "new.status = 6 and old.status is distinct from new.status and new.company_id = {}",
            1 + x
        ),
        7 => return (format!("length(new.notes) > {}", 500 + x), Some("notes")),
        8 => format!("new.company_id = {} and new.discount > new.subtotal * 0.1", 900_000 + x),
        _ => format!("new.currency_code = 'JPY' and new.grand_total > {}", 10 * x),
    };
    (none, None)
}

fn various_mail(x: usize) -> Definition {
    (format!("new.contact_email = 'buyer{x}@nowhere.example'"), None)
}

fn various_region(x: usize) -> Definition {
    (format!("new.extra_fields ->> 'region' = 'north-{x}'"), None)
}

fn various_rep(x: usize) -> Definition {
    (format!("lower(new.sales_rep_email) = 'rep{x}@elsewhere.example'"), None)
}

fn arithmetic(x: usize) -> Definition {
    (format!("new.discount > new.subtotal * 0.{}", 6000 + x), None)
}

impl Rule {
    pub fn mentions_old(&self) -> bool {
        self.condition.contains("old.")
    }

    /// The whole question at an insert, in plain SQL; None when only an update can answer it.
    pub fn on_insert(&self) -> Option<String> {
        (!self.mentions_old()).then(|| self.condition.clone())
    }

    /// The whole question at an update, in plain SQL: that the condition became true.
    pub fn on_update(&self) -> String {
        let mut parts = vec![format!("({})", self.condition)];
        if !self.mentions_old() {
            parts.push(format!("({}) is not true", self.condition.replace("new.", "old.")));
        }
        if let Some(column) = self.column {
            parts.push(format!("new.{column} is distinct from old.{column}"));
        }
        parts.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mix_has_as_many_rules_as_asked_for() {
        for mix in [Mix::Realistic, Mix::Sparse, Mix::NoSkip, Mix::Few, Mix::Arithmetic] {
            for count in [0, 10, 100, 1000] {
                let rules = mix.rules(count);
                let conditions: std::collections::BTreeSet<_> = rules.iter().map(|r| &r.condition).collect();
                assert_eq!(conditions.len(), count, "{} rules of {} differ", count, mix.name());
            }
        }
    }

    #[test]
    fn a_rule_becomes_the_question_that_it_became_true() {
        let [plain, filtered, edge] = [1, 8, 9].map(|n| Mix::Realistic.rules(10).swap_remove(n));
        assert_eq!(
            plain.on_update(),
            "(new.status_name = 'Escalated') and (old.status_name = 'Escalated') is not true"
        );
        assert!(filtered.on_update().ends_with("and new.notes is distinct from old.notes"));
        assert_eq!(edge.on_update(), format!("({})", edge.condition));
        assert_eq!(edge.on_insert(), None);
    }
}
