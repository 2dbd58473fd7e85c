//! What every verb that talks to the server needs: the door, the migration, the form of answers.

use api::{Envelope, MigrationSummary, Status};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::Global;
use crate::error::Failure;
use crate::exit::Exit;
use crate::http::{Client, DEFAULT_SERVER};
use crate::output::Format;
use crate::term::Io;
use crate::text::clean;

/// Where the server keeps its state unless told otherwise.
const DEFAULT_STATE_DIR: &str = ".exodus";
/// The file in the state folder that the first start leaves for its owner.
const TOKEN_FILE: &str = "admin.token";

/// One command's surroundings.
pub(crate) struct Ctx<'a, 'io> {
    pub(crate) io: &'a mut Io<'io>,
    pub(crate) client: Client,
    pub(crate) format: Format,
    asked: Option<String>,
}

impl<'a, 'io> Ctx<'a, 'io> {
    pub(crate) fn new(io: &'a mut Io<'io>, global: &Global) -> Result<Self, Failure> {
        let server = global.server.as_deref().unwrap_or(DEFAULT_SERVER);
        let key = format!("cli-{}-{}", std::process::id(), (io.now)().as_nanosecond());
        let client = Client::new(server, token(global)?, key)?;
        Ok(Self { io, client, format: global.output, asked: global.migration.clone() })
    }

    /// The migration meant: the one named, or the only one there is.
    pub(crate) fn migration(&self) -> Result<String, Failure> {
        if let Some(name) = &self.asked {
            return Ok(name.clone());
        }
        let mut all = self.migrations()?;
        match all.len() {
            0 => Err(no_migration(self.client.base())),
            1 => Ok(all.remove(0).id),
            _ => Err(several(&all)),
        }
    }

    /// Whether a migration was named on the command line.
    pub(crate) fn named(&self) -> bool {
        self.asked.is_some()
    }

    /// The fleet.
    pub(crate) fn migrations(&self) -> Result<Vec<MigrationSummary>, Failure> {
        self.typed(&self.client.get("/api/v1/migrations")?)
    }

    /// `/api/v1/migrations/{id}/{rest}` of the migration meant.
    pub(crate) fn path(&self, rest: &str) -> Result<String, Failure> {
        Ok(path_of(&self.migration()?, rest))
    }

    /// The status document, with its envelope's version.
    pub(crate) fn status(&self, migration: &str) -> Result<(Value, Status), Failure> {
        let value = self.client.get(&path_of(migration, "status"))?;
        let status = self.typed(&value)?;
        Ok((value, status))
    }

    /// The data of an envelope.
    pub(crate) fn typed<T: DeserializeOwned>(&self, value: &Value) -> Result<T, Failure> {
        serde_json::from_value::<Envelope<T>>(value.clone()).map(|e| e.data).map_err(|error| {
            Failure::new("EXO-CLI-004", Exit::Internal, format!("cannot read the answer: {error}"))
                .at(self.client.base())
                .impact("the server did what it was asked; only its answer is not understood")
                .fix("compare `exodus --version` with the server's; `-o json` shows the answer as it is")
        })
    }

    /// Reads a document and shows it: as it is, or through `view`.
    pub(crate) fn show<T: DeserializeOwned>(
        &mut self,
        path: &str,
        view: impl FnOnce(&mut Io<'io>, Format, &T) -> std::io::Result<()>,
    ) -> Result<T, Failure> {
        let value = self.client.get(path)?;
        let data = self.typed::<T>(&value)?;
        match self.format.document() {
            Some(document) => document.write(self.io, &value)?,
            None => view(self.io, self.format, &data)?,
        }
        Ok(data)
    }
}

/// A path under a migration; the name is made safe for a URL.
pub(crate) fn path_of(migration: &str, rest: &str) -> String {
    format!("/api/v1/migrations/{}/{rest}", encode(migration))
}

/// Percent-encodes everything but unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn token(global: &Global) -> Result<Option<String>, Failure> {
    if let Some(token) = &global.token {
        return Ok(Some(token.trim().to_owned()));
    }
    let named = global.state_dir.is_some();
    let dir = global.state_dir.clone().unwrap_or_else(|| DEFAULT_STATE_DIR.into());
    let file = dir.join(TOKEN_FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if named => {
            let what = format!("cannot read the token: {error}");
            Err(Failure::new("EXO-CLI-005", Exit::Denied, what)
                .at(file.display().to_string())
                .impact("nothing was sent to the server")
                .fix("give --state-dir the folder that `exodus serve` uses, or set EXODUS_TOKEN"))
        }
        Err(_) => Ok(None),
    }
}

fn no_migration(base: &str) -> Failure {
    Failure::new("EXO-CLI-006", Exit::Usage, "there is no migration yet")
        .at(base)
        .impact("nothing is moved and nothing is proxied")
        .fix("exodus init --source ADDRESS --target ADDRESS > move.yaml, then exodus migration create move.yaml")
}

fn several(all: &[MigrationSummary]) -> Failure {
    let names: Vec<_> = all.iter().map(|m| clean(&m.id)).collect();
    let first = names.first().cloned().unwrap_or_default();
    let what = format!("there are {} migrations: {}", names.len(), names.join(", "));
    Failure::new("EXO-CLI-007", Exit::Usage, what)
        .impact("nothing was sent")
        .fix(format!("exodus status -m {first}, or export EXODUS_MIGRATION={first}"))
}
