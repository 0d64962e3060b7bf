//! Firings that are due later: they wait, are replaced, cancelled, and asked again when their time has come.

use tradeflow_tests::database::Database;

/// Quotes that expire, by the test clock: today is 2026-11-22, noon.
async fn quotes() -> Database {
    let db = Database::with_extension().await;
    db.watch("quotes", "id int primary key, status text, expires timestamptz, note text").await;
    db.target().await;
    db.sql("select tradeflow.set_clock('2026-11-22 12:00+00')").await;
    db
}

async fn reminder(db: &Database) {
    db.sql(
        "insert into tradeflow.rules (name, source, condition, fire_at) values
              ('reminder', 'public.quotes', 'new.status = ''open''', 'new.expires - interval ''3 days''')",
    )
    .await;
    db.action("reminder").await;
}

const OUTBOX: &str = "select concat_ws(' ', subject, nullif(occurrence, ''), state, to_char(run_at at time zone 'UTC', 'MM-DD HH24:MI')) from tradeflow.outbox order by id";
const HISTORY: &str = "select concat_ws(' ', subject, nullif(occurrence, ''), state, '(' || reason || ')') from tradeflow.outbox_history order by finished_at, id";

async fn at(db: &Database, time: &str) -> String {
    db.sql(&format!("select tradeflow.set_clock('{time}+00')")).await;
    db.one(
        "select jsonb_build_object('due', t -> 'due', 'cancelled', t -> 'cancelled')::text from tradeflow.tick() t",
    )
    .await
}

