//! Kinds whose effect is in the database: `sql`, `task`, `storefront_message`.

use serde_json::json;

use super::scene::Scene;

async fn scene() -> Scene {
    Scene::new("none", String::new(), "unused").await
}

#[tokio::test]
async fn a_function_is_called_once_as_the_owner_and_its_result_is_read_by_later_steps() {
    let scene = scene().await;
    let author = scene.db.role(&["tradeflow_author"]).await;
    scene
        .db
        .sql(&format!(
            "create table calls (id int, who name, n numeric, doc jsonb);
             create function pick(id int, n numeric, doc jsonb default null) returns text language sql as $$
               insert into public.calls values (id, current_user, n, doc) returning 'rep ' || id $$;
             revoke execute on function pick from public;
             grant insert, select on calls to {author};
             grant execute on function pick to {author};
             grant select on jobs to {author};
             set role {author};
             insert into tradeflow.rules (name, source, condition) values ('picks', 'public.jobs', 'new.id = 500');
             insert into tradeflow.actions (rule, step, name, kind, params) values
               ('picks', 1, 'pick', 'sql', '{{\"function\": \"public.pick\", \"args\": {{\"id\": \"{{{{ facts.id }}}}\", \"n\": 10.10, \"doc\": {{\"a\": [1]}}}}}}'),
               ('picks', 2, 'ask', 'task', '{{\"pool\": \"sales\", \"title\": \"Greet {{{{ steps.pick.value }}}}?\", \"options\": [\"yes\", \"no\"], \"due_in\": \"2 days\"}}');
             reset role;
             insert into jobs values (500)"
        ))
        .await;
    scene
        .db
        .until("select count(*) = 2 from tradeflow.outbox_history where rule = 'picks' and state = 'done'")
        .await;
    let call: String = scene.db.one("select concat_ws(' ', id, who, n, doc) from calls").await;
    assert_eq!(call, format!("500 {author} 10.10 {{\"a\": [1]}}"));
    let task: String = scene
        .db
        .one("select concat_ws('|', pool, title, rule, subject, due_at > now()) from tradeflow.tasks")
        .await;
    assert_eq!(task, "sales|Greet rep 500?|picks|500|t");
    assert!(scene.db.error("select tradeflow.decide(1, 'maybe')").await.hint.contains("yes, no"));
    assert!(scene.db.one::<bool>("select tradeflow.decide(1, 'yes', 'known')").await);
    assert!(!scene.db.one::<bool>("select tradeflow.decide(1, 'no')").await);
}

#[tokio::test]
async fn a_step_that_is_not_wanted_is_passed_over() {
    let scene = scene().await;
    scene
        .db
        .sql(
            r#"insert into tradeflow.rules (name, source, condition) values ('asks', 'public.jobs', 'new.id = 500');
               insert into tradeflow.actions (rule, step, name, kind, params) values
                 ('asks', 1, 'no', 'task', '{"when": "{{ facts.id > 500 }}", "pool": "a", "title": "{{ steps.nothing.there }}"}'),
                 ('asks', 2, 'yes', 'task', '{"when": "{{ steps.no.skipped == ''when'' }}", "pool": "b", "title": "x"}');
               insert into jobs values (500)"#,
        )
        .await;
    scene
        .db
        .until("select count(*) = 2 from tradeflow.outbox_history where rule = 'asks' and state = 'done'")
        .await;
    assert_eq!(scene.db.column::<String>("select pool from tradeflow.tasks").await, ["b"]);
    let error = scene
        .db
        .error(
            r#"update tradeflow.actions set params = params || '{"when": "sometimes"}' where rule = 'asks'"#,
        )
        .await;
    assert_eq!(error.code, "22023");
    assert!(error.message.contains("params.when"), "{}", error.message);
}

