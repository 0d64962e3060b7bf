//! Whose rights count: a rule reads as its owner, whoever writes; its owner may lose what it needs.

use tradeflow_tests::database::Database;

/// A watched table of the superuser's, with an author and a sync job that may insert and update, and nothing else.
struct Shop {
    db: Database,
    author: String,
    sync: String,
}

impl Shop {
    async fn open() -> Shop {
        let db = Database::with_extension().await;
        db.watch("t", "id int primary key, n int, secret text").await;
        let author = db.role(&["tradeflow_author"]).await;
        let sync = db.role(&[]).await;
        db.sql(&format!(
            "grant insert, update on t to {sync}; grant select on t to {author}; grant create on schema public to {author}"
        ))
        .await;
        Shop { db, author, sync }
    }

    /// Runs statements as a role, in a session of its own.
    async fn run_as(&self, role: &str, statements: &str) -> Result<(), String> {
        let client = self.db.connect_as(role, role).await;
        client.batch_execute(statements).await.map_err(|e| match e.as_db_error() {
            Some(e) => format!("{} {}", e.code().code(), e.message()),
            None => e.to_string(),
        })
    }
}

#[tokio::test]
async fn a_sync_job_with_nothing_but_insert_and_update_fires_rules() {
    let shop = Shop::open().await;
    shop.run_as(&shop.author, "insert into tradeflow.rules (name, source, condition) values ('r', 'public.t', 'new.n > 5');
        insert into tradeflow.rules (name, source, query) values ('q', 'public.t', 'select count(*) as n, current_user as me from t')")
        .await
        .expect("an author may");
    shop.run_as(&shop.sync, "insert into t values (1, 6), (2, 1)").await.expect("it may insert");
    shop.run_as(&shop.sync, "update t set n = 7").await.expect("it may update");
    assert_eq!(
        shop.db.column::<String>("select rule || subject || coalesce(' ' || (facts ->> 'me'), '') from tradeflow.outbox order by id").await,
        ["r1".to_string(), format!("q1 {}", shop.author), format!("q2 {}", shop.author), "r2".to_string(), format!("q1 {}", shop.author), format!("q2 {}", shop.author)]
    );
    let error = shop.run_as(&shop.sync, "select * from tradeflow.outbox").await.expect_err("it may not look");
    assert!(error.starts_with("42501"), "{error}");
}

#[tokio::test]
async fn conditions_and_queries_run_as_the_owner_in_the_writers_session() {
    let shop = Shop::open().await;
    shop.run_as(
        &shop.author,
        "create function me() returns text language sql stable as 'select current_user::text';
         insert into tradeflow.rules (name, source, condition) values ('me', 'public.t', format('me() = %L', current_user));
         insert into tradeflow.rules (name, source, query) values ('who', 'public.t', 'select current_user as owner, session_user as session')",
    )
    .await
    .expect("an author may");
    shop.run_as(&shop.sync, "insert into t values (1)").await.expect("it may insert");
    let facts: String = shop.db.one("select facts::text from tradeflow.outbox where rule = 'who'").await;
    assert_eq!(facts, format!(r#"{{"owner": "{}", "session": "{}"}}"#, shop.author, shop.sync));
    assert_eq!(shop.db.fired().await, ["me 1", "who 1"]);
    // With SET ROLE in one session, cache cold and warm: nothing about the writer is remembered.
    shop.db
        .sql(&format!(
            "begin; set local role {0}; insert into t values (2); reset role; insert into t values (3); set local role {0}; insert into t values (4); commit",
            shop.sync
        ))
        .await;
    assert_eq!(shop.db.fired().await, ["me 2", "who 2", "me 3", "who 3", "me 4", "who 4"]);
    assert_eq!(shop.db.one::<String>("select current_user::text").await, "postgres");
}

#[tokio::test]
async fn an_owner_without_the_right_to_read_is_refused_and_columns_count() {
    let shop = Shop::open().await;
    shop.db.sql(&format!("revoke select on t from {0}; grant select (id, n) on t to {0}", shop.author)).await;
    for (rule, expected) in [
        (
            "('r', 'public.t', 'new.n > 5', null)",
            "42501 rule \"r\": permission denied for column secret of table public.t",
        ),
        (
            "('r', 'public.t', 'new.secret is null', 'select new.id')",
            "42501 rule \"r\": permission denied for column secret of table public.t",
        ),
        (
            "('r', 'public.t', 'new.n > 5', 'select secret from t')",
            "42501 rule \"r\": permission denied for table t",
        ),
    ] {
        let insert = format!("insert into tradeflow.rules (name, source, condition, query) values {rule}");
        match shop.run_as(&shop.author, &insert).await {
            Err(error) => assert_eq!(error, expected),
            // A query's rights are asked when it runs.
            Ok(()) => {
                shop.run_as(&shop.sync, "insert into t values (50, 50)").await.expect("the sync goes on");
                let incidents = shop.db.incidents().await;
                assert!(
                    incidents.len() == 1 && incidents[0].contains("permission denied for table t"),
                    "{incidents:?}"
                );
                shop.run_as(&shop.author, "delete from tradeflow.rules").await.expect("its own");
            }
        }
    }
    shop.run_as(&shop.author, "insert into tradeflow.rules (name, source, condition, query) values ('r', 'public.t', 'new.n > 5', 'select new.id')").await.expect("it reads what it may");
    shop.run_as(&shop.sync, "insert into t values (1, 6, 'hidden')").await.expect("it may insert");
    assert_eq!(shop.db.one::<String>("select facts::text from tradeflow.outbox").await, r#"{"id": 1}"#);
}

/// A query may not read through `new` what its owner may not read in the table.
#[tokio::test]
async fn a_query_does_not_show_columns_that_its_owner_may_not_read() {
    let shop = Shop::open().await;
    shop.db.sql(&format!("revoke select on t from {0}; grant select (id, n) on t to {0}", shop.author)).await;
    for query in ["select new.secret", "select old.secret", "select (new).secret"] {
        let insert =
            format!("insert into tradeflow.rules (name, source, query) values ('r', 'public.t', '{query}')");
        let error = shop.run_as(&shop.author, &insert).await.expect_err(query);
        assert!(error.starts_with("42703") && error.contains("secret does not exist"), "{query}: {error}");
    }
    for query in ["select ($1[1]).secret", "select x.* from unnest($1) x"] {
        let insert =
            format!("insert into tradeflow.rules (name, source, query) values ('r', 'public.t', '{query}')");
        let error = shop.run_as(&shop.author, &insert).await.expect_err(query);
        assert!(error.contains("there is no parameter $1"), "{query}: {error}");
    }
    shop.run_as(&shop.author, "insert into tradeflow.rules (name, source, query) values ('all', 'public.t', 'select new.*, to_jsonb(old) as was')").await.expect("what it may");
    shop.run_as(&shop.sync, "insert into t values (1, 2, 'hidden')").await.expect("it may insert");
    assert_eq!(
        shop.db.one::<String>("select facts::text from tradeflow.outbox").await,
        r#"{"n": 2, "id": 1, "was": {"n": null, "id": null}}"#
    );
    shop.run_as(
        &shop.author,
        "insert into tradeflow.rules (name, source, query) values ('r', 'public.t', 'select new.n')",
    )
    .await
    .expect("it reads what it may");
}

#[tokio::test]
async fn rights_taken_away_later_quarantine_the_rule_and_come_back() {
    let shop = Shop::open().await;
    shop.run_as(
        &shop.author,
        "create function f(int) returns boolean language sql stable as 'select $1 > 5';
         insert into tradeflow.rules (name, source, condition) values ('f', 'public.t', 'f(new.n)'), ('n', 'public.t', 'new.n > 5')",
    )
    .await
    .expect("an author may");
    let (db, author) = (&shop.db, &shop.author);
    let sync = db.connect_as(&shop.sync, &shop.sync).await;
    let write = |id: i32| {
        let sync = &sync;
        async move {
            sync.batch_execute(&format!("insert into t values ({id}, 6)")).await.expect("the sync goes on")
        }
    };
    write(1).await;
    assert_eq!(db.fired().await, ["f 1", "n 1"]);
    // The function's right, with a warm cache.
    db.sql(&format!("revoke execute on function f(int) from public, {author}")).await;
    write(2).await;
    assert_eq!(db.fired().await, ["n 2"]);
    let incidents = db.incidents().await;
    assert!(
        incidents.len() == 1
            && incidents[0].starts_with("rule_invalid f - 42501")
            && incidents[0].ends_with("permission denied for function f"),
        "{incidents:?}"
    );
    db.sql(&format!("grant execute on function f(int) to {author}")).await;
    write(3).await;
    assert_eq!(db.fired().await, ["f 3", "n 3"]);
    // The table's right, and a cold cache.
    db.sql(&format!("revoke select on t from {author}")).await;
    write(4).await;
    shop.run_as(&shop.sync, "insert into t values (5, 6)").await.expect("the sync goes on");
    assert_eq!(db.fired().await, Vec::<String>::new());
    let incidents = db.incidents().await;
    assert!(
        incidents.len() == 4
            && incidents.iter().all(|i| i.starts_with("rule_invalid") && i.contains("42501")),
        "{incidents:?}"
    );
    db.sql(&format!("grant select on t to {author}")).await;
    write(6).await;
    assert_eq!(db.fired().await, ["f 6", "n 6"]);
}

#[tokio::test]
async fn the_writers_own_rights_change_nothing_for_the_rule() {
    let shop = Shop::open().await;
    shop.db.sql("create function f(int) returns boolean language sql stable as 'select $1 > 5'; revoke execute on function f(int) from public").await;
    shop.db.rule("f", "public.t", "f(new.n)").await;
    shop.run_as(&shop.sync, "insert into t values (1, 6)").await.expect("it may insert");
    assert_eq!(shop.db.fired().await, ["f 1"]);
    assert_eq!(shop.db.incidents().await, Vec::<String>::new());
}

#[tokio::test]
async fn tables_with_row_security_are_refused_unless_the_owner_bypasses_it() {
    let shop = Shop::open().await;
    let insert =
        "insert into tradeflow.rules (name, source, condition) values ('r', 'public.t', 'new.n > 5')";
    shop.db
        .sql(
            "alter table t enable row level security; create policy p on t using (n < 100) with check (true)",
        )
        .await;
    let error = shop.run_as(&shop.author, insert).await.expect_err("it could not apply the policy");
    assert_eq!(error, "42501 rule \"r\": table public.t has row security, which a rule cannot apply");
    shop.db.sql(insert).await;
    shop.db.sql("alter table t disable row level security; delete from tradeflow.rules").await;
    shop.run_as(&shop.author, insert).await.expect("no policy");
    shop.run_as(&shop.sync, "insert into t values (1, 6)").await.expect("it may insert");
    assert_eq!(shop.db.fired().await, ["r 1"]);
    shop.db.sql("alter table t enable row level security; insert into t values (2, 6)").await;
    assert_eq!(shop.db.fired().await, Vec::<String>::new());
    assert!(shop.db.incidents().await[0].contains("row security"));
}

#[tokio::test]
async fn only_members_of_the_owner_write_a_rule_and_its_actions() {
    let shop = Shop::open().await;
    let other = shop.db.role(&["tradeflow_author"]).await;
    let team = shop.db.role(&[]).await;
    let (author, db) = (&shop.author, &shop.db);
    db.sql(&format!("grant {team} to {author}; grant select on t to {team}")).await;
    db.target().await;
    shop.run_as(
        author,
        &format!("insert into tradeflow.rules (name, source) values ('mine', 'public.t'); insert into tradeflow.rules (name, source, owner) values ('teams', 'public.t', '{team}');
                  insert into tradeflow.actions (rule, kind, target) values ('teams', 'http', 'there')"),
    )
    .await
    .expect("a member may");
    for statement in [
        "update tradeflow.rules set condition = 'true' where name = 'mine'".to_string(),
        "delete from tradeflow.rules where name = 'mine'".to_string(),
        format!("update tradeflow.rules set owner = '{other}' where name = 'mine'"),
        "insert into tradeflow.rules (name, source, owner) values ('x', 'public.t', 'postgres')".to_string(),
        format!("insert into tradeflow.rules (name, source, owner) values ('x', 'public.t', '{author}')"),
        "insert into tradeflow.actions (rule, kind, target) values ('mine', 'http', 'there')".to_string(),
        "update tradeflow.actions set target = 'elsewhere'".to_string(),
        "delete from tradeflow.actions".to_string(),
        format!("select tradeflow._compile('x', 't', 'true', 'enter', null, null, null, null, 'public', '{author}'::regrole)"),
    ] {
        let error = shop.run_as(&other, &statement).await.expect_err(&statement);
        assert!(error.starts_with("42501"), "{statement}: {error}");
    }
    // A role that is still to be made would be anybody's.
    let error = shop
        .run_as(
            &other,
            "insert into tradeflow.rules (name, source, owner) values ('x', 'public.t', 'made_later')",
        )
        .await
        .expect_err("no such role");
    assert!(error.starts_with("42704"), "{error}");
    // An action cannot be moved to a rule of somebody else's either.
    shop.run_as(
        &other,
        "insert into tradeflow.rules (name, source, query) values ('own', 'public.t', 'select 1 as one')",
    )
    .await
    .expect("its own");
    shop.run_as(&other, "insert into tradeflow.actions (rule, kind, target) values ('own', 'http', 'there')")
        .await
        .expect("its own");
    let error = shop
        .run_as(&other, "update tradeflow.actions set rule = 'mine' where rule = 'own'")
        .await
        .expect_err("not its rule");
    assert!(error.starts_with("42501"), "{error}");
    let error = shop
        .run_as(author, "update tradeflow.actions set rule = 'mine' where rule = 'own'")
        .await
        .expect_err("not its action");
    assert!(error.starts_with("42501"), "{error}");
}

#[tokio::test]
async fn roles_may_do_what_their_group_may_and_no_more() {
    let db = Database::with_extension().await;
    db.watch("t", "id int primary key").await;
    let author = db.role(&["tradeflow_author"]).await;
    let executor = db.role(&["tradeflow_executor"]).await;
    let operator = db.role(&["tradeflow_operator"]).await;
    let nobody = db.role(&[]).await;
    let calls = [
        ("select from tradeflow.claim('w', 1, '1 minute')", &executor),
        ("select tradeflow.tick()", &executor),
        ("select tradeflow.set_clock(null)", &operator),
        ("select tradeflow.cancel(array[1::bigint])", &operator),
        ("select tradeflow.retry(1)", &operator),
        ("select tradeflow.release_held('x')", &operator),
        ("select tradeflow.ack(1)", &operator),
        ("insert into tradeflow.targets (name, system, base_url) values ('x', 'http', 'https://example.com')", &operator),
        ("insert into tradeflow.settings (name, value) values ('x', 'y') on conflict do nothing", &author),
        ("insert into tradeflow.templates (name, subject, text) values ('x', 'y', 'z')", &author),
    ];
    for (statement, allowed) in calls {
        for role in [&author, &executor, &operator, &nobody] {
            let client = db.connect_as(role, role).await;
            let result = client.batch_execute(statement).await;
            let both = role == &operator && (statement.contains("tick") || statement.contains("settings"));
            if role == allowed || both {
                result.unwrap_or_else(|e| panic!("{role}: {statement}: {e:?}"));
            } else {
                let code = result.expect_err(statement).code().map(|c| c.code().to_owned());
                assert_eq!(code.as_deref(), Some("42501"), "{role}: {statement}");
            }
        }
    }
    let client = db.connect_as(&nobody, &nobody).await;
    client.batch_execute("select tradeflow.now(), tradeflow.version()").await.expect("anybody may ask");
    for statement in [
        "select * from tradeflow.settings",
        "select * from tradeflow.incidents",
        "select tradeflow._archive('{1}', 'done')",
        "select tradeflow._invalidate('t')",
        "select tradeflow._still('r', '{}', '', '')",
        "insert into tradeflow.outbox (firing_id, rule, rule_version, source, event, subject, lane, state, facts) values (1, 'r', 1, 's', 'insert', '1', 'l', 'ready', '{}')",
    ] {
        for role in [&nobody, &executor] {
            let client = db.connect_as(role, role).await;
            let allowed = role == &executor && (statement.contains("settings") || statement.contains("incidents"));
            assert_eq!(client.batch_execute(statement).await.is_ok(), allowed, "{role}: {statement}");
        }
    }
}
