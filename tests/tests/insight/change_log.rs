//! `watch(…, log => true)` and `tradeflow.change_log`.

use super::quotes;

#[tokio::test]
async fn old_and_new_of_each_change_whatever_statement_brings_it() {
    let db = quotes().await;
    db.sql("insert into quotes (id, status, total) select i, 0, i from generate_series(1, 2500) i").await;
    db.sql("insert into quotes (id, status, total) values (1, 1, 200) on conflict (id) do update set status = excluded.status, total = excluded.total").await;
    db.sql("update quotes set synced_at = now()").await; // no change
    db.sql("update quotes set total = total where id = 2").await; // none either
    db.sql("delete from quotes where id = 1").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.change_log where event = 'insert' and old is null and new ->> 'id' = subject").await, 2500);
    assert_eq!(
        db.column::<String>(
            "select concat_ws(' ', event, old ->> 'status', old ->> 'total', '->', new ->> 'status', new ->> 'total')
             from tradeflow.change_log where event <> 'insert' order by id"
        )
        .await,
        ["update 0 1.00 -> 1 200.00", "delete 1 200.00 ->"]
    );
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.firings").await, 1);
}

#[tokio::test]
async fn what_is_rolled_back_is_not_logged() {
    let db = quotes().await;
    db.sql("begin; insert into quotes (id) values (1); savepoint s; insert into quotes (id) select i from generate_series(2, 3000) i; rollback to s; insert into quotes (id) values (4); commit").await;
    db.sql("begin; update quotes set status = 1; rollback").await;
    assert_eq!(db.column::<String>("select subject from tradeflow.change_log order by id").await, ["1", "4"]);
}

#[tokio::test]
async fn a_table_is_logged_only_while_it_is_wanted_and_by_who_has_no_right_on_the_log() {
    let db = quotes().await;
    let role = db.role(&[]).await;
    db.sql(&format!("grant select, insert, update on quotes to {role}")).await;
    let sync = db.connect_as(&role, &role).await;
    sync.batch_execute("insert into quotes (id, status) values (1, 0)").await.unwrap();
    assert!(sync.query("select * from tradeflow.change_log", &[]).await.is_err());
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.change_log").await, 1);
    assert!(db.one::<bool>("select logged_since is not null from tradeflow.watched_tables").await);

    db.sql("select tradeflow.watch('quotes')").await;
    sync.batch_execute("update quotes set status = 5").await.unwrap();
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.change_log").await, 1);
    assert!(db.one::<bool>("select logged_since is null from tradeflow.watched_tables").await);
}

#[tokio::test]
async fn a_row_that_moves_between_partitions_is_one_update() {
    let db = tradeflow_tests::database::Database::with_extension().await;
    db.sql(
        "create table p (id int, region text, n int, primary key (id, region)) partition by list (region);
         create table p_a partition of p for values in ('a'); create table p_b partition of p for values in ('b');
         select tradeflow.watch('p', key => '{id}', log => true);
         insert into p values (1, 'a', 1); update p set region = 'b', n = 2",
    )
    .await;
    assert_eq!(
        db.column::<String>("select concat_ws(' ', source, event, subject, old ->> 'region', new ->> 'region') from tradeflow.change_log order by id").await,
        ["public.p insert 1 a", "public.p update 1 a b"]
    );
}

#[tokio::test]
async fn days_past_their_retention_go() {
    let db = quotes().await;
    db.sql("select tradeflow.tick(); insert into quotes (id) values (1)").await;
    let place = "select tableoid::regclass::text from tradeflow.change_log";
    assert_eq!(
        db.one::<String>(place).await,
        "tradeflow.change_log_default",
        "tomorrow is the first day with a partition"
    );
    db.sql(
        "create table tradeflow.change_log_20200101 (like tradeflow.change_log including all excluding identity);
         alter table tradeflow.change_log attach partition tradeflow.change_log_20200101 for values from ('2020-01-01 00:00+00') to ('2020-01-02 00:00+00');
         select tradeflow.tick()",
    )
    .await;
    assert!(db.one::<bool>("select to_regclass('tradeflow.change_log_20200101') is null").await);
    db.sql("insert into quotes (id) values (2)").await;
    assert_eq!(db.one::<i64>("select count(distinct id) from tradeflow.change_log").await, 2);
}

#[tokio::test]
async fn a_change_that_cannot_be_logged_is_an_incident_and_no_error() {
    let db = tradeflow_tests::database::Database::with_extension().await;
    db.sql(
        "create type odd as enum ('lucky', 'unlucky');
         create function odd_json(odd) returns json language plpgsql as $$ begin if $1 = 'unlucky' then raise 'unlucky'; end if; return '1'; end $$;
         create cast (odd as json) with function odd_json(odd);
         create table u (id int primary key, o odd);
         select tradeflow.watch('u', log => true)",
    )
    .await;
    db.sql("insert into u select i, case when i = 13 then 'unlucky' else 'lucky' end::odd from generate_series(11, 15) i").await;
    assert_eq!(db.one::<i64>("select count(*) from u").await, 5);
    let logged = db.one::<i64>("select count(*) from tradeflow.change_log").await;
    let told = db
        .one::<i64>(
            "select coalesce(sum(count), 0)::bigint from tradeflow.incidents where kind = 'log_error'",
        )
        .await;
    assert_eq!((logged, told), (4, 1), "one of five rows cannot become JSON");
    assert!(db.one::<String>("select message from tradeflow.incidents").await.contains("unlucky"));
}
