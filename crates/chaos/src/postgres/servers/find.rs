//! Where the server programs are: a variable, Debian's directory, what `scripts/setup` unpacked.

use std::env;
use std::path::{Path, PathBuf};

use super::{StartError, Version};

/// The directory with `initdb` and `postgres`.
pub(super) fn programs(version: Version) -> Result<PathBuf, StartError> {
    let variable = version.variable();
    let named = env::var_os(variable).map(PathBuf::from);
    let debian = PathBuf::from(format!("/usr/lib/postgresql/{}/bin", version.major()));
    named
        .into_iter()
        .chain([debian])
        .chain(unpacked(version))
        .find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
        .ok_or(StartError::Absent { major: version.major(), variable })
}

/// `.local/postgres-MAJOR/bin` of any directory above where we run, where our binary lies, or
/// where we were built.
fn unpacked(version: Version) -> Vec<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf();
    let starts = [env::current_dir().ok(), env::current_exe().ok(), Some(built)];
    let place = format!(".local/postgres-{}/bin", version.major());
    starts
        .into_iter()
        .flatten()
        .flat_map(|start| {
            let above: Vec<PathBuf> = start.ancestors().map(Path::to_path_buf).collect();
            above
        })
        .map(|dir| dir.join(&place))
        .collect()
}
