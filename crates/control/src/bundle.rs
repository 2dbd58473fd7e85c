//! The incident bundle: a tar file with everything somebody who was not there needs to know.
//! Values of records and secrets are in none of its parts.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;
use store::{EventQuery, Kind};

use crate::clock::rfc3339;
use crate::http::events as http_events;
use crate::migration::Migration;
use crate::server::Server;
use crate::{events, preflight, reports, samples, status};

/// Items of each log.
const MOST: usize = 100_000;
/// Seconds of metrics history.
const HISTORY_S: u64 = 24 * 3_600;

/// Builds a bundle.
pub(crate) async fn build(server: &Server, migration: &Arc<Migration>) -> anyhow::Result<Vec<u8>> {
    let world = &migration.world;
    let (store, id) = (server.common.store.as_ref(), world.id.as_str());
    let now = server.common.clock.now_ms();
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut add = |name: &'static str, value: serde_json::Value| -> anyhow::Result<()> {
        files.push((name, serde_json::to_vec_pretty(&value)?));
        Ok(())
    };
    add("status.json", serde_json::to_value(status::build(migration).await?)?)?;
    add("report.json", serde_json::to_value(reports::report(migration, "final").await?)?)?;
    add("checks.json", serde_json::to_value(preflight::stored(world).await?)?)?;
    let query =
        EventQuery { scope: Some(id.to_owned()), limit: MOST, newest: true, ..Default::default() };
    let log: Vec<_> = store.events(query).await?.into_iter().map(events::shown).collect();
    add("events.json", serde_json::to_value(log)?)?;
    let audit = store.audit(Some(id), 0, MOST).await?;
    let audit: Vec<_> = audit.into_iter().map(http_events::entry).collect();
    add("audit.json", serde_json::to_value(audit)?)?;
    let verdict = store.verify_audit().await?;
    add(
        "audit-verdict.json",
        json!({ "entries": verdict.entries, "broken_at": verdict.broken_at }),
    )?;
    for (name, kind) in [("divergences.json", Kind::Divergence), ("parked.json", Kind::Parked)] {
        let docs = store.list(kind, Some(id), None, MOST).await?;
        let all: Vec<_> = docs
            .iter()
            .map(|d| {
                let body: serde_json::Value = serde_json::from_slice(&d.body).unwrap_or_default();
                json!({ "id": d.id, "record": body })
            })
            .collect();
        add(name, json!(all))?;
    }
    let from = (now / 1_000).saturating_sub(HISTORY_S);
    add("samples.json", serde_json::to_value(samples::columns(store, id, from, u64::MAX).await?)?)?;
    // The document holds references only; `parse` refuses anything else.
    files.push(("config.yaml", migration.yaml.load().as_bytes().to_vec()));
    files.push(("runbook.md", reports::runbook(migration).into_bytes()));
    files.push(("metrics.txt", (server.settings.metrics)().into_bytes()));
    let manifest: Vec<_> = files
        .iter()
        .map(|(name, bytes)| {
            json!({
                "name": name, "bytes": bytes.len(), "blake3": blake3::hash(bytes).to_hex().as_str(),
            })
        })
        .collect();
    let manifest = json!({
        "migration": id,
        "run": migration.runner.snapshot().run.as_ref().map(|r| r.run.clone()),
        "made": rfc3339(now),
        "files": manifest,
        "redaction": "secrets stand in the configuration as references only; record values are \
                      masked where they are found",
    });
    let index = index(id, &rfc3339(now), &files);
    files.push(("manifest.json", serde_json::to_vec_pretty(&manifest)?));
    files.insert(0, ("index.html", index.into_bytes()));
    let mut tar = Vec::new();
    for (name, bytes) in &files {
        append(&mut tar, name, bytes, now / 1_000);
    }
    tar.extend([0; 1_024]);
    Ok(tar)
}

fn index(id: &str, at: &str, files: &[(&str, Vec<u8>)]) -> String {
    let mut out = format!(
        "<!doctype html><meta charset=utf-8><title>{id}</title><h1>Incident bundle of {id}</h1>\
         <p>made {at}<ul>"
    );
    for (name, bytes) in files {
        let _ = write!(out, "<li><a href=\"{name}\">{name}</a> ({} bytes)", bytes.len());
    }
    out
}

/// One file in the ustar format (POSIX.1-1988).
fn append(tar: &mut Vec<u8>, name: &str, bytes: &[u8], at_s: u64) {
    let mut head = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", bytes.len()));
    put(136, &format!("{at_s:011o}\0"));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(head);
    tar.extend(bytes);
    tar.extend(std::iter::repeat_n(0, bytes.len().next_multiple_of(512) - bytes.len()));
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_system_tar_reads_it() {
        let mut tar = Vec::new();
        super::append(&mut tar, "a.txt", b"hello", 1);
        super::append(&mut tar, "b.txt", &[7; 600], 1);
        tar.extend([0; 1_024]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tar");
        std::fs::write(&path, tar).unwrap();
        let unpacked = std::process::Command::new("tar")
            .args(["-xf", "x.tar"])
            .current_dir(directory.path())
            .status()
            .unwrap();
        assert!(unpacked.success());
        assert_eq!(std::fs::read(directory.path().join("a.txt")).unwrap(), b"hello");
        assert_eq!(std::fs::read(directory.path().join("b.txt")).unwrap(), [7; 600]);
    }
}
