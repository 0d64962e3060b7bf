//! Changes about which a view need not be asked: those of columns that neither it nor the mapping reads. A match is never lost for it.

use std::fmt::Write;

use tradeflow_tests::database::Database;
use tradeflow_tests::random::Random;

/// Orders and companies, each with a column that changes and is nobody's business.
async fn shop() -> Database {
    let db = Database::with_extension().await;
    db.watch(
        "orders",
        "id int primary key, company int, total numeric, status int, note text, placed int,
         twice numeric generated always as (total * 2) stored, touched int default 0",
    )
    .await;
    db.watch("companies", "id int primary key, parent int, name text, grp int, touched int default 0").await;
    db
}

/// A rule whose view has this text, asked when orders or companies change.
async fn rule(db: &Database, name: &str, view: &str) {
    db.sql(&format!("create view {name} as {view}; insert into tradeflow.rules (name, view, max_firings, max_per_subject) values ('{name}', '{name}', 1000000, 1000000)")).await;
    input(db, name, "orders", "new.company").await;
    input(db, name, "companies", "new.id").await;
}

async fn input(db: &Database, rule: &str, source: &str, subject: &str) {
    db.sql(&format!(
        "insert into tradeflow.rule_inputs (rule, source, subject) values ('{rule}', '{source}', $${subject}$$)
         on conflict (rule, source) do update set subject = excluded.subject"
    ))
    .await;
}

/// Whether a view is asked because of a statement: it leaves a row of view_checks to its transaction's end then.
async fn asks(db: &Database, statement: &str) -> bool {
    const CHECKS: &str =
        "select case when is_called then last_value else 0 end from tradeflow.view_checks_id_seq";
    let before: i64 = db.one(CHECKS).await;
    db.sql(statement).await;
    db.one::<i64>(CHECKS).await > before
}

const TOUCH_ORDERS: &str = "update orders set touched = touched + 1";
const TOUCH_COMPANIES: &str = "update companies set touched = touched + 1";

async fn filled() -> Database {
    let db = shop().await;
    db.sql("insert into companies (id, name, grp) select i, 'c' || i, i % 3 from generate_series(1, 5) i")
        .await;
    db.sql("insert into orders (id, company, total, status, placed) select i, i % 5 + 1, i, i % 3, i from generate_series(1, 20) i").await;
    db
}

#[tokio::test]
async fn a_column_counts_wherever_the_view_reads_it() {
    let db = filled().await;
    db.sql("create view inner_sums as select company, sum(total) as spent from orders where placed > 0 group by company").await;
    // The view, and the columns of orders that it reads.
    let views = [
        ("selected", "select company as subject, note from orders", "company note"),
        ("filtered", "select company as subject from orders where status = 1", "company status"),
        ("joined", "select c.id as subject from companies c join orders o on o.company = c.id and o.status = c.grp", "company status"),
        ("joined_using", "select grp as subject from companies join (select company as id, status as grp from orders) o using (id, grp)", "company status"),
        ("in_a_subquery", "select c.id as subject from companies c where exists (select from orders o where o.company = c.id and o.note = c.name)", "company note"),
        ("in_a_list", "select c.id as subject, (select max(o.total) from orders o where o.company = c.id) as most from companies c", "company total"),
        ("nested", "select company as subject from inner_sums where spent > 5", "company placed total"),
        ("with_query", "with sums as (select company, max(note) as note from orders group by 1) select company as subject from sums where note is null", "company note"),
        ("generated", "select company as subject from orders where twice > 10", "company twice total"),
        ("ordered", "select distinct on (company) company as subject, total from orders order by company, placed desc", "company placed total"),
        ("windowed", "select company as subject, id::text as occurrence, sum(total) over (partition by company order by placed) as so_far from orders", "company placed total"),
        ("unioned", "select company as subject from orders where status = 1 union select id from companies where grp = 1", "company status"),
        ("not_there", "select c.id as subject from companies c left join orders o on o.company = c.id and o.total > 3 where o.id is null", "company total"),
        ("counted", "select company as subject, count(*) as orders from orders group by company", "company"),
        ("ours", "select company as subject from orders where tradeflow.matches(array[1, 2], status) and total > coalesce(tradeflow.setting('least')::int, 0)", "company status total"),
        ("timed", "select company as subject, tradeflow.now() + interval '1 day' as recheck_at from orders where placed < extract(epoch from now())", "company placed"),
        ("whole", "select company as subject, md5(o::text) as occurrence from orders o", "*"),
        ("a_row_as_facts", "select company as subject, to_jsonb(o) as all_of_it from orders o", "*"),
        ("starred", "select company as subject, o.* from orders o", "*"),
        ("by_place", "select company as subject, ctid::text as occurrence from orders", "*"),
    ];
    db.sql("insert into tradeflow.settings (name, value) values ('least', '1')").await;
    for (name, view, reads) in views {
        rule(&db, name, view).await;
        for column in ["company", "total", "status", "note", "placed", "touched"] {
            let value = if column == "note" {
                "coalesce(note, '') || 'x'".to_string()
            } else {
                format!("{column} + 0 + 1")
            };
            let asked = asks(&db, &format!("update orders set {column} = {value} where id = 7")).await;
            let read = reads == "*" || reads.split(' ').any(|c| c == column);
            assert_eq!(asked, read, "{name}: {column}");
        }
        db.sql(&format!("delete from tradeflow.rules where name = '{name}'; drop view {name}; update orders set company = company % 5 + 1")).await;
    }
}

