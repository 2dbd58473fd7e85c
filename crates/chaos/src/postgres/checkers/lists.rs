//! Transactions over lists. A list that is only appended to tells the order of its writers; what
//! a transaction read tells after whom and before whom it came. Those orders together must have
//! no circle, or the transactions were not serializable.
//!
//! Source: Kingsbury, Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
//! Observations", VLDB 2020.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::checkers::Verdict;
use crate::load::ledger::Outcome;
use crate::postgres::conn::{Conn, Fault};
use crate::postgres::load::PgLedger;
use crate::postgres::load::ledger::ListTransaction;

pub(super) fn judge(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Lists: appended once, read in one order");
    let mut lists = BTreeMap::new();
    conn.each("SELECT id, items FROM load.lists", &[], |row| {
        lists.insert(row.get::<_, i32>(0).unsigned_abs(), row.get::<_, Vec<i64>>(1));
    })?;
    check(&ledger.lists, &lists, &mut verdict);
    Ok(verdict)
}

type Lists = BTreeMap<u32, Vec<i64>>;

pub(super) fn check(transactions: &[ListTransaction], lists: &Lists, verdict: &mut Verdict) {
    verdict.examined += transactions.len() as u64;
    let mut writers: HashMap<i64, usize> = HashMap::new();
    for (n, transaction) in transactions.iter().enumerate() {
        writers.extend(transaction.appends.iter().map(|(_, value)| (*value, n)));
    }
    let there = held(transactions, lists, &writers, verdict);
    let mut after: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); transactions.len()];
    for values in lists.values() {
        for pair in values.windows(2) {
            edge(&mut after, writers.get(&pair[0]), writers.get(&pair[1]));
        }
    }
    for (n, transaction) in transactions.iter().enumerate() {
        whole(transaction, &there, verdict);
        for (list, read) in &transaction.reads {
            let held = lists.get(list).map_or(&[][..], Vec::as_slice);
            let own = |value: &&i64| writers.get(value) == Some(&n);
            // What it appended itself before it looked comes last.
            let others = read.len() - read.iter().rev().take_while(own).count();
            if !held.starts_with(&read[..others]) {
                let token = transaction.token;
                verdict.violation(format!("list {list}: {token} read what is not its beginning"));
                continue;
            }
            if let Some(last) = read[..others].last() {
                edge(&mut after, writers.get(last), Some(&n));
            }
            if let Some(next) = held.get(others) {
                edge(&mut after, Some(&n), writers.get(next));
            }
        }
    }
    for circle in circles(&after) {
        let tokens: Vec<String> =
            circle.iter().take(6).map(|n| transactions[*n].token.to_string()).collect();
        verdict.violation(format!("{} transactions in a circle: {tokens:?}", circle.len()));
    }
}

fn edge(after: &mut [BTreeSet<usize>], from: Option<&usize>, to: Option<&usize>) {
    if let (Some(from), Some(to)) = (from, to)
        && from != to
    {
        after[*from].insert(*to);
    }
}

/// Every value is held once, in its list, and was not refused.
fn held(
    transactions: &[ListTransaction],
    lists: &Lists,
    writers: &HashMap<i64, usize>,
    verdict: &mut Verdict,
) -> BTreeSet<i64> {
    let mut there = BTreeSet::new();
    for (list, values) in lists {
        for value in values {
            if !there.insert(*value) {
                verdict.violation(format!("list {list}: {value} is there twice"));
            }
            let Some(writer) = writers.get(value).map(|n| &transactions[*n]) else {
                verdict.violation(format!("list {list}: holds {value}, which no client wrote"));
                continue;
            };
            if !writer.appends.contains(&(*list, *value)) {
                verdict.violation(format!("list {list}: {value} belongs into another"));
            }
            if writer.outcome == Outcome::No {
                let token = writer.token;
                verdict.violation(format!("list {list}: {token} was refused, yet is here"));
            }
        }
    }
    there
}

/// All of a transaction is there, or none of it where nobody knows.
fn whole(transaction: &ListTransaction, there: &BTreeSet<i64>, verdict: &mut Verdict) {
    let held = transaction.appends.iter().filter(|(_, value)| there.contains(value)).count();
    let all = transaction.appends.len();
    let fits = match transaction.outcome {
        Outcome::Ok => held == all,
        Outcome::Unknown => held == all || held == 0,
        Outcome::No => true,
    };
    if !fits {
        let ListTransaction { token, outcome, .. } = transaction;
        verdict.violation(format!("{token} ({outcome:?}): {held} of {all} values are there"));
    }
}

