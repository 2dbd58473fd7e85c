//! The names of the load's keys, shared with the checkers.

use super::ledger::Kind;

/// Names keys under one prefix.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
}

/// Accounts per database, each opened with [`ACCOUNT_OPENING`].
pub const ACCOUNTS: u32 = 16;
/// Opening balance of every account.
pub const ACCOUNT_OPENING: i64 = 1_000;
/// Queues whose jobs are popped; one more queue has its jobs moved.
pub const POPPED_QUEUES: u32 = 2;
/// The group that reads the group stream.
pub const GROUP: &str = "workers";

impl Names {
    /// Names under this prefix.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The key number `index` of a workload.
    #[must_use]
    pub fn key(&self, kind: Kind, index: u32) -> String {
        let p = &self.prefix;
        match kind {
            Kind::ListPush => format!("{p}list:{index}"),
            Kind::StreamAdd => format!("{p}stream:{index}"),
            Kind::SetAdd => format!("{p}set:{index}"),
            Kind::ZAdd => format!("{p}zset:{index}"),
            Kind::Append => format!("{p}log:{index}"),
            Kind::Incr => format!("{p}counter:{index}"),
            Kind::HashIncr => format!("{p}hash:{}", index / 16),
            Kind::FloatIncr => format!("{p}float:{index}"),
            Kind::Transfer => format!("{p}{{bank}}:account:{index}"),
            Kind::Script => format!("{p}{{script:{index}}}:sum"),
            Kind::JobPush | Kind::JobPop | Kind::JobMove => format!("{p}{{jobs}}:queue:{index}"),
            Kind::GroupRead => format!("{p}group:{index}"),
        }
    }

    /// The field of a [`Kind::HashIncr`] record.
    #[must_use]
    pub fn hash_field(index: u32) -> String {
        format!("f{}", index % 16)
    }

    /// Page `page` of the bank's log.
    #[must_use]
    pub fn bank_log(&self, page: u32) -> String {
        format!("{}{{bank}}:log:{page}", self.prefix)
    }

    /// The list a script appends to.
    #[must_use]
    pub fn script_list(&self, index: u32) -> String {
        format!("{}{{script:{index}}}:list", self.prefix)
    }

    /// Where jobs go that are moved, not popped.
    #[must_use]
    pub fn jobs_done(&self) -> String {
        format!("{}{{jobs}}:done", self.prefix)
    }

    /// A key only one client writes.
    #[must_use]
    pub fn own(&self, what: &str, client: u16, generation: u32, index: u32) -> String {
        format!("{}{what}:{client}:{generation}:{index}", self.prefix)
    }

    /// A row of slots in which every client writes its own.
    #[must_use]
    pub fn slots(&self, generation: u32) -> String {
        format!("{}slots:{generation}", self.prefix)
    }

    /// The channel of a publisher.
    #[must_use]
    pub fn channel(&self, index: u32) -> String {
        format!("{}channel:{index}", self.prefix)
    }
}
