//! Runs workflows: load, step, store, act. HTTP, SSE, dashboard.
