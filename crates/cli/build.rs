//! Embeds every page of `docs/errors`, so that `exodus explain` works without the sources.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let folder = root.join("../../docs/errors");
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut pages = String::from("&[\n");
    for (code, path) in codes(&folder)? {
        let path = path.canonicalize()?;
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(pages, "    ({code:?}, include_str!({path:?})),").map_err(io::Error::other)?;
    }
    pages.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    fs::write(out.join("pages.rs"), pages)
}

/// Pages named `EXO-<AREA>-<NNN>.md`, sorted by code.
fn codes(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if stem.starts_with("EXO-") && path.extension().is_some_and(|e| e == "md") {
            found.push((stem.to_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}
