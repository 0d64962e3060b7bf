//! What is asked of every recipe.

use std::collections::BTreeMap;

use tradeflow_fakes::bigcommerce::Store;

use super::Scene;

impl Scene {
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
}
