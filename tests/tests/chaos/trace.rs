//! What happened to a real outbox and a real destination, told to the monitor of `tests/model`.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tradeflow_model::monitor::{Event, Failed, Kind, Monitor, Violation};
use tradeflow_tests::database::Database;

/// An action as the test knows it.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    pub id: i64,
    pub lane: i32,
    pub irreversible: bool,
    pub blocks: bool,
}

/// A delivery that the destination recorded.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    pub id: i64,
    pub attempt: u32,
    pub at: SystemTime,
}

/// What the trace counts.
#[derive(Debug, Default)]
pub struct Counts {
    pub events: usize,
    pub claims: usize,
    pub failures: usize,
    pub rescues: usize,
    pub retries: usize,
}

/// Plays it all in the order of its times: the database's transactions and the destination's arrivals have one clock, and
/// each cause has happened before what it caused.
pub async fn replay(db: &Database, actions: &[Action], deliveries: &[Delivery]) -> Counts {
    let mut monitor = Monitor::default();
    let mut numbers = HashMap::new();
    let mut lanes = HashMap::new();
    for action in actions {
        let next = lanes.len();
        let lane = *lanes.entry(action.lane).or_insert(next);
        let kind = Kind { lane, irreversible: action.irreversible, blocks: action.blocks };
        numbers.insert(action.id, monitor.add(kind));
    }

    let mut events: Vec<(SystemTime, i64, String, Vec<Event>)> = Vec::new();
    let mut counts = Counts::default();
    let rows = db
        .rows("select seq, at, op, id, was, is_now, attempt, lease_ended, lease_moved, started, lost, pardoned from chaos.trace order by seq")
        .await;
    for row in rows {
        let Some(&action) = numbers.get(&row.get::<_, i64>("id")) else { continue };
        let attempt =
            row.get::<_, Option<i32>>("attempt").map_or(0, |n| u32::try_from(n).expect("attempts count up"));
        let flag = |name: &str| row.get::<_, Option<bool>>(name).unwrap_or(false);
        let (was, is_now) = (row.get::<_, Option<&str>>("was"), row.get::<_, Option<&str>>("is_now"));
        let failed = |state: Option<&str>| match state {
            Some("ready") => Some(Failed::Ready),
            Some("dead") => Some(Failed::Dead),
            Some("uncertain") => Some(Failed::Uncertain),
            _ => None,
        };
        let events_of_row = match (row.get::<_, &str>("op"), was, is_now) {
            ("insert", _, Some("ready")) => vec![],
            ("update", Some("ready"), Some("running")) => vec![Event::Claimed { action, attempt }],
            ("update", Some("running"), Some("running")) if flag("started") => {
                vec![Event::Started { action, attempt }]
            }
            ("update", Some("running"), Some("running")) if flag("lease_moved") => {
                vec![Event::LeaseExtended { action, attempt }]
            }
            ("update", Some("running"), _) if failed(is_now).is_some() => {
                let to = failed(is_now).unwrap_or(Failed::Dead);
                let ended = flag("lease_ended").then_some(Event::LeaseEnded { action });
                let what = if flag("lost") {
                    Event::Rescued { action, to }
                } else {
                    Event::Failed { action, attempt, to }
                };
                ended.into_iter().chain([what]).collect()
            }
            ("update", Some("dead" | "uncertain"), Some("ready")) => vec![Event::Retried { action }],
            ("update", Some("ready"), Some("ready")) if flag("pardoned") => vec![Event::Retried { action }],
            // Put off: its target is not to be called for a while, or it is its lane's turn only now.
            ("update", Some("ready"), Some("ready")) => vec![],
            ("delete", Some("running"), _) => vec![Event::Completed { action, attempt }],
            ("delete", _, _) => vec![Event::Cancelled { action }],
            other => {
                panic!("the outbox did something unforeseen to action {}: {other:?}", row.get::<_, i64>("id"))
            }
        };
        for event in &events_of_row {
            match event {
                Event::Claimed { .. } => counts.claims += 1,
                Event::Failed { .. } => counts.failures += 1,
                Event::Rescued { .. } => counts.rescues += 1,
                Event::Retried { .. } => counts.retries += 1,
                _ => {}
            }
        }
        let what = format!("{} {was:?} → {is_now:?}", row.get::<_, &str>("op"));
        events.push((row.get("at"), row.get("seq"), what, events_of_row));
    }
    for delivery in deliveries {
        if let Some(&action) = numbers.get(&delivery.id) {
            // Microseconds, as the database counts.
            let since = delivery.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let at = SystemTime::UNIX_EPOCH + Duration::from_micros(since.as_micros() as u64);
            events.push((
                at,
                0,
                "arrives".into(),
                vec![Event::Delivered { action, attempt: delivery.attempt }],
            ));
        }
    }
    // The sequence decides between events of one transaction, and of one microsecond.
    events.sort_by_key(|(at, seq, ..)| (*at, *seq));
    for (index, (_, _, _, of_row)) in events.iter().enumerate() {
        for event in of_row {
            counts.events += 1;
            if let Err(violation) = monitor.see(*event) {
                panic!(
                    "{violation:?} by {event:?}\nits lane:\n{}",
                    story(actions, &events[..=index], *event)
                );
            }
        }
    }
    if let Some(action) = monitor.unsettled() {
        panic!("{:?}: action {:?} is neither at an end nor with a person", Violation::Lost, actions[action]);
    }
    counts
}

/// What befell the lane of an event, for a person.
fn story(actions: &[Action], events: &[(SystemTime, i64, String, Vec<Event>)], event: Event) -> String {
    let lane = actions[number(event)].lane;
    let of_lane =
        events.iter().filter(|(.., events)| events.first().is_some_and(|e| actions[number(*e)].lane == lane));
    let lines: Vec<String> = of_lane
        .map(|(at, seq, what, events)| {
            let time = chrono::DateTime::<chrono::Utc>::from(*at).format("%H:%M:%S%.6f");
            format!("{time} {seq} {what} {:?} {events:?}", events.first().map(|e| actions[number(*e)].id))
        })
        .collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn number(event: Event) -> usize {
    match event {
        Event::Claimed { action, .. }
        | Event::LeaseEnded { action }
        | Event::LeaseExtended { action, .. }
        | Event::Started { action, .. }
        | Event::Delivered { action, .. }
        | Event::Completed { action, .. }
        | Event::Failed { action, .. }
        | Event::Rescued { action, .. }
        | Event::Retried { action }
        | Event::Cancelled { action } => action,
    }
}
