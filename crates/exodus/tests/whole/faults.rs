//! Links break and servers freeze while the authority goes there and back: outcomes may become
//! unknown, never wrong.

use std::time::Duration;

use chaos::faults::{Direction, FaultProxy};
use chaos::rng::Rng;
use chaos::servers::Server;
use model::Side;

use crate::rig::{Whole, flows};

/// What can happen to a side.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Reset,
    Partition,
    RepliesLost,
    RequestsLost,
    HalfOpen,
    Frozen,
}

const HARMS: [Harm; 6] = [
    Harm::Reset,
    Harm::Partition,
    Harm::RepliesLost,
    Harm::RequestsLost,
    Harm::HalfOpen,
    Harm::Frozen,
];

impl Harm {
    fn begin(self, link: &FaultProxy, server: &mut Server) {
        match self {
            Self::Reset => link.reset_all(),
            Self::Partition => link.partition(),
            Self::RepliesLost => link.swallow(Direction::ToClient),
            Self::RequestsLost => link.swallow(Direction::ToServer),
            Self::HalfOpen => link.half_open(),
            Self::Frozen => server.freeze().unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_links_and_frozen_servers_make_outcomes_unknown_and_never_wrong() {
    let (mut whole, load) = Whole::under_load(6, 600).await;
    let mut rng = Rng::new(6);
    for harm in HARMS {
        for decides in [true, false] {
            let authority = whole.interlay.table().authority.default;
            let side = if decides { authority } else { authority.other() };
            let span = Duration::from_millis(rng.range(20, 600));
            println!("{harm:?} of the {side} for {span:?}; the {authority} decides");
            let link = &whole.links[side.index()];
            let server = match side {
                Side::Source => &mut whole.source,
                Side::Target => &mut whole.target,
            };
            harm.begin(link, server);
            tokio::time::sleep(span).await;
            link.heal();
            server.thaw().unwrap();
            flows(&load, 100).await;
        }
        whole.flip().await;
        flows(&load, 100).await;
    }
    let stats = whole.judge(load).await;
    println!("{:?}", stats.errors);
}
