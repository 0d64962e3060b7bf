//! The files of a project.

use std::path::{Path, PathBuf};

use super::problem::{Place, Problem};
use super::{Error, Project};

/// A text file, named as people name it: from the project's folder, with slashes.
#[derive(Debug, Clone)]
pub struct File {
    pub name: String,
    pub text: String,
}

/// A mail template: one folder below `templates/`.
#[derive(Debug, Clone)]
pub struct Mail {
    pub name: String,
    pub subject: Option<File>,
    pub text: Option<File>,
    pub html: Option<File>,
}

/// What a mail's folder may hold.
const PARTS: [&str; 3] = ["subject.txt", "text.txt", "html.html"];

impl File {
    pub fn read(root: &Path, path: &Path) -> Result<File, Error> {
        let fail = |reason: String| Error::File { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|e| fail(format!("it is no UTF-8 text: {e}")))?;
        // What editors put before the text is not part of it.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        Ok(File { name, text })
    }

    /// The place of a byte.
    pub fn place(&self, at: usize) -> Place {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let begin = self.text[..at].rfind('\n').map_or(0, |n| n + 1);
        let end = self.text[begin..].find('\n').map_or(self.text.len(), |n| begin + n);
        Place {
            file: self.name.clone(),
            line: 1 + self.text[..begin].matches('\n').count(),
            column: 1 + self.text[begin..at].chars().count(),
            excerpt: self.text[begin..end].trim_end().to_owned(),
        }
    }
}

/// `rules/**/*.sql`, in the order of their names.
pub fn rules(project: &Project) -> Result<Vec<File>, Error> {
    files(&project.root, &project.root.join("rules"), &["sql"])
}

/// `templates/<mail>/`, in the order of their names.
pub fn mails(project: &Project, problems: &mut Vec<Problem>) -> Result<Vec<Mail>, Error> {
    let mut mails = Vec::new();
    for folder in entries(&project.root.join("templates"))? {
        let name = file_name(&folder);
        if name.starts_with('.') {
            continue;
        }
        if !folder.is_dir() {
            problems.push(
                Problem::general(format!("templates/{name} is no folder"))
                    .hint("a mail is a folder: templates/<name>/subject.txt, text.txt, html.html"),
            );
            continue;
        }
        let mut mail = Mail { name: name.clone(), subject: None, text: None, html: None };
        for path in entries(&folder)? {
            let slot = match file_name(&path).as_str() {
                "subject.txt" => &mut mail.subject,
                "text.txt" => &mut mail.text,
                "html.html" => &mut mail.html,
                hidden if hidden.starts_with('.') => continue,
                other => {
                    problems.push(
                        Problem::general(format!("templates/{name}/{other} is no part of a mail"))
                            .hint(format!("the parts are {}", PARTS.join(", "))),
                    );
                    continue;
                }
            };
            *slot = Some(File::read(&project.root, &path)?);
        }
        // What only others extend or include needs no part but theirs.
        if !name.starts_with('_') {
            for (part, there) in [("subject.txt", mail.subject.is_some()), ("text.txt", mail.text.is_some())]
            {
                if !there {
                    problems.push(Problem::general(format!("templates/{name}/{part} is missing")).hint(
                        "a mail has a subject and a text; one that others only include is called templates/_<name>",
                    ));
                }
            }
        }
        mails.push(mail);
    }
    Ok(mails)
}

/// Files below a folder with one of these endings, in the order of their names.
pub fn files(root: &Path, folder: &Path, endings: &[&str]) -> Result<Vec<File>, Error> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for path in entries(&folder)? {
            if file_name(&path).starts_with('.') {
                continue;
            } else if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| endings.iter().any(|wanted| e == *wanted)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.iter().map(|path| File::read(root, path)).collect()
}

/// What a folder holds, sorted; a folder that is not there holds nothing.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = |e: std::io::Error| Error::File { path: folder.to_owned(), reason: e.to_string() };
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(fail)?;
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(fail)?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters() {
        let file = File { name: "a.sql".into(), text: "select 1;\nsëlect frm\n".into() };
        let at = file.text.find("frm").unwrap();
        let place = file.place(at);
        assert_eq!((place.line, place.column, place.excerpt.as_str()), (2, 8, "sëlect frm"));
        assert_eq!(file.place(9999).line, 3);
    }
}