#[tokio::test]
async fn a_functions_error_undoes_it_and_what_it_may_not_do_it_does_not() {
    let scene = scene().await;
    let author = scene.db.role(&["tradeflow_author"]).await;
    scene
        .db
        .sql(&format!(
            "create table calls (id int); create table secret (id int);
             grant insert, select on calls to {author}; grant select on jobs to {author};
             create function fails() returns void language plpgsql as $$ begin insert into calls values (1); raise 'not this one'; end $$;
             create function steals() returns bigint language sql as $$ select count(*) from public.secret $$;
             create function escapes() returns void language plpgsql as $$ begin set role postgres; end $$;
             create function slow() returns void language sql as $$ select pg_sleep(60) $$;
             create function nothing() returns void language sql as $$ insert into public.calls values (2) $$;"
        ))
        .await;
    let owned = |rule: String| async {
        scene.db.sql(&format!("update tradeflow.rules set owner = '{author}' where name = '{rule}'")).await;
        rule
    };
    for (function, said) in [
        ("fails", "not this one"),
        ("steals", "permission denied"),
        ("escapes", "security"),
        ("absent", "does not exist"),
    ] {
        let params = json!({"function": format!("public.{function}")});
        // Held back until the owner is the author.
        scene.db.sql("select tradeflow.pause_kind('sql')").await;
        let rule = owned(scene.fire("sql", &params).await).await;
        scene.db.sql("select tradeflow.resume_kind('sql')").await;
        let error = scene.end(&rule).await.dead();
        assert!(error.contains(said), "{function}: {error}");
    }
    assert_eq!(scene.db.one::<i64>("select count(*) from calls").await, 0, "what failed left nothing");
    let end = scene.run("sql", json!({"function": "public.nothing"})).await;
    assert_eq!(end.done()["value"], json!(null));
    assert_eq!(scene.db.one::<i64>("select count(*) from calls").await, 1);
    // One that takes longer than half the lease is ended, and tried again.
    let rule = scene.fire("sql", &json!({"function": "public.slow"})).await;
    scene.db.until(&format!("select coalesce(bool_or(error like '%timeout%'), false) from tradeflow.outbox where rule = '{rule}'")).await;
    assert!(scene.db.error("insert into tradeflow.actions (rule, step, kind, params) values ('rule_1', 2, 'sql', '{\"function\": \"f(); drop table x\"}')").await.message.contains("schema.function"));
}

