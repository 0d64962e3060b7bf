//! `tradeflow sync` of a fake store, and what it said.

use serde_json::Value;
use tradeflow_fakes::bigcommerce::BigCommerce;

use crate::database::Database;
use crate::sidecar::{Said, Tradeflow};

/// Secrets are handed over in the environment.
pub const TOKEN: &str = "TRADEFLOW_TEST_TOKEN";

/// What the sync of a fake store needs to know, as an environment.
pub fn with_shop(command: Tradeflow, shop: &BigCommerce) -> Tradeflow {
    command
        .env("TRADEFLOW_BIGCOMMERCE_STORE_HASH", &shop.store_hash())
        .env("TRADEFLOW_BIGCOMMERCE_CORE_URL", &shop.url())
        .env("TRADEFLOW_BIGCOMMERCE_B2B_URL", &shop.url())
        .env("TRADEFLOW_BIGCOMMERCE_REQUESTS_PER_MINUTE", "0")
        .env("TRADEFLOW_BIGCOMMERCE_RETRY_DELAY", "10ms")
        .env("TRADEFLOW_BIGCOMMERCE_ATTEMPTS", "3")
        .env("TRADEFLOW_BIGCOMMERCE_ACCESS_TOKEN", &format!("env:{TOKEN}"))
        .env(TOKEN, &shop.token())
}

/// `tradeflow sync …`, to be run.
pub fn sync(db: &Database, shop: &BigCommerce, arguments: &[&str]) -> Tradeflow {
    with_shop(Tradeflow::on(db, ["sync"].into_iter().chain(arguments.iter().copied())), shop)
}

/// `tradeflow sync once`, which must succeed; its summary.
pub fn once(db: &Database, shop: &BigCommerce, arguments: &[&str]) -> Summary {
    let all: Vec<&str> = ["once", "--json"].into_iter().chain(arguments.iter().copied()).collect();
    Summary::of(&sync(db, shop, &all).run())
}

/// The same, which must fail.
pub fn fails(db: &Database, shop: &BigCommerce, arguments: &[&str]) -> Said {
    let all: Vec<&str> = ["once", "--json"].into_iter().chain(arguments.iter().copied()).collect();
    let said = sync(db, shop, &all).run();
    said.failure();
    said
}

/// What a sync said.
pub struct Summary(Value);

impl Summary {
    /// Of `sync once --json`, which must have succeeded.
    pub fn of(said: &Said) -> Summary {
        said.success();
        Summary(said.json())
    }

    /// A count of a resource.
    pub fn count(&self, resource: &str, what: &str) -> u64 {
        let rows = self.0["resources"].as_array().expect("a list");
        let row =
            rows.iter().find(|row| row["resource"] == resource).unwrap_or_else(|| panic!("no {resource}"));
        row[what].as_u64().unwrap_or_else(|| panic!("no count {what} in {row}"))
    }

    /// A count of all resources together.
    pub fn all(&self, what: &str) -> u64 {
        self.0["resources"].as_array().expect("a list").iter().filter_map(|row| row[what].as_u64()).sum()
    }
}
