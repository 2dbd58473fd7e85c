//! A client at the door: from its startup packet to the first ReadyForQuery.

use std::sync::Arc;

use family::{After, Next, Place, Replied, Request};
use model::Access;
use wire_postgres::encode;
use wire_postgres::session::{KeyData, ParameterStatus, Transaction};
use wire_postgres::startup::Version;
use wire_postgres::tags::backend as tag;
use zeroize::Zeroizing;

use super::super::door::{self, Asked, Door, Packet};
use super::super::identity::{Backend, Identity, Kind, Secret};
use super::super::statement::class;
use super::super::{expect, local, scram};
use super::PostgresSession;

/// Bytes of a cancel key of ours: what protocol 3.0 has room for, and what 3.2 has.
const KEY_BYTES: (usize, usize) = (4, 32);

impl PostgresSession {
    /// What is at the front, while the client is not in.
    pub(super) fn entering(&mut self, input: &[u8]) -> Next {
        let local = |len| Next::Local { len, class: class("login") };
        match self.door.take() {
            None | Some(Door::Shut) => {
                self.door = Some(Door::Shut);
                Next::Malformed
            }
            Some(Door::Packet) => {
                self.door = Some(Door::Packet);
                match door::packet(&self.shared, input) {
                    Packet::More => Next::More,
                    Packet::Asked(asked, len) => {
                        self.packet = len;
                        self.rewritten = asked.question();
                        let access = match asked.replication {
                            true => Access::Refused,
                            false => Access::Session,
                        };
                        self.introduce(asked);
                        // The packet stays at the front until the answer says what to do.
                        let expect = expect::sync(3, true);
                        self.knock(0, Place::Control, access, expect)
                    }
                    Packet::Cancel(identity, len) => {
                        self.identity = identity;
                        self.rewritten.clear();
                        let next = self.knock(len, Place::Own, Access::Server, expect::GREETING);
                        self.asked = None;
                        next
                    }
                    Packet::Refused(words, len) => {
                        self.words = words;
                        local(len)
                    }
                }
            }
            // The reply will say; nothing is looked at before.
            Some(door @ (Door::Role(_) | Door::Cancelled)) => {
                self.door = Some(door);
                Next::More
            }
            // Its packet has been understood.
            Some(Door::Server(asked, secret, first)) if self.packet > 0 => {
                let len = self.packet;
                self.admit(&asked, secret.clone());
                self.door = Some(Door::Server(asked, secret, first));
                self.knock(len, Place::Own, Access::Write, expect::GREETING)
            }
            Some(door @ Door::Server(..)) => {
                self.door = Some(door);
                Next::More
            }
            Some(door) if self.packet > 0 => {
                self.door = Some(door);
                Next::Skip(self.packet)
            }
            Some(door) => {
                let answer = door::answer(input).map(|a| a.map(|(body, len)| (body.to_vec(), len)));
                self.answering(door, answer)
            }
        }
    }

    /// The client's answer to a request for its password.
    fn answering(&mut self, door: Door, answer: Result<Option<(Vec<u8>, usize)>, String>) -> Next {
        let local = |len| Next::Local { len, class: class("login") };
        let (body, len) = match answer {
            Ok(Some((body, len))) => (Zeroizing::new(body), len),
            Ok(None) => {
                self.door = Some(door);
                return Next::More;
            }
            Err(why) => {
                self.malformed = why;
                self.door = Some(door);
                return Next::Malformed;
            }
        };
        let (asked, proved) = match &door {
            Door::Proof(asked, server) => (asked, door::proof(asked, server, &self.shared, &body)),
            Door::Hash(asked, stored, salt) => (asked, door::hash(asked, stored, *salt, &body)),
            // Answered by [`Self::at_the_door`].
            _ => {
                self.door = Some(door);
                return local(len);
            }
        };
        match proved {
            Ok((secret, first)) => {
                self.admit(asked, secret);
                self.first = first;
                self.door = Some(door);
                self.knock(len, Place::Own, Access::Write, expect::GREETING)
            }
            Err(words) => {
                self.words = words;
                self.door = Some(door);
                local(len)
            }
        }
    }

    fn introduce(&mut self, asked: Asked) {
        self.user = String::from_utf8_lossy(&asked.user).into_owned();
        self.database = String::from_utf8_lossy(&asked.database).into_owned();
        let name = asked.parameters.iter().rev().find(|(n, _)| n == b"application_name");
        self.application = name.map(|(_, v)| String::from_utf8_lossy(v).into_owned());
        self.long_keys = asked.version >= Version::V3_2;
        self.asked = Some(Box::new(asked));
        self.version += 1;
    }

