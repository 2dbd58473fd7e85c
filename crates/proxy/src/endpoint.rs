//! One side as the interlay connects to it: address, TLS, and a generation that tells
//! connections of a replaced endpoint from current ones.

use std::sync::atomic::{AtomicU64, Ordering};

use family::EndpointSpec;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::error::ProxyError;
use crate::shared::TlsMaker;

static GENERATIONS: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Endpoint {
    pub(crate) spec: EndpointSpec,
    pub(crate) tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Different for every endpoint of this process.
    pub(crate) generation: u64,
}

impl Endpoint {
    pub(crate) fn new(spec: EndpointSpec, tls: &TlsMaker) -> Result<Self, ProxyError> {
        let fail = |reason: String| ProxyError::Tls { address: spec.address.clone(), reason };
        let tls = match tls(&spec.tls).map_err(|e| fail(e.to_string()))? {
            None => None,
            Some(config) => {
                let host = spec.address.rsplit_once(':').map_or(spec.address.as_str(), |(h, _)| h);
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(host).map_err(|e| fail(e.to_string()))?;
                Some((TlsConnector::from(config), name))
            }
        };
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { spec, tls, generation })
    }
}
