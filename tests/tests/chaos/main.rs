//! A storm over a running outbox: sidecars are killed and frozen, connections cut and silenced, Postgres crashes, the
//! destination misbehaves, the history's disk is full, clocks jump. Afterwards everything that was asked for has happened.
//!
//! | module | holds |
//! |---|---|
//! | [`weather`] | what goes wrong, and the three sidecars it befalls |
//! | [`silence`] | a connection over which nothing comes any more |
//! | [`destination`] | the HTTP server that everything is for |
//! | [`work`] | the rules, and the actions that keep coming |
//! | [`trace`] | what happened, told to the monitor of `tests/model` |
//!
//! `make test` has the short form. `make chaos` has 100,000 actions (`TRADEFLOW_CHAOS_ACTIONS`), in the order of another seed
//! (`TRADEFLOW_CHAOS_SEED`) if wanted. `docs/invariants.md` says what is promised.

mod destination;
mod silence;
mod trace;
mod weather;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use destination::{poisoned, Destination};
use tradeflow_tests::mail::MailSink;
use weather::{Random, Weather};
use work::Work;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_loses_nothing_and_repeats_only_what_may_be_repeated() {
    let actions = i32::try_from(number("TRADEFLOW_CHAOS_ACTIONS", 3_000)).expect("a number of actions");
    let seed = number("TRADEFLOW_CHAOS_SEED", 1);
    println!("TRADEFLOW_CHAOS_SEED={seed}");
    let began = Instant::now();

    let destination = Destination::start();
    let mails = MailSink::start();
    let mut work = Work::set_up(&destination, &mails).await;
    let (feeding, dawdling) = (work.feed(), work.dawdle());
    let mut weather = Weather::over(&work.db, destination, mails, Random::new(seed)).await;
    // Everything once, in an order that the seed decides; then again, until there were so many actions.
    while work.asked() < actions || !weather.had_everything() {
        weather.next(&mut work.db).await;
    }
    work.enough();
    feeding.await.expect("the feeder ends when it is told to");
    dawdling.await.expect("so does this one");
    weather.clear(&mut work.db).await;
    work.db.reconnect().await;

    // By itself it goes as far as the dead and the uncertain ones let it.
    work.settle().await;
    let arrivals = weather.destination.arrivals();
    let arrived: HashSet<(i32, i32)> = arrivals.iter().map(|a| (a.lane, a.n)).collect();
    let behind = |lane: &i32| arrived.iter().any(|(l, n)| l == lane && *n > 5);
    for lane in work.lanes().filter(|lane| poisoned(*lane, 5)) {
        assert!(!arrived.contains(&(lane, 5)), "lane {lane}: what was refused for good has arrived");
        assert_eq!(
            behind(&lane),
            !Work::blocks(lane),
            "lane {lane}: whether it goes on behind a dead action"
        );
    }

    // A person mends the destination, and looks after what is dead or uncertain.
    weather.destination.mend();
    work.mend(&weather.mails).await;
    work.settle().await;
    work.db.until("select not exists (select from tradeflow.outbox)").await;

    let report = check(&work, &weather).await;
    println!("{report}, in {:.0} s\n{}", began.elapsed().as_secs_f64(), weather.report());
}

/// Everything that must hold at the end; the figures.
async fn check(work: &Work, weather: &Weather) -> String {
    let db = &work.db;
    let wanted: i64 = db.one("select count(*) from jobs").await;
    assert_eq!(wanted, i64::from(work.asked() + work.asked_late()), "all changes were made");

    // Nothing is lost, nothing is there twice.
    let ended: i64 = db.one("select count(*) from tradeflow.outbox_history").await;
    let subjects: i64 = db.one("select count(distinct subject) from tradeflow.outbox_history").await;
    assert_eq!((ended, subjects), (wanted, wanted), "each change has one action, which ended");
    let others: Vec<String> = db
        .column("select distinct state || coalesce(' ' || reason, '') from tradeflow.outbox_history where state <> 'done' and reason is distinct from 'it arrived'")
        .await;
    assert!(others.is_empty(), "they ended otherwise than done: {others:?}");

    // What was believed came from the attempt that held the lease: the destination says in its answer whom it answered.
    let stale: i64 = db
        .one(
            "select count(*) from tradeflow.outbox_history
             where kind = 'http' and state = 'done' and (result -> 'body' ->> 'attempt')::int is distinct from attempt",
        )
        .await;
    assert_eq!(stale, 0, "results of attempts that had lost their lease were believed");

    let arrivals = weather.destination.arrivals();
    let mut keys: HashMap<(i32, i32), &str> = HashMap::new();
    let mut order: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let mut attempts: HashSet<(&str, u32)> = HashSet::new();
    for arrival in &arrivals {
        let seen = keys.insert((arrival.lane, arrival.n), &arrival.key);
        match seen {
            Some(key) => assert_eq!(key, arrival.key, "a repetition has the same key"),
            None => order.entry(arrival.lane).or_default().push(arrival.n),
        }
        assert!(attempts.insert((&arrival.key, arrival.attempt)), "one attempt sent twice: {arrival:?}");
    }
    assert_eq!(keys.values().collect::<BTreeSet<_>>().len(), keys.len(), "each action has a key of its own");
    for (lane, order) in &order {
        // What a person had executed again comes later, where the lane did not wait for it.
        let order: Vec<i32> =
            order.iter().copied().filter(|n| Work::blocks(*lane) || !poisoned(*lane, *n)).collect();
        assert!(order.is_sorted(), "lane {lane} arrived in this order: {order:?}");
    }

    let actions = work.list().await;
    let mut deliveries: Vec<trace::Delivery> = arrivals
        .iter()
        .map(|a| trace::Delivery { id: id_of(&a.key), attempt: a.attempt, at: a.at })
        .collect();
    let taken = weather.mails.mails();
    let unique: HashSet<&str> = taken.iter().map(|mail| mail.message_id.as_str()).collect();
    for mail in &taken {
        let header = |name: &str| mail.headers[name].as_str().unwrap_or_default().to_owned();
        let at = chrono::DateTime::parse_from_rfc3339(&mail.received_at).expect("a time");
        deliveries.push(trace::Delivery {
            id: id_of(&header("X-Key")),
            attempt: header("X-Attempt").parse().expect("a number"),
            at: at.into(),
        });
    }
    let mails: i64 = db.one("select count(*) from tradeflow.outbox_history where kind = 'email'").await;
    assert_eq!(keys.len() as i64 + mails, wanted, "every call arrived");
    assert_eq!(unique.len() as i64, mails, "every mail arrived");
    let counts = trace::replay(db, &actions, &deliveries).await;
    format!(
        "{wanted} actions in {} lanes, {} requests, {} taken, {} of them again; {} mails, {} again; {} claims, {} failures, {} rescues, {} retries by a person; {} events replayed",
        work.lanes().count(),
        weather.destination.requests(),
        arrivals.len(),
        arrivals.len() - keys.len(),
        taken.len(),
        taken.len() - unique.len(),
        counts.claims,
        counts.failures,
        counts.rescues,
        counts.retries,
        counts.events,
    )
}

/// The action's id is the last part of its key.
fn id_of(key: &str) -> i64 {
    key.rsplit('-')
        .next()
        .and_then(|id| id.parse().ok())
        .unwrap_or_else(|| panic!("a key without an id: {key}"))
}
