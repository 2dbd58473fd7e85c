//! The fake passes the suite every family passes.

use std::sync::Arc;
use std::time::Duration;

use family::Database;
use family::conformance::{self, Puppet, Stage};
use family_fake::{FakeFamily, FakePuppet, Server};
use model::Side;
use tokio::time::Instant;

fn stage(latency: Duration) -> Stage {
    let epoch = Instant::now();
    let servers = [Server::new(Side::Source, epoch), Server::new(Side::Target, epoch)];
    let family = FakeFamily::new(&servers[0], &servers[1], latency);
    let open = |tag: &str| -> [Arc<dyn Database>; 2] {
        [family.database(Side::Source, tag), family.database(Side::Target, tag)]
    };
    let puppets = servers.clone().map(|server| -> Arc<dyn Puppet> { Arc::new(FakePuppet(server)) });
    Stage { family: family.clone(), sides: open("boot 2"), older: open("boot 1"), puppets }
}

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_the_laws() {
    conformance::run(|| std::future::ready(stage(Duration::ZERO))).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_fake_keeps_the_laws() {
    conformance::run(|| std::future::ready(stage(Duration::from_millis(3)))).await;
}
