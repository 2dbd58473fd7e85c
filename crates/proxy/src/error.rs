use thiserror::Error;

/// Why an interlay cannot start or cannot do what it was asked.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// The listening address cannot be bound.
    #[error("EXO-PXY-020: cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A serving thread could not be started.
    #[error("EXO-PXY-021: cannot start a serving thread: {0}")]
    Thread(std::io::Error),
    /// The TLS settings of an endpoint cannot be used.
    #[error("EXO-PXY-022: TLS towards {address} cannot be set up: {reason}")]
    Tls {
        /// The endpoint.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The interlay has stopped.
    #[error("EXO-PXY-023: the interlay has stopped")]
    Stopped,
    /// A table with an older epoch than the one in force was published.
    #[error("EXO-PXY-024: table of epoch {given} refused, epoch {current} is in force")]
    OldEpoch {
        /// The epoch of the refused table.
        given: model::Epoch,
        /// The epoch in force.
        current: model::Epoch,
    },
    /// Not every shard became quiet, or not every session could be moved, in time.
    #[error("EXO-PXY-025: {0}")]
    NotQuiet(String),
}
