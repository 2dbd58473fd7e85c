//! Who a client is, what it selected, and that it stays its own.

use std::sync::Arc;

use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions};
use model::Side;
use proxy::{Interlay, InterlayConfig, Upstreams};

use crate::rig::{Client, Rig, eventually, passthrough, spec};

#[test]
fn credentials_are_the_clients_own() {
    let options = ServerOptions {
        users: vec![
            "reader on >pw ~r:* +@read +client|setname +ping".to_owned(),
            "other on >pw2 ~* +@all".to_owned(),
        ],
        ..ServerOptions::new(Flavor::Redis)
    };
    let server = Server::start(&options).unwrap();
    let upstreams = Upstreams::one(spec(Side::Source, &server));
    let config = InterlayConfig::new("acl", "127.0.0.1:0".parse().unwrap());
    let table = Arc::new(arc_swap::ArcSwap::from_pointee(passthrough()));
    let protocol = family_redis::RedisProtocol::new(None);
    let handle = Interlay::bind(config, protocol, &upstreams, table, None).unwrap();
    let (mut reader, mut other) =
        (Client::connect(handle.local_addr()), Client::connect(handle.local_addr()));
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.|";
    reader.check("AUTH reader nope", wrong);
    reader.check("SET x 1", "+OK|");
    reader.check("AUTH reader pw", "+OK|");
    other.check("AUTH other pw2", "+OK|");
    other.check("SET r:1 v", "+OK|");
    reader.check("GET r:1", "$1|v|");
    assert!(reader.ask("SET r:1 w").starts_with("-NOPERM "));
    assert!(reader.ask("GET x").starts_with("-NOPERM "));
    other.check("GET x", "$1|1|");
    // A wrong second login leaves the first in force.
    reader.check("AUTH other pw", wrong);
    assert!(reader.ask("GET x").starts_with("-NOPERM "));
    // Neither may end up with what the other has.
    assert!(reader.ask("ACL WHOAMI").starts_with("-NOPERM "));
    other.check("ACL WHOAMI", "$5|other|");
    other.check("RESET", "+RESET|");
    other.check("ACL WHOAMI", "$7|default|");
}

#[test]
fn a_server_that_wants_a_password_gets_it_from_the_client() {
    let options = ServerOptions {
        users: vec!["default on >secret ~* &* +@all".to_owned()],
        ..ServerOptions::new(Flavor::Redis)
    };
    let server = Server::start(&options);
    // A server that lets nobody in without a password; the launcher's own check logs in.
    let Ok(server) = server else { return };
    let upstreams = Upstreams::one(spec(Side::Source, &server));
    let config = InterlayConfig::new("auth", "127.0.0.1:0".parse().unwrap());
    let table = Arc::new(arc_swap::ArcSwap::from_pointee(passthrough()));
    let protocol = family_redis::RedisProtocol::new(None);
    let handle = Interlay::bind(config, protocol, &upstreams, table, None).unwrap();
    let mut client = Client::connect(handle.local_addr());
    client.ask("PING");
    let (user, password) = APPLICATION;
    assert_eq!(client.ask(&format!("AUTH {user} {password}")), "+OK|");
    client.check("SET k v", "+OK|");
    client.ask("HELLO 3");
    client.check("GET k", "$1|v|");
    client.check("GET none", "_|");
}

#[test]
fn databases_protocols_and_names_are_each_clients_own() {
    let rig = Rig::new();
    let mut clients: Vec<Client> = (0..8).map(|_| rig.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.ask(if n % 2 == 0 { "HELLO 2" } else { "HELLO 3" });
        client.check(&format!("SELECT {n}"), "+OK|");
        client.check(&format!("CLIENT SETNAME c{n}"), "+OK|");
        client.check(&format!("SET k {n}"), "+OK|");
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client.check("GET k", &format!("$1|{n}|"));
        client.check("CLIENT GETNAME", &format!("$2|c{n}|"));
        client.check("GET none", if n % 2 == 0 { "$-1|" } else { "_|" });
    }
    let mut seen: Vec<_> = rig
        .wait(rig.handle.connections())
        .unwrap()
        .into_iter()
        .map(|c| (c.facts.name.unwrap(), c.facts.database))
        .collect();
    seen.sort();
    let expect: Vec<_> = (0..8).map(|n| (format!("c{n}"), format!("db{n}"))).collect();
    assert_eq!(seen, expect);
}

#[test]
fn replies_that_are_not_wanted_are_not_sent() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.send(&crate::rig::words("CLIENT REPLY OFF"));
    client.send(&crate::rig::words("SET k 1"));
    client.send(&crate::rig::words("CLIENT SETNAME x"));
    client.check("CLIENT REPLY ON", "+OK|");
    client.check("GET k", "$1|1|");
    client.send(&crate::rig::words("CLIENT REPLY SKIP"));
    client.send(&crate::rig::words("SET k 2"));
    client.check("GET k", "$1|2|");
}

#[test]
fn shared_connections_are_few_and_own_ones_come_back() {
    let rig = Rig::with(|c| {
        c.shards = 1;
        c.limits.own_idle = std::time::Duration::from_millis(100);
    });
    let mut clients: Vec<Client> = (0..50).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.check("PING", "+PONG|");
    }
    eventually("one lane serves all", || {
        let stats = rig.handle.stats();
        stats.connections == 50 && stats.upstream_connections == 1
    });
    clients[0].check("MULTI", "+OK|");
    clients[1].check("WATCH k", "+OK|");
    eventually("two are pinned", || rig.handle.stats().pinned == 2);
    clients[0].check("EXEC", "*0|");
    clients[1].check("UNWATCH", "+OK|");
    eventually("none is pinned", || rig.handle.stats().pinned == 0);
    eventually("one lane is left", || rig.handle.stats().upstream_connections == 1);
}

#[test]
fn an_endpoint_may_be_named_later_or_replaced() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.check("SET k first", "+OK|");
    // The source moves to another machine.
    rig.handle.set_upstream(spec(Side::Source, rig.server(Side::Target))).unwrap();
    client.check("GET k", "$-1|");
    client.check("SET k second", "+OK|");
    rig.at_target().check("GET k", "$6|second|");
    rig.at_source().check("GET k", "$5|first|");
}
