//! Statements inside statements: triggers that change watched tables, also the outbox's own.

use tradeflow_tests::database::Database;

async fn tables() -> Database {
    let db = Database::with_extension().await;
    db.watch("a", "id int primary key, n int").await;
    db.watch("b", "id int primary key, n int").await;
    db.rule("a", "public.a", "new.n > 0").await;
    db.rule("b", "public.b", "new.n > 0").await;
    db
}

#[tokio::test]
async fn a_trigger_on_the_outbox_that_changes_a_watched_table() {
    let db = tables().await;
    db.sql(
        "create function echo() returns trigger language plpgsql as $$
            begin
              if new.rule = 'a' then
                insert into public.b values (new.subject::int, 1) on conflict (id) do update set n = b.n + 1;
              end if;
              return null;
            end $$;
            create trigger echo after insert on tradeflow.outbox for each row execute function echo();
            update tradeflow.rules set max_firings = 100000;
            insert into a select i, 1 from generate_series(1, 3000) i",
    )
    .await;
    let counts: Vec<String> = db.column("select rule || ' ' || count(*) || ' ' || count(distinct subject) from tradeflow.outbox group by rule order by 1").await;
    assert_eq!(counts, ["a 3000 3000", "b 3000 3000"]);
    let facts: i64 = db
        .one("select count(*) from tradeflow.outbox o join a on o.rule = 'a' and o.facts = to_jsonb(a)")
        .await;
    assert_eq!(facts, 3000);
}

/// The nested statement ends while the outer one's answers are only half written.
#[tokio::test]
async fn a_trigger_on_cancelled_timers_that_changes_a_watched_table() {
    let db = tables().await;
    db.target().await;
    db.sql("update tradeflow.rules set fire_at = 'now() + interval ''1 day'' * new.n', fires = 'always' where name = 'a'").await;
    db.action("a").await;
    db.sql("create function echo() returns trigger language plpgsql as $$
            begin
              insert into public.b select old.id * 1000 + i, 1 from generate_series(1, 50) i;
              return null;
            end $$;
            create trigger echo after delete on tradeflow.outbox for each row when (old.rule = 'a') execute function echo();
            insert into a select i, 1 from generate_series(1, 20) i;
            update a set n = n + 1")
        .await;
    let good: i64 = db.one("select count(*) from tradeflow.outbox o join a on o.rule = 'a' and o.facts = to_jsonb(a) and o.subject = a.id::text").await;
    assert_eq!(good, 20);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where rule = 'b'").await, 1000);
}

#[tokio::test]
async fn before_and_after_triggers_that_change_another_watched_table() {
    let db = tables().await;
    db.sql(
        "create function copy() returns trigger language plpgsql as $$
            begin insert into b values (new.id + tg_argv[0]::int, new.n); return new; end $$;
            create trigger before_copy before insert on a for each row execute function copy('100');
            create trigger zz_after_copy after insert on a for each row execute function copy('200');
            create trigger aa_after_copy after insert on a for each row execute function copy('300');
            insert into a values (1, 1), (2, 0), (3, 1)",
    )
    .await;
    let mut fired = db.fired().await;
    fired.sort();
    assert_eq!(fired, ["a 1", "a 3", "b 101", "b 103", "b 201", "b 203", "b 301", "b 303"]);
}

#[tokio::test]
async fn a_before_trigger_that_changes_the_same_table() {
    let db = tables().await;
    db.sql(
        "create function twin() returns trigger language plpgsql as $$
            begin
              if new.id < 1000 then insert into a values (new.id + 1000, new.n); end if;
              return new;
            end $$;
            create trigger twin before insert on a for each row execute function twin();
            insert into a select i, i % 2 from generate_series(1, 10) i",
    )
    .await;
    let mut fired = db.fired().await;
    fired.sort();
    assert_eq!(fired, ["a 1", "a 1001", "a 1003", "a 1005", "a 1007", "a 1009", "a 3", "a 5", "a 7", "a 9"]);
}

/// The nested statements' ends must not count the outer statement's firings piece by piece.
#[tokio::test]
async fn a_statement_is_one_burst_also_when_its_triggers_write_elsewhere() {
    let db = tables().await;
    db.sql("create function note() returns trigger language plpgsql as $$ begin insert into b values (new.id, 1); return new; end $$;
            create trigger note before insert on a for each row execute function note();
            update tradeflow.rules set max_firings = 5 where name = 'a';
            insert into a select i, 1 from generate_series(1, 10) i")
        .await;
    let states: Vec<String> = db.column("select rule || ' ' || state || ' ' || count(*) from tradeflow.outbox group by rule, state order by 1").await;
    assert_eq!(states, ["a held 10", "b done 10"]);
}

#[tokio::test]
async fn a_row_that_moves_while_a_before_trigger_writes_elsewhere_is_one_update() {
    let db = tables().await;
    db.sql("create table p (id int, region text, n int) partition by list (region);
            create table p1 partition of p for values in ('x');
            create table p2 partition of p for values in ('y');
            select tradeflow.watch('p', key => '{id}');
            insert into tradeflow.rules (name, source, events) values ('p', 'public.p', '{insert,update,delete}');
            create function note() returns trigger language plpgsql as $$
            begin insert into b values (coalesce((select max(id) from b), 0) + 1, 1); return new; end $$;
            create trigger note before insert on p for each row execute function note();
            insert into p values (1, 'x', 1)")
        .await;
    db.fired().await;
    db.sql("update p set region = 'y'").await;
    let mut fired = db.fired_in_detail().await;
    fired.sort();
    assert_eq!(fired, ["b 2 insert done", "p 1 update done"]);
}

#[tokio::test]
async fn a_condition_that_calls_functions_which_read_watched_tables() {
    let db = tables().await;
    db.sql("create function sum_of_b() returns bigint language sql stable as 'select coalesce(sum(n), 0) from public.b';
            create function depth(int) returns int language plpgsql stable as $$ begin if $1 = 0 then return 0; end if; return 1 + public.depth($1 - 1); end $$;
            insert into b values (1, 10)")
        .await;
    db.fired().await;
    db.rule("sum", "public.a", "new.n > public.sum_of_b()").await;
    db.rule("deep", "public.a", "public.depth(new.n) = new.n and new.n > 20").await;
    db.sql("insert into a values (1, 11), (2, 10), (3, 50)").await;
    // What may read tables is asked at the end of the statement.
    assert_eq!(db.fired().await, ["a 1", "a 2", "a 3", "sum 1", "deep 3", "sum 3"]);
}

/// Firings that change what they watch: each round is a statement of its own and ends.
#[tokio::test]
async fn a_chain_of_triggers_ends_where_the_condition_says_so() {
    let db = tables().await;
    db.sql(
        "create function next() returns trigger language plpgsql as $$
            begin
              if new.n < 40 then update a set n = n + 1 where id = new.id; end if;
              return null;
            end $$;
            create trigger next after insert or update on a for each row execute function next();
            update tradeflow.rules set fires = 'always' where name = 'a';
            insert into a values (1, 1)",
    )
    .await;
    assert_eq!(db.fired().await.len(), 40);
}
