//! What the binary and its tests share.

pub mod compose;
pub mod demo;
pub mod serve;
