//! Which judge a command has.

use pg_query::NodeEnum;

use super::Judge;
use crate::analysis::reason::Reason;
use crate::analysis::verdict::Access;

impl Judge<'_> {
    pub(super) fn command(&mut self, node: &NodeEnum) {
        let judged = self.query_command(node)
            || self.session_command(node)
            || self.transaction_command(node)
            || self.schema_command(node);
        if !judged {
            self.anything(Reason::UnknownCommand);
            self.verdict.access = Access::Write;
        }
    }
}
