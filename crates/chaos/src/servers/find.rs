//! Where the server programs are: a variable, PATH, then what `scripts/setup` unpacked.

use std::env;
use std::path::{Path, PathBuf};

use super::{Flavor, StartError};

/// The program's path.
pub(super) fn server(flavor: Flavor) -> Result<PathBuf, StartError> {
    let variable = match flavor {
        Flavor::Redis => "EXODUS_REDIS_SERVER",
        Flavor::Valkey => "EXODUS_VALKEY_SERVER",
    };
    let program = flavor.program();
    let named = env::var_os(variable).map(PathBuf::from);
    named
        .into_iter()
        .chain(on_path(program))
        .chain(unpacked(program))
        .find(|p| p.is_file())
        .ok_or(StartError::Absent { program, variable })
}

fn on_path(program: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|dir| dir.join(program)).collect()
}

/// `.local/bin` of any directory above where we run, where our binary lies, or where we were
/// built.
fn unpacked(program: &str) -> Vec<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf();
    let starts = [env::current_dir().ok(), env::current_exe().ok(), Some(built)];
    starts
        .into_iter()
        .flatten()
        .flat_map(|start| {
            let above: Vec<PathBuf> = start.ancestors().map(Path::to_path_buf).collect();
            above
        })
        .map(|dir| dir.join(".local/bin").join(program))
        .collect()
}
