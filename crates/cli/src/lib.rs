//! Client verbs; depends on api only.
