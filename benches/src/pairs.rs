//! Pairs of measurements taken side by side, and what they say together.

use serde::Serialize;

/// How the thing measured relates to the same thing bare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Time: with ÷ bare; less is better.
    Time,
    /// Rate: with ÷ bare; more is better.
    Rate,
}

/// What some work cost, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cost {
    /// As the client's clock has it.
    pub wall: f64,
    /// The backend's time on a processor: without waiting, and without what others do to the machine.
    pub cpu: f64,
}

/// The cost of the same work, bare and with the contender, one pair after the other.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pairs(pub Vec<[Cost; 2]>);

/// Median, least and greatest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: impl Iterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => values[middle],
            _ => (values[middle - 1] + values[middle]) / 2.0,
        };
        let or_nan = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        Spread { median, min: or_nan(values.first()), max: or_nan(values.last()) }
    }
}

impl Pairs {
    pub fn ratio(&self, measure: Measure) -> Spread {
        Spread::of(self.0.iter().map(|[bare, with]| match measure {
            Measure::Time => with.wall / bare.wall,
            Measure::Rate => bare.wall / with.wall,
        }))
    }

    /// The same of the backend's own time.
    pub fn cpu_ratio(&self, measure: Measure) -> Spread {
        let cpu = |cost: &Cost| Cost { wall: cost.cpu, cpu: cost.cpu };
        Pairs(self.0.iter().map(|[bare, with]| [cpu(bare), cpu(with)]).collect()).ratio(measure)
    }

    pub fn bare(&self) -> Spread {
        Spread::of(self.0.iter().map(|[bare, _]| bare.wall))
    }

    pub fn with(&self) -> Spread {
        Spread::of(self.0.iter().map(|[_, with]| with.wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_ratios_is_not_the_ratio_of_the_medians() {
        let cost = |wall| Cost { wall, cpu: wall / 2.0 };
        let pairs = Pairs([(1.0, 1.0), (2.0, 4.0), (10.0, 11.0)].map(|(b, w)| [cost(b), cost(w)]).to_vec());
        assert_eq!(pairs.ratio(Measure::Time), Spread { median: 1.1, min: 1.0, max: 2.0 });
        assert_eq!(pairs.ratio(Measure::Rate).max, 1.0);
        assert_eq!(pairs.cpu_ratio(Measure::Time), pairs.ratio(Measure::Time));
        assert_eq!(pairs.with().median / pairs.bare().median, 2.0);
    }

    #[test]
    fn an_even_number_of_values_has_a_median_between_two() {
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()).median, 2.5);
    }
}
