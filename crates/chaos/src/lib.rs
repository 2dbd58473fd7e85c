//! Server launchers, fault proxy, workloads, independent checkers.
