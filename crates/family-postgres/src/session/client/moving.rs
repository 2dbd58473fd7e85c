//! What of a client's state matters for taking it to another server.

use wire_postgres::session::{ParameterStatus, Transaction};
use wire_postgres::{encode, tags::frontend};

use super::super::carry::{self, Carried};
use super::super::{local, statement};
use super::{Ended, PostgresSession};

/// Names of settings that servers do not list, remembered per client.
const CUSTOM_MAX: usize = 64;
/// Bytes of an unnamed statement kept in case it is bound later.
const UNNAMED_MAX: usize = 64 * 1024;

impl PostgresSession {
    pub(in super::super) fn is_movable(&self) -> bool {
        let idle = carry::is_over(self.status) || self.ended != Ended::No;
        self.door.is_none() && idle && !self.grouped && !self.copying
    }

    pub(in super::super) fn is_in_transaction(&self) -> bool {
        self.door.is_none()
            && self.status != Transaction::Idle
            && self.ended == Ended::No
            && !self.grouped
            && !self.copying
    }

    pub(in super::super) fn user(&self) -> &str {
        &self.user
    }

    pub(in super::super) fn has_foreign_types(&self) -> bool {
        self.foreign_types
    }

    pub(in super::super) fn custom_names(&self) -> &[String] {
        &self.custom
    }

    pub(in super::super) fn unnamed(&self) -> Option<&[u8]> {
        (!self.unnamed.is_empty()).then_some(&self.unnamed)
    }

    pub(in super::super) fn carries(&self) -> Option<&Carried> {
        self.carried.as_ref()
    }

    pub(in super::super) fn carry(&mut self, carried: Carried) {
        self.carried = Some(carried);
    }

    pub(in super::super) fn pin(&mut self, what: &str) {
        tracing::info!(user = self.user, what, code = local::PINNED, "session stays where it is");
    }

    pub(in super::super) fn was_ended(&mut self) {
        self.ended = Ended::Untold;
    }

    /// The new server has told a setting.
    pub(in super::super) fn hear(&mut self, status: &ParameterStatus<'_>) {
        self.heard.insert(status.name.to_vec(), status.value.to_vec());
    }

    /// Tells the client what is different on the new server.
    pub(in super::super) fn tell_differences(&mut self, out: &mut Vec<u8>) {
        for (name, value) in std::mem::take(&mut self.heard) {
            if self.parameters.get(&name) != Some(&value) {
                local::put(out, |b| encode::parameter_status(b, &name, &value));
                self.remember(&ParameterStatus { name: &name, value: &value });
            }
        }
    }

    pub(in super::super) fn settle_down(&mut self) {
        self.carried = None;
        if self.ended == Ended::No {
            self.status = Transaction::Idle;
        }
    }

    /// Remembers names of settings that the server does not list itself.
    pub(super) fn notice_settings(&mut self, raw: &[u8]) {
        let sets = |word: &[u8]| memchr::memmem::find(raw, word).is_some();
        if !(sets(b"onfig") || sets(b"ONFIG") || sets(b"set") || sets(b"SET") || sets(b"Set")) {
            return;
        }
        for (_, body, _) in local::messages(raw) {
            for name in statement::custom_settings(body) {
                if self.custom.len() < CUSTOM_MAX && !self.custom.contains(&name) {
                    self.custom.push(name);
                }
            }
        }
    }

    /// Remembers an unnamed statement that may be bound later.
    pub(super) fn notice_unnamed(&mut self, raw: &[u8]) {
        for (type_byte, body, whole) in local::messages(raw) {
            match type_byte {
                frontend::PARSE if body.first() == Some(&0) => {
                    self.unnamed.clear();
                    // One that is longer is lost by a move: the client is told when it binds it.
                    if whole.len() <= UNNAMED_MAX {
                        self.unnamed.extend_from_slice(whole);
                    }
                }
                frontend::QUERY => self.unnamed.clear(),
                _ => {}
            }
        }
    }
}
