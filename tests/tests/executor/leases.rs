//! Who holds an action, and until when.

use std::sync::atomic::{AtomicBool, Ordering};

use tradeflow_tests::database::Database;

use super::{claim, claim_as, end_leases, jobs, OUTBOX};

#[tokio::test]
async fn a_claim_gives_everything_that_executing_needs() {
    let db = jobs().await;
    db.sql("insert into tradeflow.settings (name, value) values ('greeting', 'hello'); insert into jobs values (7, 1)").await;
    let row: String = db
        .one("select concat_ws('|', attempt, max_attempts, rule, rule_version, source, event, subject, occurrence, edge, step, action, kind, target,
                params, facts, steps, settings, lease_until - clock_timestamp() between '59 s' and '60 s', idempotency_key = i.id || '-' || c.id)
              from tradeflow.claim('w', 1, '1 minute') c, tradeflow.installation i")
        .await;
    assert_eq!(
        row,
        r#"1|3|job|1|public.jobs|insert|7||enter|1|call|http|there|{"path": "/jobs"}|{"n": 1, "id": 7}|{}|{"greeting": "hello"}|t|t"#
    );
    let held: String = db.one("select concat_ws(' ', state, worker, attempt) from tradeflow.outbox").await;
    assert_eq!(held, "running w 1");
}

#[tokio::test]
async fn the_key_of_an_action_is_the_same_at_every_attempt() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2)").await;
    let keys =
        "select string_agg(idempotency_key, ',' order by id) from tradeflow.claim('w', 10, '1 minute')";
    let first: String = db.one(keys).await;
    end_leases(&db).await;
    db.sql("select tradeflow.tick()").await;
    assert_eq!(db.one::<String>(keys).await, first);
    let (a, b) = first.split_once(',').expect("two");
    assert_ne!(a, b);
}

#[tokio::test]
async fn a_completion_of_an_attempt_that_lost_its_lease_is_refused() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    assert_eq!(claim(&db, 1).await, ["1.1 1"]);
    end_leases(&db).await;
    assert_eq!(db.one::<i32>("select (tradeflow.tick() ->> 'rescued')::int").await, 1);
    let complete = "select accepted from tradeflow.complete('{1}', '{1}', array['{}'::jsonb])";
    assert!(!db.one::<bool>(complete).await, "nobody holds it");
    assert_eq!(claim_as(&db, "other", 1).await, ["1.2 1"]);
    assert!(!db.one::<bool>(complete).await, "another attempt holds it");
    assert_eq!(db.one::<Option<String>>("select tradeflow.fail(1, 1, 'late', 'dead')").await, None);
    assert!(!db.one::<bool>("select tradeflow.started(1, 1)").await);
    assert!(!db.one::<bool>("select accepted from tradeflow.extend('{1}', '{1}', '1 minute')").await);
    assert!(db.one::<bool>("select tradeflow.started(1, 2)").await);
    assert!(
        db.one::<bool>("select accepted from tradeflow.complete('{1}', '{2}', array['{}'::jsonb])").await
    );
    assert_eq!(
        db.one::<String>("select concat_ws(' ', state, attempt, worker) from tradeflow.outbox_history").await,
        "done 2 other"
    );
    assert!(
        !db.one::<bool>("select accepted from tradeflow.complete('{1}', '{2}', array['{}'::jsonb])").await,
        "it ended"
    );
}

#[tokio::test]
async fn extending_keeps_a_lease_and_cannot_bring_one_back() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2)").await;
    claim(&db, 2).await;
    let extended: Vec<String> = db.column("select id || ' ' || accepted from tradeflow.extend('{2,1,99,2}', '{1,7,1,1}', '1 hour') order by 1").await;
    assert_eq!(extended, ["1 false", "2 true", "2 true", "99 false"]);
    assert!(db.one::<bool>("select lease_until > clock_timestamp() + interval '59 minutes' from tradeflow.outbox where id = 2").await);
    assert!(!db.one::<bool>("select lease_until > clock_timestamp() + interval '2 minutes' from tradeflow.outbox where id = 1").await);
    db.sql("update tradeflow.outbox set lease_until = clock_timestamp() - interval '1 second' where id = 1; select tradeflow.tick()").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 ready 1", "2 running 1"]);
}

