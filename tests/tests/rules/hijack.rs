//! Attempts to make a rule, or tradeflow itself, do what somebody has no right to do.

use tradeflow_tests::database::Database;

struct Shop {
    db: Database,
    author: String,
    writer: String,
}

impl Shop {
    async fn open() -> Shop {
        let db = Database::with_extension().await;
        db.sql("create table secrets (word text); insert into secrets values ('tell nobody'); create table log (who text, what text); grant insert on log to public")
            .await;
        db.watch("t", "id int primary key, n int, s text").await;
        let author = db.role(&["tradeflow_author"]).await;
        let writer = db.role(&[]).await;
        db.sql(&format!(
            "grant insert, update, select on t to {writer}; grant select on t to {author}; grant create on schema public to {author};
             create schema {writer} authorization {writer}"
        ))
        .await;
        Shop { db, author, writer }
    }

    async fn author(&self, statements: &str) {
        let client = self.db.connect_as(&self.author, &self.author).await;
        client
            .batch_execute(statements)
            .await
            .unwrap_or_else(|e| panic!("{}\nin: {statements}", tradeflow_tests::database::describe(&e)));
    }
}

#[tokio::test]
async fn the_writers_search_path_functions_operators_and_temporary_objects_are_nothing_to_a_rule() {
    let shop = Shop::open().await;
    shop.author(
        "create table prices (id int, price int);
         insert into prices values (1, 10), (2, 10);
         create function is_large(int) returns boolean language sql stable as 'select $1 > 5';
         insert into tradeflow.rules (name, source, condition) values ('f', 'public.t', 'is_large(new.n) and new.n > 5 and lower(new.s) = ''x''');
         insert into tradeflow.rules (name, source, query) values ('q', 'public.t', 'select price, count(*) over () as n from prices p where p.id = new.id')",
    )
    .await;
    let writer = shop.db.connect_as(&shop.writer, &shop.writer).await;
    let w = &shop.writer;
    // Everything that a path could find first, in a schema of the writer's and in the temporary one.
    let traps = format!(
        "create function {w}.is_large(int) returns boolean language plpgsql as $$ begin insert into public.log values (current_user, 'is_large'); return true; end $$;
         create function {w}.lower(text) returns text language plpgsql as $$ begin insert into public.log values (current_user, 'lower'); return 'x'; end $$;
         create function {w}.to_jsonb(anyelement) returns jsonb language plpgsql as $$ begin insert into public.log values (current_user, 'to_jsonb'); return '{{}}'; end $$;
         create function {w}.now() returns timestamptz language plpgsql as $$ begin insert into public.log values (current_user, 'now'); return 'infinity'; end $$;
         create function {w}.unnest(anyarray) returns setof anyelement language plpgsql as $$ begin insert into public.log values (current_user, 'unnest'); return; end $$;
         create function {w}.format(text, variadic \"any\") returns text language internal as 'text_format';
         create function {w}.gt(int, int) returns boolean language plpgsql as $$ begin insert into public.log values (current_user, '>'); return true; end $$;
         create function {w}.eq(text, text) returns boolean language plpgsql as $$ begin insert into public.log values (current_user, '='); return true; end $$;
         create operator {w}.> (leftarg = int, rightarg = int, function = {w}.gt);
         create operator {w}.= (leftarg = text, rightarg = text, function = {w}.eq);
         create temp table prices (id int, price int);
         insert into prices values (1, 666);
         grant select on prices to public;
         create temp table outbox (x int);
         create temp table rules (x int);
         create function pg_temp.is_large(int) returns boolean language sql as 'select true';
         set search_path = {w}, pg_temp, public, pg_catalog"
    );
    // `internal` is refused to the writer: that trap is only for those who may.
    let traps = traps.lines().filter(|l| !l.contains("language internal")).collect::<Vec<_>>().join("\n");
    writer
        .batch_execute(&traps)
        .await
        .unwrap_or_else(|e| panic!("{}", tradeflow_tests::database::describe(&e)));
    writer.batch_execute("insert into public.t values (1, 5, 'y')").await.expect("it may insert");
    writer.batch_execute("insert into public.t values (2, 6, 'X')").await.expect("it may insert");
    let rows: Vec<String> = shop
        .db
        .column("select rule || ' ' || subject || ' ' || facts from tradeflow.outbox order by id")
        .await;
    assert_eq!(
        rows,
        [
            r#"q 1 {"n": 1, "price": 10}"#,
            r#"f 2 {"n": 6, "s": "X", "id": 2}"#,
            r#"q 2 {"n": 1, "price": 10}"#
        ]
    );
    assert_eq!(shop.db.column::<String>("select who || what from log").await, Vec::<String>::new());
    assert_eq!(shop.db.incidents().await, Vec::<String>::new());
    let path: String = writer.query_one("show search_path", &[]).await.expect("it shows").get(0);
    assert_eq!(path, format!("{w}, pg_temp, public, pg_catalog"));
}

/// A view in the temporary schema would run its functions as the rule's owner.
#[tokio::test]
async fn a_temporary_view_does_not_stand_in_for_a_table_that_is_missing() {
    let shop = Shop::open().await;
    shop.author("create table prices (id int); insert into tradeflow.rules (name, source, query) values ('q', 'public.t', 'select count(*) as n from prices')").await;
    let writer = shop.db.connect_as(&shop.writer, &shop.writer).await;
    writer
        .batch_execute(
            "create function pg_temp.steal() returns int language plpgsql as $$ begin insert into public.log values (current_user, 'stolen'); return 1; end $$;
             create temp view prices as select pg_temp.steal() as id; grant select on prices to public;
             insert into t values (1)",
        )
        .await
        .expect("the writer may");
    assert_eq!(shop.db.one::<String>("select facts::text from tradeflow.outbox").await, r#"{"n": 0}"#);
    assert_eq!(shop.db.one::<i64>("select count(*) from log").await, 0);
}

#[tokio::test]
async fn a_rules_function_cannot_leave_its_owner() {
    let shop = Shop::open().await;
    let attempts = [
        ("set role postgres", "42501"),
        ("set session authorization postgres", "42501"),
        ("reset role", "42501"),
        ("select set_config(''role'', ''postgres'', false)", "42501"),
        ("select set_config(''session_authorization'', ''postgres'', false)", "42501"),
        ("create temp table x (id int)", "25006"),
        ("create function pg_temp.x() returns int language sql as ''select 1''", "25006"),
        ("select word from public.secrets", "42501"),
        ("insert into public.log values (current_user, ''here'')", "25006"),
        ("select tradeflow.set_clock(''2000-01-01'')", "42501"),
        ("update tradeflow.outbox set state = ''done''", "25006"),
        ("set local transaction_read_only = off", "25001"),
        ("set transaction read write", "25001"),
        ("begin", "0A000"),
    ];
    for (i, (attempt, _)) in attempts.iter().enumerate() {
        shop.author(&format!(
            "create function v{i}() returns boolean language plpgsql volatile as $$ begin execute '{attempt}'; return true; end $$;
             create function a{i}() returns boolean language plpgsql stable as $$ begin return v{i}(); end $$;
             insert into tradeflow.rules (name, source, condition) values ('a{i:02}', 'public.t', 'a{i}()')"
        ))
        .await;
    }
    // The superuser itself writes: this is what an author would wait for.
    shop.db.sql("insert into t values (1)").await;
    assert_eq!(shop.db.fired().await, Vec::<String>::new());
    let states: Vec<String> =
        shop.db.column("select rule || ' ' || sqlstate from tradeflow.incidents order by rule").await;
    let expected: Vec<String> =
        attempts.iter().enumerate().map(|(i, (_, state))| format!("a{i:02} {state}")).collect();
    assert_eq!(states, expected);
    assert_eq!(
        shop.db.one::<String>("select concat_ws(' ', current_user, session_user)").await,
        "postgres postgres"
    );
    shop.db.sql("create temp table fine (id int); insert into log values ('me', 'fine')").await;
}

/// What a rule's function sets is undone: the writer's session goes on as it was.
#[tokio::test]
async fn a_rules_function_leaves_no_setting_behind() {
    let shop = Shop::open().await;
    shop.author(
        "create function leave() returns boolean language plpgsql stable as $$
         begin
           perform set_config('search_path', 'public', false);
           perform set_config('work_mem', '77MB', false);
           perform set_config('row_security', 'off', false);
           perform set_config('app.mine', 'was here', false);
           return true;
         end $$;
         create function leave_and_fail() returns boolean language plpgsql stable as $$ begin perform leave(); raise 'no'; end $$;
         create function leave_at_compile() returns boolean language plpgsql immutable as $$ begin perform leave(); return true; end $$;
         insert into tradeflow.rules (name, source, condition) values ('a', 'public.t', 'leave()'), ('b', 'public.t', 'leave_and_fail()');
         insert into tradeflow.rules (name, source, condition) values ('c', 'public.t', 'leave_at_compile() and tradeflow.setting(''x'') = ''y''');
         insert into tradeflow.rules (name, source, query) values ('d', 'public.t', 'select leave()')",
    )
    .await;
    let settings = "select concat_ws('|', current_setting('search_path'), current_setting('work_mem'), current_setting('row_security'), coalesce(current_setting('app.mine', true), ''))";
    let before: String = shop.db.one(settings).await;
    shop.db.sql("insert into tradeflow.settings (name, value) values ('x', 'y')").await;
    assert_eq!(shop.db.one::<String>(settings).await, before, "after compiling");
    shop.db.sql("insert into t values (1)").await;
    assert_eq!(shop.db.one::<String>(settings).await, before, "after asking");
    shop.db.sql("begin; set local work_mem = '5MB'; insert into t values (2)").await;
    assert_eq!(shop.db.one::<String>("select current_setting('work_mem')").await, "5MB");
    shop.db.sql("commit").await;
    // Those that call a function of somebody's are asked at the end of the statement, then the queries.
    assert_eq!(shop.db.fired().await, ["c 1", "a 1", "d 1", "c 2", "a 2", "d 2"]);
}

/// An immutable function is called while a rule is compiled, in the session of whoever is first: as the owner all the same.
#[tokio::test]
async fn constants_are_folded_as_the_owner() {
    let shop = Shop::open().await;
    shop.author(
        "create function who() returns text language plpgsql immutable as $$ begin return current_user; end $$;
         create function drop_it() returns boolean language plpgsql immutable as $$
         begin
           if session_user = 'postgres' then insert into public.log values (current_user, 'folded'); end if;
           return true;
         end $$;
         insert into tradeflow.rules (name, source, query, condition) values
           ('w', 'public.t', 'select who() as who', 'who() <> ''postgres'' and tradeflow.setting(''x'') is not null'),
           ('d', 'public.t', 'select 1 as one', 'drop_it() and tradeflow.setting(''x'') is not null')",
    )
    .await;
    // A superuser's change compiles the rules again, then its write does.
    shop.db.sql("insert into tradeflow.settings (name, value) values ('x', 'y')").await;
    shop.db.sql("insert into t values (1)").await;
    let who: Vec<String> =
        shop.db.column("select facts ->> 'who' from tradeflow.outbox where rule = 'w'").await;
    assert_eq!(who, std::slice::from_ref(&shop.author));
    let log: Vec<String> = shop.db.column("select distinct who from log").await;
    assert!(log.iter().all(|who| *who == shop.author), "{log:?}");
}

#[tokio::test]
async fn the_subscript_is_of_no_use_outside_the_triggers() {
    let shop = Shop::open().await;
    shop.db.rule("r", "public.t", "new.n > 5").await;
    shop.db.sql("insert into t values (1, 6)").await;
    shop.db.fired().await;
    for statement in [
        "select (1::oid::tradeflow.observer)[1]",
        "select (t.tableoid::tradeflow.observer)[1] from t",
        "select from t a join t b on (a.tableoid::tradeflow.observer)[2]",
        "create table x (id int check ((tableoid::tradeflow.observer)[1]))",
        "select * from t order by (tableoid::tradeflow.observer)[2]",
    ] {
        let error = shop.db.error(statement).await;
        assert!(error.message.contains("tradeflow.observer is for the triggers"), "{statement}: {error:?}");
    }
    // A trigger with a subscript that is not its event's says nothing, and crashes nothing.
    for (event, subscript) in
        [("insert", 2), ("insert", 3), ("update", 1), ("update", 3), ("delete", 1), ("delete", 2)]
    {
        let row = if event == "delete" { "old" } else { "new" };
        shop.db
            .sql(&format!(
                "create trigger odd after {event} on t for each row when (({row}.tableoid::tradeflow.observer)[{subscript}]) execute function tradeflow._flush();
                 insert into t values (2, 1); update t set n = 2 where id = 2; delete from t where id = 2; drop trigger odd on t"
            ))
            .await;
    }
    for wrong in ["[0]", "[4]", "[null::int]", "[1:2]", "[1][1]", "['x']"] {
        let created = shop.db.error(&format!(
            "create trigger odd after insert on t for each row when ((new.tableoid::tradeflow.observer){wrong}) execute function tradeflow._flush();
             insert into t values (3, 1)"
        ))
        .await;
        assert_ne!(created.code, "57P01", "{wrong}: {created:?}");
    }
    assert_eq!(shop.db.fired().await, Vec::<String>::new());
}

/// A rule's owner may grant itself nothing by being asked by others: definer functions run as who made them.
#[tokio::test]
async fn definer_functions_give_the_rule_what_their_owner_gave_and_no_more() {
    let shop = Shop::open().await;
    shop.db
        .sql(&format!(
            "create function count_secrets() returns bigint language sql stable security definer set search_path = public, pg_temp as 'select count(*) from public.secrets';
             revoke execute on function count_secrets() from public; grant execute on function count_secrets() to {}",
            shop.author
        ))
        .await;
    shop.author("insert into tradeflow.rules (name, source, condition) values ('r', 'public.t', 'count_secrets() = new.n')").await;
    let writer = shop.db.connect_as(&shop.writer, &shop.writer).await;
    writer.batch_execute("insert into t values (1, 1), (2, 2)").await.expect("it may insert");
    assert_eq!(shop.db.fired().await, ["r 1"]);
    let code = writer
        .batch_execute("select count_secrets()")
        .await
        .expect_err("not its own")
        .code()
        .map(|c| c.code().to_owned());
    assert_eq!(code.as_deref(), Some("42501"));
}