/// What is read is not known, or it is the view's author who asks for every change.
#[tokio::test]
async fn where_it_is_not_certain_every_change_counts() {
    let db = filled().await;
    db.sql(
        "create function spent(int) returns numeric language sql stable as 'select sum(total) from orders where company = $1';
         create function pure(int) returns int language sql immutable as 'select $1';
         create function remembered(state int, more int) returns int language sql stable as 'select coalesce(state, 0) + more';
         create aggregate remembering(int) (sfunc = remembered, stype = int);
         create domain positive as int check (value > 0)",
    )
    .await;
    let uncertain = [
        ("by_function", "select id as subject from companies where spent(id) > 5"),
        ("by_aggregate", "select company as subject, remembering(status) as sum from orders group by 1"),
        ("by_domain", "select company::positive as subject from orders"),
        ("by_sample", "select company as subject from orders tablesample system (100) repeatable (1)"),
        ("by_clock", "select company as subject from orders where to_timestamp(placed) < now()"),
        ("by_our_clock", "select company as subject from orders where to_timestamp(placed) < tradeflow.now()"),
        ("by_day", "select company as subject from orders where to_timestamp(placed) < current_date"),
        ("by_age", "select company as subject from orders where age(to_timestamp(placed)) > interval '1 day'"),
        ("by_session", "select company as subject from orders where note is distinct from current_setting('application_name')"),
        ("by_name", "select id as subject, table_to_xml('orders', false, false, '')::text as all_of_it from companies"),
        ("of_others", "select id as subject from companies where grp = 1"),
    ];
    for (name, view) in uncertain {
        rule(&db, name, view).await;
        assert!(asks(&db, TOUCH_ORDERS).await, "{name}");
        db.sql(&format!("delete from tradeflow.rules where name = '{name}'; drop view {name}")).await;
    }
    rule(&db, "certain", "select company as subject from orders where pure(status) = 1").await;
    assert!(!asks(&db, TOUCH_ORDERS).await);
    // A row of companies is read by nobody: who named the table wants to hear of it.
    assert!(asks(&db, TOUCH_COMPANIES).await);
}

#[tokio::test]
async fn what_the_mapping_reads_counts_as_well() {
    let db = filled().await;
    rule(&db, "by_company", "select company as subject from orders where status = 1").await;
    assert!(!asks(&db, "update orders set note = 'x'").await);
    for subject in [
        "case when new.note is not null then new.company end",
        "select new.company where new.note is not null",
        "select o.company from orders o where o.note is distinct from new.company::text and o.id = new.id",
        "select (to_jsonb(new) ->> 'company')::int",
    ] {
        input(&db, "by_company", "orders", subject).await;
        assert!(asks(&db, "update orders set note = coalesce(note, '') || 'y'").await, "{subject}");
    }
    input(&db, "by_company", "orders", "select c.id from companies c where c.id = new.company").await;
    assert!(!asks(&db, "update orders set note = coalesce(note, '') || 'z'").await);
    assert!(asks(&db, "update orders set company = company % 5 + 1").await);
}

