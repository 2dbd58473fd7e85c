#!/usr/bin/env python3
"""Writes src/commands/table.rs from the COMMAND replies of running servers.

usage: commands.py HOST:PORT [HOST:PORT ...] > src/commands/table.rs

The servers' metadata decides access and key positions; everything that metadata cannot say is
reviewed by hand below. Where servers disagree, or a command exists on one only, all are merged.
"""
import socket
import sys


def read(f):
    line = f.readline()[:-2]
    tag, rest = line[:1], line[1:]
    if tag in b"+-":
        return rest.decode()
    if tag == b":":
        return int(rest)
    if tag == b"$":
        n = int(rest)
        if n < 0:
            return None
        data = f.read(n)
        f.read(2)
        return data.decode("latin1")
    n = int(rest)
    return None if n < 0 else [read(f) for _ in range(n)]


def ask(address):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"*1\r\n$7\r\nCOMMAND\r\n")
        return read(s.makefile("rb"))


def words(text):
    return text.split()


# Commands of newer servers (Redis 7.4 and 8, Valkey 8.1 and 9), from their documentation.
NEWER = {
    **{n: ("write", 1, 1, 1) for n in words(
        "hexpire hpexpire hexpireat hpexpireat hpersist hsetex hgetdel hgetex delifeq xdelex xackdel")},
    **{n: ("readonly", 1, 1, 1) for n in words("httl hpttl hexpiretime hpexpiretime")},
    **{n: ("", 0, 0, 0) for n in words(
        "commandlog commandlog|get commandlog|len commandlog|reset commandlog|help "
        "client|import-source waitaof")},
}

# Their state lives in the connection, or they are about it.
ROLES = {
    "multi": "Multi", "exec": "Exec", "discard": "Discard", "watch": "Watch", "unwatch": "Unwatch",
    "subscribe": "Subscribe", "unsubscribe": "Unsubscribe", "psubscribe": "PSubscribe",
    "punsubscribe": "PUnsubscribe", "ssubscribe": "SSubscribe", "sunsubscribe": "SUnsubscribe",
    "auth": "Auth", "hello": "Hello", "select": "Select", "reset": "Reset", "quit": "Quit",
    "monitor": "Monitor", "client|setname": "SetName", "client|getname": "GetName",
    "client|setinfo": "SetInfo", "client|reply": "Reply", "client|tracking": "Tracking",
    "script|load": "ScriptLoad", "ping": "Ping",
    **{n: "State" for n in words(
        "readonly readwrite asking client|no-evict client|no-touch client|caching client|capa "
        "client|import-source client|id client|info client|trackinginfo client|getredir "
        "script|debug")},
    **{n: "Replica" for n in words("sync psync replconf")},
    "wait": "Wait", "waitaof": "Wait",
}

# Change the server, not records; cannot be kept equal on two sides, or would break a migration.
REFUSED = words(
    "swapdb shutdown debug replicaof slaveof failover migrate restore-asking pfdebug pfselftest "
    "config|set config|rewrite module|load module|loadex module|unload acl|setuser acl|deluser "
    "acl|load acl|save cluster|addslots cluster|addslotsrange cluster|bumpepoch cluster|delslots "
    "cluster|delslotsrange cluster|failover cluster|flushslots cluster|forget cluster|meet "
    "cluster|replicate cluster|reset cluster|set-config-epoch cluster|setslot cluster|saveconfig")

# The metadata calls them read-only, but they can change a record (a cached cardinality).
WRITES = words("pfcount")
# Their keys are not all they touch.
ANYTHING = words(
    "eval evalsha fcall flushall flushdb function|delete function|flush function|load "
    "function|restore")
# Reads whose answer belongs to one server, or changes with every call: authority only.
AUTHORITY_ONLY = words(
    "keys scan hscan sscan zscan randomkey dbsize touch object|encoding object|freq object|idletime "
    "object|refcount memory|usage eval_ro evalsha_ro fcall_ro lolwut dump xread xinfo|consumers "
    "xinfo|groups xinfo|stream xpending sort_ro sort georadius georadiusbymember")
