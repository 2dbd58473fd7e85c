//! `initdb` once per version and account: its result is kept in the temporary directory and
//! copied, which is ten times faster.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::Account;
use super::{BOOTSTRAP, StartError, Version};

/// Changes when the way templates are made changes.
const FORMAT: u32 = 1;

/// What is needed to start servers of one version.
pub(super) struct Template {
    /// Programs that the account can run.
    pub(super) bin: PathBuf,
    data: PathBuf,
}

impl Template {
    /// Finds or makes the template. Several processes may do so at once.
    pub(super) fn of(version: Version, bin: &Path, account: Account) -> Result<Self, StartError> {
        let place = env::temp_dir().join(format!(
            "exodus-chaos-postgres-{}-{}-{FORMAT}",
            account.uid(),
            tag(bin)?
        ));
        let made = Self { bin: reachable(bin, &place, account)?, data: place.join("data") };
        if !made.data.join("PG_VERSION").is_file() {
            made.make(version, &place, account)?;
        }
        if fs::metadata(&made.data)?.uid() != account.uid() {
            let whose = format!("{} belongs to somebody else", made.data.display());
            return Err(StartError::Io(io::Error::other(whose)));
        }
        Ok(made)
    }

    fn make(&self, version: Version, place: &Path, account: Account) -> Result<(), StartError> {
        fs::create_dir_all(place)?;
        let part = tempfile::Builder::new().prefix("part-").tempdir_in(place)?;
        account.own(part.path())?;
        let secret = part.path().join("secret");
        fs::write(&secret, BOOTSTRAP.1)?;
        account.own(&secret)?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        let output = account
            .command(&self.bin.join("initdb"), part.path())
            .args(["--no-sync", "--encoding=UTF8", "--locale=C"])
            .args(["--auth-host=scram-sha-256", "--auth-local=trust"])
            .args(["--username", BOOTSTRAP.0, "--pwfile"])
            .arg(&secret)
            .arg("-D")
            .arg(part.path().join("data"))
            .output()?;
        if !output.status.success() {
            let log = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ");
            return Err(StartError::NotUp { major: version.major(), log });
        }
        // Somebody else may have been faster: theirs is as good.
        match fs::rename(part.path().join("data"), &self.data) {
            Err(e) if !self.data.join("PG_VERSION").is_file() => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// A fresh data directory at `to`.
    pub(super) fn copy(&self, to: &Path) -> io::Result<()> {
        copy(&self.data, to)
    }
}

/// The version that the programs say, as a word for a file name.
fn tag(bin: &Path) -> Result<String, StartError> {
    let said = Command::new(bin.join("postgres")).arg("--version").output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let version =
        said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.map(ToOwned::to_owned).ok_or_else(|| {
        StartError::Io(io::Error::other(format!("{} says no version: {said}", bin.display())))
    })
}

/// The programs, or a copy where the account can get at them: a checkout in root's home is closed
/// to everybody else.
fn reachable(bin: &Path, place: &Path, account: Account) -> Result<PathBuf, StartError> {
    let runs = |bin: &Path| {
        let mut probe = account.command(&bin.join("postgres"), Path::new("/"));
        let probe = probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    if runs(bin) {
        return Ok(bin.to_owned());
    }
    let copied = place.join("programs");
    if !copied.join("bin").is_dir() {
        let whole = bin.parent().unwrap_or(bin);
        fs::create_dir_all(place)?;
        let part = tempfile::Builder::new().prefix("part-").tempdir_in(place)?;
        copy(whole, &part.path().join("programs"))?;
        match fs::rename(part.path().join("programs"), &copied) {
            Err(e) if !copied.join("bin").is_dir() => return Err(e.into()),
            _ => {}
        }
    }
    let bin = copied.join("bin");
    if runs(&bin) { Ok(bin) } else { Err(StartError::Closed { bin }) }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let status =
        Command::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from).arg(to).status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("cp -a {} {} failed", from.display(), to.display())))
}
