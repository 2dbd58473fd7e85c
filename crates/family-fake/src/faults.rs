//! What may go wrong with a port call: scripted one by one, or at random from a seed.

use std::collections::VecDeque;
use std::sync::Arc;

use family::Trouble;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A port call that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// `Database::probe`.
    Probe,
    /// `Database::ping`.
    Ping,
    /// `Database::inventory`.
    Inventory,
    /// `Database::scan`.
    Scan,
    /// `Database::reap`.
    Reap,
    /// `Database::feed`.
    Feed,
    /// `Reader::read`.
    Read,
    /// `Reader::confirm`.
    Confirm,
    /// `Reader::digest`.
    Digest,
    /// `Reader::describe`.
    Describe,
    /// `Writer::apply`.
    Apply,
    /// `Writer::exists`.
    Exists,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The call fails and nothing happened.
    Error(Trouble),
    /// It happens, but the answer is lost.
    LoseAnswer,
    /// The answer is lost and it has not happened yet: it runs when the server gets to it,
    /// unless its connection is killed before. For `Apply`; for other calls the same as
    /// `Error(Unreachable)`.
    Zombie,
    /// The call waits at a gate, before it happens. Abandoned there, it becomes a zombie.
    Hold(Gate),
    /// It happens, then the call waits at a gate before it answers.
    HoldAnswer(Gate),
}

/// Where a held call waits. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    inner: Arc<GateInner>,
}

#[derive(Debug, Default)]
struct GateInner {
    state: Mutex<(bool, bool)>,
    changed: Notify,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets every call through, now and later.
    pub fn release(&self) {
        self.inner.state.lock().1 = true;
        self.inner.changed.notify_waiters();
    }

    /// Waits until a call has arrived.
    pub async fn arrived(&self) {
        loop {
            let changed = self.inner.changed.notified();
            if self.inner.state.lock().0 {
                return;
            }
            changed.await;
        }
    }

    pub(crate) async fn pass(&self) {
        loop {
            let changed = self.inner.changed.notified();
            {
                let mut state = self.inner.state.lock();
                if !state.0 {
                    state.0 = true;
                    self.inner.changed.notify_waiters();
                }
                if state.1 {
                    return;
                }
            }
            changed.await;
        }
    }
}

/// The faults of one server.
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scripted: Vec<(Call, u32, Fault)>,
    random: Option<Random>,
    log: VecDeque<(Call, &'static str)>,
}

struct Random {
    seed: u64,
    per_thousand: u64,
}

/// Faults remembered for a failing test's message.
const LOG: usize = 256;

impl Faults {
    /// The `nth` call of this kind from now (0 = the next) goes wrong.
    pub fn script(&self, call: Call, nth: u32, fault: Fault) {
        self.state.lock().scripted.push((call, nth, fault));
    }

    /// From now on this many of a thousand calls go wrong, chosen by the seed. 0 stops it.
    pub fn at_random(&self, seed: u64, per_thousand: u64) {
        self.state.lock().random = (per_thousand > 0).then_some(Random { seed, per_thousand });
    }

    /// The last faults that struck.
    #[must_use]
    pub fn log(&self) -> Vec<(Call, &'static str)> {
        self.state.lock().log.iter().copied().collect()
    }

    pub(crate) fn strikes(&self, call: Call) -> Option<Fault> {
        let mut state = self.state.lock();
        let mut struck = None;
        for (at, (wanted, nth, _)) in state.scripted.iter_mut().enumerate() {
            if *wanted == call {
                if *nth == 0 {
                    struck = Some(at);
                    break;
                }
                *nth -= 1;
            }
        }
        let fault = match struck {
            Some(at) => Some(state.scripted.remove(at).2),
            None => state.random.as_mut().and_then(|random| random.strikes(call)),
        };
        if let Some(fault) = &fault {
            if state.log.len() == LOG {
                state.log.pop_front();
            }
            state.log.push_back((call, fault.name()));
        }
        fault
    }
}

impl Fault {
    const fn name(&self) -> &'static str {
        match self {
            Self::Error(_) => "error",
            Self::LoseAnswer => "answer lost",
            Self::Zombie => "zombie",
            Self::Hold(_) => "held before",
            Self::HoldAnswer(_) => "held after",
        }
    }
}

impl Random {
    fn strikes(&mut self, call: Call) -> Option<Fault> {
        if self.next() % 1_000 >= self.per_thousand {
            return None;
        }
        let kind = self.next() % 4;
        Some(match (call, kind) {
            (Call::Apply, 0) => Fault::Zombie,
            (Call::Apply, 1) => Fault::LoseAnswer,
            (Call::Apply, 2) => Fault::Error(Trouble::Full),
            (_, 3) => Fault::Error(Trouble::Protocol),
            _ => Fault::Error(Trouble::Unreachable),
        })
    }

    /// xorshift64*: Marsaglia, "Xorshift RNGs", 2003; Vigna, 2016.
    fn next(&mut self) -> u64 {
        self.seed = self.seed.max(1);
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }
}
