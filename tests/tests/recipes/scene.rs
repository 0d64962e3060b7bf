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

use std::collections::BTreeMap;

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::{BigCommerce, Store};
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;
use tradeflow_tests::database::Database;
use tradeflow_tests::jobs::Target;
use tradeflow_tests::mail::{Mail, MailSink};
use tradeflow_tests::project::Shop;
use tradeflow_tests::sidecar::{Sidecar, Tradeflow};
use tradeflow_tests::sync::{sync, with_shop, Summary};

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

/// A scene that is being set.
pub struct Setup {
    recipes: Vec<String>,
    settings: Vec<(String, String)>,
    store: BigCommerce,
    google: Google,
    sidecars: usize,
    webhooks: bool,
    sheets: Option<String>,
    ticking: bool,
    clock: Option<String>,
    sql: String,
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
        Setup {
            recipes: recipes.iter().map(|r| (*r).to_owned()).collect(),
            settings: Vec::new(),
            store: BigCommerce::empty(),
            google: Google::start(),
            sidecars: 1,
            webhooks: false,
            sheets: None,
            ticking: false,
            clock: None,
            sql: String::new(),
        }
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

    /// Proves what is asked of every recipe, for these of its rules: the same payloads again fire nothing; off: nothing;
    /// shadow: recorded, never executed; and live again: it fires. `change(store, n)` must be a change after which, once it is
    /// synced, each of the rules fires (at once or for later); n is 1, 2 and 3. Time stands as it is.
    pub async fn restrained<T>(&mut self, rules: &[&str], change: impl Fn(&mut Store, usize) -> T) {
        self.restrained_by(rules, |scene, n| drop(scene.store.edit(|store| change(store, n)))).await;
    }

    /// The same with a change that is made elsewhere than in the store.
    pub async fn restrained_by(&mut self, rules: &[&str], change: impl Fn(&Scene, usize)) {
        // What actions wrote comes back, until nothing is new.
        for round in 0.. {
            let came = self.sync();
            self.settled().await;
            if came.all("inserted") + came.all("updated") + came.all("deleted") == 0 {
                break;
            }
            assert!(round < 5, "every sync brings something new: the rules answer to themselves");
        }
        let (fired, arrived) = (self.all_firings(rules).await, self.arrived());

        // Everything is read again and upserted again.
        let again = self.sync_with(&["--since", "2000-01-01T00:00:00Z", "--fire"]);
        assert!(again.all("read") > 0, "the store is empty: nothing was synced again");
        assert_eq!((again.all("inserted"), again.all("updated")), (0, 0), "the payloads were not the same");
        self.settled().await;
        assert_eq!(self.all_firings(rules).await, fired, "a silent re-sync fired");
        assert_eq!(self.arrived(), arrived, "a silent re-sync reached somebody");

        self.mode(rules, "off").await;
        change(self, 1);
        self.sync();
        self.settled().await;
        assert_eq!(self.all_firings(rules).await, fired, "a rule that is off fired");
        assert_eq!(self.arrived(), arrived, "a rule that is off reached somebody");

        self.mode(rules, "shadow").await;
        change(self, 2);
        self.sync();
        self.settled().await;
        let shadows = self.all_firings(rules).await;
        for rule in rules {
            assert!(shadows[*rule] > fired[*rule], "{rule} fired nothing in shadow: {shadows:?}");
            let beyond: i64 = self
                .db()
                .one(&format!(
                    "select count(*) from tradeflow.firings f where f.rule = '{rule}' and f.state = 'shadow'"
                ))
                .await;
            assert_eq!(beyond, shadows[*rule] - fired[*rule], "{rule}: every firing is a shadow");
        }
        assert_eq!(self.arrived(), arrived, "a rule in shadow reached somebody");

        self.mode(rules, "live").await;
        change(self, 3);
        self.sync();
        self.settled().await;
        let live = self.all_firings(rules).await;
        for rule in rules {
            assert!(live[*rule] > shadows[*rule], "{rule} does not fire after that change: {live:?}");
        }
    }

    async fn mode(&self, rules: &[&str], mode: &str) {
        let changed = self
            .db()
            .execute("update tradeflow.rules set mode = $1 where name = any ($2)", &[&mode, &rules])
            .await;
        assert_eq!(changed as usize, rules.len(), "there are no such rules: {rules:?}");
    }

