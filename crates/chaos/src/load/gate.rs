//! Pausing and stopping the clients.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Run,
    Pause,
    Stop,
}

struct State {
    mode: Mode,
    parked: usize,
    alive: usize,
}

/// Where every client waits for its next turn.
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let state = State { mode: Mode::Run, parked: 0, alive: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn enter(&self) {
        self.state.lock().alive += 1;
    }

    pub(crate) fn leave(&self) {
        self.state.lock().alive -= 1;
        self.changed.notify_all();
    }

    /// Waits until `due`, and while paused. False when it is time to end.
    pub(crate) fn wait(&self, due: Instant) -> bool {
        let mut state = self.state.lock();
        loop {
            match state.mode {
                Mode::Stop => return false,
                Mode::Run => {
                    if Instant::now() >= due {
                        return true;
                    }
                    self.changed.wait_until(&mut state, due);
                }
                Mode::Pause => {
                    state.parked += 1;
                    self.changed.notify_all();
                    while state.mode == Mode::Pause {
                        self.changed.wait(&mut state);
                    }
                    state.parked -= 1;
                }
            }
        }
    }

    /// Waits up to `limit` until every client rests between two operations.
    pub(crate) fn pause(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        if state.mode == Mode::Run {
            state.mode = Mode::Pause;
        }
        self.changed.notify_all();
        while state.mode == Mode::Pause && state.parked < state.alive {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return state.parked >= state.alive;
            }
        }
        true
    }

    pub(crate) fn resume(&self) {
        let mut state = self.state.lock();
        if state.mode == Mode::Pause {
            state.mode = Mode::Run;
        }
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.state.lock().mode = Mode::Stop;
        self.changed.notify_all();
    }
}