#[tokio::test]
async fn a_lease_that_ended_before_the_start_is_tried_again() {
    let db = jobs().await;
    db.sql("insert into jobs values (-1)").await;
    assert_eq!(claim(&db, 1).await, ["1.1 -1"]);
    assert_eq!(
        db.one::<i32>("select (tradeflow.tick() ->> 'rescued')::int").await,
        0,
        "the lease is still held"
    );
    end_leases(&db).await;
    // Mail may not be begun by a worker whose time is over.
    assert!(!db.one::<bool>("select tradeflow.started(1, 1)").await);
    db.sql("select tradeflow.tick()").await;
    assert_eq!(
        db.one::<String>("select concat_ws(' ', state, error) from tradeflow.outbox").await,
        "ready worker w was lost"
    );
}

#[tokio::test]
async fn a_mail_whose_worker_was_lost_after_the_start_is_uncertain_and_a_call_is_repeated() {
    let db = jobs().await;
    db.sql("insert into jobs values (-1), (1)").await;
    claim(&db, 2).await;
    db.sql("select tradeflow.started(id, attempt) from tradeflow.outbox").await;
    end_leases(&db).await;
    let done: String = db
        .one("select (tradeflow.tick() - '{partitions,swept,due,cancelled,incidents_merged,paused,rechecked,scheduled}'::text[])::text")
        .await;
    assert_eq!(done, r#"{"rescued": 1, "uncertain": 1}"#);
    let states: Vec<String> =
        db.column("select rule || ' ' || state from tradeflow.outbox order by rule").await;
    assert_eq!(states, ["job ready", "mail uncertain"]);
    let incidents = db.incidents().await;
    assert!(incidents.len() == 1 && incidents[0].starts_with("uncertain_action mail -1"), "{incidents:?}");
    assert_eq!(claim(&db, 10).await.len(), 1, "the mail is not sent again by itself");
    assert!(db.one::<bool>("select tradeflow.retry(id) from tradeflow.outbox where rule = 'mail'").await);
    assert_eq!(claim(&db, 10).await.len(), 1, "but when a person says so");
}

#[tokio::test]
async fn a_worker_lost_at_the_last_attempt_leaves_it_dead() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    for attempt in 1..=3 {
        assert_eq!(claim(&db, 1).await, [format!("1.{attempt} 1")]);
        end_leases(&db).await;
        db.sql("select tradeflow.tick()").await;
    }
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 dead 3"]);
    assert_eq!(db.incidents().await, ["dead_action job 1 - 1: action call of rule \"job\" for 1: gave up after 3 attempts: worker w was lost"]);
}

/// The test clock moves timers, never leases.
#[tokio::test]
async fn leases_are_real_time() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    claim(&db, 1).await;
    db.sql("select tradeflow.set_clock('2099-01-01'); select tradeflow.tick()").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 running 1"]);
    db.sql("select tradeflow.set_clock('1999-01-01'); insert into jobs values (2)").await;
    assert_eq!(claim(&db, 1).await, ["2.1 2"]);
}

#[tokio::test]
async fn concurrent_claimers_never_share_an_action() {
    let db = jobs().await;
    db.sql("insert into jobs select generate_series(1, 600)").await;
    let worker = |name: &'static str| {
        let db = &db;
        async move {
            let client = db.connect().await;
            let mut mine: Vec<i64> = Vec::new();
            loop {
                let statement = format!("select id from tradeflow.claim('{name}', 7, '1 minute')");
                let rows = client.query(&statement, &[]).await.expect("it claims");
                if rows.is_empty() {
                    return mine;
                }
                mine.extend(rows.iter().map(|r| r.get::<_, i64>(0)));
            }
        }
    };
    let (a, b, c, d) = tokio::join!(worker("a"), worker("b"), worker("c"), worker("d"));
    let mut all: Vec<i64> = [a, b, c, d].concat();
    all.sort_unstable();
    let claimed = all.len();
    all.dedup();
    assert_eq!((claimed, all.len()), (600, 600));
}

/// What a claimer holds in a transaction of its own is skipped, not waited for.
#[tokio::test]
async fn a_claimer_does_not_wait_for_another() {
    let db: Database = jobs().await;
    db.sql("insert into jobs values (1), (2)").await;
    let other = db.connect().await;
    other
        .batch_execute("begin; select from tradeflow.claim('slow', 1, '1 minute')")
        .await
        .expect("it claims");
    db.sql("set lock_timeout = '2s'").await;
    assert_eq!(claim(&db, 10).await, ["2.1 2"]);
    other.batch_execute("rollback").await.expect("it gives back");
    assert_eq!(claim(&db, 10).await, ["1.1 1"]);
}

