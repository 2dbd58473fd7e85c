//! `init` and `interlay probe`: what is done before there is a server.

use std::fs::File;
use std::io::Write as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::args::{Environment, InitArgs};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::explain::nearest;
use crate::files::{read, unusable};
use crate::offline::{Family, Offline};
use crate::output::Format;
use crate::term::Io;
use crate::text::{clean, micros};

mod template;

const CONNECT: Duration = Duration::from_secs(3);

/// Where a system is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// `host:port`.
    pub(crate) address: String,
    /// The path of the URL it was given by.
    pub(crate) database: Option<String>,
}

/// What goes into a configuration.
pub(crate) struct Answers {
    pub(crate) name: String,
    pub(crate) environment: &'static str,
    pub(crate) source: Place,
    pub(crate) target: Place,
    pub(crate) listen: String,
    pub(crate) family: Family,
}

pub(crate) fn run(io: &mut Io<'_>, offline: &dyn Offline, args: &InitArgs) -> Outcome {
    if let Some(file) = &args.reverse {
        return reverse(io, args, &read(file)?);
    }
    let answers = answers(io, offline, args)?;
    if !args.no_test {
        for (side, place) in [("source", &answers.source), ("target", &answers.target)] {
            let address = &place.address;
            let took = connect(address).map_err(|e| dead(side, address, &e))?;
            io.say(&format!("{side} {}: answers, connected in {}", clean(address), micros(took)));
        }
    }
    let text = template::config(&answers);
    let found = offline.validate(&text, "the new configuration");
    if !found.valid {
        let problem = found.problems.first();
        let what = problem.map_or("it is not valid".to_owned(), |p| p.message.clone());
        return Err(Failure::usage(what).at("init's arguments").impact("nothing was written"));
    }
    write(io, args, &text)
}

fn answers(io: &mut Io<'_>, offline: &dyn Offline, args: &InitArgs) -> Result<Answers, Failure> {
    let source = ask(io, "source", args.source.as_deref())?;
    let target = ask(io, "target", args.target.as_deref())?;
    let scheme =
        source.split_once("://").map(|(s, _)| s).or(target.split_once("://").map(|(s, _)| s));
    let family = family(offline, args.family.as_deref().or(scheme))?;
    let source = place(&source, &family);
    let target = place(&target, &family);
    let default = format!("127.0.0.1:{}", family.port.saturating_add(10_000));
    let listen = args.listen.clone().unwrap_or(default);
    let environment = match args.environment {
        Environment::Prod => "prod",
        Environment::Dev => "dev",
    };
    Ok(Answers { name: args.name.clone(), environment, source, target, listen, family })
}

/// The argument, or the answer to a question when somebody is there to answer.
fn ask(io: &mut Io<'_>, side: &str, given: Option<&str>) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    if !io.in_tty {
        let what = format!("the address of the {side} is missing");
        return Err(Failure::usage(what).fix(format!("exodus init --{side} HOST:PORT …")));
    }
    let _ = write!(io.err, "Address of the {side} (host:port): ");
    let _ = io.err.flush();
    let mut line = String::new();
    io.input.read_line(&mut line)?;
    match line.trim() {
        "" => Err(Failure::usage(format!("the address of the {side} is missing"))),
        answer => Ok(answer.to_owned()),
    }
}

fn family(offline: &dyn Offline, wanted: Option<&str>) -> Result<Family, Failure> {
    let all = offline.families();
    let names: Vec<_> = all.iter().map(|f| f.name).collect();
    match wanted {
        None => all.first().copied().ok_or_else(|| Failure::usage("no family was built in")),
        Some(name) => all.iter().find(|f| f.name == name).copied().ok_or_else(|| {
            let near = nearest(name, names.iter().copied()).or(names.first().copied());
            Failure::usage(format!("there is no family {name}; there are {}", names.join(", ")))
                .at("--family")
                .fix(format!("exodus init --family {}", near.unwrap_or_default()))
        }),
    }
}

