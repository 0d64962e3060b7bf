//! A shop with everything around it: the store, HubSpot, Google (stateful fakes), a real mail server, a database, a project
//! with recipes applied to it, and a real sidecar.
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_new_user_is_welcomed() {
//!     let mut scene = Scene::of(&["welcome_company_user"])   // tradeflow new, recipe add, plan, apply
//!         .set("welcome_wait_hours", "24")                   // recipe add --set; a setting of the shop: as operators change it
//!         .store(|store| { store.sign_up("Acme", json!({})); })  // what the store has before; .sample(): the sample store besides
//!         .start().await;                                    // first load (silent), apply, sidecar
//!     // What people do there: fakes/src/bigcommerce/people.rs has sign_up, join, hire, assign, ask_for_quote, place_order, …
//!     let user = scene.store.edit(|store| store.join(2001, "ada@example.com", "Ada", "Lovelace", json!({})));
//!     scene.sync();                                          // tradeflow sync once
//!     scene.settled().await;                                 // nothing is ready or running any more
//!     let mails = scene.mail.wait_for(1).await;
//!     scene.clock("2026-03-02 09:00Z").await;                // time passes, in the database and in the store
//!     scene.restrained(&["welcome_company_user"], |store, n| { … }).await;  // every recipe's common duties, see there
//! }
//! ```
//!
//! Targets have the names that recipes use: `smtp`, `bigcommerce`, `hubspot`, `sheets`. `.sidecars(2)` starts two,
//! `.webhooks()` has the store's webhooks delivered to the first, so that a change is here without a sync.

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;
use tradeflow_tests::database::Database;
use tradeflow_tests::mail::{Mail, MailSink};
use tradeflow_tests::project::Shop;
use tradeflow_tests::sidecar::{Sidecar, Tradeflow};
use tradeflow_tests::sync::{sync, with_shop, Summary};

mod restraint;
mod setup;

pub use setup::Setup;

/// The host that webhooks are sent to.
const HOOKS: &str = "hooks.shop.example";

/// Everything that a recipe touches.
pub struct Scene {
    /// The project, with its database.
    pub shop: Shop,
    pub store: BigCommerce,
    pub crm: HubSpot,
    pub google: Google,
    pub mail: MailSink,
    pub sidecars: Vec<Sidecar>,
    webhooks: bool,
    sheets: Option<String>,
    ticking: bool,
}

/// What has arrived anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    pub mails: usize,
    /// Requests to the store that are not reads.
    pub store: usize,
    /// Requests to HubSpot.
    pub crm: usize,
    /// Changes of spreadsheets.
    pub sheets: usize,
}

impl Scene {
    /// With these recipes.
    pub fn of(recipes: &[&str]) -> Setup {
        Setup::new(recipes)
    }

    /// The database.
    pub fn db(&self) -> &Database {
        &self.shop.db
    }

    /// `tradeflow sync once` of every resource.
    pub fn sync(&self) -> Summary {
        self.sync_with(&[])
    }

    /// The same with arguments: resources, `--silent`, `--sweep`.
    pub fn sync_with(&self, arguments: &[&str]) -> Summary {
        let all: Vec<&str> = ["once", "--json"].into_iter().chain(arguments.iter().copied()).collect();
        let command = sync(self.db(), &self.store, &all);
        let command = match &self.sheets {
            None => command,
            Some(synced) => command
                .env("TRADEFLOW_SHEETS_BASE_URL", &self.google.url())
                .env("TRADEFLOW_SHEETS_ACCOUNT", "env:GOOGLE_SERVICE_ACCOUNT")
                .env("GOOGLE_SERVICE_ACCOUNT", &self.google.key_file())
                .env("TRADEFLOW_SHEETS_SYNCED", synced),
        };
        let summary = Summary::of(&command.run());
        if self.ticking {
            self.store.clock().advance(1);
        }
        summary
    }

    /// Waits until nothing is ready or running: all that follows from what has happened so far has been done, or waits for its
    /// time, or for a person. An action that is tried again and again is waited for.
    pub async fn settled(&self) {
        // A further action, behind all others: the sidecar has had its turn.
        let turn: i64 = self.db().one("insert into public.turns default values returning id").await;
        self.db()
            .until(&format!(
                "select exists (select from tradeflow.firings where rule = 'turn' and subject = '{turn}' and state = 'done')
                    and not exists (select from tradeflow.outbox where state in ('ready', 'running'))"
            ))
            .await;
    }