    async fn all_firings(&self, rules: &[&str]) -> BTreeMap<String, i64> {
        let mut all = BTreeMap::new();
        for rule in rules {
            all.insert((*rule).to_owned(), self.firings(rule).await);
        }
        all
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

impl Setup {
    /// With the sample store besides; call it before [`Setup::store`].
    pub fn sample(mut self) -> Setup {
        self.store = BigCommerce::start();
        self
    }

    /// A setting of one of the recipes, or of the shop.
    pub fn set(mut self, name: &str, value: &str) -> Setup {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What is in the store before the first load.
    pub fn store(self, edit: impl FnOnce(&mut Store)) -> Setup {
        self.store.edit(edit);
        self
    }

    /// A tab of a spreadsheet that is shared with us.
    pub fn spreadsheet(self, id: &str, tab: &str, cells: Value) -> Setup {
        self.google.spreadsheet(id, tab, cells);
        self
    }

    /// Tabs that are synced as well: spreadsheet/tab/key column.
    pub fn sheets(mut self, synced: &str) -> Setup {
        self.sheets = Some(synced.to_owned());
        self
    }

    /// The time at which it begins; without it the time is the machine's. Call it before [`Setup::store`].
    pub fn clock(mut self, time: &str) -> Setup {
        self.store.clock().set(unix(time));
        self.clock = Some(time.to_owned());
        self
    }

    /// With each sync the store's clock, where it stands still, goes on a second: a thing that is changed again after a sync has
    /// another time of change, as it has in life. Without it the sync takes it for the one it knows.
    pub fn ticking(mut self) -> Setup {
        self.ticking = true;
        self
    }

    /// Statements run once the project is applied: lines of decision tables, pools.
    pub fn sql(mut self, statements: &str) -> Setup {
        self.sql.push_str(statements);
        self.sql.push(';');
        self
    }

    /// So many sidecars.
    pub fn sidecars(mut self, many: usize) -> Setup {
        self.sidecars = many;
        self
    }

    /// The store's webhooks are registered, and delivered to the first sidecar.
    pub fn webhooks(mut self) -> Setup {
        self.webhooks = true;
        self
    }

    /// Loads the store silently, applies the project, starts the sidecars.
    pub async fn start(self) -> Scene {
        let mut scene = Scene {
            shop: Shop::new().await,
            store: self.store,
            crm: HubSpot::start(),
            google: self.google,
            mail: MailSink::start(),
            sidecars: Vec::new(),
            webhooks: self.webhooks,
            sheets: self.sheets,
            ticking: self.ticking,
        };
        let left = add(&scene.shop, &self.recipes, self.settings);
        targets(&scene).await;
        if let Some(time) = &self.clock {
            set_clock(scene.db(), &scene.store, time).await;
        }
        scene.sync();
        scene.shop.run(["apply"]).success();
        for (name, value) in &left {
            let set = "update tradeflow.settings set value = $2 where name = $1";
            assert_eq!(scene.db().execute(set, &[name, value]).await, 1, "there is no setting {name}");
        }
        let invalid: Vec<String> = scene
            .db()
            .column("select name || ': ' || invalid from tradeflow.rules where invalid is not null")
            .await;
        assert_eq!(invalid, Vec::<String>::new());
        scene.db().sql(&format!("set search_path = rules, public; {}", self.sql)).await;
        scene
            .db()
            .sql(
                "create table public.turns (id bigint generated always as identity primary key);
                 select tradeflow.watch('public.turns');
                 insert into tradeflow.rules (name, source) values ('turn', 'public.turns');
                 insert into tradeflow.targets (name, system, base_url) values ('nowhere', 'http', 'https://nowhere.example.com');
                 insert into tradeflow.actions (rule, kind, target) values ('turn', 'noop', 'nowhere');",
            )
            .await;
        for n in 0..self.sidecars {
            scene.start_one(n == 0 && self.webhooks);
        }
        if self.webhooks {
            with_hooks(Tradeflow::on(scene.db(), ["hooks", "register", "--json"]), &scene.store)
                .run()
                .success();
        }
        scene
    }
}

/// Adds recipes with those settings that are theirs; the others.
fn add(shop: &Shop, recipes: &[String], mut settings: Vec<(String, String)>) -> Vec<(String, String)> {
    for recipe in recipes {
        let shown = Tradeflow::new(["recipe", "show", recipe, "--json"]).run();
        shown.success();
        let shown = shown.json();
        let own: Vec<&str> =
            shown["settings"].as_array().expect("a list").iter().filter_map(|s| s["name"].as_str()).collect();
        let mut arguments = vec!["recipe".to_owned(), "add".to_owned(), recipe.clone()];
        for (name, value) in settings.extract_if(.., |(name, _)| own.contains(&name.as_str())) {
            arguments.extend(["--set".to_owned(), format!("{name}={value}")]);
        }
        shop.run(arguments.iter().map(String::as_str)).success();
    }
    settings
}

/// Where everything is here; there before the project is applied, as operators do it.
async fn targets(scene: &Scene) {
    let of = |system: &'static str, base_url: String, secret: Option<&'static str>| Target {
        system,
        base_url,
        secret,
        ..Target::default()
    };
    let store = format!("{}/stores/{}", scene.store.url(), scene.store.store_hash());
    of("smtp", scene.mail.url(), None).insert(scene.db(), "smtp").await;
    of("bigcommerce", store, Some("env:BIGCOMMERCE_TOKEN")).insert(scene.db(), "bigcommerce").await;
    of("hubspot", scene.crm.url(), Some("env:HUBSPOT_TOKEN")).insert(scene.db(), "hubspot").await;
    of("google", scene.google.url(), Some("env:GOOGLE_SERVICE_ACCOUNT")).insert(scene.db(), "sheets").await;
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