/// Where it is, of what was given: an address or a URL.
fn place(given: &str, family: &Family) -> Place {
    let rest = given.split_once("://").map_or(given, |(_, rest)| rest);
    let path = rest.split_once('/').map(|(_, path)| path.split('?').next().unwrap_or(path));
    let database = path.filter(|p| family.databases && !p.is_empty()).map(str::to_owned);
    Place { address: address(rest, family.port), database }
}

/// `host:port` of what stands behind a scheme: secrets are dropped, a missing port added.
fn address(given: &str, port: u16) -> String {
    let bare = given.split(['/', '?']).next().unwrap_or(given);
    let bare = bare.rsplit_once('@').map_or(bare, |(_, host)| host);
    let has_port = bare.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
    if has_port { bare.to_owned() } else { format!("{bare}:{port}") }
}

/// Connects and says how long it took, in microseconds.
fn connect(address: &str) -> std::io::Result<u64> {
    let began = Instant::now();
    let mut last = std::io::Error::other("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(began.elapsed().as_micros() as u64),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn dead(side: &str, address: &str, error: &std::io::Error) -> Failure {
    Failure::new("EXO-CLI-013", Exit::Unreachable, format!("the {side} does not answer: {error}"))
        .at(address)
        .impact("no configuration was written")
        .fix("check the address from this machine, or add --no-test to write it anyway")
}

fn write(io: &mut Io<'_>, args: &InitArgs, text: &str) -> Outcome {
    let Some(file) = args.file.as_deref().filter(|f| f.as_os_str() != "-") else {
        io.out.write_all(text.as_bytes())?;
        return Ok(Exit::Done);
    };
    let opened = if args.force { File::create(file) } else { File::create_new(file) };
    let written = opened.and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::usage("the file is there already")
            .at(file.display().to_string())
            .fix("another name, or --force to replace it"),
        _ => unusable(file, "write", &error),
    })?;
    let name = file.display();
    io.say(&format!("wrote {name}"));
    io.say(&format!("next: exodus validate {name}"));
    Ok(Exit::Done)
}

/// The way back of a finished migration: the two sections change places, nothing else.
fn reverse(io: &mut Io<'_>, args: &InitArgs, text: &str) -> Outcome {
    let swapped = template::reverse(text).ok_or_else(|| {
        Failure::usage("the configuration has no `source:` and `target:` section at its top level")
            .fix("exodus validate FILE")
    })?;
    write(io, args, &swapped)
}

/// Whether this machine reaches an interlay, and how fast.
pub(crate) fn probe(io: &mut Io<'_>, format: Format, address: &str) -> Outcome {
    const TRIES: usize = 5;
    let mut took = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        took.push(connect(address).map_err(|e| {
            dead("interlay", address, &e)
                .impact("applications on this machine cannot use it")
                .fix("exodus interlay list, then check routes and firewalls between here and there")
        })?);
    }
    took.sort_unstable();
    let value = json!({"address": address, "reachable": true, "connect_us": took});
    match format.document() {
        Some(document) => document.write(io, &value)?,
        None => writeln!(
            io.out,
            "{}: reachable, connect {} (fastest {}, slowest {}, {TRIES} tries)",
            clean(address),
            micros(took[TRIES / 2]),
            micros(took[0]),
            micros(took[TRIES - 1])
        )?,
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_schemes_and_secrets_and_gain_ports() {
        assert_eq!(address("db.example", 5000), "db.example:5000");
        assert_eq!(address("db.example:7000", 5000), "db.example:7000");
        assert_eq!(address("user:secret@db.example:7000/0", 5000), "db.example:7000");
        let family = Family { name: "x", port: 5000, databases: true, block: "" };
        let found = place("x://user:secret@db.example/shop?a=b", &family);
        let database = Some("shop".to_owned());
        assert_eq!(found, Place { address: "db.example:5000".to_owned(), database });
        assert_eq!(place("x://db.example", &family).database, None);
        let family = Family { databases: false, ..family };
        assert_eq!(place("x://db.example/0", &family).database, None);
    }
}
