//! A project's folder, with the program run in it.

use std::path::Path;

use crate::database::Database;
use crate::sidecar::{Said, Tradeflow};

/// A project made by `tradeflow new`, with a database of the store.
pub struct Shop {
    pub db: Database,
    folder: tempfile::TempDir,
}

impl Shop {
    /// With nothing but what `new` makes.
    pub async fn new() -> Shop {
        Shop::with([]).await
    }

    /// With these recipes.
    pub async fn with<const N: usize>(recipes: [&str; N]) -> Shop {
        let shop = Shop {
            db: Database::with_store().await,
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        shop.run(["new", shop.path(), "--name", "shop"]).success();
        for recipe in recipes {
            shop.run(["recipe", "add", recipe]).success();
        }
        shop
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().expect("the temporary folder's path is UTF-8")
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the program on the project.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Said {
        self.command(arguments).run()
    }

    /// The same, to be changed before it is run.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Tradeflow {
        let config = self.folder.path().join("tradeflow.toml");
        let command = Tradeflow::on(&self.db, arguments);
        // Before `new` has run there is none.
        if config.exists() {
            command.env("TRADEFLOW_CONFIG", &config.to_string_lossy())
        } else {
            command
        }
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("a temporary folder is writable");
        std::fs::write(path, text).expect("a temporary folder is writable");
    }

    /// What a file holds.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("the file is readable")
    }

    /// Changes a part of a file, which must be there.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} does not hold {from}");
        self.write(name, &text.replace(from, to));
    }

    /// Takes a file or a folder away.
    pub fn remove(&self, name: &str) {
        let path = self.folder.path().join(name);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
            .expect("it is there");
    }
}
