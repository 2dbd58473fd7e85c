//! Durable run state: embedded SQLite, and memory for tests.
