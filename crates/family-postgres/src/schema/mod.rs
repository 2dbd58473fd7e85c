//! What is moved besides rows: roles, tables and the rest of the schema, sequences.
//!
//! Constraints: the schema is read by `pg_dump` of the source's version or a newer one, because
//! nothing else knows every kind of object; each step runs in one transaction on the target that
//! also notes that it is done, so it can be repeated. What is not there yet can slow copying down
//! or refuse it: the first step makes tables and what identifies their rows, the second indexes,
//! foreign keys, triggers and the rest.
//!
//! Layout: `dump` finds and runs the programs, `steps` the two steps, `foreign` foreign keys,
//! `roles` who owns and logs in, `sequences` where they stand.

mod dump;
mod foreign;
mod roles;
mod sequences;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use dump::find as find_dump;
pub(crate) use roles::roles;
pub(crate) use sequences::sequences;
pub(crate) use steps::{post_data, pre_data};
