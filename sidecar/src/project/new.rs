//! `tradeflow new`: a project's folder.

use std::path::{Path, PathBuf};

use super::{is_name, Error};

/// Files of a new project; `{name}` in them is the project's.
const FILES: [(&str, &str); 6] = [
    ("tradeflow.toml", include_str!("scaffold/tradeflow.toml")),
    ("rules/00_shop.sql", include_str!("scaffold/rules/00_shop.sql")),
    (super::recipe::LAYOUT.0, super::recipe::LAYOUT.1),
    (".gitignore", include_str!("scaffold/gitignore")),
    (".github/workflows/tradeflow.yml", include_str!("scaffold/ci.yml")),
    ("README.md", include_str!("scaffold/README.md")),
];

/// Folders that would be empty, which git does not keep.
const KEPT: [&str; 1] = ["tests/.gitkeep"];

/// Makes a project; returns its files. Nothing that is there is overwritten.
pub fn run(folder: &Path, name: Option<&str>) -> Result<Vec<PathBuf>, Error> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => name_of(folder),
    };
    if !is_name(&name) {
        return Err(Error::Usage(format!(
            "\"{name}\" is no name of a project\nhint: give one with --name: lower-case letters, digits and underscores, beginning with a letter"
        )));
    }
    let files: Vec<(&str, String)> = FILES
        .iter()
        .map(|(path, text)| (*path, text.replace("{name}", &name)))
        .chain(KEPT.iter().map(|path| (*path, String::new())))
        .collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| folder.join(path).exists()) {
        return Err(Error::Usage(format!(
            "{} is there already\nhint: nothing was written; name a folder that does not exist, or remove the file",
            folder.join(path).display()
        )));
    }
    files.iter().map(|(path, text)| write(folder, path, text)).collect()
}

/// The folder's name as a project's: `My-shop` is `my_shop`.
fn name_of(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Writes a file below a folder, with the folders it needs; its path as people write it.
pub(super) fn write(folder: &Path, path: &str, text: &str) -> Result<PathBuf, Error> {
    let path = folder.join(path);
    let fail = |e: std::io::Error| Error::File { path: path.clone(), reason: e.to_string() };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(fail)?;
    }
    std::fs::write(&path, text).map_err(fail)?;
    // `rules/a.sql`, not `./rules/a.sql`.
    Ok(path.strip_prefix(".").unwrap_or(&path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_s_name_becomes_the_project_s() {
        assert_eq!(name_of(Path::new("/tmp/My-shop 2")), "my_shop_2");
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let made = run(folder.path(), Some("shop")).unwrap();
        assert!(made.len() > 5);
        let error = run(folder.path(), Some("shop")).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
    }
}
