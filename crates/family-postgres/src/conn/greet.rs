//! The first messages of a connection: startup, authentication, what the server is.

use std::sync::Arc;

use bytes::Bytes;
use family::{PortError, Trouble};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use wire_postgres::auth::Authentication;
use wire_postgres::encode;
use wire_postgres::startup::Version;
use wire_postgres::tags::backend as tag;

use super::link::{Link, Purpose};
use super::{Conn, Message};
use crate::error::{Error, code};

impl Conn {
    /// Connects, logs in, and learns who the server is.
    pub(super) async fn greet(link: Arc<Link>, purpose: Purpose) -> Result<Self, PortError> {
        let stream = link.dial().await?;
        let settings = link.settings(purpose);
        let mut conn = Self::new(link, stream);
        let given: Vec<_> = settings.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        encode::startup(&mut conn.unsent, Version::V3_0, &given).map_err(|e| {
            PortError::new(Trouble::Denied, code::ENDPOINT, format!("{}: {e}", conn.at()))
        })?;
        conn.log_in().await?;
        conn.introduce().await?;
        Ok(conn)
    }

    async fn log_in(&mut self) -> Result<(), Error> {
        let mut scram = None;
        loop {
            let message = self.next().await?;
            match message.tag {
                tag::AUTHENTICATION => self.answer(&message, &mut scram)?,
                tag::KEY_DATA => self.key_data(&message)?,
                tag::NEGOTIATE => {}
                tag::ERROR => return Err(self.failed(&message)?.into()),
                tag::READY => return self.ready(&message),
                _ => return Err(self.out_of_step("startup")),
            }
        }
    }

    /// Queues the answer to one authentication request.
    fn answer(&mut self, message: &Message, scram: &mut Option<ScramSha256>) -> Result<(), Error> {
        let body: &Bytes = &message.body;
        let asked = Authentication::parse(body).map_err(|e| self.garbled(e))?;
        let at = self.at().clone();
        let denied =
            |why: &str| PortError::new(Trouble::Denied, code::DENIED, format!("{at}: {why}"));
        let link = self.link.clone();
        let password = || link.password().ok_or_else(|| denied("the server wants a password"));
        let sent = match asked {
            Authentication::Ok => Ok(()),
            Authentication::Cleartext => encode::password(&mut self.unsent, password()?.as_bytes()),
            Authentication::Md5 { salt } => {
                let hash = md5_hash(link.user().as_bytes(), password()?.as_bytes(), salt);
                encode::password(&mut self.unsent, hash.as_bytes())
            }
            Authentication::Sasl(offered) => {
                if !offered.names().any(|name| name == SCRAM_SHA_256.as_bytes()) {
                    return Err(denied("the server offers no SASL mechanism we speak").into());
                }
                let begun = ScramSha256::new(password()?.as_bytes(), ChannelBinding::unsupported());
                let first = scram.insert(begun).message();
                encode::sasl_initial(&mut self.unsent, SCRAM_SHA_256.as_bytes(), Some(first))
            }
            Authentication::SaslContinue(challenge) => {
                let Some(scram) = scram else { return Err(self.out_of_step("SASL")) };
                scram.update(challenge).map_err(|_| denied("the server's challenge is wrong"))?;
                encode::sasl_response(&mut self.unsent, scram.message())
            }
            Authentication::SaslFinal(last) => {
                let Some(scram) = scram else { return Err(self.out_of_step("SASL")) };
                // A server that does not know the verifier could be anybody.
                scram.finish(last).map_err(|_| denied("the server does not know the password"))?;
                Ok(())
            }
            _ => return Err(denied("the server wants an authentication we do not speak").into()),
        };
        sent.map_err(|e| denied(&e.to_string()).into())
    }

    /// Learns version and start, and switches off what older servers do not know.
    async fn introduce(&mut self) -> Result<(), Error> {
        let row = self
            .query_one(
                "SELECT current_setting('server_version_num'), \
                 (SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()), \
                 pg_backend_pid()",
            )
            .await?;
        self.version = row.number(0)?;
        self.started = row.opt(1)?.unwrap_or_default().to_owned();
        self.pid = row.number(2)?;
        let mut more = String::new();
        if self.version >= 140_000 {
            more.push_str("SET idle_session_timeout = 0;");
        }
        if self.version >= 170_000 {
            more.push_str("SET transaction_timeout = 0;");
        }
        if !more.is_empty() {
            self.execute(&more).await?;
        }
        Ok(())
    }
}