/// Groups of which each comes after each other: Tarjan's algorithm, without recursion.
fn circles(after: &[BTreeSet<usize>]) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let (mut index, mut low) = (vec![NEW; after.len()], vec![0; after.len()]);
    let (mut stack, mut on_stack) = (Vec::new(), vec![false; after.len()]);
    let (mut next, mut found) = (0, Vec::new());
    for root in 0..after.len() {
        if index[root] != NEW {
            continue;
        }
        let mut path = vec![(root, after[root].iter())];
        (index[root], low[root]) = (next, next);
        next += 1;
        stack.push(root);
        on_stack[root] = true;
        while let Some((node, edges)) = path.last_mut() {
            let node = *node;
            match edges.next() {
                Some(&to) if index[to] == NEW => {
                    (index[to], low[to]) = (next, next);
                    next += 1;
                    stack.push(to);
                    on_stack[to] = true;
                    path.push((to, after[to].iter()));
                }
                Some(&to) => {
                    if on_stack[to] {
                        low[node] = low[node].min(index[to]);
                    }
                }
                None => {
                    path.pop();
                    if let Some((parent, _)) = path.last() {
                        low[*parent] = low[*parent].min(low[node]);
                    }
                    if low[node] == index[node] {
                        let from = stack.iter().rposition(|n| *n == node).unwrap_or(0);
                        let group = stack.split_off(from);
                        group.iter().for_each(|n| on_stack[*n] = false);
                        if group.len() > 1 {
                            found.push(group);
                        }
                    }
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::ledger::Token;

    fn transaction(
        token: u64,
        appends: &[(u32, i64)],
        reads: &[(u32, &[i64])],
        outcome: Outcome,
    ) -> ListTransaction {
        let reads = reads.iter().map(|(list, items)| (*list, items.to_vec())).collect();
        ListTransaction { token: Token(token), appends: appends.to_vec(), reads, outcome }
    }

    fn violations(transactions: &[ListTransaction], lists: &[(u32, &[i64])]) -> Vec<String> {
        let lists = lists.iter().map(|(list, items)| (*list, items.to_vec())).collect();
        let mut verdict = Verdict::new("lists");
        check(transactions, &lists, &mut verdict);
        verdict.violations
    }

    #[test]
    fn an_order_that_exists_is_found() {
        let t = [
            transaction(1, &[(1, 10), (2, 11)], &[], Outcome::Ok),
            transaction(2, &[(1, 20)], &[(2, &[11])], Outcome::Ok),
            transaction(3, &[(2, 30)], &[(1, &[10, 20]), (2, &[11, 30])], Outcome::Ok),
            transaction(4, &[(2, 40)], &[], Outcome::Unknown),
            transaction(5, &[(2, 50)], &[], Outcome::No),
        ];
        assert_eq!(violations(&t, &[(1, &[10, 20]), (2, &[11, 30])]), Vec::<String>::new());
        assert_eq!(violations(&t, &[(1, &[10, 20]), (2, &[11, 30, 40])]), Vec::<String>::new());
    }

    #[test]
    fn what_two_did_not_see_of_each_other_is_a_circle() {
        // Write skew: each read the other's list before the other's append.
        let t = [
            transaction(1, &[(1, 10)], &[(2, &[])], Outcome::Ok),
            transaction(2, &[(2, 20)], &[(1, &[])], Outcome::Ok),
        ];
        let found = violations(&t, &[(1, &[10]), (2, &[20])]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("circle"), "{found:?}");
    }

    #[test]
    fn loss_doubles_and_torn_transactions_are_named() {
        let t = [
            transaction(1, &[(1, 10), (2, 11)], &[], Outcome::Ok),
            transaction(2, &[(1, 20)], &[(1, &[10, 99])], Outcome::Ok),
            transaction(3, &[(1, 30)], &[], Outcome::No),
        ];
        let found = violations(&t, &[(1, &[10, 10, 20, 30, 77]), (2, &[])]);
        for word in ["10 is there twice", "77, which no", "was refused", "1 of 2", "beginning"] {
            assert!(found.iter().any(|line| line.contains(word)), "{word}: {found:?}");
        }
    }
}
