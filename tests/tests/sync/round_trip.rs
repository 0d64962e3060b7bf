//! All the way round: the store changes, the sync brings it, a rule fires, an action changes the store, the sync brings that too,
//! and there it ends: our own write coming back is a change, and no loop.

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_tests::database::Database;
use tradeflow_tests::jobs::Target;
use tradeflow_tests::sidecar::Sidecar;

use super::shop::once;

struct Round {
    db: Database,
    shop: BigCommerce,
    _sidecar: Sidecar,
}

impl Round {
    /// A store that was synced, rules that act on it, and a sidecar.
    async fn with(rules: &str) -> Round {
        let (db, shop) = (Database::with_store().await, BigCommerce::start());
        once(&db, &shop, &[]);
        let base_url = format!("{}/stores/{}", shop.url(), shop.store_hash());
        let target = Target {
            system: "bigcommerce",
            base_url,
            secret: Some("env:BIGCOMMERCE_TEST"),
            ..Target::default()
        };
        target.insert(&db, "shop").await;
        db.sql(rules).await;
        let sidecar = Sidecar::command(&db).env("BIGCOMMERCE_TEST", &shop.token()).start();
        Round { db, shop, _sidecar: sidecar }
    }

    /// Syncs, and waits until nothing is left to be done.
    async fn turn(&self) {
        once(&self.db, &self.shop, &[]);
        self.db.until("select not exists (select from tradeflow.outbox where state in ('ready', 'running', 'waiting'))").await;
    }

    /// Every firing so far: rule, subject, state, and whether nothing had to be written.
    async fn fired(&self) -> Vec<String> {
        self.db
            .column(
                "select format('%s %s %s %s', rule, subject, state, result ->> 'skipped') from (
                   select id, rule, subject, state, result from tradeflow.outbox
                   union all select id, rule, subject, state, result from tradeflow.outbox_history) f
                 order by id",
            )
            .await
    }

    /// How many requests wrote something.
    fn writes(&self) -> usize {
        self.shop.requests().iter().filter(|r| r.method != "GET" && r.status < 300).count()
    }

    /// Further turns change nothing, neither here nor there.
    async fn is_at_rest(&self) {
        let (fired, writes) = (self.fired().await, self.writes());
        for _ in 0..2 {
            let summary = once(&self.db, &self.shop, &[]);
            assert_eq!((summary.all("inserted"), summary.all("updated"), summary.all("deleted")), (0, 0, 0));
            self.turn().await;
        }
        assert_eq!((self.fired().await, self.writes()), (fired, writes));
        let wrong: Vec<String> = self.db.column("select message from tradeflow.incidents").await;
        assert_eq!(wrong, Vec::<String>::new());
    }
}

/// The rule still holds for what its own action wrote, and looks at every change.
#[tokio::test]
async fn a_quote_that_an_action_changes_comes_back_and_ends_there() {
    let round = Round::with(
        "insert into tradeflow.rules (name, source, events, condition, fires)
           values ('too_cheap', 'store.quotes', '{update}', 'new.grand_total < 5', 'always');
         insert into tradeflow.actions (rule, kind, target, params) values ('too_cheap', 'bigcommerce.update_quote', 'shop',
           '{\"quote_id\": \"{{ facts.quote_id }}\", \"created_at\": \"{{ facts.created_at }}\", \"notes\": \"Below the limit\", \"allow_checkout\": false}')",
    )
    .await;
    let quote = round.shop.edit(|store| {
        let open = store.quotes.iter().find(|(_, quote)| quote.int("status") == 0).expect("an open quote");
        *open.0
    });
    round.shop.edit(|store| store.patch_quote(quote, json!({"grandTotal": "4.50"})));
    round.turn().await;
    assert_eq!(round.fired().await, [format!("too_cheap {quote} done false")]);
    let notes = |store: &mut tradeflow_fakes::bigcommerce::state::Store| {
        (store.quotes[&quote].text("notes").to_owned(), store.quotes[&quote].data["allowCheckout"].clone())
    };
    assert_eq!(round.shop.edit(notes), ("Below the limit".to_owned(), Value::Bool(false)));
    // It comes back as a change, for which the rule holds; the action finds everything as it wants it.
    round.turn().await;
    let both = [format!("too_cheap {quote} done false"), format!("too_cheap {quote} done true")];
    assert_eq!(round.fired().await, both);
    let stored = format!("select notes || ' ' || allow_checkout from store.quotes where quote_id = {quote}");
    assert_eq!(round.db.one::<String>(&stored).await, "Below the limit false");
    round.is_at_rest().await;
}

#[tokio::test]
async fn a_company_status_that_a_rule_sets_comes_back_and_ends_there() {
    let round = Round::with(
        "insert into tradeflow.rules (name, source, condition) values ('pending', 'store.companies', 'new.status = 0');
         insert into tradeflow.actions (rule, kind, target, params) values ('pending', 'bigcommerce.set_company_status', 'shop',
           '{\"company_id\": \"{{ facts.company_id }}\", \"status\": \"approved\"}')",
    )
    .await;
    let company = round.shop.edit(|store| {
        let approved = store.companies.iter().find(|(_, company)| company.int("companyStatus") == 1);
        *approved.expect("an approved company").0
    });
    for n in 1..=2 {
        // A person puts it back, which is another entry into the condition.
        round.shop.edit(|store| store.patch_company(company, json!({"companyStatus": 0})));
        round.turn().await;
        assert_eq!(round.fired().await, vec![format!("pending {company} done false"); n]);
        assert_eq!(round.shop.edit(|store| store.companies[&company].int("companyStatus")), 1);
        round.turn().await;
        let stored = format!("select status from store.companies where company_id = {company}");
        assert_eq!(round.db.one::<i16>(&stored).await, 1);
        assert_eq!(round.fired().await.len(), n, "the approval coming back fires nothing");
    }
    round.is_at_rest().await;
}

#[tokio::test]
async fn an_order_status_that_a_rule_sets_comes_back_and_ends_there() {
    let round = Round::with(
        "insert into tradeflow.rules (name, source, condition, fires)
           values ('on_terms', 'store.orders', $$ new.payment_method = 'Net terms' $$, 'always');
         insert into tradeflow.actions (rule, kind, target, params) values ('on_terms', 'bigcommerce.set_order_status', 'shop',
           '{\"bc_order_id\": \"{{ facts.bc_order_id }}\", \"status\": \"Awaiting Payment\"}')",
    )
    .await;
    let order = round.shop.edit(|store| *store.orders.keys().next().expect("an order"));
    // In the real store a changed status touches B2B Edition's half of the order as well.
    round.shop.edit(|store| {
        store.status_touches_b2b = true;
        store.patch_order(order, json!({"payment_method": "Net terms", "status_id": 11}));
    });
    round.turn().await;
    assert_eq!(round.shop.edit(|store| store.orders[&order].int("status_id")), 7);
    round.turn().await;
    let stored = format!("select status_id from store.orders where bc_order_id = {order}");
    assert_eq!(round.db.one::<i16>(&stored).await, 7);
    let fired = round.fired().await;
    assert_eq!(fired[0], format!("on_terms {order} done false"));
    assert!(fired[1..].iter().all(|f| *f == format!("on_terms {order} done true")), "{fired:?}");
    round.is_at_rest().await;
}
