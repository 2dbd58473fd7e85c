//! Who may finish what a role has prepared: the role itself, a superuser, and whoever may become
//! that role. Asked beforehand: after a crash it is too late to find out.

use family::PortError;

use super::site::Site;
use crate::sql::literal;

/// By what right our account finishes a role's transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// It is a superuser.
    Superuser,
    /// It is that role.
    Itself,
    /// It may become that role.
    Member,
    /// It may not: what that role prepares stays prepared when its session is gone.
    Nothing,
    /// There is no such role on this server.
    NoSuchRole,
}

impl Credential {
    /// Whether a recovery can finish what the role prepares.
    #[must_use]
    pub fn suffices(self) -> bool {
        matches!(self, Self::Superuser | Self::Itself | Self::Member)
    }
}

/// Asks for each of the roles.
///
/// # Errors
/// When the server does not answer.
pub async fn credentials(
    site: &Site,
    roles: &[String],
) -> Result<Vec<(String, Credential)>, PortError> {
    let mut conn = site.service().await?;
    // Since 16 one may be a member without being allowed to become the role.
    let right = if conn.version() >= 160_000 { "SET" } else { "MEMBER" };
    let named: Vec<_> = roles.iter().map(|role| literal(role)).collect();
    let sql = format!(
        "SELECT r.rolname, me.rolsuper, r.oid = me.oid, \
         pg_catalog.pg_has_role(me.oid, r.oid, '{right}') \
         FROM pg_catalog.pg_roles r, pg_catalog.pg_roles me \
         WHERE me.rolname = current_user AND r.rolname = ANY (ARRAY[{}]::text[])",
        named.join(", ")
    );
    let mut found = std::collections::BTreeMap::new();
    for row in conn.query(&sql).await? {
        let credential = match (row.flag(1)?, row.flag(2)?, row.flag(3)?) {
            (true, ..) => Credential::Superuser,
            (_, true, _) => Credential::Itself,
            (_, _, true) => Credential::Member,
            _ => Credential::Nothing,
        };
        found.insert(row.text(0)?.to_owned(), credential);
    }
    let of = |role: &String| found.get(role).copied().unwrap_or(Credential::NoSuchRole);
    Ok(roles.iter().map(|role| (role.clone(), of(role))).collect())
}
