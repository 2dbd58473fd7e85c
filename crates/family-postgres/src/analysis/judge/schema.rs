//! Statements about the schema, roles, databases and the server.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableStmt, AlterTableType, DropStmt, Node, ObjectType, RangeVar, ReindexObjectType,
    ReindexStmt, VacuumStmt,
};

use super::Judge;
use super::query::is_false;
use crate::analysis::catalog::is_temporary;
use crate::analysis::kind::Kind;
use crate::analysis::name::{Name, text};
use crate::analysis::reason::Reason;
use crate::analysis::state::SessionState;
use crate::analysis::uses::Uses;
use crate::analysis::verdict::Access;

/// Our publications begin with this, and this is our schema.
const OURS: &str = "exodus_";
const OUR_SCHEMA: &str = "exodus";

impl Judge<'_> {
    /// Judges a statement about the schema or the server; whether it is one.
    pub(super) fn schema_command(&mut self, node: &NodeEnum) -> bool {
        if Kind::of(node) == Kind::Unknown {
            return false;
        }
        if !self.maintenance(node) {
            self.ddl(node);
        }
        true
    }

    /// What changes neither data nor schema.
    fn maintenance(&mut self, node: &NodeEnum) -> bool {
        let outside = match node {
            NodeEnum::VacuumStmt(vacuum) => {
                self.verdict.reads.extend(vacuumed(vacuum));
                vacuum.is_vacuumcmd
            }
            NodeEnum::ClusterStmt(cluster) => {
                self.verdict.reads.extend(cluster.relation.as_ref().map(Name::of_relation));
                cluster.relation.is_none()
            }
            NodeEnum::ReindexStmt(reindex) => {
                self.verdict.reads.extend(reindex.relation.as_ref().map(Name::of_relation));
                reindex_is_alone(reindex)
            }
            NodeEnum::CheckPointStmt(_) => false,
            NodeEnum::AlterSystemStmt(_) => true,
            _ => return false,
        };
        self.belongs(Access::Utility, Reason::Maintenance);
        if outside {
            self.not_preparable(Reason::NotInTransaction);
        }
        true
    }

    fn ddl(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::CreateTableAsStmt(create) => {
                if let Some(query) = create.query.as_ref().and_then(|query| query.node.as_ref()) {
                    match query {
                        NodeEnum::ExecuteStmt(_) => self.anything(Reason::PreparedByName),
                        query => self.uses(&Uses::of(query)),
                    }
                }
                let table = create.into.as_ref().and_then(|into| into.rel.as_ref());
                return self.creates(table, Reason::CreatesTable);
            }
            NodeEnum::CreateStmt(one) => return self.creates(one.relation.as_ref(), Reason::Ddl),
            NodeEnum::CreateSeqStmt(one) => {
                return self.creates(one.sequence.as_ref(), Reason::Ddl);
            }
            NodeEnum::ViewStmt(view) => {
                if let Some(query) = view.query.as_ref().and_then(|query| query.node.as_ref()) {
                    self.verdict.reads = Uses::of(query).reads;
                }
                return self.creates(view.view.as_ref(), Reason::Ddl);
            }
            _ => {}
        }
        self.verdict.access = Access::Ddl;
        self.may_write(Reason::Ddl);
        self.targets(node);
        if let NodeEnum::AlterTableStmt(alter) = node {
            self.rewrite(alter);
        }
        if is_alone(node) {
            self.not_preparable(Reason::NotInTransaction);
        }
        if self.verdict.writes.iter().any(is_temporary) {
            self.temporary_object();
        }
        if is_ours(node) {
            self.verdict.access = Access::Refused;
            self.verdict.may_write = Some(Reason::Reserved);
        }
    }

    /// The relations that a change of the schema names as its object.
    fn targets(&mut self, node: &NodeEnum) {
        let relation = match node {
            NodeEnum::AlterTableStmt(one) => one.relation.as_ref(),
            NodeEnum::IndexStmt(one) => one.relation.as_ref(),
            NodeEnum::CreateTrigStmt(one) => one.relation.as_ref(),
            NodeEnum::RuleStmt(one) => one.relation.as_ref(),
            NodeEnum::CreatePolicyStmt(one) => one.table.as_ref(),
            NodeEnum::AlterPolicyStmt(one) => one.table.as_ref(),
            NodeEnum::RenameStmt(one) => one.relation.as_ref(),
            NodeEnum::AlterObjectSchemaStmt(one) => one.relation.as_ref(),
            NodeEnum::AlterOwnerStmt(one) => one.relation.as_ref(),
            NodeEnum::AlterSeqStmt(one) => one.sequence.as_ref(),
            NodeEnum::RefreshMatViewStmt(one) => one.relation.as_ref(),
            NodeEnum::CompositeTypeStmt(one) => one.typevar.as_ref(),
            NodeEnum::CreateForeignTableStmt(one) => {
                one.base_stmt.as_ref().and_then(|base| base.relation.as_ref())
            }
            NodeEnum::DropStmt(drop) => {
                self.verdict.writes.extend(dropped(drop));
                None
            }
            NodeEnum::CreateFunctionStmt(one) => {
                // Only where it stands matters: in the temporary schema or not.
                let name = Name::of_list(&one.funcname).filter(is_temporary);
                self.verdict.writes.extend(name);
                None
            }
            _ => None,
        };
        self.verdict.writes.extend(relation.map(Name::of_relation));
    }

    /// Notes a temporary relation; whether it is one.
    pub(super) fn temporary(&mut self, relation: Option<&RangeVar>) -> bool {
        let temporary = relation.is_some_and(|relation| {
            relation.relpersistence == "t" || is_temporary(&Name::of_relation(relation))
        });
        if temporary {
            self.temporary_object();
        }
        temporary
    }

    fn temporary_object(&mut self) {
        self.local(Reason::TemporaryTable);
        self.not_preparable(Reason::TemporaryTable);
        self.verdict.leaves |= SessionState::TEMPORARY;
    }
}