    /// Sets the time, in the database and in the store, and has done what is due by then.
    pub async fn clock(&self, time: &str) {
        set_clock(self.db(), &self.store, time).await;
        loop {
            let did: Vec<i64> = self
                .db()
                .column(
                    "select (t ->> 'due')::bigint + (t ->> 'scheduled')::bigint + (t ->> 'rechecked')::bigint
                     from tradeflow.tick() t where not t ? 'busy'",
                )
                .await;
            self.settled().await;
            if did == [0] {
                return;
            }
        }
    }

    /// Sets the time, in the database and in the store, and waits for nothing: for what cannot be done just then.
    pub async fn clock_without_waiting(&self, time: &str) {
        set_clock(self.db(), &self.store, time).await;
    }

    /// How many firings of a rule there are, in any state.
    pub async fn firings(&self, rule: &str) -> i64 {
        self.db().one(&format!("select count(*) from tradeflow.firings where rule = '{rule}'")).await
    }

    /// What became of a rule's actions: the states of all its actions, sorted.
    pub async fn states(&self, rule: &str) -> Vec<String> {
        self.db()
            .column(&format!(
                "select state from (select rule, state from tradeflow.outbox union all select rule, state from tradeflow.outbox_history) x
                 where rule = '{rule}' order by state"
            ))
            .await
    }

    /// The mails whose envelope has this address.
    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        self.mail.mails().into_iter().filter(|mail| mail.to.iter().any(|to| to == address)).collect()
    }

    /// What has arrived so far.
    pub fn arrived(&self) -> Arrived {
        Arrived {
            mails: self.mail.mails().len(),
            store: self.store.requests().iter().filter(|r| r.method != "GET").count(),
            crm: self.crm.requests().len(),
            sheets: self.google.requests().iter().filter(|r| r.method != "GET" && r.path != "/token").count(),
        }
    }

    /// Kills the sidecars and starts as many anew.
    pub async fn kill_and_restart(&mut self) {
        let many = self.sidecars.len();
        for sidecar in &mut self.sidecars {
            sidecar.kill();
        }
        self.sidecars.clear();
        for n in 0..many {
            self.start_one(n == 0 && self.webhooks);
        }
    }

    /// Starts a further sidecar.
    pub fn start_sidecar(&mut self) {
        self.start_one(false);
    }

    /// A sidecar that has all secrets, to be changed before it is started.
    pub fn sidecar(&self) -> Tradeflow {
        // A short lease: what a killed one held is free soon.
        Sidecar::command(self.db())
            .env("BIGCOMMERCE_TOKEN", &self.store.token())
            .env("HUBSPOT_TOKEN", &self.crm.token())
            .env("GOOGLE_SERVICE_ACCOUNT", &self.google.key_file())
            .env("TRADEFLOW_LEASE", "3s")
    }

    fn start_one(&mut self, hooks: bool) {
        let command = self.sidecar();
        if !hooks {
            self.sidecars.push(command.start());
            return;
        }
        let command = with_hooks(command, &self.store).env("TRADEFLOW_LISTEN_ADDRESS", "127.0.0.1:0");
        let mut sidecar = command.start();
        let line = sidecar.wait_for_log("serving /metrics");
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.unwrap_or_else(|| panic!("no address in: {line}"));
        self.store.route(HOOKS, &format!("http://{}", address.trim_matches(|c: char| !c.is_ascii_digit())));
        self.sidecars.push(sidecar);
    }
}

fn with_hooks(command: Tradeflow, store: &BigCommerce) -> Tradeflow {
    with_shop(command, store)
        .env("TRADEFLOW_HOOKS_URL", &format!("https://{HOOKS}/hooks/bigcommerce"))
        .env("TRADEFLOW_HOOKS_CLIENT_SECRET", "env:TRADEFLOW_TEST_CLIENT_SECRET")
        .env("TRADEFLOW_TEST_CLIENT_SECRET", &store.client_secret())
}

/// Unix seconds of a time as SQL writes it.
fn unix(time: &str) -> i64 {
    let read = ["%Y-%m-%d %H:%MZ", "%Y-%m-%d %H:%M:%SZ"]
        .iter()
        .find_map(|format| chrono::NaiveDateTime::parse_from_str(time, format).ok());
    read.unwrap_or_else(|| panic!("write {time} as 2026-03-01 09:00Z")).and_utc().timestamp()
}

async fn set_clock(db: &Database, store: &BigCommerce, time: &str) {
    store.clock().set(unix(time));
    db.sql(&format!("select tradeflow.set_clock('{time}')")).await;
}

/// A value of JSON that is an object without anything: nothing more is said.
pub fn nothing() -> Value {
    json!({})
}