    /// From here on it is who it says.
    fn admit(&mut self, asked: &Asked, secret: Secret) {
        let login = Arc::new(asked.login(secret));
        self.identity = Identity(Kind::Client(Arc::clone(&login)));
        self.reader = Identity(Kind::Reader(login));
        self.rewritten.clear();
        self.version += 1;
    }

    fn knock(&self, len: usize, place: Place, access: Access, expect: family::Expect) -> Next {
        Next::Request(Request {
            len,
            open: false,
            class: class("login"),
            access,
            place,
            expect,
            rewritten: true,
            inspect: true,
            blocking: false,
            comparable: false,
            follower: false,
            suppress: false,
        })
    }

    /// A request of the door is on its way.
    pub(super) fn knocked(&mut self) {
        self.door = match self.door.take() {
            Some(Door::Packet) => Some(match self.asked.take() {
                Some(asked) => Door::Role(asked),
                None => Door::Cancelled,
            }),
            Some(Door::Proof(asked, _) | Door::Hash(asked, ..)) => {
                let first = std::mem::take(&mut self.first);
                Some(Door::Server(asked, Secret::Nothing, first))
            }
            other => other,
        };
    }

    /// The reply to a request of the door.
    pub(super) fn entered(&mut self, reply: &[u8], out: &mut Vec<u8>) -> Replied {
        match self.door.take() {
            Some(Door::Role(asked)) => match door::role(&self.shared, asked, reply, out) {
                Ok(door) => {
                    self.door = Some(door);
                    Replied::Replace(After::Continue)
                }
                Err(words) => {
                    out.clear();
                    out.extend_from_slice(&words);
                    self.door = Some(Door::Shut);
                    Replied::Replace(After::Close)
                }
            },
            Some(Door::Server(_, _, first)) => {
                if self.greeted(reply, first, out) {
                    self.door = None;
                    return Replied::Replace(After::Continue);
                }
                self.door = Some(Door::Shut);
                Replied::Forward(After::Close)
            }
            Some(Door::Cancelled) => {
                self.door = Some(Door::Shut);
                Replied::Replace(After::Close)
            }
            other => {
                self.door = other;
                Replied::Forward(After::Continue)
            }
        }
    }

    /// The server's opening becomes the client's. `false`: it has an error.
    fn greeted(&mut self, reply: &[u8], first: Vec<u8>, out: &mut Vec<u8>) -> bool {
        *out = first;
        let mut ready = false;
        for (type_byte, body, whole) in local::messages(reply) {
            match type_byte {
                tag::ERROR => return false,
                tag::KEY_DATA => {
                    let Ok(data) = KeyData::parse(body) else { return false };
                    let key = self.list(&data);
                    local::put(out, |b| encode::backend_key_data(b, data.pid, &key));
                    continue;
                }
                tag::PARAMETER_STATUS => {
                    if let Ok(status) = ParameterStatus::parse(body) {
                        self.remember(&status);
                    }
                }
                tag::READY => ready = true,
                _ => {}
            }
            out.extend_from_slice(whole);
        }
        self.status = Transaction::Idle;
        ready
    }

    /// Lists the session among those that can be cancelled; the key its client gets.
    fn list(&mut self, data: &KeyData<'_>) -> Zeroizing<Vec<u8>> {
        let random: [u8; KEY_BYTES.1] = scram::random();
        let len = if self.long_keys { KEY_BYTES.1 } else { KEY_BYTES.0 };
        let key = Zeroizing::new(random[..len].to_vec());
        self.is_on(data);
        self.listed = Some(self.shared.registry.list(data.pid, &key, &self.running));
        key
    }

    /// The session is on this server process now.
    pub(in super::super) fn is_on(&self, data: &KeyData<'_>) {
        let key = Zeroizing::new(data.key.to_vec());
        self.running.is_on(Backend { pid: data.pid, key });
    }

    /// Answers at the door.
    pub(super) fn at_the_door(&mut self, raw: &[u8], out: &mut Vec<u8>) -> After {
        let words = std::mem::take(&mut self.words);
        if words.is_empty()
            && let Some(Door::Initial(..)) = self.door
            && let Some(Door::Initial(asked, verifier)) = self.door.take()
        {
            let body = raw.get(5..).unwrap_or_default();
            match door::initial(asked, verifier, body, out) {
                Ok(door) => {
                    self.door = Some(door);
                    return After::Continue;
                }
                Err(words) => {
                    out.clear();
                    out.extend_from_slice(&words);
                }
            }
        }
        out.extend_from_slice(&words);
        self.door = Some(Door::Shut);
        After::Close
    }
}
