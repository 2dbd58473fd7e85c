//! Why a statement may not do something, as a closed list with a sentence each.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $word:literal, $text:literal;)*) => {
        /// Why not. The sentence is for people; the word is for metrics and never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $text] $(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// A stable word for metrics.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }

            /// One sentence without a full stop.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

reasons! {
    // What was not understood.
    Unparsable => "unparsable", "the text is no SQL that this parser knows";
    NotText => "not_text", "the text is not UTF-8 or holds a zero byte";
    TooLarge => "too_large", "the text is too large to be looked into on the way through";
    TooDeep => "too_deep", "the statement is nested too deeply";
    UnknownCommand => "unknown_command", "the command is not known here";
    UnknownConstruct => "unknown_construct", "the statement holds a construct that is not known here";
    NoCatalog => "no_catalog", "the database's catalog is not loaded";
    UnknownFunction => "unknown_function", "a function is called that the catalog snapshot does not hold";
    UnknownTable => "unknown_table", "a table is named that the catalog snapshot does not hold";
    UnknownType => "unknown_type", "a type is named that the catalog snapshot does not hold";
    UnknownOperator => "unknown_operator", "an operator is used that the catalog snapshot does not hold";
    // What it does.
    Writes => "writes", "it changes rows";
    RowLock => "row_lock", "it locks rows";
    TableLock => "table_lock", "it locks tables";
    CreatesTable => "creates_table", "it stores its result in a new table";
    Ddl => "ddl", "it changes the schema";
    Maintenance => "maintenance", "it maintains the server it runs on";
    TransactionControl => "transaction_control", "it controls the transaction";
    Session => "session", "it changes or shows the session";
    SessionSetting => "session_setting", "it changes a setting beyond the transaction's end";
    VolatileFunction => "volatile_function", "it calls a function that may change the database";
    VolatileValue => "volatile_value", "it uses a value that is another one each time";
    VolatileOperator => "volatile_operator", "it uses an operator or cast whose function may change the database";
    OpaqueFunction => "opaque_function", "it calls a function in a language whose promises are not believed";
    HiddenReads => "hidden_reads", "it calls a function that may read tables and was not looked into";
    Procedure => "procedure", "it calls a procedure, which may do anything";
    CodeBlock => "code_block", "it runs a code block, which may do anything";
    PreparedByName => "prepared_by_name", "it runs a statement prepared elsewhere";
    Sequence => "sequence", "it uses a sequence";
    AdvisoryLock => "advisory_lock", "it uses advisory locks";
    Notify => "notify", "it uses LISTEN or NOTIFY";
    LargeObject => "large_object", "it uses large objects";
    TransactionId => "transaction_id", "it asks for a transaction id";
    Snapshot => "snapshot", "it exports or adopts a snapshot";
    Serializable => "serializable", "serializable isolation holds within one server only";
    Cursor => "cursor", "it uses a cursor";
    HoldCursor => "hold_cursor", "it declares a cursor WITH HOLD";
    Copy => "copy", "it copies rows in or out";
    ServerFiles => "server_files", "it reads or writes files or programs of the server";
    Explain => "explain", "a plan is the plan of one server";
    NotInTransaction => "not_in_transaction", "it cannot run inside a transaction";
    // What it touches.
    TemporaryTable => "temporary_table", "it uses temporary objects";
    ForeignTable => "foreign_table", "it uses a foreign table";
    MaterializedView => "materialized_view", "it reads a materialized view, which is not kept equal by the stream";
    UnloggedTable => "unlogged_table", "it uses an unlogged table, which is not in the stream";
    SystemCatalog => "system_catalog", "it reads the system catalogs of one server";
    SystemColumn => "system_column", "it uses a system column, which differs between servers";
    ObjectId => "object_id", "it uses object identifiers, which differ between servers";
    ServerState => "server_state", "it asks about the server or the session it runs on";
    // Why two servers may answer differently.
    CurrentTime => "current_time", "it uses the current time";
    Sample => "sample", "it takes a sample of a table";
    LimitWithoutOrder => "limit_without_order", "it takes some of the rows without saying which";
    OrderDependent => "order_dependent", "it depends on the order in which rows are found";
    ReadsOtherRows => "reads_other_rows", "what it writes depends on rows that it does not lock";
    RowsWithoutKey => "rows_without_key", "the rows it changes are not named by a key";
    Trigger => "trigger", "a table it changes has triggers";
    Rule => "rule", "a table it changes has rules";
    RowSecurity => "row_security", "a table it changes has row security";
    ThroughView => "through_view", "it changes rows through a view";
    VolatileDefault => "volatile_default", "a column it leaves out gets a default that is another one each time";
    Identity => "identity", "a column it leaves out is an identity";
    // What is ours.
    Reserved => "reserved", "it names an object that belongs to the migration";
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}
