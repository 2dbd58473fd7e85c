//! Everything at once, by seed: clients through notes and foreign ones, faults on both sides,
//! zombies, gaps, restarts, crashes of the process, authority moving there and back.
//!
//! Held: a client that is allowed to read the secondary sees its own last write; per key, the
//! secondary's states are a subsequence of the authority's; once drained and quiet both sides
//! are equal.
#![allow(unreachable_pub, reason = "a module of test binaries")]

use std::sync::Arc;
use std::time::Duration;

use crate::rig::{Rig, Rng, key, quick, value};
use family::Doubt;
use family_fake::Value;
use journal::{Journal, Outcome};
use model::{Key, Side};
use parking_lot::Mutex;
use tokio::sync::{RwLock, watch};
use tokio::time::Instant;

const CLIENTS: u64 = 3;
const OWN_KEYS: u64 = 6;
const SHARED_KEYS: u64 = 4;
const EVENTS: u64 = 24;

/// What clients see of the system.
struct World {
    journal: Mutex<Arc<Journal>>,
    servers: [Arc<family_fake::Server>; 2],
    authority: Mutex<Side>,
    /// Shared by writers, alone for a cutover.
    freeze: RwLock<()>,
    /// Shared by foreign writers; alone while nobody listens to the feed.
    unheard: RwLock<()>,
    /// Grows with every crash; whoever was in the middle of something never learns how it went.
    boot: watch::Sender<u64>,
    stop: watch::Sender<bool>,
    seen: Mutex<(u64, u64)>,
}

impl World {
    fn server(&self, side: Side) -> &family_fake::Server {
        &self.servers[side.index()]
    }

    fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.journal.lock())
    }
}

/// Writes through an interlay. `None`: the outcome is unknown.
async fn put(world: &World, rng: &mut Rng, name: &Key, value: Option<Value>) -> Option<bool> {
    let mut boot = world.boot.subscribe();
    boot.mark_unchanged();
    let pauses = [rng.below(3), rng.below(3), rng.below(3)];
    let unknown = rng.below(12) == 0;
    let write = async {
        let _passed = world.freeze.read().await;
        let journal = world.journal();
        let (ticket, marked) = journal.begin(vec![name.clone()], false);
        if !marked && !journal.marked(&ticket).await {
            return Some(false);
        }
        tokio::time::sleep(Duration::from_millis(pauses[0])).await;
        let authority = *world.authority.lock();
        let applied = world.server(authority).put(name, value);
        tokio::time::sleep(Duration::from_millis(pauses[1])).await;
        let outcome = match (applied, unknown) {
            (true, false) => Outcome::Applied,
            (false, false) => Outcome::Nothing,
            (_, true) => Outcome::Unknown,
        };
        let settled = journal.settle(ticket, outcome, Instant::now().into_std());
        if pauses[2] == 0 {
            let _ = tokio::time::timeout(Duration::from_millis(20), journal.copied(settled)).await;
        }
        (!unknown).then_some(applied)
    };
    tokio::select! {
        known = write => known,
        _ = boot.changed() => None,
    }
}

/// A client with keys of its own, whose own writes it must always read, and shared ones.
async fn client(world: Arc<World>, mut rng: Rng, id: u64) {
    let mut last: Vec<Option<Option<Value>>> = vec![Some(None); OWN_KEYS as usize];
    let mut n = 0;
    while !*world.stop.borrow() {
        n += 1;
        tokio::time::sleep(Duration::from_millis(rng.below(15))).await;
        let text = format!("{id}.{n}");
        let new = if rng.below(4) == 0 { None } else { value(&text) };
        if rng.below(3) == 0 {
            let name = key(&format!("shared:{}", rng.below(SHARED_KEYS)));
            put(&world, &mut rng, &name, new).await;
            continue;
        }
        let own = rng.below(OWN_KEYS) as usize;
        let name = key(&format!("own:{id}:{own}"));
        match put(&world, &mut rng, &name, new.clone()).await {
            Some(true) => last[own] = Some(new),
            Some(false) => {}
            None => last[own] = None,
        }
        let own = rng.below(OWN_KEYS) as usize;
        let name = key(&format!("own:{id}:{own}"));
        let allowed = !world.journal().unsettled(&name);
        let secondary = world.authority.lock().other();
        world.seen.lock().1 += 1;
        if let (true, Some(mine)) = (allowed, &last[own]) {
            world.seen.lock().0 += 1;
            let read = world.server(secondary).get(&name);
            assert_eq!(read, *mine, "client {id} does not read its own write of {name:?}");
        }
    }
}

