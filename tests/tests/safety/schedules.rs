//! `rules.schedule`: a query that is run by the clock.

use tradeflow_tests::database::Database;

/// Monday 2026-11-23, before nine in Berlin.
async fn report() -> Database {
    let db = Database::with_extension().await;
    db.sql(
        "create table overdue (id int primary key, amount numeric);
            select tradeflow.set_clock('2026-11-23 07:30+00')",
    )
    .await;
    db.target().await;
    db.sql("insert into tradeflow.rules (name, schedule, query) values
              ('report', '0 9 * * 1-5 Europe/Berlin', 'select id as subject, amount from overdue order by id;')").await;
    db.action("report").await;
    db
}

async fn at(db: &Database, time: &str) -> i32 {
    db.sql(&format!("select tradeflow.set_clock('{time}+00')")).await;
    db.one("select (tradeflow.tick() ->> 'scheduled')::int").await
}

const NEXT: &str =
    "select to_char(next_run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') from tradeflow.schedules";

#[tokio::test]
async fn each_row_is_a_firing_when_the_time_has_come() {
    let db = report().await;
    assert_eq!(db.one::<String>(NEXT).await, "2026-11-23 08:00");
    db.sql("insert into overdue values (1, 10.50), (2, 20)").await;
    assert_eq!(at(&db, "2026-11-23 07:59").await, 0);
    assert!(db.fired().await.is_empty());
    assert_eq!(at(&db, "2026-11-23 08:00").await, 1);
    assert_eq!(at(&db, "2026-11-23 08:00").await, 0);
    let rows: Vec<String> = db
        .column("select concat_ws(' ', rule, event, subject, state, facts) from tradeflow.outbox order by id")
        .await;
    assert_eq!(
        rows,
        [r#"report schedule 1 ready {"amount": 10.50}"#, r#"report schedule 2 ready {"amount": 20}"#]
    );
    assert_eq!(db.one::<String>(NEXT).await, "2026-11-24 08:00");
    let last: Vec<String> = db.column("select concat_ws(' ', last_run_at at time zone 'UTC', last_firings, last_error) from tradeflow.schedules").await;
    assert_eq!(last, ["2026-11-23 08:00:00 2"]);
}

#[tokio::test]
async fn what_was_missed_is_caught_up_once() {
    let db = report().await;
    db.sql("insert into overdue values (1, 1)").await;
    assert_eq!(at(&db, "2026-11-26 20:00").await, 1);
    assert_eq!(db.fired().await, ["report 1"]);
    assert_eq!(at(&db, "2026-11-26 20:01").await, 0);
    // Friday's, and then Monday's.
    assert_eq!(db.one::<String>(NEXT).await, "2026-11-27 08:00");
    at(&db, "2026-11-27 08:00").await;
    assert_eq!(db.one::<String>(NEXT).await, "2026-11-30 08:00");
}

/// 02:30 in Berlin is not there on 2027-03-28, and twice on 2026-10-25: it runs once on either day.
#[tokio::test]
async fn it_runs_once_on_days_when_the_clock_is_changed() {
    let db = report().await;
    for (evening, ran) in [("2026-10-24 12:00", "2026-10-25 00:30"), ("2027-03-27 12:00", "2027-03-28 01:00")]
    {
        db.sql(&format!("select tradeflow.set_clock('{evening}+00'); update tradeflow.rules set schedule = '30 2 * * * UTC'; update tradeflow.rules set schedule = '30 2 * * * Europe/Berlin'")).await;
        let mut times = Vec::new();
        for half_hour in 0..36 {
            db.sql(&format!("select tradeflow.set_clock(timestamptz '{evening}+00' + interval '30 minutes' * {half_hour})")).await;
            if db.one::<i32>("select (tradeflow.tick() ->> 'scheduled')::int").await == 1 {
                times.push(
                    db.one::<String>(
                        "select to_char(tradeflow.now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI')",
                    )
                    .await,
                );
            }
        }
        assert_eq!(times, [ran]);
    }
}

#[tokio::test]
async fn what_was_due_while_it_was_off_is_not() {
    let db = report().await;
    db.sql("insert into overdue values (1, 1); update tradeflow.rules set mode = 'off'").await;
    assert_eq!(at(&db, "2026-11-25 12:00").await, 0);
    db.sql("update tradeflow.rules set mode = 'shadow'").await;
    assert_eq!(db.one::<String>(NEXT).await, "2026-11-26 08:00");
    assert_eq!(at(&db, "2026-11-26 08:00").await, 1);
    assert_eq!(db.fired_in_detail().await, ["report 1 schedule shadow"]);
    db.sql("update tradeflow.rules set schedule = '@hourly'").await;
    assert_eq!(db.one::<String>(NEXT).await, "2026-11-26 09:00");
    db.sql("delete from tradeflow.rules").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.schedules").await, 0);
}

#[tokio::test]
async fn a_clock_that_is_set_back_takes_the_schedule_along() {
    let db = report().await;
    at(&db, "2030-01-01 08:00").await;
    assert_eq!(db.one::<String>(NEXT).await, "2030-01-02 08:00");
    assert_eq!(at(&db, "2026-11-23 07:00").await, 0);
    assert_eq!(db.one::<String>(NEXT).await, "2026-11-23 08:00");
}

#[tokio::test]
async fn rows_without_a_subject_are_numbered_and_many_runs_are_no_loop() {
    let db = report().await;
    db.sql("update tradeflow.rules set schedule = '* * * * *', max_per_subject = 1, query = 'select x from unnest(array[''a'', ''b'']) x'").await;
    for minute in ["07:31", "07:32", "07:33"] {
        assert_eq!(at(&db, &format!("2026-11-23 {minute}")).await, 1);
        assert_eq!(db.fired_in_detail().await, ["report 1 schedule ready", "report 2 schedule ready"]);
    }
}

#[tokio::test]
async fn more_rows_than_max_firings_are_held() {
    let db = report().await;
    db.sql("update tradeflow.rules set max_firings = 2; insert into overdue select g, g from generate_series(1, 3) g").await;
    at(&db, "2026-11-23 08:00").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'held'").await, 3);
    assert!(db.incidents().await[0].starts_with("held_burst report"));
}

#[tokio::test]
async fn a_failure_is_an_incident_and_the_others_run() {
    let db = report().await;
    db.sql("insert into tradeflow.rules (name, schedule, query) values ('a_bad', '0 9 * * 1-5 Europe/Berlin', 'select 1 / (count(*) - 1) from overdue');
            insert into overdue values (1, 1)").await;
    assert_eq!(at(&db, "2026-11-23 08:00").await, 2);
    assert_eq!(db.fired().await, ["report 1"]);
    assert_eq!(
        db.incidents().await,
        ["schedule_error a_bad - 22012 1: rule \"a_bad\", when its schedule was due: division by zero"]
    );
    let next: Vec<String> = db.column("select concat_ws(' ', rule, to_char(next_run_at, 'DD'), last_error) from tradeflow.schedules order by rule").await;
    assert_eq!(next, ["a_bad 24 division by zero", "report 24"], "neither is tried again before its time");
}

#[tokio::test]
async fn it_runs_as_its_owner_and_cannot_write() {
    let db = report().await;
    let author = db.role(&["tradeflow_author"]).await;
    db.sql(&format!("create table secret (v text); insert into secret values ('s'); grant select on overdue to {author};
             create table seen (n int); grant all on seen to {author};
             create function leave_trace() returns int language sql volatile as 'insert into seen values (1) returning n'")).await;
    let session = db.connect_as(&author, &author).await;
    let write = |query: &str| {
        format!("insert into tradeflow.rules (name, schedule, query) values ('own', '@hourly', '{query}') on conflict (name) do update set query = excluded.query")
    };
    let refused =
        session.batch_execute(&write("select * from secret")).await.expect_err("it may not read that");
    assert_eq!(refused.code().expect("an SQL error").code(), "42501");
    session.batch_execute(&write("select current_user::text as who")).await.expect("its own rule");
    at(&db, "2026-11-23 08:00").await;
    assert_eq!(
        db.one::<String>("select facts ->> 'who' from tradeflow.outbox where rule = 'own'").await,
        author
    );
    session
        .batch_execute(&write("select leave_trace()"))
        .await
        .expect("what a function does is seen when it runs");
    at(&db, "2026-11-23 09:00").await;
    assert_eq!(db.one::<i64>("select count(*) from seen").await, 0);
    assert!(db.incidents().await[0].starts_with("schedule_error own - 25006"));
    db.sql(&format!("delete from tradeflow.rules where owner = '{author}'; drop function leave_trace(); drop table seen; revoke all on overdue from {author}")).await;
}

#[tokio::test]
async fn two_sidecars_at_once_run_it_once() {
    let db = report().await;
    db.sql("insert into overdue values (1, 1); update tradeflow.rules set query = 'select id as subject, pg_sleep(0.3)::text as slept from overdue';
            select tradeflow.set_clock('2026-11-23 08:00+00')").await;
    let (a, b) = (db.connect().await, db.connect().await);
    let (a, b) = tokio::join!(
        a.query_one("select tradeflow.tick()::text", &[]),
        b.query_one("select tradeflow.tick()::text", &[])
    );
    let said = [a.expect("a tick").get::<_, String>(0), b.expect("a tick").get::<_, String>(0)];
    assert!(said.iter().any(|s| s.contains("busy")), "{said:?}");
    assert_eq!(db.fired().await, ["report 1"]);
}

#[tokio::test]
async fn bad_ones_are_refused_when_they_are_written() {
    let db = report().await;
    let bad = |schedule: &str, query: &str| {
        format!("insert into tradeflow.rules (name, schedule, query) values ('bad', '{schedule}', '{query}')")
    };
    for (schedule, says) in [
        ("0 0 30 2 *", "it never fires"),
        ("0 9 * * 1-5 Europe/Berln", "no time zone \"Europe/Berln\""),
        ("61 * * * *", "out of bounds"),
        ("hourly", "fewer than five fields"),
    ] {
        let error = db.error(&bad(schedule, "select 1")).await;
        assert_eq!(error.code, "22023", "{schedule}");
        assert!(error.message.contains(says), "{}", error.message);
    }
    let error = db.error(&bad("@hourly", "select nope from overdue")).await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("42703", "rule \"bad\": column \"nope\" does not exist")
    );
    assert_eq!(db.error(&bad("@hourly", "select new.id from overdue")).await.code, "42P01");
    assert_eq!(db.error(&bad("@hourly", "delete from overdue")).await.code, "42601");
    assert_eq!(
        db.error(&bad(
            "@hourly",
            "select ''soon'' as fire_at, array[1] as subject, 1 as occurrence, row(1)::point"
        ))
        .await
        .code,
        "42846"
    );
    assert_eq!(
        db.error("insert into tradeflow.rules (name, schedule) values ('bad', '@hourly')").await.code,
        "22023"
    );
    assert_eq!(db.error("insert into tradeflow.rules (name, schedule, query, condition) values ('bad', '@hourly', 'select 1', 'true')").await.code, "22023");
    assert_eq!(db.error("select tradeflow.backfill('report')").await.code, "55000");
}
