//! A server and its children: each session is a process in a process group of its own, so that
//! killing or freezing a server means finding them all.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use crate::wait;

/// Processes whose parent is `parent`, ended ones that nobody has fetched left out.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|(state, of)| state != 'Z' && of == parent))
        .collect()
}

/// State and parent of a process, while it exists.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses included.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Sends a signal to processes that may be gone already.
pub(super) fn signal(name: &str, pids: &[u32]) -> io::Result<()> {
    if pids.is_empty() {
        return Ok(());
    }
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    // The shell's builtin: exists everywhere, and we may not use unsafe code.
    let command = format!("kill -{name} {} 2>/dev/null; true", pids.join(" "));
    Command::new("sh").arg("-c").arg(command).status().map(drop)
}

/// Waits until none of them runs.
pub(super) fn gone(pids: &[u32], limit: Duration) -> bool {
    let over = |pid: &u32| stat(*pid).is_none_or(|(state, _)| state == 'Z');
    wait::until(limit, || pids.iter().all(over))
}
