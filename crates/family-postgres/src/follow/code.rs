//! The codes of this room; each has a page in `docs/errors`.

pub(crate) const BLOCKED: &str = "EXO-PGS-301";
pub(crate) const LOST: &str = "EXO-PGS-302";
pub(crate) const NOT_EMPTY: &str = "EXO-PGS-303";
pub(crate) const POLICY: &str = "EXO-ENG-005";
pub(crate) const NO_REPLICA_ROLE: &str = "EXO-PGS-305";
pub(crate) const SHAPE: &str = "EXO-PGS-306";
pub(crate) const REFUSED: &str = "EXO-PGS-307";
pub(crate) const TOO_OLD: &str = "EXO-PGS-308";
pub(crate) const ENDED: &str = "EXO-PGS-309";
pub(crate) const UNIQUE: &str = "EXO-PGS-310";
pub(crate) const IDENTITY: &str = "EXO-PGS-311";
pub(crate) const NO_TABLE: &str = "EXO-PGS-312";
pub(crate) const BEHIND: &str = "EXO-PGS-313";
pub(crate) const TAKEN_OVER: &str = "EXO-PGS-314";
pub(crate) const READ_ANEW: &str = "EXO-PGS-315";
