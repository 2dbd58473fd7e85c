//! Faults by script: seeded steps over a world, each one logged, so that a run can be told and
//! repeated.
//!
//! A step is chosen by the seed among weighted actions; it does its harm, the world goes on for
//! a while, and the log keeps what was done when. Actions that leave a fault in place say how it
//! ends in a step of their own (`heal`), which the script always runs last.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::faults::FaultProxy;
use crate::node::Node;
use crate::rng::Rng;
use crate::servers::Server;

/// What can be harmed: both databases, the node between them, and the links.
pub struct World {
    /// The source.
    pub source: Server,
    /// The target.
    pub target: Server,
    /// The process under test.
    pub node: Node,
    /// Proxies on the links, by name.
    pub links: Vec<(&'static str, FaultProxy)>,
}

impl World {
    /// Ends every fault that is still in place and starts what is down.
    pub fn heal(&mut self) -> io::Result<()> {
        self.links.iter().for_each(|(_, link)| link.heal());
        for server in [&mut self.source, &mut self.target] {
            server.thaw()?;
            if !server.is_running() {
                server.restart().map_err(io::Error::other)?;
            }
        }
        self.node.thaw()?;
        if !self.node.is_running() {
            self.node.restart(Duration::from_secs(60))?;
        }
        Ok(())
    }
}

/// One kind of harm.
pub trait Action<W> {
    /// Its name in the log.
    fn name(&self) -> &str;

    /// Does it; returns what exactly was done.
    fn act(&mut self, world: &mut W, rng: &mut Rng) -> io::Result<String>;
}

/// An action made of a closure.
pub struct Act<F> {
    name: &'static str,
    act: F,
}

/// Names a closure as an action.
pub fn act<W, F>(name: &'static str, act: F) -> Box<dyn Action<W> + Send>
where
    F: FnMut(&mut W, &mut Rng) -> io::Result<String> + Send + 'static,
{
    Box::new(Act { name, act })
}

impl<W, F> Action<W> for Act<F>
where
    F: FnMut(&mut W, &mut Rng) -> io::Result<String>,
{
    fn name(&self) -> &str {
        self.name
    }

    fn act(&mut self, world: &mut W, rng: &mut Rng) -> io::Result<String> {
        (self.act)(world, rng)
    }
}

/// What was done and when, counted from the first step.
#[derive(Debug, Clone)]
pub struct Done {
    /// Since the script began.
    pub at: Duration,
    /// The action.
    pub action: String,
    /// What exactly, or how it failed.
    pub what: String,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.3} s  {}: {}", self.at.as_secs_f64(), self.action, self.what)
    }
}

/// Weighted actions chosen by a seed.
pub struct Script<W> {
    seed: u64,
    rng: Rng,
    actions: Vec<(u64, Box<dyn Action<W> + Send>)>,
    began: Instant,
    log: Vec<Done>,
}

impl<W> Script<W> {
    /// A script without actions.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rng = Rng::fork(seed, 0x4E);
        Self { seed, rng, actions: Vec::new(), began: Instant::now(), log: Vec::new() }
    }

    /// Adds an action that is chosen with this weight.
    #[must_use]
    pub fn with(mut self, weight: u64, action: Box<dyn Action<W> + Send>) -> Self {
        self.actions.push((weight, action));
        self
    }

    /// The seed, for the report.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Everything done so far.
    #[must_use]
    pub fn log(&self) -> &[Done] {
        &self.log
    }

    /// Chooses and does one action. An action that fails is logged and ends the script.
    pub fn step(&mut self, world: &mut W) -> io::Result<()> {
        let total: u64 = self.actions.iter().map(|(weight, _)| weight).sum();
        let mut draw = self.rng.below(total);
        let chosen = self.actions.iter_mut().find(|(weight, _)| {
            let hit = draw < *weight;
            draw = draw.saturating_sub(*weight);
            hit
        });
        let Some((_, action)) = chosen else { return Ok(()) };
        let at = self.began.elapsed();
        let name = action.name().to_owned();
        let result = action.act(world, &mut self.rng);
        let what = match &result {
            Ok(what) => what.clone(),
            Err(e) => format!("failed: {e}"),
        };
        self.log.push(Done { at, action: name, what });
        result.map(drop)
    }

    /// `steps` actions; between two of them `meanwhile` lets the world go on until it is worth
    /// harming again (wait for operations, not for time).
    pub fn run(
        &mut self,
        world: &mut W,
        steps: u32,
        mut meanwhile: impl FnMut(&mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        for _ in 0..steps {
            self.step(world)?;
            meanwhile(world)?;
        }
        Ok(())
    }
}

/// Kills, freezes and link faults against every part of the world, equally likely.
#[must_use]
pub fn everything(seed: u64) -> Script<World> {
    let second = Duration::from_secs(60);
    Script::new(seed)
        .with(
            2,
            act("kill the node", move |w: &mut World, _| {
                w.node.kill9()?;
                w.node.restart(second)?;
                Ok("SIGKILL, started again".to_owned())
            }),
        )
        .with(1, act("kill the source", |w: &mut World, _| restart(&mut w.source)))
        .with(1, act("kill the target", |w: &mut World, _| restart(&mut w.target)))
        .with(
            1,
            act("freeze the node", |w: &mut World, rng| {
                let ms = rng.range(50, 800);
                w.node.freeze()?;
                std::thread::sleep(Duration::from_millis(ms));
                w.node.thaw()?;
                Ok(format!("SIGSTOP for {ms} ms"))
            }),
        )
        .with(
            1,
            act("freeze the target", |w: &mut World, rng| {
                let ms = rng.range(50, 800);
                w.target.freeze()?;
                std::thread::sleep(Duration::from_millis(ms));
                w.target.thaw()?;
                Ok(format!("SIGSTOP for {ms} ms"))
            }),
        )
        .with(
            2,
            act("harm a link", |w: &mut World, rng| {
                let count = w.links.len() as u64;
                if count == 0 {
                    return Ok("no links to harm".to_owned());
                }
                let (name, link) = &w.links[rng.below(count) as usize];
                let ms = rng.range(50, 800);
                let how = match rng.below(4) {
                    0 => {
                        link.reset_all();
                        "reset"
                    }
                    1 => {
                        link.partition();
                        "partition"
                    }
                    2 => {
                        link.swallow(crate::faults::Direction::ToClient);
                        "replies lost"
                    }
                    _ => {
                        link.half_open();
                        "half-open"
                    }
                };
                std::thread::sleep(Duration::from_millis(ms));
                link.heal();
                Ok(format!("{name}: {how} for {ms} ms"))
            }),
        )
}

fn restart(server: &mut Server) -> io::Result<String> {
    server.kill9()?;
    server.restart().map_err(io::Error::other)?;
    Ok(format!("SIGKILL {}, started again", server.flavor().program()))
}
