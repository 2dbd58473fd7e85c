use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of latency histograms, in seconds.
const LATENCY_S: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The process's metrics.
#[derive(Clone)]
pub struct Registry {
    handle: PrometheusHandle,
}

impl Registry {
    /// Everything, in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render()
    }
}

/// Installs the recorder. Once per process.
///
/// # Errors
/// When there is one already.
pub fn install() -> Result<Registry, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_S)?
        .install_recorder()?;
    Ok(Registry { handle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let registry = install().unwrap();
        assert!(install().is_err(), "there is one recorder per process");
        metrics::counter!("exodus_tests_total").increment(3);
        metrics::gauge!("exodus_tests_running").set(1.5);
        let text = registry.render();
        assert!(text.contains("exodus_tests_total 3"), "{text}");
        assert!(text.contains("exodus_tests_running 1.5"), "{text}");
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            assert!(line.starts_with("exodus_"), "{line}");
        }
    }
}
