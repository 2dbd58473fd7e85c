//! Statements that begin, end or set up a transaction.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, TransactionStmt, TransactionStmtKind, VariableSetStmt, a_const};

use super::Judge;
use super::query::is_false;
use crate::analysis::name::text;
use crate::analysis::reason::Reason;
use crate::analysis::state::SessionState;
use crate::analysis::verdict::{Access, Change, Isolation, Modes, Setting, Transaction};

/// What our own prepared transactions begin with.
const OURS: &str = "exo:";

impl Judge<'_> {
    /// Judges a statement about the transaction; whether it is one.
    pub(super) fn transaction_command(&mut self, node: &NodeEnum) -> bool {
        let NodeEnum::TransactionStmt(statement) = node else { return false };
        match self.transaction(statement) {
            Some(transaction) => self.verdict.access = Access::Transaction(transaction),
            None => {
                self.anything(Reason::UnknownCommand);
                self.verdict.access = Access::Write;
            }
        }
        if self.verdict.may_write == Some(Reason::Reserved) {
            self.verdict.access = Access::Refused;
        }
        true
    }

    fn transaction(&mut self, statement: &TransactionStmt) -> Option<Transaction> {
        let chain = statement.chain;
        let name = || statement.savepoint_name.as_str().into();
        Some(match TransactionStmtKind::try_from(statement.kind).ok()? {
            TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart => {
                Transaction::Begin(self.modes(&statement.options))
            }
            TransactionStmtKind::TransStmtCommit => Transaction::Commit { chain },
            TransactionStmtKind::TransStmtRollback => Transaction::Rollback { chain },
            TransactionStmtKind::TransStmtSavepoint => Transaction::Savepoint(name()),
            TransactionStmtKind::TransStmtRelease => Transaction::Release(name()),
            TransactionStmtKind::TransStmtRollbackTo => Transaction::RollbackTo(name()),
            TransactionStmtKind::TransStmtPrepare => Transaction::Prepare(self.gid(statement)),
            TransactionStmtKind::TransStmtCommitPrepared => {
                Transaction::CommitPrepared(self.gid(statement))
            }
            TransactionStmtKind::TransStmtRollbackPrepared => {
                Transaction::RollbackPrepared(self.gid(statement))
            }
            TransactionStmtKind::Undefined => return None,
        })
    }

    fn gid(&mut self, statement: &TransactionStmt) -> Box<str> {
        let ours = statement.gid.starts_with(OURS);
        self.may_write(if ours { Reason::Reserved } else { Reason::TransactionControl });
        self.not_deterministic(Reason::TransactionControl);
        self.not_preparable(Reason::NotInTransaction);
        statement.gid.as_str().into()
    }

    /// SET TRANSACTION and its relatives; whether it is one of them.
    pub(super) fn set_transaction(&mut self, set: &VariableSetStmt) -> bool {
        match &*set.name {
            "TRANSACTION" => {
                let modes = self.modes(&set.args);
                self.verdict.access = Access::Transaction(Transaction::Set(modes));
            }
            "SESSION CHARACTERISTICS" => {
                self.modes(&set.args);
                self.verdict.access = Access::Session;
                self.verdict.leaves |= SessionState::SET;
                self.not_on_follower(Reason::Session);
                self.not_preparable(Reason::SessionSetting);
                let name = "session characteristics".into();
                self.verdict.settings.push(Setting { name, change: Change::Set });
            }
            "TRANSACTION SNAPSHOT" => {
                let transaction = Transaction::Set(Modes::default());
                self.belongs(Access::Transaction(transaction), Reason::Snapshot);
            }
            _ => return false,
        }
        true
    }

    fn modes(&mut self, options: &[Node]) -> Modes {
        let mut modes = Modes::default();
        for option in options {
            let Some(NodeEnum::DefElem(option)) = &option.node else { continue };
            let Some(argument) = option.arg.as_deref().and_then(constant) else { continue };
            match &*option.defname {
                "transaction_isolation" => modes.isolation = isolation(&argument),
                "transaction_read_only" => modes.read_only = Some(!is_false(&argument)),
                "transaction_deferrable" => modes.deferrable = Some(!is_false(&argument)),
                _ => {}
            }
        }
        if modes.isolation == Some(Isolation::Serializable) {
            self.not_on_follower(Reason::Serializable);
        }
        modes
    }
}

/// The value of a constant as a plain node.
fn constant(node: &Node) -> Option<Node> {
    let value = match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.clone()? {
            a_const::Val::Ival(number) => NodeEnum::Integer(number),
            a_const::Val::Boolval(truth) => NodeEnum::Boolean(truth),
            a_const::Val::Sval(string) => NodeEnum::String(string),
            a_const::Val::Fval(_) | a_const::Val::Bsval(_) => return None,
        },
        _ => return None,
    };
    Some(Node { node: Some(value) })
}

fn isolation(node: &Node) -> Option<Isolation> {
    Some(match text(node)? {
        "read uncommitted" => Isolation::ReadUncommitted,
        "read committed" => Isolation::ReadCommitted,
        "repeatable read" => Isolation::RepeatableRead,
        "serializable" => Isolation::Serializable,
        _ => return None,
    })
}
