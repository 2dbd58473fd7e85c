//! What a record is in a few words, its content never shown.

use family::PortError;

use super::{Outline, outline};
use crate::conn::Conn;
use crate::database::reader::by_db;
use crate::key::KeyRef;
use crate::traits::Traits;

/// What a record is, without its content: type, length, size, expiry.
pub(crate) async fn describe(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    traits: Traits,
) -> Result<Vec<String>, PortError> {
    let groups = by_db(refs);
    let outlines = outline(conn, refs, &groups, traits).await?;
    let mut lengths = vec![0; refs.len()];
    for (db, members) in &groups {
        let owed = conn.queue_select(*db);
        let known = || members.iter().filter_map(|&i| Some((i, outlines[i].kind?)));
        for (i, kind) in known() {
            conn.queue(&[kind.counter(), refs[i].name]);
        }
        conn.selected(owed).await?;
        for (i, _) in known() {
            lengths[i] = conn.next().await?.as_int().unwrap_or(0);
        }
    }
    Ok(outlines.iter().zip(lengths).map(|(outline, length)| shown(outline, length)).collect())
}

fn shown(outline: &Outline, length: i64) -> String {
    if outline.absent {
        return "absent".into();
    }
    let expiry = match outline.expiry_ms {
        -1 => "no expiry".into(),
        at => format!("expires at {at} ms"),
    };
    let size = match outline.size {
        0 => String::new(),
        bytes => format!(", about {bytes} bytes in memory"),
    };
    match outline.kind {
        Some(kind) => {
            let word = format!("{kind:?}").to_lowercase();
            format!("{word}, {length} {}{size}, {expiry}", kind.unit())
        }
        None => format!("module type{size}, {expiry}"),
    }
}
