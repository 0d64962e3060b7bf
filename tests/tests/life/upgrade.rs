//! `alter extension tradeflow update` from every version that was released.

use std::collections::BTreeSet;
use std::fs;

use super::fired;
use tradeflow_tests::cluster::project;
use tradeflow_tests::database::Database;

/// What a schema is made of, line by line; the order of columns is not part of it. An object's rights and comment are
/// lines of their own.
const OBJECTS: &str = "
    with objects as (
      select d.classid, d.objid from pg_depend d
      where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
        and d.refobjid = (select oid from pg_extension where extname = 'tradeflow')
    ), relations as (
      select c.oid, c.oid::regclass::text as name, c.relkind, c.relacl, c.reloptions, c.relpersistence
      from objects o join pg_class c on o.classid = 'pg_class'::regclass and c.oid = o.objid
    )
    select 'object ' || identity from objects, pg_identify_object(classid, objid, 0)
    union all
    select concat_ws(' ', 'relation', name, relkind, reloptions::text, relpersistence) from relations
    union all
    select concat_ws(' ', 'column', r.name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid))
    from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
    union all
    select concat_ws(' ', 'constraint', r.name, k.conname, pg_get_constraintdef(k.oid)) from relations r join pg_constraint k on k.conrelid = r.oid
    union all
    select pg_get_indexdef(i.indexrelid) from relations r join pg_index i on i.indrelid = r.oid
    union all
    select pg_get_triggerdef(t.oid) from relations r join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal
    union all
    select concat_ws(' ', 'view', r.name, pg_get_viewdef(r.oid)) from relations r where r.relkind = 'v'
    union all
    select pg_get_functiondef(o.objid) from objects o where o.classid = 'pg_proc'::regclass
    union all
    select concat_ws(' ', 'event trigger', e.evtname, e.evtevent, e.evtfoid::regproc, e.evtenabled, e.evttags::text)
    from objects o join pg_event_trigger e on o.classid = 'pg_event_trigger'::regclass and e.oid = o.objid
    union all
    select concat_ws(' ', 'right', r.name, coalesce(x.grantee::regrole::text, 'public'), x.privilege_type, x.is_grantable)
    from relations r, aclexplode(r.relacl) x
    union all
    select concat_ws(' ', 'right', p.oid::regprocedure, case x.grantee when 0 then 'public' else x.grantee::regrole::text end, x.privilege_type)
    from objects o join pg_proc p on o.classid = 'pg_proc'::regclass and p.oid = o.objid, aclexplode(p.proacl) x
    union all
    select concat_ws(' ', 'comment', i.identity, d.description)
    from objects o join pg_description d on (d.classoid, d.objoid) = (o.classid, o.objid), pg_identify_object(o.classid, o.objid, 0) i
    where d.objsubid = 0
    union all
    select concat_ws(' ', 'comment', r.name, a.attname, col_description(r.oid, a.attnum))
    from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    union all
    select concat_ws(' ', 'dumped', c.oid::regclass, c.condition)
    from pg_extension e, unnest(e.extconfig, e.extcondition) c(oid, condition) where e.extname = 'tradeflow'";

async fn objects(db: &Database) -> BTreeSet<String> {
    db.column::<String>(OBJECTS).await.into_iter().collect()
}

/// The versions with a frozen script, and the one that is built.
fn versions() -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(project().join("sql/upgrade"))
        .expect("the folder is there")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let version = name.strip_prefix("tradeflow--")?.strip_suffix(".sql")?;
            (!version.contains("--")).then(|| version.to_owned())
        })
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn an_updated_installation_is_like_a_new_one_and_keeps_its_data() {
    let fresh = Database::with_extension().await;
    let wanted = objects(&fresh).await;
    assert!(versions().contains(&"0.1.0".to_owned()));
    for version in versions() {
        let db = Database::empty().await;
        db.sql(&format!("create extension tradeflow version '{version}'")).await;
        // Written for 0.1.0; every later version understands it.
        let rows =
            fs::read_to_string(project().join("tests/tests/life/rows_0.1.0.sql")).expect("it is there");
        db.sql(&rows).await;

        db.sql("alter extension tradeflow update").await;
        let now = objects(&db).await;
        let missing: Vec<_> = wanted.difference(&now).collect();
        let more: Vec<_> = now.difference(&wanted).collect();
        assert!(now == wanted, "from {version}: missing {missing:#?}, more {more:#?}");
        let version: String = db.one("select tradeflow.version()").await;
        assert_eq!(version, fresh.one::<String>("select tradeflow.version()").await);

        // What was there is there, and works.
        assert_eq!(
            db.column::<String>("select state from tradeflow.outbox order by id").await,
            ["ready", "waiting", "dead"]
        );
        assert_eq!(
            db.column::<String>("select name from tradeflow.rules order by name").await,
            ["big", "timer"]
        );
        assert_eq!(db.one::<i64>("select count(*) from tradeflow.rule_versions").await, 1);
        assert_eq!(
            db.one::<i64>("select count(*) from tradeflow.rules r where not exists (select from tradeflow.dependencies d where d.rule = r.name and d.part <> 'source')").await,
            0,
            "what each rule reads is noted"
        );
        db.sql("insert into t values (2, 12, null)").await;
        assert_eq!(fired(&db).await, ["big 1", "timer 1", "big 9", "big 2", "timer 2"]);
        db.sql("select tradeflow.set_clock(now() + interval '2 hours'); select tradeflow.tick()").await;
        let claimed: Vec<String> = db
            .column("select rule || ' ' || subject from tradeflow.claim('me', 10, '1 minute') order by id")
            .await;
        assert_eq!(claimed, ["big 1", "big 2"], "the action of version 0.1.0 goes out");
        let timer: String =
            db.one("select state from tradeflow.firings where rule = 'timer' and subject = '1'").await;
        assert_eq!(timer, "done");
        db.sql("truncate t").await;
        db.sql("drop extension tradeflow cascade").await;
    }
}

#[tokio::test]
async fn before_the_update_writes_are_refused_with_what_to_do() {
    let db = Database::empty().await;
    db.sql("create extension tradeflow version '0.1.0'; create table t (id int primary key, n int); select tradeflow.watch('t')").await;
    // The library is the new one already. Not to ask the rules would lose what they would have said.
    let refused = db.error("insert into t values (1, 1)").await;
    assert_eq!(refused.code, "55000");
    assert!(refused.hint.contains("alter extension tradeflow update"), "{refused:?}");
    db.sql("alter extension tradeflow update; insert into t values (1, 1)").await;
}