fn vacuumed(vacuum: &VacuumStmt) -> impl Iterator<Item = Name> {
    vacuum.rels.iter().filter_map(|node| match node.node.as_ref()? {
        NodeEnum::VacuumRelation(one) => one.relation.as_ref().map(Name::of_relation),
        _ => None,
    })
}

/// Relations that a DROP names.
fn dropped(drop: &DropStmt) -> impl Iterator<Item = Name> {
    let relations = matches!(
        ObjectType::try_from(drop.remove_type),
        Ok(ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectMatview
            | ObjectType::ObjectForeignTable
            | ObjectType::ObjectSequence
            | ObjectType::ObjectIndex)
    );
    drop.objects.iter().filter(move |_| relations).filter_map(list)
}

fn list(node: &Node) -> Option<Name> {
    match node.node.as_ref()? {
        NodeEnum::List(list) => Name::of_list(&list.items),
        _ => None,
    }
}

/// Whether a REINDEX must run outside of a transaction.
fn reindex_is_alone(reindex: &ReindexStmt) -> bool {
    let single = matches!(
        ReindexObjectType::try_from(reindex.kind),
        Ok(ReindexObjectType::ReindexObjectIndex | ReindexObjectType::ReindexObjectTable)
    );
    !single || reindex.params.iter().any(|option| is_on(option, "concurrently"))
}

fn is_on(option: &Node, name: &str) -> bool {
    match &option.node {
        Some(NodeEnum::DefElem(option)) if option.defname == name => {
            !option.arg.as_deref().is_some_and(is_false)
        }
        _ => false,
    }
}

/// Whether a change of the schema must run outside of a transaction.
fn is_alone(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::CreatedbStmt(_)
        | NodeEnum::DropdbStmt(_)
        | NodeEnum::AlterDatabaseStmt(_)
        | NodeEnum::CreateTableSpaceStmt(_)
        | NodeEnum::DropTableSpaceStmt(_)
        | NodeEnum::CreateSubscriptionStmt(_)
        | NodeEnum::AlterSubscriptionStmt(_)
        | NodeEnum::DropSubscriptionStmt(_) => true,
        NodeEnum::IndexStmt(index) => index.concurrent,
        NodeEnum::DropStmt(drop) => drop.concurrent,
        NodeEnum::AlterTableStmt(alter) => detaches_concurrently(alter),
        _ => false,
    }
}

fn detaches_concurrently(alter: &AlterTableStmt) -> bool {
    alter.cmds.iter().any(|command| match &command.node {
        Some(NodeEnum::AlterTableCmd(command)) => match &command.def.as_ref().map(|d| &d.node) {
            Some(Some(NodeEnum::PartitionCmd(partition))) => {
                partition.concurrent && command.subtype == AlterTableType::AtDetachPartition as i32
            }
            _ => false,
        },
        _ => false,
    })
}

/// Whether it changes or drops a publication or the schema of ours.
fn is_ours(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::AlterPublicationStmt(alter) => alter.pubname.starts_with(OURS),
        NodeEnum::DropStmt(drop) => match ObjectType::try_from(drop.remove_type) {
            Ok(ObjectType::ObjectPublication) => {
                drop.objects.iter().any(|one| text(one).is_some_and(|name| name.starts_with(OURS)))
            }
            Ok(ObjectType::ObjectSchema) => {
                drop.objects.iter().any(|one| text(one) == Some(OUR_SCHEMA))
            }
            _ => dropped(drop).any(|name| name.schema.as_deref() == Some(OUR_SCHEMA)),
        },
        NodeEnum::RenameStmt(rename) => {
            rename.rename_type == ObjectType::ObjectSchema as i32 && rename.subname == OUR_SCHEMA
        }
        _ => false,
    }
}
