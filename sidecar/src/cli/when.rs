//! Times as people write and read them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, Utc};
use serde_json::Value as Json;

/// A time as flags take it: `30d`, `2h 15m` (so long ago), `2026-11-25`, `2026-11-25 14:00` (UTC), or RFC 3339.
pub fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = chrono::Duration::from_std(ago).map_err(|e| e.to_string())?;
        return Utc::now().checked_sub_signed(ago).ok_or_else(|| format!("{text} ago is before all time"));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let formats = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    if let Some(time) = formats.iter().find_map(|f| NaiveDateTime::parse_from_str(text, f).ok()) {
        return Ok(time.and_utc());
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .map(|time| time.and_utc())
        .ok_or_else(|| "write how long ago (30d, 2h) or a time (2026-11-25, 2026-11-25 14:00, UTC)".into())
}

/// A time out of a JSON row.
pub fn of(row: &Json, key: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(row[key].as_str()?).ok().map(|time| time.to_utc())
}

/// `2026-11-25 14:00:00 UTC`.
pub fn exact(time: DateTime<Utc>) -> String {
    time.trunc_subsecs(0).format("%F %T UTC").to_string()
}

/// Seen from `now`: `3m ago`, `in 2d`.
pub fn relative(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - time).to_std() {
        Ok(ago) => format!("{} ago", rough(ago)),
        Err(_) => format!("in {}", rough((time - now).to_std().unwrap_or_default())),
    }
}

/// A duration in its largest unit: `3m`, `2d`.
pub fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A duration given as seconds in a JSON row; empty for null.
pub fn rough_seconds(row: &Json, key: &str) -> String {
    let seconds = row[key].as_f64().and_then(|s| Duration::try_from_secs_f64(s.max(0.0)).ok());
    seconds.map_or_else(String::new, |d| {
        if d < Duration::from_secs(2) {
            format!("{}ms", d.as_millis())
        } else {
            rough(d)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        assert!(
            (Utc::now() - parse("2h 30m").unwrap() - chrono::Duration::minutes(150)).num_seconds().abs() < 5
        );
        for (text, expected) in [
            ("2026-11-25", "2026-11-25T00:00:00+00:00"),
            ("2026-11-25 14:05", "2026-11-25T14:05:00+00:00"),
            ("2026-11-25T14:05:06+02:00", "2026-11-25T12:05:06+00:00"),
        ] {
            assert_eq!(parse(text).unwrap().to_rfc3339(), expected, "{text}");
        }
        for wrong in ["yesterday", "30", "2026-13-01", ""] {
            assert!(parse(wrong).unwrap_err().contains("30d"), "{wrong}");
        }
    }

    #[test]
    fn times_are_shown_from_here() {
        let now = parse("2026-11-25 14:00").unwrap();
        let at = |text: &str| relative(parse(text).unwrap(), now);
        assert_eq!(at("2026-11-25 13:57"), "3m ago");
        assert_eq!(at("2026-11-27 15:00"), "in 2d");
        assert_eq!(at("2026-11-25 13:59:30"), "30s ago");
    }
}
