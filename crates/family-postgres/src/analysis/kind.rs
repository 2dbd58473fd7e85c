//! The commands, by the parser's kinds of statements.

use pg_query::NodeEnum;

macro_rules! kinds {
    ($($kind:ident => $word:literal, $node:ident;)*) => {
        /// The command of a statement: a bounded set, for metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            /// No statement at all.
            Empty,
            /// Statements of several kinds in one text.
            Several,
            /// Nothing this parser knows.
            Unknown,
            $(#[doc = $word] $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] =
                &[Self::Empty, Self::Several, Self::Unknown, $(Self::$kind),*];

            /// A stable word for metrics.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    Self::Empty => "empty",
                    Self::Several => "several",
                    Self::Unknown => "unknown",
                    $(Self::$kind => $word,)*
                }
            }

            /// Written without a wildcard: a parser that knows more does not compile until
            /// somebody has said what its new statements are.
            pub(super) const fn of(node: &NodeEnum) -> Self {
                match node {
                    $(NodeEnum::$node(_) => Self::$kind,)*
                    NodeEnum::Alias(_)
                    | NodeEnum::RangeVar(_)
                    | NodeEnum::TableFunc(_)
                    | NodeEnum::IntoClause(_)
                    | NodeEnum::Var(_)
                    | NodeEnum::Param(_)
                    | NodeEnum::Aggref(_)
                    | NodeEnum::GroupingFunc(_)
                    | NodeEnum::WindowFunc(_)
                    | NodeEnum::WindowFuncRunCondition(_)
                    | NodeEnum::MergeSupportFunc(_)
                    | NodeEnum::SubscriptingRef(_)
                    | NodeEnum::FuncExpr(_)
                    | NodeEnum::NamedArgExpr(_)
                    | NodeEnum::OpExpr(_)
                    | NodeEnum::DistinctExpr(_)
                    | NodeEnum::NullIfExpr(_)
                    | NodeEnum::ScalarArrayOpExpr(_)
                    | NodeEnum::BoolExpr(_)
                    | NodeEnum::SubLink(_)
                    | NodeEnum::SubPlan(_)
                    | NodeEnum::AlternativeSubPlan(_)
                    | NodeEnum::FieldSelect(_)
                    | NodeEnum::FieldStore(_)
                    | NodeEnum::RelabelType(_)
                    | NodeEnum::CoerceViaIo(_)
                    | NodeEnum::ArrayCoerceExpr(_)
                    | NodeEnum::ConvertRowtypeExpr(_)
                    | NodeEnum::CollateExpr(_)
                    | NodeEnum::CaseExpr(_)
                    | NodeEnum::CaseWhen(_)
                    | NodeEnum::CaseTestExpr(_)
                    | NodeEnum::ArrayExpr(_)
                    | NodeEnum::RowExpr(_)
                    | NodeEnum::RowCompareExpr(_)
                    | NodeEnum::CoalesceExpr(_)
                    | NodeEnum::MinMaxExpr(_)
                    | NodeEnum::SqlvalueFunction(_)
                    | NodeEnum::XmlExpr(_)
                    | NodeEnum::JsonFormat(_)
                    | NodeEnum::JsonReturning(_)
                    | NodeEnum::JsonValueExpr(_)
                    | NodeEnum::JsonConstructorExpr(_)
                    | NodeEnum::JsonIsPredicate(_)
                    | NodeEnum::JsonBehavior(_)
                    | NodeEnum::JsonExpr(_)
                    | NodeEnum::JsonTablePath(_)
                    | NodeEnum::JsonTablePathScan(_)
                    | NodeEnum::JsonTableSiblingJoin(_)
                    | NodeEnum::NullTest(_)
                    | NodeEnum::BooleanTest(_)
                    | NodeEnum::MergeAction(_)
                    | NodeEnum::CoerceToDomain(_)
                    | NodeEnum::CoerceToDomainValue(_)
                    | NodeEnum::SetToDefault(_)
                    | NodeEnum::CurrentOfExpr(_)
                    | NodeEnum::NextValueExpr(_)
                    | NodeEnum::InferenceElem(_)
                    | NodeEnum::ReturningExpr(_)
                    | NodeEnum::TargetEntry(_)
                    | NodeEnum::RangeTblRef(_)
                    | NodeEnum::JoinExpr(_)
                    | NodeEnum::FromExpr(_)
                    | NodeEnum::OnConflictExpr(_)
                    | NodeEnum::Query(_)
                    | NodeEnum::TypeName(_)
                    | NodeEnum::ColumnRef(_)
                    | NodeEnum::ParamRef(_)
                    | NodeEnum::AExpr(_)
                    | NodeEnum::TypeCast(_)
                    | NodeEnum::CollateClause(_)
                    | NodeEnum::RoleSpec(_)
                    | NodeEnum::FuncCall(_)
                    | NodeEnum::AStar(_)
                    | NodeEnum::AIndices(_)
                    | NodeEnum::AIndirection(_)
                    | NodeEnum::AArrayExpr(_)
                    | NodeEnum::ResTarget(_)
                    | NodeEnum::MultiAssignRef(_)
                    | NodeEnum::SortBy(_)
                    | NodeEnum::WindowDef(_)
                    | NodeEnum::RangeSubselect(_)
                    | NodeEnum::RangeFunction(_)
                    | NodeEnum::RangeTableFunc(_)
                    | NodeEnum::RangeTableFuncCol(_)
                    | NodeEnum::RangeTableSample(_)
                    | NodeEnum::ColumnDef(_)
                    | NodeEnum::TableLikeClause(_)
                    | NodeEnum::IndexElem(_)
                    | NodeEnum::DefElem(_)
                    | NodeEnum::LockingClause(_)
                    | NodeEnum::XmlSerialize(_)
                    | NodeEnum::PartitionElem(_)
                    | NodeEnum::PartitionSpec(_)
                    | NodeEnum::PartitionBoundSpec(_)
                    | NodeEnum::PartitionRangeDatum(_)
                    | NodeEnum::PartitionCmd(_)
                    | NodeEnum::RangeTblEntry(_)
                    | NodeEnum::RtepermissionInfo(_)
                    | NodeEnum::RangeTblFunction(_)
                    | NodeEnum::TableSampleClause(_)
                    | NodeEnum::WithCheckOption(_)
                    | NodeEnum::SortGroupClause(_)
                    | NodeEnum::GroupingSet(_)
                    | NodeEnum::WindowClause(_)
                    | NodeEnum::RowMarkClause(_)
                    | NodeEnum::WithClause(_)
                    | NodeEnum::InferClause(_)
                    | NodeEnum::OnConflictClause(_)
                    | NodeEnum::CtesearchClause(_)
                    | NodeEnum::CtecycleClause(_)
                    | NodeEnum::CommonTableExpr(_)
                    | NodeEnum::MergeWhenClause(_)
                    | NodeEnum::ReturningOption(_)
                    | NodeEnum::ReturningClause(_)
                    | NodeEnum::TriggerTransition(_)
                    | NodeEnum::JsonOutput(_)
                    | NodeEnum::JsonArgument(_)
                    | NodeEnum::JsonFuncExpr(_)
                    | NodeEnum::JsonTablePathSpec(_)
                    | NodeEnum::JsonTable(_)
                    | NodeEnum::JsonTableColumn(_)
                    | NodeEnum::JsonKeyValue(_)
                    | NodeEnum::JsonParseExpr(_)
                    | NodeEnum::JsonScalarExpr(_)
                    | NodeEnum::JsonSerializeExpr(_)
                    | NodeEnum::JsonObjectConstructor(_)
                    | NodeEnum::JsonArrayConstructor(_)
                    | NodeEnum::JsonArrayQueryConstructor(_)
                    | NodeEnum::JsonAggConstructor(_)
                    | NodeEnum::JsonObjectAgg(_)
                    | NodeEnum::JsonArrayAgg(_)
                    | NodeEnum::RawStmt(_)
                    | NodeEnum::SetOperationStmt(_)
                    | NodeEnum::ReturnStmt(_)
                    | NodeEnum::PlassignStmt(_)
                    | NodeEnum::AlterTableCmd(_)
                    | NodeEnum::AtalterConstraint(_)
                    | NodeEnum::ObjectWithArgs(_)
                    | NodeEnum::AccessPriv(_)
                    | NodeEnum::Constraint(_)
                    | NodeEnum::CreateOpClassItem(_)
                    | NodeEnum::StatsElem(_)
                    | NodeEnum::FunctionParameter(_)
                    | NodeEnum::InlineCodeBlock(_)
                    | NodeEnum::CallContext(_)
                    | NodeEnum::VacuumRelation(_)
                    | NodeEnum::PublicationTable(_)
                    | NodeEnum::PublicationObjSpec(_)
                    | NodeEnum::Integer(_)
                    | NodeEnum::Float(_)
                    | NodeEnum::Boolean(_)
                    | NodeEnum::String(_)
                    | NodeEnum::BitString(_)
                    | NodeEnum::List(_)
                    | NodeEnum::IntList(_)
                    | NodeEnum::OidList(_)
                    | NodeEnum::AConst(_) => Self::Unknown,
                }
            }
        }
    };
}

