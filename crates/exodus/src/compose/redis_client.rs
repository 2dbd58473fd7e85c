//! A client for scripts: one connection, one command after the other.

use std::time::Duration;

use bytes::BytesMut;
use control::plugin::{Access, CommandResult};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire_redis::encode::command;
use wire_redis::{Decoder, Value, split_inline};

/// Limit for connecting and for each command.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest reply shown.
const SHOWN: usize = 200;

/// Runs the commands until the connection breaks. An error reply is an outcome like any other.
pub(super) async fn run(access: &Access, commands: &[String]) -> Vec<CommandResult> {
    let mut results = Vec::with_capacity(commands.len());
    let mut client = match tokio::time::timeout(PATIENCE, Client::open(access)).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return broken(commands, &error),
        Err(_) => return broken(commands, "connecting took too long"),
    };
    for text in commands {
        let Some(args) = split_inline(text.as_bytes()).filter(|a| !a.is_empty()) else {
            let outcome = Err("the command cannot be split into words".to_owned());
            results.push(CommandResult { command: text.clone(), outcome });
            continue;
        };
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        match tokio::time::timeout(PATIENCE, client.call(&args)).await {
            Ok(Ok(reply)) => {
                let outcome = match reply.error() {
                    Some(error) => Err(error.into_owned()),
                    None => Ok(show(&reply)),
                };
                results.push(CommandResult { command: text.clone(), outcome });
            }
            Ok(Err(error)) => {
                results.push(CommandResult { command: text.clone(), outcome: Err(error) });
                break;
            }
            Err(_) => {
                let outcome = Err("no reply in time".to_owned());
                results.push(CommandResult { command: text.clone(), outcome });
                break;
            }
        }
    }
    results
}

fn broken(commands: &[String], error: &str) -> Vec<CommandResult> {
    let first = commands.first().cloned().unwrap_or_default();
    vec![CommandResult { command: first, outcome: Err(error.to_owned()) }]
}

fn show(reply: &Value) -> String {
    let text = match (reply.as_str(), reply.as_int(), reply.as_items()) {
        (Some(text), ..) => text.to_owned(),
        (_, Some(number), _) => number.to_string(),
        (.., Some(items)) => format!("{} items", items.len()),
        _ => reply.as_bytes().map_or("nil".to_owned(), |b| format!("{} bytes", b.len())),
    };
    text.chars().take(SHOWN).collect()
}

struct Client {
    stream: TcpStream,
    input: BytesMut,
    decoder: Decoder,
}

impl Client {
    async fn open(access: &Access) -> Result<Self, String> {
        let stream = TcpStream::connect(&access.address).await.map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let mut client = Self { stream, input: BytesMut::new(), decoder: Decoder::default() };
        if let Some(password) = &access.password {
            let mut login: Vec<&[u8]> = vec![b"AUTH"];
            login.extend(access.user.as_ref().map(|u| u.as_bytes()));
            login.push(password.as_bytes());
            if let Some(error) = client.call(&login).await?.error() {
                return Err(error.into_owned());
            }
        }
        Ok(client)
    }

    async fn call(&mut self, args: &[&[u8]]) -> Result<Value, String> {
        let mut out = BytesMut::new();
        command(&mut out, args);
        self.stream.write_all(&out).await.map_err(|e| e.to_string())?;
        loop {
            if let Some(value) = self.decoder.decode(&mut self.input).map_err(|e| e.to_string())? {
                return Ok(value);
            }
            let read = self.stream.read_buf(&mut self.input).await.map_err(|e| e.to_string())?;
            if read == 0 {
                return Err("the connection was closed".to_owned());
            }
        }
    }
}
