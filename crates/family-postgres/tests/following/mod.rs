//! Two servers, a direction between them, and a judge that shares nothing with the product.

pub(crate) mod load;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use family::{FillPart, Follow, FollowSpec, PortError, StreamEvent};
use model::{ConflictPolicy, Dataset, Side};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::Cluster;

/// A source and a target, each with a database of this test.
pub(crate) struct Pair {
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
    pub(crate) db: String,
}

impl Pair {
    /// Both with these tables.
    pub(crate) fn start(schema: &str) -> Self {
        let (source, target) = (Cluster::start(), Cluster::start());
        let db = source.database();
        target.sql("postgres", &format!("CREATE DATABASE {db} TEMPLATE template0"));
        source.sql(&db, schema);
        target.sql(&db, schema);
        Self { source, target, db }
    }

    pub(crate) fn forward(&self, run: &str, options: BTreeMap<String, String>) -> Arc<dyn Follow> {
        self.direction(Side::Source, run, "boot1", options)
    }

    /// The direction that follows this side, as a process of this boot opens it.
    pub(crate) fn direction(
        &self,
        side: Side,
        run: &str,
        boot: &str,
        options: BTreeMap<String, String>,
    ) -> Arc<dyn Follow> {
        self.open(side, run, boot, options, ConflictPolicy::Fail)
    }

    pub(crate) fn overwriting(&self, run: &str) -> Arc<dyn Follow> {
        let options = options(&[("chunk_rows", "100")]);
        self.open(Side::Source, run, "boot1", options, ConflictPolicy::Overwrite)
    }

    fn open(
        &self,
        side: Side,
        run: &str,
        boot: &str,
        options: BTreeMap<String, String>,
        conflict: ConflictPolicy,
    ) -> Arc<dyn Follow> {
        let spec = |side, cluster: &Cluster| {
            let mut spec = cluster.spec(side, &self.db);
            spec.session_tag = format!("exodus:{run}:{boot}");
            spec
        };
        let source = spec(Side::Source, &self.source);
        let target = spec(Side::Target, &self.target);
        let (from, to) = if side == Side::Source { (source, target) } else { (target, source) };
        let spec = FollowSpec { run: run.to_owned(), datasets: None, conflict, options };
        family_postgres::direction(&from, &to, spec).expect("a direction")
    }

    /// Every table of the application holds the same on both sides, as text, by psql.
    pub(crate) fn equal(&self) {
        let differ = self.differences();
        assert!(differ.is_empty(), "{differ}");
    }

    pub(crate) fn differences(&self) -> String {
        let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'exodus') ORDER BY 1";
        let tables = self.source.sql(&self.db, tables);
        assert!(!tables.is_empty());
        let mut found = String::new();
        for table in tables.lines() {
            let sql = format!("SELECT t::text FROM {table} t ORDER BY t::text COLLATE \"C\"");
            let (a, b) = (self.source.sql(&self.db, &sql), self.target.sql(&self.db, &sql));
            if a != b {
                let (a, b): (Vec<_>, Vec<_>) = (a.lines().collect(), b.lines().collect());
                let short = |line: &&str| line.chars().take(160).collect::<String>();
                let only = |a: &[&str], b: &[&str]| {
                    let rest: Vec<_> = a.iter().filter(|l| !b.contains(l)).map(short).collect();
                    (rest.len(), rest.into_iter().take(5).collect::<Vec<_>>())
                };
                found += &format!(
                    "{table}: only at the source {:?}, only at the target {:?}\n",
                    only(&a, &b),
                    only(&b, &a)
                );
            }
        }
        found
    }
}

pub(crate) fn options(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Keeps a stream open, as the engine does.
pub(crate) struct Pump {
    stop: watch::Sender<bool>,
    pub(crate) applied: watch::Receiver<u64>,
    task: JoinHandle<Vec<StreamEvent>>,
}

pub(crate) fn pump(follow: &Arc<dyn Follow>) -> Pump {
    let (stop, mut stopped) = watch::channel(false);
    let (say, applied) = watch::channel(0);
    let follow = follow.clone();
    let task = tokio::spawn(async move {
        let mut events = Vec::new();
        let run = async {
            loop {
                let error = one(&follow, &say, &mut events).await;
                eprintln!("stream: {error}");
                assert!(error.trouble != family::Trouble::Rejected, "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = run => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        events
    });
    Pump { stop, applied, task }
}

async fn one(
    follow: &Arc<dyn Follow>,
    say: &watch::Sender<u64>,
    events: &mut Vec<StreamEvent>,
) -> PortError {
    let mut stream = match follow.stream().await {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    loop {
        match stream.next().await {
            Ok(StreamEvent::Applied { upto, .. }) => {
                say.send_modify(|known| *known = upto.0.max(*known));
            }
            Ok(other) => events.push(other),
            Err(error) => return error,
        }
    }
}

impl Pump {
    /// Drops the stream wherever it is, and says what it told besides progress.
    pub(crate) async fn stop(self) -> Vec<StreamEvent> {
        let _ = self.stop.send(true);
        self.task.await.expect("the pump")
    }
}

/// Everything that was acknowledged at the followed side is on the other.
pub(crate) async fn drained(follow: &Arc<dyn Follow>, pump: &Pump) {
    let head = follow.head().await.expect("a head");
    let mut applied = pump.applied.clone();
    let reached = applied.wait_for(|upto| *upto >= head.0);
    let reached = tokio::time::timeout(Duration::from_secs(60), reached).await;
    reached.expect("the stream gets there").expect("the pump lives");
}

/// Copies datasets as the engine does, with so many workers.
pub(crate) async fn copy(follow: &Arc<dyn Follow>, datasets: &[&str], workers: usize) {
    let mut parts = Vec::new();
    for dataset in datasets {
        let dataset = Dataset::new(dataset);
        parts.extend(loop {
            match follow.split(&dataset, workers).await {
                Ok(parts) => break parts,
                Err(error) => assert!(error.trouble != family::Trouble::Rejected, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
    }
    let parts = Arc::new(tokio::sync::Mutex::new(parts));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (follow, parts) = (follow.clone(), parts.clone());
        tasks.spawn(async move {
            loop {
                let Some(part) = parts.lock().await.pop() else { return };
                fill(&follow, &part).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a worker");
    }
}

pub(crate) async fn fill(follow: &Arc<dyn Follow>, part: &FillPart) {
    let mut from = None;
    loop {
        match follow.fill(part, from.as_ref()).await {
            Ok(filled) => match filled.next {
                Some(next) => from = Some(next),
                None => return,
            },
            Err(error) => {
                assert!(error.trouble != family::Trouble::Rejected, "{error}");
                eprintln!("fill: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Tries until it works, as the engine does.
pub(crate) async fn until<T>(mut once: impl AsyncFnMut() -> Result<T, PortError>) -> T {
    for _ in 0..400 {
        match once().await {
            Ok(done) => return done,
            Err(error) => {
                assert!(error.trouble != family::Trouble::Rejected, "{error}");
                eprintln!("again: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    panic!("it never works");
}

/// Drops a slot as soon as nobody reads it.
pub(crate) async fn gone(pair: &Pair, slot: &str) {
    until(async || {
        let (_, error) = pair.source.try_sql(
            crate::support::OWNER,
            &pair.db,
            &format!("SELECT pg_drop_replication_slot('{slot}')"),
        );
        match error.is_empty() {
            true => Ok(()),
            false => Err(PortError::new(family::Trouble::Unreachable, "EXO-PGS-309", error)),
        }
    })
    .await;
}
