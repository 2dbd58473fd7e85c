//! How fast the source answered before anything was asked of it besides its own work: the last
//! minute of the analyze phase. Kept with the run, so that a restart does not forget it.

use serde::{Deserialize, Serialize};
use store::{Batch, Change, Kind, Store};

use super::traffic::Window;
use crate::world::World;

/// Id of the document in the migration's settings.
const ID: &str = "latency_baseline";
/// Requests below which a p99 says nothing.
const REQUESTS_MIN: u64 = 100;
/// How often it is taken while the phase lasts.
const EVERY_MS: u64 = 1_000;

/// The source's round trips through us in the analyze phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) run: String,
    pub(crate) p99_us: u64,
    pub(crate) requests: u64,
}

/// Reads the baseline of a migration.
pub(crate) async fn load(store: &dyn Store, migration: &str) -> anyhow::Result<Option<Baseline>> {
    let doc = store.get(Kind::Setting, migration, ID).await?;
    doc.map(|doc| serde_json::from_slice(&doc.body).map_err(Into::into)).transpose()
}

/// Takes it, when it is time; called in the analyze phase only.
pub(super) async fn take(world: &World, run: &str, next_ms: &mut u64, now_ms: u64) {
    if now_ms < *next_ms {
        return;
    }
    *next_ms = now_ms + EVERY_MS;
    let sum = Window::now(&world.interlays);
    let [_, upstream, _] = world.seen.window.lock().latencies(&sum);
    if upstream.len() < REQUESTS_MIN {
        return;
    }
    let run = run.to_owned();
    let p99_us = upstream.value_at_quantile(0.99);
    let taken = Baseline { run, p99_us, requests: upstream.len() };
    let body = serde_json::json!(taken).to_string().into_bytes();
    let put = Change::put(Kind::Setting, &world.id, ID, body);
    match world.store.commit(Batch::data(vec![put])).await {
        Ok(_) => world.set_baseline(Some(taken)),
        Err(error) => tracing::error!(%error, "the latency of the source was not stored"),
    }
}

/// Change of the source's p99 since then, percent. `None` while it says nothing: another run, too
/// few requests, or answers of the target among them.
pub(crate) fn change(
    baseline: Option<&Baseline>,
    run: &str,
    (p99_us, requests): (u64, u64),
    only_source: bool,
) -> Option<f64> {
    let before = baseline.filter(|b| b.run == run && b.p99_us > 0)?;
    if !only_source || requests < REQUESTS_MIN {
        return None;
    }
    Some((p99_us as f64 - before.p99_us as f64) * 100.0 / before.p99_us as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_only_where_it_means_something() {
        let baseline = Baseline { run: "r".to_owned(), p99_us: 400, requests: 1_000 };
        let of = |run, now, only| change(Some(&baseline), run, now, only);
        assert_eq!(of("r", (500, 100), true), Some(25.0));
        assert_eq!(of("r", (300, 100), true), Some(-25.0));
        assert_eq!(of("r", (500, 99), true), None, "too few");
        assert_eq!(of("r", (500, 100), false), None, "the target answers too");
        assert_eq!(of("other", (500, 100), true), None, "another run's");
        assert_eq!(change(None, "r", (500, 100), true), None);
    }
}