#[tokio::test]
async fn a_lease_that_was_lost_leaves_nothing() {
    let scene = scene().await;
    scene.db.sql("create table calls (id int); select tradeflow.pause_kind('sql');").await;
    scene
        .db
        .sql("create function note() returns void language sql as $$ insert into public.calls values (1) $$")
        .await;
    let rule = scene.fire("sql", &json!({"function": "public.note"})).await;
    // As a sidecar that was away too long: the attempt it holds is not the one that counts.
    scene
        .db
        .sql(&format!(
            "select tradeflow.tick(); update tradeflow.outbox set state = 'running', attempt = 2, worker = 'x', lease_until = now() + interval '1 hour' where rule = '{rule}'"
        ))
        .await;
    let refused: bool = scene.db.one(&format!("select tradeflow.execute(id, 1, '{{\"function\": \"public.note\"}}') is null from tradeflow.outbox where rule = '{rule}'")).await;
    assert!(refused);
    assert_eq!(scene.db.one::<i64>("select count(*) from calls").await, 0);
    let done: String = scene.db.one(&format!("select tradeflow.execute(id, 2, '{{\"function\": \"public.note\"}}')::text from tradeflow.outbox where rule = '{rule}'")).await;
    assert_eq!(done, r#"{"value": null}"#);
    assert_eq!(scene.db.one::<i64>("select count(*) from calls").await, 1);
}

#[tokio::test]
async fn a_message_is_replaced_and_taken_away_by_its_key() {
    let scene = scene().await;
    let message = |text: &str| json!({"key": "minimum", "customer_id": 5, "page": "quote:1", "level": "warning", "text": text});
    scene.run("storefront_message", message("first")).await.done();
    scene.run("storefront_message", message("second")).await.done();
    let shown: Vec<String> = scene.db.column("select text from tradeflow.messages_for(5, null)").await;
    assert_eq!(shown, ["second"]);
    assert!(scene.db.column::<String>("select text from tradeflow.messages_for(6, null)").await.is_empty());
    scene.run("storefront_message", json!({"key": "minimum", "remove": true})).await.done();
    assert!(scene.db.column::<String>("select text from tradeflow.messages_for(5, null)").await.is_empty());
    // For a company's buyers, until a time.
    scene
        .db
        .sql("insert into store.company_users (b2b_user_id, company_id, bc_customer_id) values (1, 60, 5)")
        .await;
    scene
        .run("storefront_message", json!({"company_id": 60, "text": "to all", "expires_in": "1 hour"}))
        .await
        .done();
    assert_eq!(
        scene.db.column::<String>("select text from tradeflow.messages_for(5, null)").await,
        ["to all"]
    );
    scene.db.sql("select tradeflow.set_clock(now() + interval '2 hours')").await;
    assert!(scene.db.column::<String>("select text from tradeflow.messages_for(5, null)").await.is_empty());
    // For nobody: refused when it is written; dead when it turns out so, and nobody whose token names no address reads it.
    let nobody = "insert into tradeflow.actions (rule, step, kind, params) values ('rule_1', 2, 'storefront_message', '{\"text\": \"x\"}')";
    let refused = scene.db.error(nobody).await;
    assert_eq!(refused.code, "22023");
    assert!(refused.message.contains("\"customer_id\""), "{}", refused.message);
    for (params, said) in [
        (json!({"email": "{{ facts.doc.none }}", "text": "to nobody"}), "for whom"),
        (json!({"customer_id": 5, "text": "{{ facts.doc.none }}"}), "what is to be shown"),
    ] {
        let rule = scene.fire_with("storefront_message", &params, &json!({"none": ""})).await;
        let error = scene.end(&rule).await.dead();
        assert!(error.contains(said), "{error}");
    }
    assert!(scene.db.column::<String>("select text from tradeflow.messages_for(7, '')").await.is_empty());
    scene
        .run("storefront_message", json!({"email": "Ada@Example.com", "text": "to an address"}))
        .await
        .done();
    let shown =
        scene.db.column::<String>("select text from tradeflow.messages_for(7, 'ada@example.com')").await;
    assert_eq!(shown, ["to an address"]);
}

#[tokio::test]
async fn a_rule_answers_to_a_decided_task_and_to_one_whose_time_has_passed() {
    let scene = scene().await;
    let author = scene.db.role(&["tradeflow_author"]).await;
    scene
        .db
        .sql(&format!(
            "set role {author};
             select tradeflow.watch('tradeflow.tasks');
             insert into tradeflow.rules (name, source, condition) values
               ('decided', 'tradeflow.tasks', $$ new.outcome = 'yes' $$);
             insert into tradeflow.rules (name, source, condition, fire_at) values
               ('overdue', 'tradeflow.tasks', 'new.decided_at is null and new.due_at is not null', 'new.due_at');
             reset role"
        ))
        .await;
    for n in 1..=2 {
        let rule = scene.fire("task", &json!({"pool": "sales", "title": format!("Task {n}"), "options": ["yes", "no"], "due_in": "2 days"})).await;
        scene.end(&rule).await.done();
    }
    assert!(scene.db.one::<bool>("select tradeflow.decide(min(id), 'yes') from tradeflow.tasks").await);
    scene.db.until("select count(*) = 1 from tradeflow.firings where rule = 'decided'").await;
    scene.db.sql("select tradeflow.set_clock(now() + interval '3 days'); select tradeflow.tick()").await;
    assert_eq!(
        scene
            .db
            .column::<String>(
                "select facts ->> 'title' from tradeflow.firings where rule = 'overdue' and state = 'done'"
            )
            .await,
        ["Task 2"]
    );
    // An extension's table keeps no trigger in a dump; tick() makes it anew.
    scene.db.sql("drop trigger tradeflow_insert on tradeflow.tasks; select tradeflow.tick()").await;
    let triggers = "select count(*) from pg_trigger where tgrelid = 'tradeflow.tasks'::regclass and tgname = 'tradeflow_insert'";
    assert_eq!(scene.db.one::<i64>(triggers).await, 1);
    let refused = scene.db.error("select tradeflow.watch('tradeflow.settings')").await;
    assert_eq!(refused.code, "42809");
}
