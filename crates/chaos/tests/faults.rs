//! Every fault of the proxy does what it says, and the load survives them all.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::time::{Duration, Instant};

use chaos::checkers::judge;
use chaos::conn::{Conn, Fault};
use chaos::faults::{Direction, FaultProxy, Rule};
use chaos::load::{Load, LoadConfig};
use chaos::nemesis::{Script, act};
use chaos::servers::{Flavor, Server, ServerOptions};
use chaos::value;
use chaos::wait;
use redis::cmd;

const PATIENCE: Duration = Duration::from_secs(60);

fn start() -> (Server, FaultProxy) {
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let proxy = FaultProxy::start(&server.address().host_port(), 1).unwrap();
    (server, proxy)
}

fn open(server: &Server, proxy: &FaultProxy) -> Conn {
    Conn::open(&proxy.address(&server.admin()), 0, Duration::from_millis(300)).unwrap()
}

fn incr(conn: &mut Conn) -> Result<redis::Value, Fault> {
    let mut c = cmd("INCR");
    c.arg("n");
    conn.call(&c)
}

fn held(server: &Server) -> i64 {
    let mut c = cmd("GET");
    c.arg("n");
    value::int(&server.connect(0).unwrap().call(&c).unwrap()).unwrap_or(0)
}

#[test]
fn a_healthy_proxy_only_forwards_and_a_reset_breaks_at_once() {
    let (server, proxy) = start();
    let mut conn = open(&server, &proxy);
    assert!(incr(&mut conn).is_ok());
    assert_eq!((proxy.accepted(), proxy.open()), (1, 1));
    proxy.reset_all();
    assert!(matches!(incr(&mut conn), Err(Fault::Unknown(_))));
    assert!(incr(&mut open(&server, &proxy)).is_ok());
    assert!(wait::until(PATIENCE, || proxy.open() == 0));
}

#[test]
fn latency_delays_and_a_partition_holds_without_loss() {
    let (server, proxy) = start();
    let mut conn = open(&server, &proxy);
    proxy.set(Direction::ToServer, Rule::slow(Duration::from_millis(100)));
    let began = Instant::now();
    assert!(incr(&mut conn).is_ok());
    assert!(began.elapsed() >= Duration::from_millis(100));
    proxy.partition();
    assert!(matches!(incr(&mut conn), Err(Fault::Unknown(_))));
    let before = held(&server);
    proxy.heal();
    assert!(wait::until(PATIENCE, || held(&server) == before + 1), "held, then delivered");
}

#[test]
fn swallowed_replies_leave_the_effect_and_swallowed_requests_do_not() {
    let (server, proxy) = start();
    let mut conn = open(&server, &proxy);
    proxy.swallow(Direction::ToClient);
    assert!(matches!(incr(&mut conn), Err(Fault::Unknown(_))));
    assert_eq!(held(&server), 1);
    proxy.heal();
    assert!(matches!(incr(&mut conn), Err(Fault::Unknown(_))), "lost bytes: reset when healed");
    let mut conn = open(&server, &proxy);
    proxy.swallow(Direction::ToServer);
    assert!(matches!(incr(&mut conn), Err(Fault::Unknown(_))));
    proxy.heal();
    assert_eq!(held(&server), 1);
}

#[test]
fn half_open_refused_fragmented_and_cut_connections() {
    let (server, proxy) = start();
    let mut conn = open(&server, &proxy);
    proxy.half_open();
    let silent = incr(&mut conn);
    assert_eq!(silent, Err(Fault::Unknown("timed out".to_owned())), "open, and silent");
    assert_eq!(proxy.open(), 1);
    proxy.heal();
    assert!(wait::until(PATIENCE, || proxy.open() == 0));
    proxy.refuse(true);
    let refused = Conn::open(&proxy.address(&server.admin()), 0, Duration::from_millis(300));
    assert!(matches!(refused, Err(Fault::NotSent(_))));
    proxy.heal();
    proxy.set_both(Rule { fragment: 1, ..Rule::default() });
    let mut conn = open(&server, &proxy);
    assert!(incr(&mut conn).is_ok());
    proxy.set(Direction::ToClient, Rule { reset_after: 1, ..Rule::default() });
    let before = held(&server);
    assert!(matches!(incr(&mut conn), Err(Fault::Unknown(_))));
    assert_eq!(held(&server), before + 1);
}

#[test]
fn bandwidth_is_bounded() {
    let (server, proxy) = start();
    let mut conn = open(&server, &proxy);
    let mut set = cmd("SET");
    set.arg("big").arg(vec![b'x'; 60_000]);
    proxy.set(Direction::ToServer, Rule { bytes_per_second: 400_000, ..Rule::default() });
    let began = Instant::now();
    assert!(conn.call(&set).is_ok());
    assert!(began.elapsed() >= Duration::from_millis(90), "{:?}", began.elapsed());
}

#[test]
fn the_ledger_holds_under_a_scripted_nemesis_and_the_same_seed_does_the_same() {
    let run = |seed| {
        let (server, proxy) = start();
        let mut config = LoadConfig::new(proxy.address(&server.address()), 3);
        config.timeout = Duration::from_millis(1_500);
        let load = Load::start(config).unwrap();
        let mut script = Script::new(seed)
            .with(
                1,
                act("reset", |p: &mut FaultProxy, _| {
                    p.reset_all();
                    Ok("all".to_owned())
                }),
            )
            .with(
                1,
                act("lose replies", |p: &mut FaultProxy, rng| {
                    let ms = rng.range(5, 60);
                    p.swallow(Direction::ToClient);
                    std::thread::sleep(Duration::from_millis(ms));
                    p.heal();
                    Ok(format!("{ms} ms"))
                }),
            );
        let mut proxy = proxy;
        script
            .run(&mut proxy, 5, |_| {
                assert!(load.wait_ops(300, PATIENCE));
                Ok(())
            })
            .unwrap();
        let (ledger, stats) = load.stop();
        assert!(stats.unknown > 0);
        let judgement = judge(&ledger, &server.admin()).unwrap();
        assert!(judgement.holds(), "{judgement}");
        script.log().iter().map(|d| format!("{}: {}", d.action, d.what)).collect::<Vec<_>>()
    };
    assert_eq!(run(8), run(8));
}