#[tokio::test]
async fn it_waits_for_its_time_and_is_asked_again_then() {
    let db = quotes().await;
    reminder(&db).await;
    db.sql("insert into quotes values (1, 'open', '2026-12-01'), (2, 'open', '2026-12-02'), (3, 'draft', '2026-12-01')").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 waiting 11-28 00:00", "2 waiting 11-29 00:00"]);
    assert_eq!(at(&db, "2026-11-27 23:59").await, r#"{"due": 0, "cancelled": 0}"#);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.claim('w', 10, '1 minute')").await, 0);
    // A change that fires nothing is nevertheless in the facts when the time has come.
    db.sql("update quotes set note = 'latest'").await;
    assert_eq!(at(&db, "2026-11-28 00:00").await, r#"{"due": 1, "cancelled": 0}"#);
    assert_eq!(
        db.one::<String>("select facts ->> 'note' from tradeflow.claim('w', 10, '1 minute')").await,
        "latest"
    );
    assert_eq!(at(&db, "2026-11-29 00:00").await, r#"{"due": 1, "cancelled": 0}"#);
}

#[tokio::test]
async fn a_past_time_is_due_at_once_or_skipped() {
    let db = quotes().await;
    reminder(&db).await;
    db.sql("insert into quotes values (1, 'open', '2026-11-22')").await;
    assert_eq!(db.one::<String>("select state from tradeflow.outbox").await, "ready");
    db.fired().await;
    db.sql("update tradeflow.actions set if_late = 'skip'; insert into quotes values (2, 'open', '2026-11-22'), (3, 'open', '2026-12-22'), (4, 'open', null)").await;
    let states: Vec<String> =
        db.column("select concat_ws(' ', subject, state, reason) from tradeflow.outbox order by id").await;
    // Without a time it is now, which is not late.
    assert_eq!(states, ["2 cancelled its time had passed", "3 waiting", "4 ready"]);
}

#[tokio::test]
async fn a_new_time_replaces_what_waits_and_nothing_else() {
    let db = quotes().await;
    reminder(&db).await;
    db.sql("insert into quotes values (1, 'open', '2026-12-01'); update quotes set note = 'x'").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 waiting 11-28 00:00"]);
    db.sql("update quotes set expires = '2026-12-11'").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 waiting 12-08 00:00"]);
    assert_eq!(db.column::<String>(HISTORY).await, ["1 cancelled (replaced by a later match)"]);
    // What is due is not replaced: it stays, and the new time waits beside it.
    at(&db, "2026-12-08 00:00").await;
    db.sql("update quotes set expires = '2026-12-21'").await;
    assert_eq!(
        db.column::<String>("select state from tradeflow.outbox order by id").await,
        ["ready", "waiting"]
    );
}

#[tokio::test]
async fn an_answer_that_is_no_longer_yes_is_cancelled() {
    let db = quotes().await;
    reminder(&db).await;
    db.sql("insert into quotes select i, 'open', '2026-12-01' from generate_series(1, 5) i").await;
    db.sql("update quotes set status = 'sold' where id = 1; update quotes set status = null where id = 2; delete from quotes where id = 3; update quotes set id = 44 where id = 4").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["5 waiting 11-28 00:00", "44 waiting 11-28 00:00"]);
    assert_eq!(
        db.column::<String>(HISTORY).await,
        [
            "1 cancelled (no longer holds)",
            "2 cancelled (no longer holds)",
            "3 cancelled (no longer holds)",
            "4 cancelled (no longer holds)"
        ]
    );
    db.sql("begin; update quotes set status = 'sold'; rollback").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'waiting'").await, 2);
}

#[tokio::test]
async fn without_a_condition_it_follows_the_row() {
    let db = quotes().await;
    db.sql(
        "insert into tradeflow.rules (name, source, fire_at) values ('r', 'public.quotes', 'new.expires')",
    )
    .await;
    db.action("r").await;
    db.sql("insert into quotes values (1, 'x', '2026-12-01'), (2, 'x', '2026-12-01'); update quotes set expires = '2026-12-02' where id = 1; update quotes set id = 3 where id = 2").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 waiting 12-02 00:00", "3 waiting 12-01 00:00"]);
    db.sql("delete from quotes").await;
    assert_eq!(db.column::<String>(OUTBOX).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_no_when_due_cancels_also_when_no_change_said_so() {
    let db = quotes().await;
    db.sql("create table closed (x int);
            create function open_for(id int) returns boolean language sql stable as $$ select id <> all (array(select x from public.closed)) $$;
            insert into tradeflow.rules (name, source, condition, fire_at) values ('r', 'public.quotes', 'public.open_for(new.id)', 'new.expires')")
        .await;
    db.action("r").await;
    db.sql("insert into quotes values (1, 'x', '2026-12-01'), (2, 'x', '2026-12-01'); insert into closed values (1)").await;
    assert_eq!(at(&db, "2026-12-01 00:00").await, r#"{"due": 1, "cancelled": 1}"#);
    assert_eq!(db.column::<String>(HISTORY).await, ["1 cancelled (no longer holds when due)"]);
}

#[tokio::test]
async fn still_is_asked_instead_of_the_condition() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, condition, fire_at, still) values
              ('lost', 'public.quotes', 'old.status = ''open'' and new.status = ''lost''', 'tradeflow.now() + interval ''7 days''', 'new.status = ''lost''')")
        .await;
    db.action("lost").await;
    db.sql("insert into quotes values (1, 'open'), (2, 'open'), (3, 'open'); update quotes set status = 'lost'; update quotes set status = 'won' where id = 2; delete from quotes where id = 3").await;
    assert_eq!(
        db.column::<String>(OUTBOX).await,
        ["1 waiting 11-29 12:00", "2 waiting 11-29 12:00", "3 waiting 11-29 12:00"]
    );
    assert_eq!(at(&db, "2026-11-29 12:00").await, r#"{"due": 1, "cancelled": 2}"#);
    assert_eq!(db.column::<String>("select subject from tradeflow.claim('w', 10, '1 minute')").await, ["1"]);
}

/// Without `still`, a condition over old is not asked again: it was its own edge.
#[tokio::test]
async fn conditions_over_old_and_deletes_are_not_asked_again() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, events, condition, fire_at) values
              ('edge', 'public.quotes', '{update}', 'old.status <> new.status', 'tradeflow.now() + interval ''1 day'''),
              ('gone', 'public.quotes', '{delete}', null, 'tradeflow.now() + interval ''1 day''')")
        .await;
    db.action("edge").await;
    db.action("gone").await;
    db.sql("insert into quotes values (1, 'a'); update quotes set status = 'b'; update quotes set note = 'x'; delete from quotes").await;
    assert_eq!(at(&db, "2026-11-23 12:00").await, r#"{"due": 2, "cancelled": 0}"#);
    assert_eq!(
        db.column::<String>("select rule || ' ' || event from tradeflow.outbox order by id").await,
        ["edge update", "gone delete"]
    );
}

#[tokio::test]
async fn occurrences_wait_leave_and_are_replaced_each_on_its_own() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, condition, query) values
              ('days', 'public.quotes', 'new.status = ''open''',
               'select d as occurrence, new.expires - d * interval ''1 day'' as fire_at, new.note, d from unnest(array[7, 3, 1]) d
                where new.note is null or new.note <> d::text');
            update tradeflow.rules set fires = 'always'")
        .await;
    db.action("days").await;
    db.sql("insert into quotes values (1, 'open', '2026-12-01'), (2, 'open', '2026-11-26')").await;
    let mine = "select concat_ws(' ', occurrence, state, to_char(run_at at time zone 'UTC', 'MM-DD')) from tradeflow.outbox where subject = '1' order by id";
    assert_eq!(db.column::<String>(mine).await, ["7 waiting 11-24", "3 waiting 11-28", "1 waiting 11-30"]);
    let other: Vec<String> = db
        .column("select occurrence || ' ' || state from tradeflow.outbox where subject = '2' order by id")
        .await;
    assert_eq!(other, ["7 ready", "3 waiting", "1 waiting"]);
    // One of the answers is no longer given; the other row's are none of its business.
    db.sql("update quotes set note = '3' where id = 1").await;
    assert_eq!(db.column::<String>(mine).await, ["7 waiting 11-24", "1 waiting 11-30"]);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where subject = '2'").await, 3);
    // Each is asked for its own facts.
    assert_eq!(at(&db, "2026-11-24 00:00").await, r#"{"due": 2, "cancelled": 0}"#);
    let facts: Vec<String> = db
        .column(
            "select subject || ' ' || (facts ->> 'd') from tradeflow.outbox where state = 'ready' order by 1",
        )
        .await;
    assert_eq!(facts, ["1 7", "2 3", "2 7"]);
    db.sql("update quotes set note = '1'; select tradeflow.set_clock('2026-11-30 00:00+00')").await;
    db.sql("update quotes set status = 'sold'").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'waiting'").await, 0);
}

#[tokio::test]
async fn another_time_that_a_query_gives_is_a_match_for_that_answer_alone() {
    let db = quotes().await;
    db.sql(
        "alter table quotes add column mail text default 'a', add column size int default 0;
         insert into tradeflow.rules (name, source, condition, query) values
           ('days', 'public.quotes', 'new.status = ''open''',
            'select d as occurrence, case d when 1 then timestamptz ''2027-01-01'' else new.expires - d * interval ''1 day'' end as fire_at, new.note
             from unnest(array[7, 3, 1]) d where new.mail <> d::text')",
    )
    .await;
    db.action("days").await;
    let waiting = "select string_agg(concat_ws(' ', id - (select min(id) from tradeflow.outbox), occurrence, to_char(run_at at time zone 'UTC', 'MM-DD')), ', ' order by id) from tradeflow.outbox where state = 'waiting'";
    db.sql("insert into quotes (id, status, expires) values (1, 'open', '2026-12-10')").await;
    assert_eq!(db.one::<String>(waiting).await, "0 7 12-03, 1 3 12-07, 2 1 01-01");
    // What the query does not read, or reads for the facts alone, is no match: facts are fresh when they are due.
    db.sql("update quotes set size = 1; update quotes set note = 'fresh'").await;
    assert_eq!(db.one::<String>(waiting).await, "0 7 12-03, 1 3 12-07, 2 1 01-01");
    assert!(db.column::<String>(HISTORY).await.is_empty());
    // Two of three are due at another time; the third waits on as it was.
    db.sql("update quotes set expires = '2026-12-20'").await;
    assert_eq!(db.one::<String>(waiting).await, "0 1 01-01, 1 7 12-13, 2 3 12-17");
    let replaced = ["1 7 cancelled (replaced by a later match)", "1 3 cancelled (replaced by a later match)"];
    assert_eq!(db.column::<String>(HISTORY).await, replaced);
    // One answer is given no more, and comes again.
    db.sql("update quotes set mail = '3'").await;
    assert_eq!(db.one::<String>(waiting).await, "0 1 01-01, 1 7 12-13");
    assert_eq!(db.column::<String>(HISTORY).await[2..], ["1 3 cancelled (no longer holds)"]);
    db.sql("update quotes set mail = 'b'").await;
    assert_eq!(db.one::<String>(waiting).await, "0 1 01-01, 1 7 12-13, 3 3 12-17");
    // Many rows in one statement, some that held before and some that did not.
    db.sql(
        "delete from tradeflow.outbox; update tradeflow.rules set max_per_subject = 1000;
         insert into quotes (id, status, expires) select i, 'draft', '2026-12-10' from generate_series(2, 50) i;
         insert into quotes (id, status, expires) values (51, 'open', '2026-12-10'), (52, 'open', '2026-12-10');
         update quotes set status = 'open', expires = case id when 51 then expires else '2026-12-12' end where id > 1",
    )
    .await;
    let new = "select count(*) from tradeflow.outbox where subject::int between 2 and 50";
    assert_eq!(db.one::<i64>(new).await, 3 * 49);
    let held_before = "select string_agg(subject || ':' || occurrence || ':' || event, ' ' order by subject, event, occurrence) from tradeflow.outbox where subject in ('51', '52')";
    assert_eq!(
        db.one::<String>(held_before).await,
        "51:1:insert 51:3:insert 51:7:insert 52:1:insert 52:3:update 52:7:update"
    );
    // A rule that tells once tells it at the latest time.
    db.sql("delete from quotes; delete from tradeflow.outbox; update tradeflow.rules set fires = 'once'")
        .await;
    db.sql("insert into quotes (id, status, expires) values (90, 'open', '2026-12-10'); update quotes set expires = '2026-12-20'").await;
    assert_eq!(db.one::<String>(waiting).await, "0 1 01-01, 1 7 12-13, 2 3 12-17");
}

#[tokio::test]
async fn a_delay_is_added_and_may_be_negative() {
    let db = quotes().await;
    reminder(&db).await;
    db.sql("insert into tradeflow.rules (name, source, condition) values ('follow_up', 'public.quotes', 'new.status = ''open''')").await;
    db.action("follow_up").await;
    db.sql("update tradeflow.actions set delay = case rule when 'follow_up' then interval '2 days' else interval '-1 day' end").await;
    db.sql("insert into quotes values (1, 'open', '2026-12-01')").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 waiting 11-24 12:00", "1 waiting 11-27 00:00"]);
    // A delayed follow-up is a question too: it is cancelled when the answer changes.
    db.sql("update quotes set status = 'won'").await;
    assert_eq!(db.column::<String>(OUTBOX).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_timer_that_cannot_be_asked_is_held_with_an_incident() {
    let db = quotes().await;
    db.sql("insert into tradeflow.rules (name, source, condition, fire_at, still) values ('r', 'public.quotes', 'new.id > 0', 'new.expires', '1 / (new.id - 1) > -1')").await;
    db.action("r").await;
    db.sql("insert into quotes values (1, 'x', '2026-12-01'), (3, 'x', '2026-12-01')").await;
    assert_eq!(at(&db, "2026-12-01 00:00").await, r#"{"due": 1, "cancelled": 0}"#);
    assert_eq!(
        db.column::<String>("select subject || ' ' || state from tradeflow.outbox order by id").await,
        ["1 held", "3 ready"]
    );
    let incidents = db.incidents().await;
    assert!(
        incidents.len() == 1
            && incidents[0].starts_with("timer_error r 1 22012 1: rule \"r\" for 1, when its timer was due"),
        "{incidents:?}"
    );
    assert_eq!(db.one::<i32>("select tradeflow.release_held('r')").await, 1);
    assert_eq!(
        db.column::<String>("select state from tradeflow.outbox order by id").await,
        ["ready", "ready"]
    );
}

#[tokio::test]
async fn turning_a_rule_off_or_deleting_it_cancels_what_waits() {
    let db = quotes().await;
    reminder(&db).await;
    db.sql("insert into quotes values (1, 'open', '2026-12-01'), (2, 'open', '2026-11-22'); update tradeflow.rules set mode = 'off'").await;
    assert_eq!(db.column::<String>(OUTBOX).await.len(), 1);
    db.sql("update tradeflow.rules set mode = 'live'; insert into quotes values (3, 'open', '2026-12-01'); delete from tradeflow.rules").await;
    assert_eq!(db.column::<String>(OUTBOX).await, Vec::<String>::new());
    assert_eq!(
        db.column::<String>("select subject || ' ' || reason from tradeflow.outbox_history order by id")
            .await,
        ["1 rule turned off", "2 rule deleted", "3 rule deleted"]
    );
}
