//! Metrics registry, exporters, sampled history, tracing set-up.
