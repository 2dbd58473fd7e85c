//! What only both sides together show.

use family::{Finding, PortError, Severity};

use super::{Judged, names, shown};
use crate::conn::Conn;
use crate::database::PostgresDatabase;
use crate::database::inventory::tables_sql;
use crate::schema;

/// Everything of one side that is compared.
#[derive(Debug, Clone, Default)]
struct Face {
    system: String,
    version: u32,
    encoding: String,
    /// Provider, locale, version, as far as the server tells.
    collation: String,
    timezone: String,
    connections: i64,
    /// Name and version.
    extensions: Vec<(String, String)>,
    /// What could be installed.
    available: Vec<String>,
    /// Tables that hold rows.
    filled: Vec<String>,
}

/// Checks that need both connections.
pub(crate) async fn both(source: &PostgresDatabase, target: &PostgresDatabase) -> Vec<Finding> {
    let faces = async {
        let mut from = source.control().await?;
        let mut to = target.control().await?;
        let faces = (face(&mut from).await?, face(&mut to).await?);
        Ok::<_, PortError>(faces)
    };
    let (from, to) = match faces.await {
        Ok(faces) => faces,
        Err(error) => {
            let judged =
                Judged::new(Severity::NotRun, error.to_string(), "see the error's own page");
            return vec![judged.of("EXO-PRE-221", None)];
        }
    };
    let dump = match schema::find_dump(from.version / 10_000).await {
        Ok(found) => Judged::pass(format!("{} is new enough for the source", found.shown())),
        Err(error) => {
            let remedy = format!(
                "apt-get install postgresql-client-{} # on every machine that runs workers",
                from.version / 10_000
            );
            Judged::new(Severity::Blocker, error.message, remedy)
        }
    };
    vec![
        same_system(&from, &to).of("EXO-PRE-231", None),
        encoding(&from, &to).of("EXO-PRE-232", None),
        missing_extensions(&from, &to).of("EXO-PRE-233", None),
        versions(&from, &to).of("EXO-PRE-234", None),
        filled(&to).of("EXO-PRE-235", Some(model::Side::Target)),
        settings(&from, &to).of("EXO-PRE-236", None),
        dump.of("EXO-PRE-237", None),
    ]
}

async fn face(conn: &mut Conn) -> Result<Face, PortError> {
    let row = conn
        .query_one(
            "SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), \
             pg_encoding_to_char(d.encoding), \
             concat_ws(' ', CASE to_jsonb(d) ->> 'datlocprovider' WHEN 'i' THEN 'icu' \
               WHEN 'b' THEN 'builtin' ELSE 'libc' END, d.datcollate, d.datctype, \
               coalesce(to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale'), \
               to_jsonb(d) ->> 'datcollversion'), \
             current_setting('max_connections')::bigint, \
             pg_postmaster_start_time()::text \
             FROM pg_database d WHERE d.datname = current_database()",
        )
        .await?;
    let control = conn.query_one("SELECT system_identifier FROM pg_control_system()").await;
    let system = match &control {
        Ok(control) => control.text(0)?.to_owned(),
        Err(_) => row.text(4)?.to_owned(),
    };
    // Our own session has another one, so the file is asked; not every role may.
    let zone = "SELECT setting FROM pg_file_settings WHERE name = 'TimeZone' AND applied \
         ORDER BY seqno DESC LIMIT 1";
    let timezone = match conn.query(zone).await {
        Ok(rows) => rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()?,
        Err(_) => None,
    };
    let timezone = timezone.unwrap_or_default();
    let extensions = conn.query("SELECT extname, extversion FROM pg_extension ORDER BY 1").await?;
    let available = conn.query("SELECT name FROM pg_available_extensions ORDER BY 1").await?;
    let mut filled = Vec::new();
    for table in conn.query(&tables_sql()).await? {
        let name = crate::sql::qualified(table.text(0)?, table.text(1)?);
        if conn.query_one(&format!("SELECT EXISTS (SELECT FROM {name})")).await?.flag(0)? {
            filled.push(crate::key::dataset(table.text(0)?, table.text(1)?).as_str().to_owned());
        }
    }
    let pair = |row: &crate::conn::Row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
    Ok(Face {
        system: format!("{system}/{}", row.text(0)?),
        version: conn.version(),
        encoding: row.text(1)?.to_owned(),
        collation: row.text(2)?.to_owned(),
        timezone,
        connections: row.number(3)?,
        extensions: extensions.iter().map(pair).collect::<Result<_, PortError>>()?,
        available: names(&available)?,
        filled,
    })
}

fn same_system(from: &Face, to: &Face) -> Judged {
    if from.system != to.system {
        return Judged::pass("the endpoints are two databases");
    }
    let evidence = format!("both endpoints are one database ({})", from.system);
    Judged::new(Severity::Blocker, evidence, "correct the address or the database of the target")
}

