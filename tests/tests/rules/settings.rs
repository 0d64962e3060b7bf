//! Settings, which every session keeps until they change.

use tradeflow_tests::database::Database;

const LIMIT: &str = "select coalesce(tradeflow.setting('limit'), 'none')";

#[tokio::test]
async fn a_setting_is_what_it_was_set_to_last() {
    let db = Database::with_extension().await;
    let other = db.connect().await;
    let elsewhere = async |sql: &str| other.batch_execute(sql).await.expect(sql);
    let limit = async || db.one::<String>(LIMIT).await;
    db.sql("insert into tradeflow.settings (name, value) values ('limit', '1'), ('other', 'x')").await;
    assert_eq!(limit().await, "1");
    db.sql("update tradeflow.settings set value = '2' where name = 'limit'").await;
    assert_eq!(limit().await, "2");
    elsewhere("insert into tradeflow.settings (name, value) values ('limit', '3') on conflict (name) do update set value = excluded.value").await;
    assert_eq!(limit().await, "3");

    // What a transaction sets is its own until it commits, and nobody's when it does not.
    db.sql("begin; update tradeflow.settings set value = '4' where name = 'limit'").await;
    assert_eq!(limit().await, "4");
    assert_eq!(other.query_one(LIMIT, &[]).await.expect("it reads").get::<_, String>(0), "3");
    db.sql("savepoint s; update tradeflow.settings set value = '5' where name = 'limit'").await;
    assert_eq!(limit().await, "5");
    db.sql("rollback to s").await;
    assert_eq!(limit().await, "4");
    db.sql("rollback").await;
    assert_eq!(limit().await, "3");
    // Within one statement of somebody's function, too.
    db.sql("create function set_and_get() returns text language plpgsql as $$ begin
              update tradeflow.settings set value = '6' where name = 'limit'; return tradeflow.setting('limit'); end $$")
        .await;
    assert_eq!(db.one::<String>("select set_and_get()").await, "6");

    elsewhere("delete from tradeflow.settings where name = 'limit'").await;
    let error = db.error(LIMIT).await;
    assert_eq!(error.code, "42704");
    assert_eq!(error.message, r#"setting "limit" does not exist"#);
    assert_eq!(error.hint, "insert into tradeflow.settings (name, value) values ('limit', '…');");
    db.sql("insert into tradeflow.settings (name, value) values ('limit', '7')").await;
    assert_eq!(limit().await, "7");
    elsewhere("truncate tradeflow.settings").await;
    assert_eq!(db.error(LIMIT).await.code, "42704");
    assert_eq!(db.one::<Option<String>>("select tradeflow.setting(null)").await, None);
}
