//! The repository as rules see it: tracked text files and the crates with what they depend on.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{DependencyKind, MetadataCommand};

use super::lex::{Lexed, lex};

/// A file that is tracked, or would be by `git add .`. A binary has no text.
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
    /// For Rust sources: the same text with comments and literals told apart.
    pub(crate) rust: Option<Lexed>,
}

/// One crate of the workspace.
pub(crate) struct Crate {
    /// Package name; equals the folder's.
    pub(crate) name: String,
    /// Direct dependencies.
    pub(crate) deps: Vec<Dep>,
}

/// A direct dependency.
pub(crate) struct Dep {
    /// Package name.
    pub(crate) name: String,
    /// Whether only tests, examples and benches see it.
    pub(crate) dev: bool,
}

/// What the rules look at.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
    pub(crate) crates: Vec<Crate>,
}

impl Tree {
    /// Reads the repository at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for path in tracked(root)? {
            match std::fs::read_to_string(root.join(&path)) {
                Ok(text) => files.push(File::new(&path, text)),
                // A binary has no text, but documents link to it.
                Err(e) if e.kind() == ErrorKind::InvalidData => {
                    files.push(File::new(&path, String::new()));
                }
                // A file deleted but not yet staged is no longer there.
                Err(_) => {}
            }
        }
        Ok(Self { files, crates: crates(root)? })
    }

    /// The file at a path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|f| f.path == path)
    }

    /// Rust sources of a crate outside its `tests` and `benches` folders.
    pub(crate) fn sources<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a File> + use<'a> {
        let prefix = format!("crates/{name}/src/");
        self.files.iter().filter(move |f| f.path.starts_with(&prefix) && f.rust.is_some())
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(p, t)| File::new(p, (*t).to_owned())).collect();
        Self { files, crates: Vec::new() }
    }

    #[cfg(test)]
    pub(crate) fn with_crate(mut self, name: &str, normal: &[&str], dev: &[&str]) -> Self {
        let dep = |dev| move |name: &&str| Dep { name: (*name).to_owned(), dev };
        let deps = normal.iter().map(dep(false)).chain(dev.iter().map(dep(true))).collect();
        self.crates.push(Crate { name: name.to_owned(), deps });
        self
    }
}

impl File {
    fn new(path: &str, text: String) -> Self {
        let rust = path.ends_with(".rs").then(|| lex(&text));
        Self { path: path.to_owned(), text, rust }
    }

    /// Lines with their one-based numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

/// Paths of all files that count, from git or, in an unpacked archive, from the folder itself.
fn tracked(root: &Path) -> Result<Vec<String>> {
    if !root.join(".git").exists() {
        let mut paths = Vec::new();
        walk(root, "", &mut paths)?;
        return Ok(paths);
    }
    let out = Command::new("git")
        // A build machine may check out as one user and build as another.
        .args(["-c", "safe.directory=*"])
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    ensure!(out.status.success(), "git ls-files: {}", String::from_utf8_lossy(&out.stderr));
    let names = String::from_utf8(out.stdout).context("a tracked path is not UTF-8")?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// What `.gitignore` leaves out, where there is no git to ask.
const BUILT: &[&str] = &["target", "node_modules", ".local", ".exodus", ".git"];

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if !BUILT.contains(&name.as_str()) {
                walk(&entry.path(), &format!("{path}/"), paths)?;
            }
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

fn crates(root: &Path) -> Result<Vec<Crate>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata")?;
    let one = |package: &cargo_metadata::Package| Crate {
        name: package.name.to_string(),
        deps: package
            .dependencies
            .iter()
            .map(|d| Dep { name: d.name.clone(), dev: d.kind == DependencyKind::Development })
            .collect(),
    };
    Ok(metadata.packages.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_without_git_is_read_without_what_was_built() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["crates/a/src", "target/debug", ".local"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        for path in ["README.md", "crates/a/src/lib.rs", "target/debug/x.rs", ".local/y.md"] {
            std::fs::write(folder.path().join(path), "").unwrap();
        }
        let mut found = tracked(folder.path()).unwrap();
        found.sort();
        assert_eq!(found, ["README.md", "crates/a/src/lib.rs"]);
    }
}
