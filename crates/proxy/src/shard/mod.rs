//! One thread that serves clients.

use std::sync::Arc;

use family::Protocol;
use tokio::sync::mpsc;

use crate::report::{DrainReport, QuietReport, RehomeReport};
use crate::shared::{Message, Shared};

/// Starts a shard's thread.
pub(crate) fn start<P: Protocol>(
    index: usize,
    _protocol: Arc<P>,
    shared: Arc<Shared>,
    mut inbox: mpsc::Receiver<Message>,
    _listener: Option<std::net::TcpListener>,
) -> std::io::Result<()> {
    let name = format!("{}-{index}", shared.name());
    std::thread::Builder::new().name(name).spawn(move || {
        while let Some(message) = inbox.blocking_recv() {
            match message {
                Message::Accept(..) => {}
                Message::Quiet { epoch, reply, .. } => {
                    let _ = reply.send(QuietReport::empty(epoch));
                }
                Message::Rehome { epoch, reply, .. } => {
                    let _ = reply.send(RehomeReport::empty(epoch));
                }
                Message::Connections(reply) => {
                    let _ = reply.send(Vec::new());
                }
                Message::UpstreamAddresses(reply) => {
                    let _ = reply.send(Vec::new());
                }
                Message::Drain { reply, .. } => {
                    let _ = reply.send(DrainReport::sum(Vec::new(), std::time::Duration::ZERO));
                }
            }
        }
    })?;
    Ok(())
}
