//! How a scene is set: what is there before, and how it begins.

use serde_json::Value;
use tradeflow_fakes::bigcommerce::{BigCommerce, Store};
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;
use tradeflow_tests::jobs::Target;
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::project::Shop;
use tradeflow_tests::sidecar::Tradeflow;

use super::{set_clock, unix, with_hooks, Scene};

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

impl Setup {
    /// With these recipes, an empty store, and one sidecar.
    pub(super) fn new(recipes: &[&str]) -> Setup {
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
