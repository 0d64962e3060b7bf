//! `tradeflow.pick`: shares, and who is passed over.

use tradeflow_tests::database::Database;

async fn pool(members: &str) -> Database {
    let db = Database::with_extension().await;
    db.sql(&format!("insert into tradeflow.pools (name) values ('reps'); insert into tradeflow.pool_members (pool, member, weight) values {members}")).await;
    db
}

async fn shares(db: &Database) -> Vec<String> {
    db.column("select member || ' ' || count(*) from tradeflow.assignments group by member order by member")
        .await
}

#[tokio::test]
async fn weights_are_exact_also_with_four_sessions_at_once() {
    let db = pool("('reps', 'a', 1), ('reps', 'b', 1), ('reps', 'c', 2)").await;
    let sessions = (0..4).map(|n| {
        let db = &db;
        async move {
            let session = db.connect().await;
            for i in 0..10 {
                session
                    .execute("select tradeflow.pick('reps', $1)", &[&format!("company {n}.{i}")])
                    .await
                    .expect("a pick");
            }
        }
    });
    futures_util::future::join_all(sessions).await;
    assert_eq!(shares(&db).await, ["a 10", "b 10", "c 20"]);
}

#[tokio::test]
async fn a_pick_is_kept_until_it_is_released() {
    let db = pool("('reps', 'a', 1), ('reps', 'b', 1)").await;
    let first: String = db.one("select tradeflow.pick('reps', '17')").await;
    for _ in 0..3 {
        assert_eq!(db.one::<String>("select tradeflow.pick('reps', '17')").await, first);
    }
    assert_eq!(db.one::<String>("select tradeflow.release('reps', '17')").await, first);
    assert_ne!(db.one::<String>("select tradeflow.pick('reps', '17')").await, first, "the other one is next");
    // Who leaves the pool leaves their subjects.
    let now: String = db.one("select member from tradeflow.assignments").await;
    db.execute("delete from tradeflow.pool_members where member = $1", &[&now]).await;
    assert_eq!(db.one::<String>("select tradeflow.pick('reps', '17')").await, first);
}

#[tokio::test]
async fn who_is_absent_full_or_no_candidate_is_passed_over() {
    let db = pool("('reps', 'a', 1), ('reps', 'b', 1), ('reps', 'c', 1), ('reps', 'never', 0)").await;
    db.sql(
        "update tradeflow.pool_members set absent = tstzmultirange(tstzrange(now() - interval '1 day', now() + interval '1 day')) where member = 'a';
         update tradeflow.pool_members set cap = 2 where member = 'b'",
    )
    .await;
    db.sql("select tradeflow.pick('reps', n::text) from generate_series(1, 10) n").await;
    assert_eq!(shares(&db).await, ["b 2", "c 8"]);
    assert_eq!(
        db.one::<Option<String>>("select tradeflow.pick('reps', 'x', '{b}')").await,
        None,
        "nobody is left"
    );
    // By the clock of timers the absence ends.
    db.sql("select tradeflow.set_clock(now() + interval '2 days')").await;
    assert_eq!(db.one::<String>("select tradeflow.pick('reps', 'x', '{a,b}')").await, "a");
}

#[tokio::test]
async fn who_comes_back_is_not_made_up_for() {
    let db = pool("('reps', 'a', 1), ('reps', 'b', 1)").await;
    db.sql("update tradeflow.pool_members set absent = '{(,)}' where member = 'a'; select tradeflow.pick('reps', n::text) from generate_series(1, 50) n; update tradeflow.pool_members set absent = '{}'").await;
    db.sql("select tradeflow.pick('reps', 'later ' || n) from generate_series(1, 20) n").await;
    // From then on they share evenly, to within the one that is under way.
    let uneven = |of: &str| {
        format!("select count(*) from (select count(*) from tradeflow.assignments where subject like '{of} %' group by member) x(n) where n not between 9 and 11")
    };
    assert_eq!(db.one::<i64>(&uneven("later")).await, 0, "{:?}", shares(&db).await);
    db.sql("insert into tradeflow.pool_members (pool, member) values ('reps', 'new'); select tradeflow.pick('reps', 'last ' || n) from generate_series(1, 30) n").await;
    assert_eq!(db.one::<i64>(&uneven("last")).await, 0, "{:?}", shares(&db).await);
    assert_eq!(
        db.one::<i64>("select count(distinct member) from tradeflow.assignments where subject like 'last %'")
            .await,
        3
    );
}

#[tokio::test]
async fn it_has_no_place_in_a_question() {
    let db = pool("('reps', 'a', 1)").await;
    db.watch("public.companies", "id int primary key").await;
    let error = db.error("insert into tradeflow.rules (name, source, condition) values ('r', 'public.companies', $$ tradeflow.pick('reps', new.id::text) = 'a' $$)").await;
    assert!(error.message.contains("calls a volatile function"), "{error:?}");
    // In a query it is a mistake that is told, and nothing is written.
    db.sql("insert into tradeflow.rules (name, source, query) values ('r', 'public.companies', $$ select tradeflow.pick('reps', new.id::text) as rep $$); insert into public.companies values (1)").await;
    let incidents = db.incidents().await;
    assert!(incidents.len() == 1 && incidents[0].contains("read-only"), "{incidents:?}");
    assert_eq!(shares(&db).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_picked_is_said() {
    let db = pool("('reps', 'a', 1)").await;
    let error = db.error("select tradeflow.pick('rep', '1')").await;
    assert_eq!((error.code.as_str(), error.hint.as_str()), ("42704", "pools: reps"));
    assert_eq!(db.error("select tradeflow.pick('reps', null)").await.code, "22004");
}