KEYS = {
    **{n: "Counted(2)" for n in words("eval evalsha fcall eval_ro evalsha_ro fcall_ro blmpop bzmpop")},
    **{n: "Counted(1)" for n in words("lmpop zmpop sintercard zintercard zunion zinter zdiff")},
    **{n: "FirstAndCounted(2)" for n in words("zunionstore zinterstore zdiffstore")},
    **{n: "Streams" for n in words("xread xreadgroup")},
    **{n: "Store" for n in words("sort georadius georadiusbymember")},
    "migrate": "Migrate", "copy": "Copy", "move": "Move",
}
BLOCKS = {
    **{n: "LastSeconds" for n in words("blpop brpop brpoplpush blmove bzpopmin bzpopmax")},
    **{n: "FirstSeconds" for n in words("blmpop bzmpop")},
    **{n: "BlockOption" for n in words("xread xreadgroup")},
    **{n: "LastMillis" for n in words("wait waitaof")},
}
COMPARE = {
    **{n: "Exact" for n in words(
        "get mget strlen getrange substr getbit bitcount bitpos bitfield_ro exists type hget hmget "
        "hexists hlen hstrlen llen lindex lrange lpos scard sismember smismember sintercard zcard "
        "zcount zlexcount zrank zrevrank zrangebylex zrevrangebylex zintercard xlen xrange "
        "xrevrange geohash lcs expiretime pexpiretime hexpiretime hpexpiretime")},
    **{n: "Multiset" for n in words("smembers sinter sunion sdiff hkeys hvals")},
    "hgetall": "Pairs",
    "ttl": "Seconds", "httl": "Seconds", "pttl": "Millis", "hpttl": "Millis",
    **{n: "Float" for n in words(
        "zscore zmscore zrange zrevrange zrangebyscore zrevrangebyscore zunion zinter zdiff geodist "
        "geopos")},
}



def main(addresses):
    table = {}

    def add(entry):
        name = entry[0].lower()
        row = table.setdefault(name, {"flags": set(), "keys": (0, 0, 0)})
        row["flags"] |= set(entry[2])
        row["keys"] = tuple(entry[3:6])
        for sub in entry[9] or []:
            table[name]["container"] = True
            add(sub)

    for address in addresses:
        for entry in ask(address):
            add(entry)
    for name, (flag, *keys) in NEWER.items():
        row = table.setdefault(name, {"flags": set(), "keys": tuple(keys)})
        row["flags"] |= {flag} - {""}
    table["commandlog"]["container"] = True

    print("//! Every command of Redis 7.0 and Valkey 8.0 and the newer ones we know, sorted by name.")
    print("//!")
    print("//! Made by `tools/commands.py`, which holds the reviewed part; do not edit by hand.")
    print()
    print("use super::{Blocks::*, Command, Comparator::*, Keys::*, Kind::*, Role::*};")
    print()
    print("/// See [`super::find`].")
    print("#[rustfmt::skip]")
    print(f"pub(super) static TABLE: [Command; {len(table) + 1}] = [")
    for name in sorted(table):
        row = table[name]
        flags = row["flags"]
        first, last, step = row["keys"]
        if name in REFUSED:
            kind = "Refused"
        elif "write" in flags or name in WRITES or name in ANYTHING or name == "exec":
            kind = "Write"
        elif name in ("publish", "spublish"):
            kind = "Write"
        elif "readonly" in flags:
            kind = "Read"
        else:
            kind = "Server"
        keys = KEYS.get(name) or (f"Range({first}, {last}, {step})" if first else "Nowhere")
        if name in ("spublish", "ssubscribe", "sunsubscribe"):
            keys = "Nowhere"
        if name == "pfmerge":
            keys = "Range(1, -1, 1)"
        follower = kind == "Read" and name not in AUTHORITY_ONLY and keys != "Nowhere"
        fields = [
            f'name: "{name}"',
            f"kind: {kind}",
            f"keys: {keys}",
            f"anything: {str(name in ANYTHING).lower()}",
            f"follower: {str(follower).lower()}",
            f"container: {str(row.get('container', False)).lower()}",
            f"blocks: {BLOCKS.get(name, 'Never')}",
            f"compare: {COMPARE.get(name, 'NotCompared') if follower else 'NotCompared'}",
            f"role: {ROLES.get(name, 'Plain')}",
        ]
        print("    Command { " + ", ".join(fields) + " },")
    print("    // The last row stands for every command that is not in the table.")
    print('    Command { name: "(unknown)", kind: Write, keys: Nowhere, anything: true, follower: false, '
          "container: false, blocks: Never, compare: NotCompared, role: Unknown },")
    print("];")


main(sys.argv[1:])