kinds! {
    Insert => "insert", InsertStmt;
    Delete => "delete", DeleteStmt;
    Update => "update", UpdateStmt;
    Merge => "merge", MergeStmt;
    Select => "select", SelectStmt;
    CreateSchema => "create_schema", CreateSchemaStmt;
    AlterTable => "alter_table", AlterTableStmt;
    ReplicaIdentity => "replica_identity", ReplicaIdentityStmt;
    AlterCollation => "alter_collation", AlterCollationStmt;
    AlterDomain => "alter_domain", AlterDomainStmt;
    Grant => "grant", GrantStmt;
    GrantRole => "grant_role", GrantRoleStmt;
    AlterDefaultPrivileges => "alter_default_privileges", AlterDefaultPrivilegesStmt;
    Copy => "copy", CopyStmt;
    Set => "set", VariableSetStmt;
    Show => "show", VariableShowStmt;
    CreateTable => "create_table", CreateStmt;
    CreateTablespace => "create_tablespace", CreateTableSpaceStmt;
    DropTablespace => "drop_tablespace", DropTableSpaceStmt;
    AlterTablespace => "alter_tablespace", AlterTableSpaceOptionsStmt;
    AlterTableMoveAll => "alter_table_move_all", AlterTableMoveAllStmt;
    CreateExtension => "create_extension", CreateExtensionStmt;
    AlterExtension => "alter_extension", AlterExtensionStmt;
    AlterExtensionContents => "alter_extension_contents", AlterExtensionContentsStmt;
    CreateFdw => "create_fdw", CreateFdwStmt;
    AlterFdw => "alter_fdw", AlterFdwStmt;
    CreateForeignServer => "create_foreign_server", CreateForeignServerStmt;
    AlterForeignServer => "alter_foreign_server", AlterForeignServerStmt;
    CreateForeignTable => "create_foreign_table", CreateForeignTableStmt;
    CreateUserMapping => "create_user_mapping", CreateUserMappingStmt;
    AlterUserMapping => "alter_user_mapping", AlterUserMappingStmt;
    DropUserMapping => "drop_user_mapping", DropUserMappingStmt;
    ImportForeignSchema => "import_foreign_schema", ImportForeignSchemaStmt;
    CreatePolicy => "create_policy", CreatePolicyStmt;
    AlterPolicy => "alter_policy", AlterPolicyStmt;
    CreateAccessMethod => "create_access_method", CreateAmStmt;
    CreateTrigger => "create_trigger", CreateTrigStmt;
    CreateEventTrigger => "create_event_trigger", CreateEventTrigStmt;
    AlterEventTrigger => "alter_event_trigger", AlterEventTrigStmt;
    CreateLanguage => "create_language", CreatePlangStmt;
    CreateRole => "create_role", CreateRoleStmt;
    AlterRole => "alter_role", AlterRoleStmt;
    AlterRoleSet => "alter_role_set", AlterRoleSetStmt;
    DropRole => "drop_role", DropRoleStmt;
    CreateSequence => "create_sequence", CreateSeqStmt;
    AlterSequence => "alter_sequence", AlterSeqStmt;
    Define => "define", DefineStmt;
    CreateDomain => "create_domain", CreateDomainStmt;
    CreateOperatorClass => "create_operator_class", CreateOpClassStmt;
    CreateOperatorFamily => "create_operator_family", CreateOpFamilyStmt;
    AlterOperatorFamily => "alter_operator_family", AlterOpFamilyStmt;
    Drop => "drop", DropStmt;
    Truncate => "truncate", TruncateStmt;
    Comment => "comment", CommentStmt;
    SecurityLabel => "security_label", SecLabelStmt;
    Declare => "declare", DeclareCursorStmt;
    Close => "close", ClosePortalStmt;
    Fetch => "fetch", FetchStmt;
    CreateIndex => "create_index", IndexStmt;
    CreateStatistics => "create_statistics", CreateStatsStmt;
    AlterStatistics => "alter_statistics", AlterStatsStmt;
    CreateFunction => "create_function", CreateFunctionStmt;
    AlterFunction => "alter_function", AlterFunctionStmt;
    Do => "do", DoStmt;
    Call => "call", CallStmt;
    Rename => "rename", RenameStmt;
    AlterObjectDepends => "alter_object_depends", AlterObjectDependsStmt;
    AlterObjectSchema => "alter_object_schema", AlterObjectSchemaStmt;
    AlterOwner => "alter_owner", AlterOwnerStmt;
    AlterOperator => "alter_operator", AlterOperatorStmt;
    AlterType => "alter_type", AlterTypeStmt;
    CreateRule => "create_rule", RuleStmt;
    Notify => "notify", NotifyStmt;
    Listen => "listen", ListenStmt;
    Unlisten => "unlisten", UnlistenStmt;
    Transaction => "transaction", TransactionStmt;
    CreateCompositeType => "create_composite_type", CompositeTypeStmt;
    CreateEnum => "create_enum", CreateEnumStmt;
    CreateRange => "create_range", CreateRangeStmt;
    AlterEnum => "alter_enum", AlterEnumStmt;
    CreateView => "create_view", ViewStmt;
    Load => "load", LoadStmt;
    CreateDatabase => "create_database", CreatedbStmt;
    AlterDatabase => "alter_database", AlterDatabaseStmt;
    AlterDatabaseRefresh => "alter_database_refresh", AlterDatabaseRefreshCollStmt;
    AlterDatabaseSet => "alter_database_set", AlterDatabaseSetStmt;
    DropDatabase => "drop_database", DropdbStmt;
    AlterSystem => "alter_system", AlterSystemStmt;
    Cluster => "cluster", ClusterStmt;
    Vacuum => "vacuum", VacuumStmt;
    Explain => "explain", ExplainStmt;
    CreateTableAs => "create_table_as", CreateTableAsStmt;
    RefreshMaterializedView => "refresh_materialized_view", RefreshMatViewStmt;
    Checkpoint => "checkpoint", CheckPointStmt;
    Discard => "discard", DiscardStmt;
    Lock => "lock", LockStmt;
    SetConstraints => "set_constraints", ConstraintsSetStmt;
    Reindex => "reindex", ReindexStmt;
    CreateConversion => "create_conversion", CreateConversionStmt;
    CreateCast => "create_cast", CreateCastStmt;
    CreateTransform => "create_transform", CreateTransformStmt;
    Prepare => "prepare", PrepareStmt;
    Execute => "execute", ExecuteStmt;
    Deallocate => "deallocate", DeallocateStmt;
    DropOwned => "drop_owned", DropOwnedStmt;
    ReassignOwned => "reassign_owned", ReassignOwnedStmt;
    AlterTsDictionary => "alter_ts_dictionary", AlterTsdictionaryStmt;
    AlterTsConfiguration => "alter_ts_configuration", AlterTsconfigurationStmt;
    CreatePublication => "create_publication", CreatePublicationStmt;
    AlterPublication => "alter_publication", AlterPublicationStmt;
    CreateSubscription => "create_subscription", CreateSubscriptionStmt;
    AlterSubscription => "alter_subscription", AlterSubscriptionStmt;
    DropSubscription => "drop_subscription", DropSubscriptionStmt;
}