/// Somebody who bypasses every interlay, on the authority, and stops at a fence.
async fn foreign(world: Arc<World>, mut rng: Rng) {
    let mut n = 0;
    while !*world.stop.borrow() {
        n += 1;
        tokio::time::sleep(Duration::from_millis(rng.below(40))).await;
        let name = key(&format!("foreign:{}", rng.below(5)));
        let new = if rng.below(4) == 0 { None } else { value(&format!("f.{n}")) };
        let _heard = world.unheard.read().await;
        let _passed = world.freeze.read().await;
        let authority = *world.authority.lock();
        world.server(authority).put(&name, new);
    }
}

/// Zombies run whenever the server gets to them.
async fn zombies(world: Arc<World>, mut rng: Rng) {
    while !*world.stop.borrow() {
        tokio::time::sleep(Duration::from_millis(rng.below(30))).await;
        let side = if rng.below(2) == 0 { Side::Source } else { Side::Target };
        world.server(side).run_zombies();
    }
}

async fn calm(rig: &Rig) {
    for server in [&rig.source, &rig.target] {
        server.faults.at_random(0, 0);
        server.set_down(false);
        server.set_full(false);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// The process dies in the middle of everything. Clients learn nothing of the write in hand.
/// What foreign clients do while nobody listens is not promised, so they do nothing then.
async fn crash(rig: &mut Rig, world: &World) {
    let _unheard = world.unheard.write().await;
    let heard = rig.engine.feed_fence(rig.authority(), Duration::from_secs(2)).await.is_ok();
    let heard = heard && !rig.journal.uncertain();
    // Nobody begins anything between the death and the new process.
    let frozen = world.freeze.write();
    world.boot.send_modify(|boot| *boot += 1);
    let _frozen = frozen.await;
    rig.crash().await;
    *world.journal.lock() = Arc::clone(&rig.journal);
    rig.start().await;
    rig.engine.start_backfill(engine::Filter::default()).expect("it is built");
    if !heard {
        rig.engine.recheck_all("foreign writes were not heard before the crash");
    }
}

/// Moves authority if that can be done within its budget, and history is copied.
async fn try_flip(rig: &Rig, world: &World) -> bool {
    if rig.engine.status().backfill.state != engine::WorkState::Done {
        return false;
    }
    let _frozen = world.freeze.write().await;
    let from = rig.authority();
    let deadline = Duration::from_secs(3);
    if rig.engine.open_feed(from.other()).await.is_err() {
        return false;
    }
    let ready = rig.engine.feed_fence(from, deadline).await.is_ok();
    let held = if ready { rig.engine.drain_and_hold(deadline).await.ok() } else { None };
    let Some((_, hold)) = held else {
        rig.engine.close_feed(from.other()).await;
        return false;
    };
    check_subsequence(rig, from);
    let mut table = (**rig.table.load()).clone();
    table.epoch = table.epoch.next();
    table.authority = routing::Authority::whole(from.other());
    rig.table.store(Arc::new(table));
    *world.authority.lock() = from.other();
    for server in [&rig.source, &rig.target] {
        server.keep_history();
    }
    drop(hold);
    rig.engine.close_feed(from).await;
    true
}

/// I6: per key, the secondary's states are a subsequence of the authority's, in order.
fn check_subsequence(rig: &Rig, authority: Side) {
    let names = rig.source.records();
    let target = rig.target.records();
    for name in names.keys().chain(target.keys()) {
        let decided = rig.server(authority).history(name);
        let mut states = decided.iter();
        let mut followed = rig.server(authority.other()).history(name);
        followed.dedup();
        let mut current: Option<&Option<Value>> = None;
        for state in &followed {
            if current == Some(state) || (current.is_none() && state.is_none()) {
                continue;
            }
            current = states.find(|s| *s == state);
            assert!(
                current.is_some(),
                "{name:?} went backwards on the secondary:\n{followed:?}\nof {decided:?}"
            );
        }
    }
}

/// One seed: cutovers, crashes and reads of the secondary it made. Panics on a violation.
pub async fn run(seed: u64, plant: impl FnOnce(&mut engine::Config)) -> (u64, u64, u64) {
    let mut rng = Rng(seed);
    let mut config = quick();
    plant(&mut config);
    config.batch_max = 1 + rng.below(16) as usize;
    config.bulk_rate_max = Some(50 + rng.below(400) as u32);
    let mut rig = Rig::with_latency(config, Duration::from_micros(100 + rng.below(900)));
    for i in 0..60 {
        rig.source.put(&key(&format!("old:{i}")), value("old"));
    }
    let world = Arc::new(World {
        journal: Mutex::new(Arc::clone(&rig.journal)),
        servers: [Arc::clone(&rig.source), Arc::clone(&rig.target)],
        authority: Mutex::new(Side::Source),
        freeze: RwLock::new(()),
        unheard: RwLock::new(()),
        boot: watch::Sender::new(0),
        stop: watch::Sender::new(false),
        seen: Mutex::default(),
    });
    rig.source.keep_history();
    rig.target.keep_history();
    rig.start().await;
    rig.engine.start_backfill(engine::Filter::default()).expect("the policy is built");
    let mut tasks = tokio::task::JoinSet::new();
    for id in 0..CLIENTS {
        tasks.spawn(client(Arc::clone(&world), Rng(rng.next()), id));
    }
    tasks.spawn(foreign(Arc::clone(&world), Rng(rng.next())));
    tasks.spawn(zombies(Arc::clone(&world), Rng(rng.next())));
    let (mut flips, mut crashes) = (0, 0);
    for _ in 0..EVENTS {
        tokio::time::sleep(Duration::from_millis(rng.below(400))).await;
        let authority = rig.authority();
        let secondary = authority.other();
        match rng.below(10) {
            0 | 1 => flips += u64::from(try_flip(&rig, &world).await),
            2 => {
                crashes += 1;
                crash(&mut rig, &world).await;
            }
            3 => rig.server(authority).gap(Doubt::ConnectionOnly),
            4 => {
                rig.server(secondary).set_down(true);
                tokio::time::sleep(Duration::from_millis(rng.below(300))).await;
                rig.server(secondary).set_down(false);
            }
            5 => {
                rig.server(authority).set_down(true);
                tokio::time::sleep(Duration::from_millis(rng.below(300))).await;
                rig.server(authority).set_down(false);
            }
            6 => {
                let records = rig.server(secondary).records();
                rig.server(secondary).replace(records);
            }
            7 => {
                rig.server(secondary).set_full(true);
                tokio::time::sleep(Duration::from_millis(rng.below(200))).await;
                rig.server(secondary).set_full(false);
            }
            8 => {
                let side = if rng.below(2) == 0 { Side::Source } else { Side::Target };
                rig.server(side).faults.at_random(rng.next(), rng.below(80));
            }
            _ => calm(&rig).await,
        }
    }
    world.stop.send_replace(true);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap_or_else(|failed| panic!("seed {seed}: {failed}"));
    }
    calm(&rig).await;
    // Restarted servers kept their data: an operator would say so.
    for side in [Side::Source, Side::Target] {
        rig.engine.clear_doubt(side).await.expect("the store works");
    }
    rig.until_in_step().await;
    rig.assert_equal().await;
    check_subsequence(&rig, rig.authority());
    rig.source.run_zombies();
    rig.target.run_zombies();
    rig.assert_equal().await;
    rig.engine.shutdown().await;
    let (read, _) = *world.seen.lock();
    (flips, crashes, read)
}