/// Whoever keeps what is compiled hears of it when the view, or what it reads, becomes another.
#[tokio::test]
async fn a_view_that_is_replaced_counts_as_it_is_then() {
    let db = filled().await;
    let other = db.connect().await;
    let elsewhere = async |sql: &str| other.batch_execute(sql).await.expect(sql);
    db.sql("create view below as select company, status from orders").await;
    rule(&db, "r", "select company as subject from below where status = 1").await;
    assert!(!asks(&db, TOUCH_ORDERS).await);
    // In the session that has compiled it, and in another one.
    db.sql("create or replace view r as select o.company as subject from orders o where o.touched > 3").await;
    assert!(asks(&db, TOUCH_ORDERS).await);
    elsewhere("create or replace view r as select company as subject from below where status = 1").await;
    assert!(!asks(&db, TOUCH_ORDERS).await);
    elsewhere("create or replace view below as select company, status from orders where touched > 3").await;
    assert!(asks(&db, TOUCH_ORDERS).await);
    elsewhere("create or replace view below as select company, status from orders").await;
    assert!(!asks(&db, TOUCH_ORDERS).await);
    // A transaction that replaces it, and then does not.
    db.sql("begin; create or replace view below as select company, status from orders where touched > 3")
        .await;
    assert!(asks(&db, TOUCH_ORDERS).await);
    db.sql("rollback").await;
    assert!(!asks(&db, TOUCH_ORDERS).await);

    elsewhere("alter table orders rename touched to moved; alter table orders rename status to touched")
        .await;
    assert!(!asks(&db, "update orders set moved = moved + 1").await);
    assert!(asks(&db, TOUCH_ORDERS).await);
    elsewhere("alter table orders rename touched to status; alter table orders rename moved to touched")
        .await;
    elsewhere("alter table orders drop column note, add column note text").await;
    assert!(!asks(&db, "update orders set note = 'z', touched = touched + 1").await);

    // A function that begins to read tables.
    db.sql("create function plain(int) returns int language sql immutable as 'select $1'").await;
    elsewhere("create or replace view r as select company as subject from orders where plain(status) = 1")
        .await;
    assert!(!asks(&db, TOUCH_ORDERS).await);
    elsewhere("create or replace function plain(int) returns int language sql stable as 'select max(touched) from orders where status = $1'").await;
    assert!(asks(&db, TOUCH_ORDERS).await);
    elsewhere("create or replace view r as select company as subject from below where status = 1").await;
    assert!(!asks(&db, TOUCH_ORDERS).await);

    // Row security on a table that the view reads: a policy may look at anything.
    elsewhere("alter table orders enable row level security").await;
    assert!(asks(&db, TOUCH_ORDERS).await);
}

/// For whoever reads one partition, a row that moves there is a new one, whatever column made it move.
#[tokio::test]
async fn a_partition_counts_by_its_own_name_too() {
    let db = Database::with_extension().await;
    db.sql(
        "create table sales (id int, region text, company int, total int, touched int default 0, primary key (id, region)) partition by list (region);
         create table sales_eu (touched int default 0, total int, id int not null, company int, region text not null);
         alter table sales attach partition sales_eu for values in ('eu');
         create table sales_us partition of sales for values in ('us');
         select tradeflow.watch('sales', key => '{id}');
         create view all_sales as select company as subject, sum(total) as total from sales group by 1 having sum(total) > 10;
         create view eu_sales as select company as subject from sales_eu;
         insert into tradeflow.rules (name, view) values ('all_sales', 'all_sales');
         insert into tradeflow.rule_inputs (rule, source, subject) values ('all_sales', 'sales', 'new.company');
         insert into sales values (1, 'eu', 7, 5), (2, 'us', 7, 4)",
    )
    .await;
    assert!(!asks(&db, "update sales set touched = touched + 1").await);
    assert!(!asks(&db, "update sales set region = case region when 'eu' then 'us' else 'eu' end").await);
    assert!(asks(&db, "update sales set total = total + 1 where id = 1").await);
    assert!(asks(&db, "update sales set total = total + 1 where id = 2").await);
    db.sql(
        "insert into tradeflow.rules (name, view) values ('eu_sales', 'eu_sales');
         insert into tradeflow.rule_inputs (rule, source, subject) values ('eu_sales', 'sales', 'select new.company')",
    )
    .await;
    db.sql("update sales set region = 'us'").await;
    const IN_EUROPE: &str = "select count(*) from tradeflow.members where rule = 'eu_sales'";
    assert_eq!(db.one::<i64>(IN_EUROPE).await, 0);
    db.sql("update sales set region = 'eu' where id = 1").await;
    assert_eq!(db.one::<i64>(IN_EUROPE).await, 1);
}

