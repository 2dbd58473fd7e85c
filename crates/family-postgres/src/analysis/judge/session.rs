//! Statements about the session: settings, subscriptions, prepared statements, libraries.

use pg_query::NodeEnum;
use pg_query::protobuf::{DiscardMode, VariableSetKind, VariableSetStmt};

use super::Judge;
use crate::analysis::reason::Reason;
use crate::analysis::state::SessionState;
use crate::analysis::verdict::{Access, Change, Named, Setting};

impl Judge<'_> {
    /// Judges a statement about the session; whether it is one.
    pub(super) fn session_command(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::VariableSetStmt(set) => self.set(set),
            NodeEnum::VariableShowStmt(show) => {
                self.belongs(Access::Session, Reason::ServerState);
                self.setting(&show.name, Change::Show);
            }
            NodeEnum::ConstraintsSetStmt(_) => {
                self.belongs(Access::Session, Reason::Session);
                self.verdict.leaves |= SessionState::SET_LOCAL;
            }
            NodeEnum::DiscardStmt(discard) => {
                self.session(SessionState::DISCARD, Reason::Session);
                self.not_preparable(match DiscardMode::try_from(discard.target) {
                    Ok(DiscardMode::DiscardTemp) => Reason::TemporaryTable,
                    _ => Reason::NotInTransaction,
                });
            }
            NodeEnum::LoadStmt(_) => {
                self.session(SessionState::LOAD, Reason::Session);
                self.not_preparable(Reason::Session);
            }
            NodeEnum::ListenStmt(_) => {
                self.session(SessionState::LISTEN, Reason::Notify);
                self.not_preparable(Reason::Notify);
            }
            NodeEnum::UnlistenStmt(_) => {
                self.session(SessionState::UNLISTEN, Reason::Notify);
                self.not_preparable(Reason::Notify);
            }
            NodeEnum::DeallocateStmt(one) => {
                self.session(SessionState::DEALLOCATE, Reason::Session);
                let name = (!one.isall).then(|| one.name.as_str().into());
                self.verdict.named = Some(Named::Deallocate(name));
            }
            NodeEnum::ClosePortalStmt(_) => self.belongs(Access::Session, Reason::Cursor),
            _ => return false,
        }
        true
    }

    fn session(&mut self, leaves: SessionState, reason: Reason) {
        self.verdict.access = Access::Session;
        self.not_on_follower(reason);
        self.verdict.leaves |= leaves;
    }

    fn setting(&mut self, name: &str, change: Change) {
        let name = name.to_ascii_lowercase().into();
        self.verdict.settings.push(Setting { name, change });
    }

    fn set(&mut self, set: &VariableSetStmt) {
        let kind = VariableSetKind::try_from(set.kind).unwrap_or(VariableSetKind::Undefined);
        if kind == VariableSetKind::VarSetMulti && self.set_transaction(set) {
            return;
        }
        let change = match kind {
            VariableSetKind::VarReset | VariableSetKind::VarResetAll => Change::Reset,
            _ if set.is_local => Change::SetLocal,
            VariableSetKind::VarSetDefault => Change::Reset,
            _ => Change::Set,
        };
        let leaves = match change {
            Change::SetLocal => SessionState::SET_LOCAL,
            Change::Reset => SessionState::RESET,
            Change::Set | Change::Show => SessionState::SET,
        };
        self.session(leaves, Reason::Session);
        if change != Change::SetLocal {
            // A rolled back prepared transaction does not take it back.
            self.not_preparable(Reason::SessionSetting);
        }
        let name = match kind {
            VariableSetKind::VarResetAll => "all",
            _ => &set.name,
        };
        let folded = name.to_ascii_lowercase();
        if matches!(&*folded, "role" | "session_authorization") {
            self.verdict.leaves |= SessionState::ROLE;
        }
        self.setting(name, change);
    }
}
