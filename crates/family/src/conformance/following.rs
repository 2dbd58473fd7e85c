//! The change feed.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Key, Side};

use super::{PATIENCE, Stage, can, ok};
use crate::{Feed, FeedEvent};

const SIDES: [Side; 2] = [Side::Source, Side::Target];

/// What a feed said until something was heard.
#[derive(Default)]
struct Heard {
    stale: BTreeSet<Key>,
    everything: bool,
    gaps: usize,
    fences: Vec<u64>,
}

impl Heard {
    async fn until(feed: &mut Box<dyn Feed>, what: &str, enough: impl Fn(&Self) -> bool) -> Self {
        let mut heard = Self::default();
        let listen = async {
            while !enough(&heard) {
                match ok("next", feed.next().await) {
                    FeedEvent::Stale(keys) => heard.stale.extend(keys.into_iter().map(|(k, _)| k)),
                    FeedEvent::StaleAll => heard.everything = true,
                    FeedEvent::Gap(_) => heard.gaps += 1,
                    FeedEvent::Fenced(token) => heard.fences.push(token),
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, listen).await.is_ok();
        assert!(in_time, "the feed did not tell: {what}; it named {:?}", heard.stale);
        heard
    }
}

pub(super) async fn a_feed_names_every_change_of_a_foreign_client(stage: &Stage) {
    for side in SIDES {
        stage.write(side, "from", "1").await;
        let Some(mut feed) = can("feed", stage.database(side).feed().await) else { return };
        let puppet = stage.puppet(side);
        for kind in ["create", "overwrite", "same value", "rename", "expire", "delete"] {
            let names: &[&str] = match kind {
                "create" | "overwrite" | "same value" => {
                    let value = if kind == "create" { "1" } else { "2" };
                    stage.write(side, "a", value).await;
                    &["a"]
                }
                "rename" => {
                    if !puppet.rename("from", "to").await {
                        continue;
                    }
                    &["from", "to"]
                }
                "expire" => {
                    if !puppet.expire("a", Duration::from_millis(50)).await {
                        continue;
                    }
                    // The new expiry is a change of its own; the end another.
                    let key = stage.key("a");
                    Heard::until(&mut feed, "an expiry was set", |h| h.stale.contains(&key)).await;
                    &["a"]
                }
                _ => {
                    stage.write(side, "a", "again").await;
                    let key = stage.key("a");
                    Heard::until(&mut feed, "a write", |h| h.stale.contains(&key)).await;
                    stage.delete(side, "a").await;
                    &["a"]
                }
            };
            let keys: Vec<Key> = names.iter().map(|name| stage.key(name)).collect();
            let all = |heard: &Heard| keys.iter().all(|key| heard.stale.contains(key));
            Heard::until(&mut feed, kind, all).await;
        }
    }
}

pub(super) async fn a_fence_follows_the_changes_before_it(stage: &Stage) {
    for side in SIDES {
        let Some(mut feed) = can("feed", stage.database(side).feed().await) else { return };
        for token in 1..=30_u64 {
            let names: Vec<String> = (0..token % 7 + 1).map(|i| format!("f:{token}:{i}")).collect();
            for name in &names {
                stage.write(side, name, "1").await;
            }
            ok("request_fence", feed.request_fence(token).await);
            let heard =
                Heard::until(&mut feed, "a fence", |heard| heard.fences.contains(&token)).await;
            for name in &names {
                assert!(
                    heard.everything || heard.gaps > 0 || heard.stale.contains(&stage.key(name)),
                    "fence {token} on the {side} overtook the change of `{name}`"
                );
            }
        }
    }
}

pub(super) async fn fences_come_back_in_order_when_nothing_happens(stage: &Stage) {
    let Some(mut feed) = can("feed", stage.database(Side::Source).feed().await) else { return };
    for token in 1..=5 {
        ok("request_fence", feed.request_fence(token).await);
    }
    let heard = Heard::until(&mut feed, "five fences", |heard| heard.fences.len() >= 5).await;
    assert_eq!(heard.fences, [1, 2, 3, 4, 5]);
}

pub(super) async fn a_flush_is_not_silent(stage: &Stage) {
    for side in SIDES {
        stage.write(side, "a", "1").await;
        stage.write(side, "b", "1").await;
        let Some(mut feed) = can("feed", stage.database(side).feed().await) else { return };
        if !stage.puppet(side).flush().await {
            return;
        }
        let keys = [stage.key("a"), stage.key("b")];
        Heard::until(&mut feed, "everything was flushed", |heard| {
            heard.everything || heard.gaps > 0 || keys.iter().all(|k| heard.stale.contains(k))
        })
        .await;
    }
}