/// Views of every make over random changes: who is in is whom the view has, whatever was skipped.
#[tokio::test]
async fn members_are_whom_the_views_have_after_random_changes() {
    let db = shop().await;
    let (mut random, seed) = Random::seeded(5);
    db.sql(
        "create function spent(int) returns numeric language sql stable as 'select sum(total) from orders where company = $1';
         create view sums as select company, sum(total) as spent, max(status) as status from orders where placed > 2 group by company",
    )
    .await;
    let views = [
        "select company as subject, sum(total) as spent from orders group by company having sum(total) >= 12",
        "select distinct c.id as subject from companies c join orders o on o.company = c.id and o.status = c.grp",
        "select c.id as subject from companies c where exists (select from orders o where o.company = c.id and o.note = c.name)",
        "select company as subject, status::text as occurrence from sums where spent > 5",
        "select id as subject from companies where spent(id) > 8",
        "select company as subject, md5((o.id, o.status, o.note)::text) as occurrence from orders o where total > 3",
        "select company as subject, md5(o::text) as occurrence from orders o where status = 1",
        "select company as subject, id::text as occurrence from orders where twice > 9",
        "select c.id as subject from companies c left join orders o on o.company = c.id and o.status = 2 where o.id is null",
        "select c.id as subject from companies c cross join lateral (select o.status from orders o where o.company = c.id order by o.placed desc nulls last, o.id limit 1) l where l.status = 1",
        "select company as subject from orders where status = 0 union select id from companies where name = 'b'",
        "select p.id as subject, count(*) as children from companies p join companies c on c.parent = p.id where c.grp > 0 group by 1",
        "with recursive up(id, top) as (select id, id from companies where parent is null union select c.id, u.top from companies c join up u on c.parent = u.id and u.id < c.id) select distinct top as subject from up join orders o on o.company = up.id where o.total > 4",
        "select grp as subject from companies c natural join (select company as id, max(status) as grp from orders group by 1) x",
        "select company as subject, x.k as occurrence from orders o cross join lateral unnest(string_to_array(o.note || ',' || coalesce(o.status::text, ''), ',')) x(k) where x.k <> ''",
        "select company as subject from orders group by grouping sets ((company, status), (company)) having count(*) > 2 and company is not null",
        "select id as subject from companies c where (c.grp, c.name) in (select o.status, o.note from orders o where o.company = c.id)",
    ];
    for (number, view) in views.iter().enumerate() {
        rule(&db, &format!("v{number}"), view).await;
        let occurrence = if view.contains("occurrence") { "occurrence" } else { "''" };
        let mut check =
            format!("create view wrong{number} as select 'v{number}' as rule, subject, occurrence from (");
        let _ = write!(
            check,
            "(select subject::text, {occurrence} as occurrence from v{number} where subject is not null except select subject, occurrence from tradeflow.members where rule = 'v{number}')
             union (select subject, occurrence from tradeflow.members where rule = 'v{number}' except select subject::text, {occurrence} from v{number} where subject is not null)) x"
        );
        db.sql(&check).await;
    }
    // A company counts for its parent, before and after.
    input(&db, "v11", "companies", "select unnest(array[new.id, new.parent])").await;
    // Of a tree, or where the subject is no company, anybody may be concerned.
    for source in ["orders", "companies"] {
        input(&db, "v12", source, "select id from companies").await;
        input(&db, "v13", source, "select generate_series(0, 5)").await;
    }
    let wrong = (0..views.len())
        .map(|n| format!("select format('%s %s %s', rule, subject, occurrence) from wrong{n}"))
        .collect::<Vec<_>>()
        .join(" union all ");
    db.sql("insert into companies (id, name) select i, 'a' from generate_series(1, 8) i").await;
    let value = |random: &mut Random, column: &str| match column {
        "company" | "parent" => random.pick(&["1", "2", "3", "4", "null"]).to_string(),
        "note" | "name" => random.pick(&["'a'", "'b'", "null"]).to_string(),
        "touched" => "touched + 1".to_string(),
        _ => random.pick(&["0", "1", "2", "3", "5", "null"]).to_string(),
    };
    for round in 0..150 {
        let mut statements = Vec::new();
        for _ in 0..=random.below(3) {
            let id = random.below(12);
            let statement = match random.below(10) {
                0 => format!("delete from orders where id = {id}"),
                1 | 2 => {
                    let values: Vec<String> = ["company", "total", "status", "note", "placed"]
                        .map(|c| value(&mut random, c))
                        .to_vec();
                    format!(
                        "insert into orders (id, company, total, status, note, placed) values ({id}, {})
                         on conflict (id) do update set company = excluded.company, total = excluded.total, touched = orders.touched + 1",
                        values.join(", ")
                    )
                }
                3..=6 => {
                    let column = random.pick(&["company", "total", "status", "note", "placed", "touched"]);
                    let to = value(&mut random, column);
                    let rows = if random.below(4) == 0 { "true".to_string() } else { format!("id = {id}") };
                    format!("update orders set {column} = {to} where {rows}; update orders set touched = touched + 1 where {rows}")
                }
                _ => {
                    let column = random.pick(&["parent", "name", "grp"]);
                    let to = value(&mut random, column);
                    format!(
                        "update companies set {column} = {to}, touched = touched + 1 where id = {}",
                        random.below(8) + 1
                    )
                }
            };
            statements.push(statement);
        }
        db.sql(&format!("begin; {}; commit", statements.join("; "))).await;
        let found: Vec<String> = db.column(&wrong).await;
        assert!(found.is_empty(), "TRADEFLOW_SEED={seed}, round {round}, {statements:#?}: {found:?}");
    }
    assert!(db.one::<i64>("select count(*) from tradeflow.members").await > 5);
    assert_eq!(db.incidents().await, Vec::<String>::new());
}
