//! Where sequences stand.

use std::collections::BTreeMap;

use super::Options;
use super::pair::Pair;
use super::report::{Class, Report};
use crate::postgres::conn::{Conn, Fault};

/// What is right about the sequences of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceRule {
    /// They stand at the same place.
    Equal,
    /// The right has given out at least what the left has.
    NotBehind,
}

/// Where a sequence stands, and in which direction it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stand {
    last: i64,
    called: bool,
    up: bool,
    cycles: bool,
}

impl Stand {
    /// The first number that was not given out, in the direction of the sequence.
    fn reach(self) -> i128 {
        let last = if self.up { i128::from(self.last) } else { -i128::from(self.last) };
        last * 2 + i128::from(self.called)
    }
}

/// Compares all of them.
pub(super) fn compare(
    pair: &mut Pair,
    options: &Options,
    report: &mut Report,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT s.seqrelid::regclass::text, s.seqincrement > 0, s.seqcycle FROM pg_sequence s \
         JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE {}",
        options.theirs()
    );
    let (left, right) = pair.both(|conn| stands(conn, &sql))?;
    report.objects += left.len() as u64;
    for (name, there) in &left {
        // One that is not there at all is told among the relations.
        let Some(here) = right.get(name) else { continue };
        if !right_stand(options.sequences, *there, *here) {
            let detail = format!("{} here, {} there", told(*there), told(*here));
            report.add(Class::Sequence, "sequence", name, detail);
        }
    }
    Ok(())
}

fn right_stand(rule: SequenceRule, left: Stand, right: Stand) -> bool {
    match rule {
        SequenceRule::Equal => (left.last, left.called) == (right.last, right.called),
        // Where numbers come round, none is ahead of another.
        SequenceRule::NotBehind => left.cycles || right.reach() >= left.reach(),
    }
}

fn told(stand: Stand) -> String {
    format!("{}{}", stand.last, if stand.called { "" } else { " (not given out)" })
}

fn stands(conn: &mut Conn, sql: &str) -> Result<BTreeMap<String, Stand>, Fault> {
    let mut found = BTreeMap::new();
    for row in conn.simple(sql)? {
        let [Some(name), up, cycles] = &row[..] else { continue };
        let yes = |field: &Option<String>| field.as_deref() == Some("t");
        let stand = conn.simple(&format!("SELECT last_value, is_called FROM {name}"))?;
        let Some([Some(last), called]) = stand.first().map(Vec::as_slice) else { continue };
        let last = last.parse().unwrap_or(0);
        let stand = Stand { last, called: yes(called), up: yes(up), cycles: yes(cycles) };
        found.insert(name.clone(), stand);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_is_what_would_give_out_a_number_again() {
        let at = |last, called, up| Stand { last, called, up, cycles: false };
        let holds = |l, r| right_stand(SequenceRule::NotBehind, l, r);
        assert!(holds(at(5, true, true), at(5, true, true)));
        assert!(holds(at(5, true, true), at(6, false, true)));
        assert!(!holds(at(5, true, true), at(5, false, true)));
        assert!(!holds(at(5, true, true), at(4, true, true)));
        assert!(holds(at(-5, true, false), at(-6, true, false)));
        assert!(!holds(at(-5, true, false), at(-4, true, false)));
        let round = Stand { cycles: true, ..at(3, true, true) };
        assert!(holds(round, Stand { last: -3, ..round }));
        assert!(!right_stand(SequenceRule::Equal, at(5, true, true), at(6, true, true)));
    }
}
