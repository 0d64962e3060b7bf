//! The test clock: everything that waits for a time goes by it, in SQL and in the sidecar.

use tradeflow_tests::database::Database;
use tradeflow_tests::jobs::Target;
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::sidecar::Sidecar;

/// A quote that expires next week: a reminder three days before, a second one a day after that, a weekly report, and a
/// membership that time alone ends.
async fn quotes(sink: &MailSink) -> Database {
    let db = Database::with_extension().await;
    db.sql(
        "select tradeflow.set_clock('2031-03-03 12:00+00');
         create table quotes (id int primary key, expires timestamptz);
         select tradeflow.watch('public.quotes');
         create view fresh as select id as subject, expires as recheck_at from quotes where expires > tradeflow.now();",
    )
    .await;
    Target::smtp(sink.url()).insert(&db, "smtp").await;
    db.sql(
        r#"insert into tradeflow.rules (name, source, condition, fire_at) values
             ('reminder', 'public.quotes', 'new.expires > tradeflow.now()', $$ new.expires - interval '3 days' $$);
           insert into tradeflow.rules (name, view) values ('fresh', 'public.fresh');
           insert into tradeflow.rule_inputs values ('fresh', 'public.quotes', 'new.id');
           insert into tradeflow.rules (name, schedule, query) values
             ('report', '0 8 * * 1 Europe/Berlin', 'select count(*) as quotes from quotes where expires > tradeflow.now()');
           insert into tradeflow.actions (rule, step, edge, kind, target, params, delay) values
             ('reminder', 1, 'enter', 'email', 'smtp', '{"to": "a@example.com", "subject": "three days", "text": "{{ facts.id }}"}', '0'),
             ('reminder', 2, 'enter', 'email', 'smtp', '{"to": "a@example.com", "subject": "two days", "text": "{{ facts.id }}"}', '1 day'),
             ('report', 1, 'enter', 'email', 'smtp', '{"to": "a@example.com", "subject": "report", "text": "{{ facts.quotes }}"}', '0'),
             ('fresh', 1, 'leave', 'email', 'smtp', '{"to": "a@example.com", "subject": "expired", "text": "{{ rule.name }}"}', '0')"#,
    )
    .await;
    db.sql("insert into quotes values (1, '2031-03-14 12:00+00')").await;
    db
}

#[tokio::test]
async fn a_running_sidecar_acts_when_the_clock_says_so() {
    let sink = MailSink::start();
    let db = quotes(&sink).await;
    let _sidecar = Sidecar::start(&db);
    let mut subjects = Vec::new();
    for (time, due) in [
        ("2031-03-10 07:00", "report"),
        ("2031-03-11 12:00", "three days"),
        ("2031-03-12 12:00", "two days"),
        ("2031-03-14 12:00", "expired"),
    ] {
        // A moment before, nothing comes of a tick.
        db.sql(&format!("select tradeflow.set_clock(timestamptz '{time}+00' - interval '1 second')")).await;
        let early = "select t ->> 'due' || (t ->> 'scheduled') || (t ->> 'rechecked') from tradeflow.tick() t where not t ? 'busy'";
        db.until(&format!("select coalesce(({early}), '') = '000'")).await;
        db.sql(&format!("select tradeflow.set_clock('{time}+00')")).await;
        subjects.push(due.to_owned());
        let mails = sink.wait_for(subjects.len()).await;
        assert_eq!(mails.iter().map(|m| m.subject.clone()).collect::<Vec<_>>(), subjects, "at {time}");
        db.until("select not exists (select from tradeflow.outbox where state in ('ready', 'running'))")
            .await;
    }
}