fn encoding(from: &Face, to: &Face) -> Judged {
    let create = format!("CREATE DATABASE … TEMPLATE template0 ENCODING '{}';", from.encoding);
    if from.encoding != to.encoding && to.encoding != "UTF8" {
        let evidence = format!("encodings differ: {} and {}", from.encoding, to.encoding);
        return Judged::new(Severity::Blocker, evidence, create);
    }
    if from.collation != to.collation {
        let evidence = format!(
            "collations differ: {} and {}: text may be sorted and compared otherwise",
            from.collation, to.collation
        );
        let remedy = "make the target database with the source's provider and locale: \
             CREATE DATABASE … TEMPLATE template0 LOCALE_PROVIDER … LOCALE …;";
        return Judged::new(Severity::Risk, evidence, remedy);
    }
    Judged::pass(format!("{} and {} on both sides", from.encoding, from.collation))
}

fn missing_extensions(from: &Face, to: &Face) -> Judged {
    let lacks = |(name, _): &&(String, String)| !to.available.contains(name);
    let missing: Vec<String> =
        from.extensions.iter().filter(lacks).map(|(name, _)| name.clone()).collect();
    if !missing.is_empty() {
        let evidence = format!("the target's system lacks extensions: {}", shown(&missing));
        let remedy = "install their packages on the target's machine, then: \
             SELECT name FROM pg_available_extensions;";
        return Judged::new(Severity::Blocker, evidence, remedy);
    }
    let differ = from.extensions.iter().filter_map(|(name, version)| {
        let (_, other) = to.extensions.iter().find(|(n, v)| n == name && v != version)?;
        Some(format!("{name} {version} and {other}"))
    });
    let differ: Vec<String> = differ.collect();
    if differ.is_empty() {
        return Judged::pass("the target has every extension of the source");
    }
    let evidence = format!("versions of extensions differ: {}", shown(&differ));
    Judged::new(Severity::Advice, evidence, "ALTER EXTENSION … UPDATE; on the older side")
}

fn versions(from: &Face, to: &Face) -> Judged {
    let evidence = format!("server_version_num {} and {}", from.version, to.version);
    if to.version / 10_000 < from.version / 10_000 {
        let remedy = "choose a target of the source's major version or a newer one";
        return Judged::new(Severity::Blocker, format!("the target is older: {evidence}"), remedy);
    }
    Judged::pass(evidence)
}

fn filled(to: &Face) -> Judged {
    let remedy = "TRUNCATE them if they are left over, or choose another target database; \
         the conflict policy decides otherwise";
    Judged::list(Severity::Risk, &to.filled, "tables of the target that hold rows", remedy)
}

fn settings(from: &Face, to: &Face) -> Judged {
    let mut found = Vec::new();
    let mut remedy = Vec::new();
    if to.connections < from.connections {
        found.push(format!("max_connections {} and {}", from.connections, to.connections));
        remedy.push(format!("ALTER SYSTEM SET max_connections = {};", from.connections));
    }
    if to.timezone != from.timezone {
        found.push(format!("time zones {} and {}", from.timezone, to.timezone));
        remedy.push(format!("ALTER SYSTEM SET timezone = '{}';", from.timezone));
    }
    if found.is_empty() {
        return Judged::pass("connections and time zone of the target fit");
    }
    Judged::new(Severity::Risk, format!("settings differ: {}", shown(&found)), remedy.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(judge: fn(&Face, &Face) -> Judged, change: fn(&mut Face), expect: Severity) {
        let extensions = vec![("citext".to_owned(), "1.6".to_owned())];
        let face = Face {
            system: "1/1".into(),
            version: 150_018,
            encoding: "UTF8".into(),
            connections: 100,
            available: vec!["citext".into()],
            extensions,
            ..Face::default()
        };
        let mut other = Face { system: "2/1".into(), ..face.clone() };
        assert_eq!(judge(&face, &other).severity, Severity::Pass);
        change(&mut other);
        assert_eq!(judge(&face, &other).severity, expect);
    }

    #[test]
    fn every_difference_is_found() {
        check(same_system, |to| to.system = "1/1".into(), Severity::Blocker);
        check(encoding, |to| to.encoding = "LATIN1".into(), Severity::Blocker);
        check(encoding, |to| to.collation = "icu de".into(), Severity::Risk);
        check(missing_extensions, |to| to.available.clear(), Severity::Blocker);
        check(missing_extensions, |to| to.extensions[0].1 = "1.5".into(), Severity::Advice);
        check(versions, |to| to.version = 140_000, Severity::Blocker);
        check(settings, |to| to.connections = 10, Severity::Risk);
        check(settings, |to| to.timezone = "UTC".into(), Severity::Risk);
    }
}
