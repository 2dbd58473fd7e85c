//! What functions, operators and types take away from a verdict.

use super::Judge;
use crate::analysis::builtin::{self, Special};
use crate::analysis::catalog::{Function, Volatility};
use crate::analysis::name::Name;
use crate::analysis::reason::Reason;
use crate::analysis::state::SessionState;

impl Judge<'_> {
    /// A call by name. Every function that the name may mean counts, because which one it is
    /// depends on the session's `search_path` and on the arguments' types.
    pub(super) fn function(&mut self, name: &Name) {
        let own = match &name.schema {
            None => true,
            Some(schema) => &**schema == "pg_catalog",
        };
        let mut known = own && self.own_function(&name.name);
        if let Some(catalog) = self.catalog {
            for function in catalog.functions_named(name) {
                known = true;
                self.user_function(&name.name, function);
            }
        }
        if !known {
            self.anything(match self.catalog {
                Some(_) => Reason::UnknownFunction,
                None if own => Reason::UnknownFunction,
                None => Reason::NoCatalog,
            });
        }
    }

    /// One of PostgreSQL's own; whether it is known to be one.
    fn own_function(&mut self, name: &str) -> bool {
        let volatility = match self.catalog {
            Some(catalog) => catalog.own_function(name),
            None => builtin::function(name),
        };
        match builtin::special(name, volatility) {
            Some(special) => self.special(special),
            None => return volatility.is_some(),
        }
        true
    }

    fn special(&mut self, special: Special) {
        match special {
            Special::Value => self.local(Reason::VolatileValue),
            Special::Time => self.not_deterministic(Reason::CurrentTime),
            Special::Server => self.local(Reason::ServerState),
            Special::Sequence => self.writes_alone(Reason::Sequence),
            Special::SessionLock => {
                self.writes_alone(Reason::AdvisoryLock);
                self.not_preparable(Reason::AdvisoryLock);
                self.verdict.leaves |= SessionState::ADVISORY_LOCK;
            }
            Special::TransactionLock => self.writes_alone(Reason::AdvisoryLock),
            Special::Notify => {
                self.writes_alone(Reason::Notify);
                self.not_preparable(Reason::Notify);
            }
            Special::Setting => {
                self.writes_alone(Reason::SessionSetting);
                self.not_preparable(Reason::SessionSetting);
                // Which setting is an argument: it may be the role.
                self.verdict.leaves |= SessionState::SET | SessionState::ROLE;
            }
            Special::LargeObject => self.writes_alone(Reason::LargeObject),
            Special::TransactionId => self.writes_alone(Reason::TransactionId),
            Special::Snapshot => {
                self.writes_alone(Reason::Snapshot);
                self.not_preparable(Reason::Snapshot);
            }
            Special::Files => self.writes_alone(Reason::ServerFiles),
            Special::Anything => self.anything(Reason::VolatileFunction),
        }
    }

    /// Has an effect of a known kind.
    fn writes_alone(&mut self, reason: Reason) {
        self.may_write(reason);
        self.not_deterministic(reason);
    }

    /// One of the database's, taken at its word if its language is one of PostgreSQL's own.
    fn user_function(&mut self, name: &str, function: &Function) {
        if function.opaque {
            self.anything(Reason::OpaqueFunction);
        } else if function.native && builtin::is_value_of_extension(name) {
            self.local(Reason::VolatileValue);
        } else if function.volatility == Volatility::Volatile && function.quiet {
            self.writes_alone(Reason::VolatileFunction);
        } else if function.volatility == Volatility::Volatile {
            self.anything(Reason::VolatileFunction);
        } else if function.volatility == Volatility::Stable {
            // It may read any table, and the clock.
            self.not_deterministic(Reason::ReadsOtherRows);
            if function.hidden {
                self.not_on_follower(Reason::HiddenReads);
            }
            if let Some(body) = &function.body
                && self.seen_bodies.insert(Name::new(Some(&function.schema), name))
            {
                self.nested(body);
            }
        }
    }

    /// `x.f` calls a function if there is no such column.
    pub(super) fn dotted(&mut self, name: &str) {
        let Some(catalog) = self.catalog else { return };
        let name = Name::new(None, name);
        let mut called = catalog.functions_named(&name).filter(|function| function.dotted);
        if called.any(|function| function.opaque || function.volatility == Volatility::Volatile) {
            self.anything(Reason::VolatileFunction);
        }
    }

    pub(super) fn operator(&mut self, name: &Name) {
        let own = match &name.schema {
            None => builtin::operator(&name.name),
            Some(schema) => &**schema == "pg_catalog" && builtin::operator(&name.name),
        };
        let mut known = own;
        if let Some(catalog) = self.catalog {
            for operator in catalog.operators_named(name) {
                known = true;
                if operator.volatility == Volatility::Volatile {
                    self.anything(Reason::VolatileOperator);
                }
            }
        }
        if !known {
            self.anything(Reason::UnknownOperator);
        }
    }

    pub(super) fn type_name(&mut self, name: &Name) {
        let own = match &name.schema {
            None => builtin::is_type(&name.name),
            Some(schema) => &**schema == "pg_catalog" && builtin::is_type(&name.name),
        };
        if own && builtin::is_object_id(&name.name) {
            self.local(Reason::ObjectId);
        }
        let mut known = own;
        if let Some(catalog) = self.catalog {
            for one in catalog.types_named(name) {
                known = true;
                if &*one.schema != "pg_catalog" {
                    self.user_type(one.oid);
                }
            }
        }
        if !known {
            self.anything(Reason::UnknownType);
        }
    }

    /// A type of the database: what its input function does, and the checks of domains in it.
    fn user_type(&mut self, oid: u32) {
        let Some(catalog) = self.catalog else { return };
        if !self.seen_types.insert(oid) {
            return;
        }
        let Some(one) = catalog.type_by_oid(oid) else { return };
        if one.input == Volatility::Volatile {
            self.anything(Reason::VolatileOperator);
        }
        if let Some(checks) = &one.checks {
            self.uses(checks);
        }
        if one.inner != 0 {
            self.user_type(one.inner);
        }
    }
}
