//! The registry of error codes that the control plane answers with. Each has a page in
//! `docs/errors`; families and the proxy add their own there.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct CodeInfo {
    /// `EXO-<AREA>-<NNN>`.
    pub code: &'static str,
    /// Its short meaning.
    pub title: &'static str,
    /// The HTTP status it is answered with.
    pub status: u16,
    /// The usual remedy.
    pub fix: &'static str,
}

/// The explain page of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CodePage {
    /// `EXO-<AREA>-<NNN>`.
    pub code: String,
    /// The page, Markdown.
    pub markdown: String,
}

const fn entry(
    code: &'static str,
    title: &'static str,
    status: u16,
    fix: &'static str,
) -> CodeInfo {
    CodeInfo { code, title, status, fix }
}

/// Every code of the control plane.
pub const CODES: &[CodeInfo] = &[
    entry("EXO-API-400", "the request cannot be understood", 400, "exodus docs api"),
    entry("EXO-API-401", "no valid token", 401, "set EXODUS_TOKEN, or use --token"),
    entry("EXO-API-403", "the token's roles do not allow this", 403, "exodus whoami"),
    entry("EXO-API-404", "there is no such thing", 404, "exodus status"),
    entry("EXO-API-409", "the present state does not allow this", 409, "exodus next"),
    entry(
        "EXO-API-412",
        "the state changed since you looked",
        412,
        "exodus status, then repeat the command",
    ),
    entry("EXO-API-413", "the request body is too large", 413, "exodus docs api"),
    entry("EXO-API-422", "an argument is missing or wrong", 422, "exodus docs api"),
    entry(
        "EXO-API-428",
        "If-Match is required",
        428,
        "send If-Match with the state_version of the status",
    ),
    entry("EXO-API-429", "too many attempts", 429, "wait a minute and try again"),
    entry("EXO-API-500", "internal error", 500, "exodus events, then exodus bundle create"),
    entry("EXO-API-501", "this is not built", 501, "exodus docs limits"),
    entry("EXO-API-503", "not possible right now", 503, "exodus status"),
    entry("EXO-API-504", "a reason is required", 422, "repeat the command with --reason"),
    entry(
        "EXO-API-505",
        "a confirmation is required",
        409,
        "repeat the command with --yes after reading its dry run",
    ),
];

/// Looks a code up.
#[must_use]
pub fn code(code: &str) -> Option<&'static CodeInfo> {
    CODES.iter().find(|c| c.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in CODES {
            assert!(seen.insert(entry.code), "{} twice", entry.code);
            let parts: Vec<_> = entry.code.split('-').collect();
            assert_eq!((parts.len(), parts[0], parts[1].len()), (3, "EXO", 3), "{}", entry.code);
            assert!(parts[2].parse::<u16>().is_ok());
            assert!((400..600).contains(&entry.status));
        }
    }
}
