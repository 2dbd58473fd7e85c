//! Servers that die, clients that misbehave, limits.

use std::time::{Duration, Instant};

use proxy::ProxyProtocol;

use crate::rig::{Rig, command, eventually, words};

#[test]
fn a_write_whose_server_dies_is_unknown_and_noted() {
    let mut rig = Rig::new();
    rig.capture();
    let (mut client, mut other) = (rig.client(), rig.client());
    client.check("SET a 1", "+OK|");
    other.check("GET a", "$1|1|");
    rig.source.freeze().unwrap();
    client.send(&words("SET k 1"));
    other.send(&words("GET k"));
    eventually("it is in flight", || rig.handle.stats().writes_in_flight == 1);
    rig.source.kill9().unwrap();
    assert_eq!(client.message(), None);
    assert_eq!(other.message(), None);
    // Not settled before the server can confirm that the connection is gone.
    assert!(rig.unsettled("k"));
    assert_eq!(rig.journal.depth().in_flight, 1);
    let reply = rig.client().ask("SET b 1");
    assert!(reply.starts_with("-ERR EXO-PXY-002 "), "{reply}");
    assert!(!rig.unsettled("b"));
    rig.source.restart().unwrap();
    eventually("it is settled", || rig.journal.depth().in_flight == 0);
    assert!(rig.unsettled("k"));
    eventually("it serves again", || rig.client().ask("SET c 1") == "+OK|");
    assert_eq!(rig.handle.stats().errors.lost, 2);
}

#[test]
fn a_client_that_does_not_read_costs_only_itself() {
    let rig = Rig::with(|c| {
        c.shards = 1;
        c.limits.client_out_bytes_max = 4 << 20;
    });
    let mut good = rig.client();
    let value = vec![b'x'; 1 << 20];
    good.send(&command(&[b"SET", b"big", &value]));
    assert_eq!(good.reply(), "+OK|");
    // One that shares its connection with the slow one: the first has its own by now.
    let mut good = rig.client();
    let mut slow = rig.client();
    slow.send(&words("GET big").repeat(64));
    eventually("it is closed", || {
        let start = Instant::now();
        good.check("PING", "+PONG|");
        assert!(start.elapsed() < Duration::from_secs(5));
        rig.handle.stats().errors.slow_clients == 1
    });
}

#[test]
fn a_client_that_reads_slowly_gets_everything() {
    let rig = Rig::new();
    let mut client = rig.client();
    let value = vec![b'y'; 8 << 20];
    client.send(&command(&[b"SET", b"big", &value]));
    assert_eq!(client.reply(), "+OK|");
    client.send(&words("GET big").repeat(4));
    for _ in 0..4 {
        assert_eq!(client.message().map(|m| m.len()), Some(value.len() + 12));
    }
    client.check("PING", "+PONG|");
}

#[test]
fn a_client_that_leaves_takes_nothing_with_it() {
    let rig = Rig::new();
    {
        let mut client = rig.client();
        client.send(&words("BLPOP queue 0"));
        eventually("it waits", || {
            rig.at_source().ask("INFO clients").contains("blocked_clients:1")
        });
    }
    eventually("nobody waits", || {
        rig.at_source().ask("INFO clients").contains("blocked_clients:0")
    });
    let mut client = rig.client();
    client.check("RPUSH queue x", ":1|");
    client.check("LLEN queue", ":1|");
    // Half a request, then gone.
    rig.client().send(b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$5\r\nhal");
    // Requests without reading the replies, then gone: they are executed.
    rig.client().send(&words("INCR n").repeat(100));
    eventually("all ran", || client.ask("GET n") == "$3|100|");
    client.check("GET h", "$-1|");
}

#[test]
fn requests_before_the_end_of_the_input_are_answered() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.send(&[words("SET k v"), words("MULTI"), words("GET k"), words("EXEC")].concat());
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.reply(), "+OK|");
    assert_eq!(client.reply(), "+OK|");
    assert_eq!(client.reply(), "+QUEUED|");
    assert_eq!(client.reply(), "*1|$1|v|");
    assert_eq!(client.message(), None);
}

#[test]
fn one_client_too_many_is_told_so() {
    let rig = Rig::with(|c| c.limits.connections_max = 2);
    let (mut a, mut b) = (rig.client(), rig.client());
    a.check("PING", "+PONG|");
    b.check("PING", "+PONG|");
    let mut c = rig.client();
    assert!(c.reply().starts_with("-ERR max number of clients reached"));
    assert_eq!(c.message(), None);
    drop(a);
    eventually("there is room", || rig.handle.stats().connections == 1);
    rig.client().check("PING", "+PONG|");
}

#[test]
fn the_address_in_a_proxy_header_is_the_clients() {
    let rig = Rig::with(|c| c.proxy_protocol = ProxyProtocol::Required);
    let mut client = rig.client();
    client.send(b"PROXY TCP4 10.1.2.3 10.0.0.1 4711 6379\r\n");
    client.check("PING", "+PONG|");
    let connections = rig.wait(rig.handle.connections()).unwrap();
    assert_eq!(connections[0].address.to_string(), "10.1.2.3:4711");
    let mut without = rig.client();
    without.send(&words("PING"));
    assert_eq!(without.message(), None);
}

#[test]
fn draining_closes_idle_clients_and_stops() {
    let rig = Rig::new();
    let (mut idle, mut busy) = (rig.client(), rig.client());
    idle.check("PING", "+PONG|");
    busy.check("MULTI", "+OK|");
    let report = rig.wait(rig.handle.drain(Duration::from_millis(200)));
    assert_eq!((report.closed_idle, report.closed_busy), (1, 1), "{report:?}");
    assert_eq!(idle.message(), None);
    assert_eq!(busy.message(), None);
    assert!(std::net::TcpStream::connect(rig.handle.local_addr()).is_err());
}
