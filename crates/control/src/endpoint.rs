//! From the document's sections to what ports and listeners take.

use std::sync::Arc;
use std::time::Duration;

use family::{EndpointSpec, TlsMode};
use model::Side;
use proxy::{InterlayConfig, Limits, ProxyProtocol};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{EndpointSection, InterlaySection, TlsSection};

/// Resolves a section's secret. `tag` names our connections on the server.
pub(crate) fn spec(
    section: &EndpointSection,
    side: Side,
    tag: &str,
) -> Result<EndpointSpec, crate::config::SecretError> {
    let password = section.password.as_ref().map(|p| p.resolve()).transpose()?;
    Ok(EndpointSpec {
        side,
        address: section.address.clone(),
        database: section.database.clone(),
        user: section.user.clone(),
        password,
        tls: tls_mode(section),
        session_tag: tag.to_owned(),
        timeout: section.timeout.duration().max(Duration::from_millis(1)),
        application_users: section.application_users.clone(),
    })
}

/// The TLS mode of a section; checked in full unless the address is this machine.
pub(crate) fn tls_mode(section: &EndpointSection) -> TlsMode {
    match &section.tls {
        Some(TlsSection::Disable) => TlsMode::Disable,
        Some(TlsSection::Require) => TlsMode::Require,
        Some(TlsSection::VerifyCa { ca }) => TlsMode::VerifyCa(ca.clone()),
        Some(TlsSection::VerifyFull { ca }) => TlsMode::VerifyFull(ca.clone()),
        None if is_local(&section.address) => TlsMode::Disable,
        None => TlsMode::VerifyFull(None),
    }
}

/// The TLS mode's wire name.
pub(crate) const fn tls_name(mode: &TlsMode) -> &'static str {
    match mode {
        TlsMode::Disable => "disable",
        TlsMode::Require => "require",
        TlsMode::VerifyCa(_) => "verify_ca",
        TlsMode::VerifyFull(_) => "verify_full",
    }
}

fn is_local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A listener's configuration. Fails with a sentence when its certificate cannot be used.
pub(crate) fn interlay(section: &InterlaySection) -> Result<InterlayConfig, String> {
    let mut config = InterlayConfig::new(section.name.clone(), section.listen);
    config.shards = section.shards;
    config.limits = Limits {
        connections_max: section.connections_max,
        hold_max: section.hold_max.duration(),
        ..Limits::default()
    };
    if section.proxy_protocol {
        config.proxy_protocol = ProxyProtocol::Required;
    }
    if let (Some(cert), Some(key)) = (&section.tls_cert, &section.tls_key) {
        let read = |path: &std::path::Path, e: String| format!("{}: {e}", path.display());
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(cert).map_err(|e| read(cert, e.to_string()))?.collect();
        let chain = chain.map_err(|e| read(cert, e.to_string()))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| read(key, e.to_string()))?;
        let server = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| e.to_string())?;
        config.tls = Some(Arc::new(server));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_is_recognised() {
        for (address, local) in [
            ("127.0.0.1:6379", true),
            ("[::1]:6379", true),
            ("localhost:6379", true),
            ("10.0.0.1:6379", false),
            ("localhost.example.org:6379", false),
        ] {
            assert_eq!(super::is_local(address), local, "{address}");
        }
    }
}