/// Bad input: what is reported of actions that are nobody's, another's, over, or named by no number changes nothing.
#[tokio::test]
async fn reports_about_what_one_does_not_hold_are_refused_one_by_one() {
    let db = jobs().await;
    db.sql("insert into jobs select generate_series(1, 4)").await;
    assert_eq!(claim(&db, 2).await, ["1.1 1", "2.1 2"]);
    assert_eq!(claim_as(&db, "other", 1).await, ["3.1 3"]);
    db.sql("select tradeflow.complete('{1}', '{1}', array['{\"first\": true}'::jsonb])").await;
    // Over, ours, another attempt's, ready, unknown, none.
    let accepted: Vec<String> = db
        .column(
            "select concat_ws(' ', id, accepted) from tradeflow.complete(
               '{1,2,3,4,99,-1,null}', '{1,1,2,0,1,1,1}', array_fill('{\"late\": true}'::jsonb, array[7]))",
        )
        .await;
    assert_eq!(accepted, ["1 f", "2 t", "3 f", "4 f", "99 f", "-1 f", "f"]);
    for (id, attempt) in
        [("1", "1"), ("2", "1"), ("3", "2"), ("4", "0"), ("99", "1"), ("null", "1"), ("3", "null")]
    {
        let failed = format!("select tradeflow.fail({id}, {attempt}, 'late', 'dead')");
        assert_eq!(db.one::<Option<String>>(&failed).await, None, "{failed}");
        assert!(
            !db.one::<bool>(&format!("select tradeflow.started({id}, {attempt})")).await,
            "{id}.{attempt}"
        );
        let extended = format!(
            "select accepted from tradeflow.extend(array[{id}]::bigint[], array[{attempt}]::int[], '1 hour')"
        );
        assert!(!db.one::<bool>(&extended).await, "{extended}");
    }
    assert_eq!(db.column::<String>(OUTBOX).await, ["3 running 1", "4 ready 0"]);
    assert_eq!(
        db.one::<String>("select result::text from tradeflow.outbox_history where id = 1").await,
        r#"{"first": true}"#
    );
    assert_eq!(db.incidents().await, Vec::<String>::new());
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.complete(null, null, null)").await, 0);
}

/// What a claim hands out it hands out with its parameters, also when action and firing were committed at that very moment: all
/// that it says of an action is of one snapshot.
#[tokio::test]
async fn an_action_as_new_as_its_firing_is_claimed_with_its_parameters() {
    let db = jobs().await;
    db.sql("update tradeflow.rules set mode = 'off'").await;
    let over = AtomicBool::new(false);
    let claimer = |name: &'static str| {
        let (db, over) = (&db, &over);
        async move {
            let client = db.connect().await;
            let claim = format!("select rule, params is null from tradeflow.claim('{name}', 10, '1 minute')");
            let mut claimed: Vec<(String, bool)> = Vec::new();
            loop {
                let last = over.load(Ordering::SeqCst);
                let rows = client.query(&claim, &[]).await.expect("it claims");
                if last && rows.is_empty() {
                    return claimed;
                }
                claimed.extend(rows.iter().map(|row| (row.get(0), row.get(1))));
            }
        }
    };
    let firing = async {
        for n in 1..=120 {
            db.sql(&format!(
                "begin;
                 insert into tradeflow.rules (name, source, condition) values ('new_{n}', 'public.jobs', 'new.id = {n}');
                 insert into tradeflow.actions (rule, kind, target, params) values ('new_{n}', 'http', 'there', '{{\"path\": \"/\"}}');
                 insert into jobs values ({n});
                 commit"
            ))
            .await;
        }
        over.store(true, Ordering::SeqCst);
    };
    let (one, other, ()) = tokio::join!(claimer("one"), claimer("other"), firing);
    let claimed = [one, other].concat();
    assert_eq!(claimed.len(), 120);
    let bare: Vec<&String> = claimed.iter().filter(|(_, bare)| *bare).map(|(rule, _)| rule).collect();
    assert!(bare.is_empty(), "claimed without parameters: {bare:?}");
}
