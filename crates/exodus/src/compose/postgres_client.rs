//! A client for scripts: one connection, one command after the other.

use std::time::Duration;

use control::plugin::{Access, CommandResult};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// Limit for connecting and for each command.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest reply shown.
const SHOWN: usize = 200;

/// Runs the commands until the connection breaks. An error reply is an outcome like any other.
pub(super) async fn run(access: &Access, commands: &[String]) -> Vec<CommandResult> {
    let client = match tokio::time::timeout(PATIENCE, open(access)).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return broken(commands, &error),
        Err(_) => return broken(commands, "connecting took too long"),
    };
    let mut results = Vec::with_capacity(commands.len());
    for command in commands {
        let outcome = match tokio::time::timeout(PATIENCE, client.simple_query(command)).await {
            Ok(Ok(messages)) => Ok(show(&messages)),
            Ok(Err(error)) => Err(said(&error)),
            Err(_) => Err("no reply in time".to_owned()),
        };
        results.push(CommandResult { command: command.clone(), outcome });
        if client.is_closed() {
            break;
        }
    }
    results
}

async fn open(access: &Access) -> Result<Client, String> {
    let mut config = Config::new();
    let (host, port) = access.address.rsplit_once(':').ok_or("the address has no port")?;
    config.host(host.trim_matches(['[', ']']));
    config.port(port.parse().map_err(|_| "the port is no number")?);
    config.user(access.user.as_deref().unwrap_or("postgres"));
    if let Some(database) = &access.database {
        config.dbname(database);
    }
    if let Some(password) = &access.password {
        config.password(password.as_bytes());
    }
    let (client, connection) = config.connect(NoTls).await.map_err(|e| said(&e))?;
    tokio::spawn(connection);
    Ok(client)
}

fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{}: {}", error.code().code(), error.message()),
        None => error.to_string(),
    }
}

fn broken(commands: &[String], error: &str) -> Vec<CommandResult> {
    let first = commands.first().cloned().unwrap_or_default();
    vec![CommandResult { command: first, outcome: Err(error.to_owned()) }]
}

/// The last statement's outcome: its single value, or how many rows.
fn show(messages: &[SimpleQueryMessage]) -> String {
    let mut rows = Vec::new();
    let mut count = 0;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(_) => rows.clear(),
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|i| row.get(i).unwrap_or("null"));
                rows.push(values.collect::<Vec<_>>().join(" "));
            }
            SimpleQueryMessage::CommandComplete(n) => count = *n,
            _ => {}
        }
    }
    let text = match rows.as_slice() {
        [] => format!("{count} rows"),
        [one] => one.clone(),
        many => format!("{} rows", many.len()),
    };
    text.chars().take(SHOWN).collect()
}
