//! Cron schedules with a time zone: `tradeflow._next_run`.

use crate::error::{sql_function, Failure};
use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE;

sql_function!(tradeflow_next_run, pg_finfo_tradeflow_next_run, next_run);

/// Microseconds from 1970, where Unix time begins, to 2000, where Postgres' does.
const FROM_1970_TO_2000: i64 = 946_684_800_000_000;

fn next_run(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, timestamptz), strict; a timestamptz is microseconds since 2000.
    let (text, after) = unsafe {
        let [text, after] = [0, 1].map(|n| pgrx::fcinfo::pg_getarg_datum_raw(fcinfo, n));
        (String::from_datum(text, false).unwrap_or_default(), after.value() as i64)
    };
    let after = after.saturating_add(FROM_1970_TO_2000);
    let next = Utc
        .timestamp_micros(after)
        .single()
        .ok_or_else(|| bad(&text, "the time is out of range"))
        .and_then(|after| Schedule::parse(&text)?.next(after))?;
    Ok((next.timestamp_micros() - FROM_1970_TO_2000).into_datum())
}

/// A cron expression and the time zone it is read in.
struct Schedule<'a> {
    text: &'a str,
    cron: croner::Cron,
    zone: Tz,
}

impl Schedule<'_> {
    /// `0 9 * * 1-5 Europe/Berlin`, `@daily`: without a time zone it is UTC.
    fn parse(text: &str) -> Result<Schedule<'_>, Failure> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let nickname = words.first().is_some_and(|w| w.starts_with('@'));
        let fields = if nickname { 1 } else { 5 };
        let zone = match words.get(fields..) {
            None => return Err(bad(text, "it has fewer than five fields")),
            Some([]) => Tz::UTC,
            Some([zone]) => {
                zone.parse().map_err(|_| bad(text, &format!("there is no time zone \"{zone}\"")))?
            }
            Some(_) => return Err(bad(text, "it has more than five fields and a time zone")),
        };
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(&words[..fields].join(" "))
            .map_err(|error| bad(text, error.to_string().trim_end_matches('.')))?;
        Ok(Schedule { text, cron, zone })
    }

    /// The first time after this one.
    fn next(&self, after: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
        match self.cron.find_next_occurrence(&after.with_timezone(&self.zone), false) {
            Ok(next) => Ok(next.with_timezone(&Utc)),
            Err(CronError::TimeSearchLimitExceeded) => {
                Err(bad(self.text, "it never fires: there is no such day"))
            }
            Err(error) => Err(bad(self.text, error.to_string().trim_end_matches('.'))),
        }
    }
}

fn bad(text: &str, why: &str) -> Failure {
    Failure::new(ERRCODE_INVALID_PARAMETER_VALUE, format!("schedule \"{text}\" is no schedule: {why}")).hint(
        "Minute, hour, day of the month, month, day of the week, and a time zone (UTC if none is given): 0 9 * * 1-5 Europe/Berlin.",
    )
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use chrono::{DateTime, Utc};

    fn next(text: &str, after: &str) -> Result<String, String> {
        let after: DateTime<Utc> = after.parse().unwrap();
        let next = Schedule::parse(text).and_then(|s| s.next(after)).map_err(|f| f.message)?;
        Ok(next.format("%Y-%m-%dT%H:%MZ").to_string())
    }

    #[test]
    fn goes_by_the_zone() {
        let weekdays = "0 9 * * 1-5 Europe/Berlin";
        assert_eq!(next(weekdays, "2026-11-22T15:00:00Z").unwrap(), "2026-11-23T08:00Z");
        assert_eq!(next(weekdays, "2026-07-03T06:59:59Z").unwrap(), "2026-07-03T07:00Z");
        assert_eq!(next(weekdays, "2026-07-03T07:00:00Z").unwrap(), "2026-07-06T07:00Z", "strictly after");
        assert_eq!(next("@daily", "2026-11-22T15:00:00Z").unwrap(), "2026-11-23T00:00Z");
        assert_eq!(next("0 0 29 2 * UTC", "2026-11-22T15:00:00Z").unwrap(), "2028-02-29T00:00Z");
    }

    #[test]
    fn a_fixed_time_runs_once_on_the_days_when_the_clock_is_changed() {
        let half_past_two = "30 2 * * * Europe/Berlin";
        // Spring: 02:30 is not there; the first moment after the gap is 03:00 (01:00 UTC).
        assert_eq!(next(half_past_two, "2027-03-27T12:00:00Z").unwrap(), "2027-03-28T01:00Z");
        assert_eq!(next(half_past_two, "2027-03-28T01:00:00Z").unwrap(), "2027-03-29T00:30Z");
        // Autumn: 02:30 is there twice; the first counts.
        assert_eq!(next(half_past_two, "2026-10-24T12:00:00Z").unwrap(), "2026-10-25T00:30Z");
        assert_eq!(next(half_past_two, "2026-10-25T00:30:00Z").unwrap(), "2026-10-26T01:30Z");
        // A repeating one goes on through both.
        assert_eq!(next("*/30 * * * * Europe/Berlin", "2026-10-25T00:30:00Z").unwrap(), "2026-10-25T01:00Z");
    }

    #[test]
    fn says_what_is_wrong() {
        let message = |text| next(text, "2026-11-22T15:00:00Z").unwrap_err();
        assert!(message("0 0 30 2 *").contains("it never fires"), "{}", message("0 0 30 2 *"));
        assert!(message("0 9 * * 1-5 Europe/Berln").ends_with("there is no time zone \"Europe/Berln\""));
        assert!(message("61 * * * *").contains("out of bounds"), "{}", message("61 * * * *"));
        assert!(message("0 9 * *").ends_with("fewer than five fields"));
        assert!(message("*/5 * * * * * *").ends_with("more than five fields and a time zone"));
        assert!(message("").ends_with("fewer than five fields"));
    }
}
