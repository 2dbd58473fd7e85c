//! Notes of what may have changed: in memory on the hot path, coarse markers durable.
