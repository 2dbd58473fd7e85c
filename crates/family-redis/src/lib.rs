//! Redis, Valkey and compatible systems.
