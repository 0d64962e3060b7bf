//! Rules with a query: asked for all rows that passed the condition, each row it returns is a firing.

use tradeflow_tests::database::Database;

async fn lines() -> Database {
    let db = Database::with_extension().await;
    db.sql("create table quotes (id int primary key, company text, rep text);
            create table lines (id int primary key, quote int, price numeric, base numeric, note text);
            select tradeflow.watch('quotes'), tradeflow.watch('lines');
            insert into quotes values (1, 'Acme', 'ann@example.com'), (2, 'Bolt', null), (3, 'Core', 'cy@example.com')")
        .await;
    db
}

/// Writes a rule on `lines` with a query.
async fn ask(db: &Database, name: &str, condition: Option<&str>, query: &str) {
    db.execute(
        "insert into tradeflow.rules (name, source, condition, query, max_firings) values ($1, 'public.lines', $2, $3, 1000000)",
        &[&name, &condition, &query],
    )
    .await;
}

const FACTS: &str =
    "select concat_ws(' ', subject, nullif(occurrence, ''), facts) from tradeflow.outbox order by id";

#[tokio::test]
async fn it_joins_and_its_columns_are_the_facts() {
    let db = lines().await;
    ask(&db, "low", Some("new.price < new.base"), "select q.company, q.rep, new.price, new.base - new.price as below from quotes q where q.id = new.quote").await;
    db.sql("insert into lines values (1, 1, 5.10, 10), (2, 2, 10, 10), (3, 3, 1, 2), (4, 99, 1, 2)").await;
    assert_eq!(
        db.column::<String>(FACTS).await,
        [
            r#"1 {"rep": "ann@example.com", "below": 4.90, "price": 5.10, "company": "Acme"}"#,
            r#"3 {"rep": "cy@example.com", "below": 1, "price": 1, "company": "Core"}"#,
        ]
    );
}

#[tokio::test]
async fn no_row_is_no_firing_and_several_rows_are_several() {
    let db = lines().await;
    ask(&db, "r", None, "select k as occurrence, k * 10 as tens from generate_series(1, new.quote) k").await;
    db.sql("insert into lines values (1, 0), (2, 2), (3, null), (4, 1)").await;
    assert_eq!(
        db.column::<String>(FACTS).await,
        [r#"2 1 {"tens": 10}"#, r#"2 2 {"tens": 20}"#, r#"4 1 {"tens": 10}"#]
    );
}

#[tokio::test]
async fn subject_occurrence_and_fire_at_are_its_to_say() {
    let db = lines().await;
    ask(
        &db,
        "r",
        None,
        "select q.company as subject, date '2026-01-01' + new.id as occurrence, '2099-01-01'::date as fire_at, 1 as x from quotes q where q.id = new.quote",
    )
    .await;
    db.target().await;
    db.action("r").await;
    db.sql("insert into lines values (1, 1), (2, 2)").await;
    let rows: Vec<String> = db
        .column("select concat_ws(' ', subject, occurrence, state, fire_at at time zone 'UTC', lane, facts) from tradeflow.outbox order by id")
        .await;
    assert_eq!(
        rows,
        [
            r#"Acme 2026-01-02 waiting 2099-01-01 00:00:00 public.lines:Acme {"x": 1}"#,
            r#"Bolt 2026-01-03 waiting 2099-01-01 00:00:00 public.lines:Bolt {"x": 1}"#
        ]
    );
}

#[tokio::test]
async fn new_and_old_are_there_as_columns_and_as_rows() {
    let db = lines().await;
    ask(
        &db,
        "r",
        Some("new.price is distinct from old.price"),
        "select new.*, old.price as before, to_jsonb(old) as was, old is null as fresh",
    )
    .await;
    db.sql("insert into lines values (1, 1, 5, 6, 'a'); update lines set price = 7").await;
    assert_eq!(
        db.column::<String>(FACTS).await,
        [
            concat!(
                r#"1 {"id": 1, "was": {"id": null, "base": null, "note": null, "price": null, "quote": null}, "base": 6, "note": "a", "#,
                r#""fresh": true, "price": 5, "quote": 1, "before": null}"#
            ),
            concat!(
                r#"1 {"id": 1, "was": {"id": 1, "base": 6, "note": "a", "price": 5, "quote": 1}, "base": 6, "note": "a", "#,
                r#""fresh": false, "price": 7, "quote": 1, "before": 5}"#
            ),
        ]
    );
}

#[tokio::test]
async fn on_delete_it_sees_the_row_as_old_and_the_table_without_it() {
    let db = lines().await;
    db.sql("insert into tradeflow.rules (name, source, events, query) values
              ('gone', 'public.lines', '{delete}', 'select old.note, new.id as none, (select count(*) from lines where quote = old.quote) as rest')")
        .await;
    db.sql("insert into lines values (1, 1, 1, 1, 'a'), (2, 1, 1, 1, 'b'), (3, 1, 1, 1, 'c'); delete from lines where id < 3").await;
    assert_eq!(
        db.column::<String>(FACTS).await,
        [r#"1 {"none": null, "note": "a", "rest": 1}"#, r#"2 {"none": null, "note": "b", "rest": 1}"#]
    );
}

/// Not only the rows that were there before: a sum over a quote's lines has the lines just written in it. Also for
/// statements of more rows than are answered at once.
#[tokio::test]
async fn it_sees_everything_that_its_statement_wrote() {
    let db = lines().await;
    ask(
        &db,
        "sum",
        None,
        "select sum(l.price) as total, count(*) as n from lines l where l.quote = new.quote",
    )
    .await;
    db.sql("insert into lines select i, 1, 2 from generate_series(1, 2500) i").await;
    let facts: Vec<String> = db.column("select distinct facts::text from tradeflow.outbox").await;
    assert_eq!(facts, [r#"{"n": 2500, "total": 5000}"#]);
    db.fired().await;
    db.sql("begin isolation level repeatable read; insert into lines values (10000, 2, 1); update lines set price = 3; commit").await;
    let facts: Vec<String> = db.column("select distinct facts::text from tradeflow.outbox where id > (select min(id) from tradeflow.outbox) order by 1").await;
    assert_eq!(facts, [r#"{"n": 1, "total": 3}"#, r#"{"n": 2500, "total": 7500}"#]);
}

#[tokio::test]
async fn an_error_for_one_row_of_many_is_that_rows_alone() {
    let db = lines().await;
    ask(&db, "r", None, "select 1 / new.quote as x").await;
    db.sql("insert into lines select i, case when i in (400, 1700) then 0 else 1 end from generate_series(1, 2000) i").await;
    assert_eq!(db.fired().await.len(), 1998);
    assert_eq!(db.incidents().await, ["rule_error r 400 22012 2: rule \"r\" for 400: division by zero"]);
    assert_eq!(db.one::<i64>("select count(*) from lines").await, 2000);
}

#[tokio::test]
async fn what_writes_is_refused_when_written_or_when_run() {
    let db = lines().await;
    for query in [
        "insert into quotes values (9) returning id",
        "update quotes set rep = null returning id",
        "delete from quotes returning id",
        "with gone as (delete from quotes returning id) select id from gone",
        "select * into copy from quotes",
        "select id from quotes for update",
        "select 1; drop table quotes",
        "drop table quotes",
        "values (1) ; select 2",
    ] {
        let error = db
            .error(&format!(
                "insert into tradeflow.rules (name, source, query) values ('bad', 'public.lines', $query${query}$query$)"
            ))
            .await;
        assert!(["42601", "0A000"].contains(&error.code.as_str()), "{query}: {error:?}");
    }
    db.sql("create function sneaky(int) returns int language plpgsql volatile as $$ begin delete from quotes; return 1; end $$;
            create function sneaky_stable(int) returns int language plpgsql stable as $$ begin perform sneaky($1); return 1; end $$")
        .await;
    ask(&db, "sneaky", None, "select sneaky(new.id)").await;
    ask(&db, "stable", None, "select sneaky_stable(new.id)").await;
    ask(&db, "sequence", None, "select nextval('tradeflow.firing_id')").await;
    db.sql("insert into lines values (1, 1)").await;
    let incidents = db.incidents().await;
    assert_eq!(incidents.len(), 3, "{incidents:?}");
    for incident in incidents {
        assert!(incident.contains("25006") && incident.contains("read-only transaction"), "{incident}");
    }
    assert_eq!(db.one::<i64>("select count(*) from quotes").await, 3);
    assert_eq!(db.fired().await, Vec::<String>::new());
    // The transaction itself is none the less free to write.
    db.sql("begin; insert into lines values (2, 1); update quotes set rep = 'x'; commit").await;
    assert_eq!(db.one::<i64>("select count(*) from quotes where rep = 'x'").await, 3);
}

#[tokio::test]
async fn comments_semicolons_and_unions_are_fine() {
    let db = lines().await;
    ask(&db, "r1", None, "select 1 as x -- one\n").await;
    ask(&db, "r2", None, "select 1 as x union all select 2 order by x desc limit 1 ;  ").await;
    ask(&db, "r3", None, "with a as (select new.id as x) select * from a /* end */").await;
    ask(&db, "r4", None, "values (1), (2)").await;
    ask(&db, "r5", None, "select 1 as x; -- the end").await;
    db.sql("insert into lines values (7)").await;
    assert_eq!(
        db.column::<String>("select rule || facts from tradeflow.outbox order by rule, id").await,
        [
            r#"r1{"x": 1}"#,
            r#"r2{"x": 2}"#,
            r#"r3{"x": 7}"#,
            r#"r4{"column1": 1}"#,
            r#"r4{"column1": 2}"#,
            r#"r5{"x": 1}"#
        ]
    );
}

#[tokio::test]
async fn a_subject_too_long_to_be_indexed_is_an_incident_and_no_error() {
    let db = lines().await;
    ask(&db, "r", None, "select (select string_agg(md5(i::text), '') from generate_series(1, 300) i) as subject where new.id = 1 union all select 'short' where new.id = 2").await;
    db.sql("insert into lines values (1), (2)").await;
    assert_eq!(db.fired().await, ["r short"]);
    let incidents = db.incidents().await;
    assert!(incidents.len() == 1 && incidents[0].contains("longer than 1000 bytes"), "{incidents:?}");
    assert_eq!(db.one::<i64>("select count(*) from lines").await, 2);
}

#[tokio::test]
async fn a_query_that_returns_a_million_rows_is_stopped() {
    let db = lines().await;
    ask(&db, "endless", None, "select g from generate_series(1, 1000000) g").await;
    ask(&db, "other", None, "select new.id as line").await;
    db.sql("insert into lines values (1, 1, 1, 1)").await;
    assert_eq!(db.one::<i64>("select count(*) from lines").await, 1);
    assert_eq!(db.fired().await, ["other 1"]);
    let (message, hint): (String, String) = {
        let row = db.rows("select message, hint from tradeflow.incidents").await.remove(0);
        (row.get(0), row.get(1))
    };
    assert_eq!(message, "rule \"endless\" for 1: the query returned more than 100000 rows for one statement");
    assert_eq!(hint, "A query is joined to each changed row: does it mention new?");
}

#[tokio::test]
async fn a_query_follows_the_tables_it_reads() {
    let db = lines().await;
    ask(&db, "r", None, "select q.company from quotes q where q.id = new.quote").await;
    db.sql("insert into lines values (1, 1); alter table quotes alter company type varchar(99), add column x int; insert into lines values (2, 1)").await;
    assert_eq!(db.fired().await, ["r 1", "r 2"]);
    db.sql("alter table quotes rename company to firm; insert into lines values (3, 1)").await;
    assert_eq!(db.fired().await, Vec::<String>::new());
    let incidents = db.incidents().await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert!(incidents[0].contains("company"), "{incidents:?}");
    db.sql("alter table quotes rename firm to company; insert into lines values (4, 1)").await;
    assert_eq!(db.fired().await, ["r 4"]);
}
