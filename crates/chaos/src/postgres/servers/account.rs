//! Under which account servers run: PostgreSQL refuses to be root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// An account to drop to; none when we are not root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account(Option<(u32, u32)>);

/// `nobody` of Debian.
const NOBODY: (u32, u32) = (65_534, 65_534);

impl Account {
    /// Ourselves, or as root the first that exists of `postgres` and `nobody`.
    pub(super) fn choose() -> Self {
        if !fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
            return Self(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self(Some(["postgres", "nobody"].iter().find_map(|n| ids(&accounts, n)).unwrap_or(NOBODY)))
    }

    /// The number in the names of what is kept for this account.
    pub(super) fn uid(self) -> u32 {
        let me = || fs::metadata("/proc/self").map(|me| me.uid()).unwrap_or_default();
        self.0.map_or_else(me, |(uid, _)| uid)
    }

    /// Makes the account the owner of a file or directory.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        self.0.map_or(Ok(()), |(uid, gid)| chown(path, Some(uid), Some(gid)))
    }

    /// A program run by this account, in a directory that it may enter.
    pub(super) fn command(self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).stdin(Stdio::null());
        command.env("HOME", dir).env("LC_ALL", "C").env_remove("PGDATA");
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// User and group of an account in the text of `/etc/passwd`.
fn ids(accounts: &str, name: &str) -> Option<(u32, u32)> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        let _password = fields.next();
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        found.then_some((uid, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104:,,,:/var/lib:/bin/sh\n";
        assert_eq!(ids(accounts, "postgres"), Some((101, 104)));
        assert_eq!(ids(accounts, "post"), None);
        assert_eq!(ids("broken\n", "broken"), None);
    }
}
