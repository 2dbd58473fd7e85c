//! Messages of a server: cut out of the stream, the asynchronous ones taken aside.

use bytes::Bytes;
use family::PortError;
use wire_postgres::notice::Notice;
use wire_postgres::session::{KeyData, Notification as Notified, ParameterStatus, Transaction};
use wire_postgres::tags::backend as tag;
use wire_postgres::{HEAD_BYTES, Scanned};

use super::{Conn, NOTICES_MAX, NOTIFICATIONS_MAX};
use crate::error::{self, Error, ServerError};

/// One message, its bytes shared with the receive buffer.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(super) tag: u8,
    pub(super) body: Bytes,
}

/// Somebody said NOTIFY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notification {
    /// On which channel.
    pub(crate) channel: String,
    /// With which words.
    pub(crate) payload: String,
}

impl Conn {
    /// A message that is already here, without touching the socket. Asynchronous ones are taken
    /// aside.
    pub(super) fn decode(&mut self) -> Result<Option<Message>, PortError> {
        if self.spent {
            return Err(error::unreachable(self.at(), "connection already given up"));
        }
        loop {
            let scanned = self.scanner.scan(&self.received).map_err(|e| self.garbled(e))?;
            // Nothing is ever taken in parts, so there is no rest of anything.
            let Scanned::Whole(head) = scanned else { return Ok(None) };
            let mut body = self.received.split_to(head.len).freeze();
            self.scanner.taken(head.len);
            let message = Message { tag: head.tag, body: body.split_off(HEAD_BYTES) };
            if !self.aside(&message)? {
                return Ok(Some(message));
            }
        }
    }

    /// Takes what a server may say at any time. Says whether the message was of that kind.
    fn aside(&mut self, message: &Message) -> Result<bool, PortError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match message.tag {
            tag::NOTICE => {
                let notice = Notice::parse(&message.body).map_err(|e| self.garbled(e))?;
                let notice = ServerError::of(&notice, self.link.address());
                if self.notices.len() == NOTICES_MAX {
                    self.notices.pop_front();
                }
                self.notices.push_back(notice);
            }
            tag::NOTIFICATION => {
                let said = Notified::parse(&message.body).map_err(|e| self.garbled(e))?;
                let said =
                    Notification { channel: text(said.channel), payload: text(said.payload) };
                if self.notifications.len() == NOTIFICATIONS_MAX {
                    self.notifications.pop_front();
                }
                self.notifications.push_back(said);
            }
            tag::PARAMETER_STATUS => {
                let said = ParameterStatus::parse(&message.body).map_err(|e| self.garbled(e))?;
                self.parameters.insert(text(said.name), text(said.value));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The content of a ReadyForQuery.
    pub(super) fn ready(&mut self, message: &Message) -> Result<(), Error> {
        self.transaction = Transaction::parse(&message.body).map_err(|e| self.garbled(e))?;
        Ok(())
    }

    /// The content of a BackendKeyData.
    pub(super) fn key_data(&mut self, message: &Message) -> Result<(), PortError> {
        self.pid = KeyData::parse(&message.body).map_err(|e| self.garbled(e))?.pid;
        Ok(())
    }

    /// The content of an ErrorResponse. A fatal one spends the connection: the server closes it.
    pub(super) fn failed(&mut self, message: &Message) -> Result<ServerError, PortError> {
        let notice = Notice::parse(&message.body).map_err(|e| self.garbled(e))?;
        let error = ServerError::of(&notice, self.link.address());
        self.spent |= error.fatal;
        Ok(error)
    }

    /// What arrived cannot be read.
    pub(super) fn garbled(&mut self, why: impl std::fmt::Display) -> PortError {
        self.spent = true;
        error::undecodable(why, self.link.address())
    }

    /// The next notification. The connection must be idle. Cancel-safe.
    pub(crate) async fn notification(&mut self) -> Result<Notification, Error> {
        loop {
            if let Some(said) = self.notifications.pop_front() {
                return Ok(said);
            }
            if self.is_spent() {
                return Err(error::unreachable(self.at(), "connection already given up").into());
            }
            match std::future::poll_fn(|cx| self.poll_aside(cx)).await? {
                None => {}
                Some(said) if said.tag == tag::ERROR => return Err(self.failed(&said)?.into()),
                Some(_) => return Err(self.out_of_step("LISTEN")),
            }
        }
    }
}
