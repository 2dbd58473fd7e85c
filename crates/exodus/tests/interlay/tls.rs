//! TLS on both legs.

use std::io::{Read, Write};
use std::sync::Arc;

use chaos::servers::{Flavor, Server, ServerOptions};
use family::TlsMode;
use model::Side;
use proxy::{Interlay, InterlayConfig, InterlayHandle, Upstreams};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use crate::rig::{Client, command, passthrough, spec, words};

struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { dir }
    }

    fn cert(&self) -> std::path::PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn key(&self) -> std::path::PathBuf {
        self.dir.path().join("key.pem")
    }

    fn server(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let cert = CertificateDer::from_pem_file(self.cert()).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.key()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .unwrap();
        Arc::new(config)
    }

    fn client(&self, port: u16) -> StreamOwned<ClientConnection, std::net::TcpStream> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.cert()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let tcp = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_read_timeout(Some(crate::rig::SOON)).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp)
    }
}

fn interlay(config: InterlayConfig, upstreams: &Upstreams) -> InterlayHandle {
    let table = Arc::new(arc_swap::ArcSwap::from_pointee(passthrough()));
    Interlay::bind(config, family_redis::RedisProtocol::new(None), upstreams, table, None).unwrap()
}

#[test]
fn clients_may_use_tls() {
    let keys = Keys::new();
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let mut config = InterlayConfig::new("tls", "127.0.0.1:0".parse().unwrap());
    config.tls = Some(keys.server());
    let handle = interlay(config, &Upstreams::one(spec(Side::Source, &server)));
    let mut client = keys.client(handle.local_addr().port());
    let value = vec![b'z'; 3 << 20];
    client.write_all(&command(&[b"SET", b"k", &value])).unwrap();
    let mut ok = [0u8; 5];
    client.read_exact(&mut ok).unwrap();
    assert_eq!(&ok, b"+OK\r\n");
    client.write_all(&[words("GET k"), words("PING")].concat()).unwrap();
    let mut all = vec![0u8; value.len() + 12 + 7];
    client.read_exact(&mut all).unwrap();
    assert!(all.starts_with(b"$3145728\r\nzz") && all.ends_with(b"zz\r\n+PONG\r\n"));
    // Plain text on a TLS listener gets nothing but its end.
    let mut plain = Client::connect(handle.local_addr());
    plain.send(&words("PING"));
    let mut rest = Vec::new();
    let _ = plain.stream.read_to_end(&mut rest);
    assert!(!rest.windows(4).any(|w| w == b"PONG"));
}

#[test]
fn servers_may_use_tls_and_are_verified() {
    let keys = Keys::new();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let options = ServerOptions::new(Flavor::Redis)
        .directive("tls-port", &port.to_string())
        .directive("tls-cert-file", &keys.cert().display().to_string())
        .directive("tls-key-file", &keys.key().display().to_string())
        .directive("tls-ca-cert-file", &keys.cert().display().to_string())
        .directive("tls-auth-clients", "no");
    let server = Server::start(&options).unwrap();
    let with = |tls: TlsMode| {
        let mut spec = spec(Side::Source, &server);
        spec.address = format!("localhost:{port}");
        spec.tls = tls;
        let config = InterlayConfig::new("tls", "127.0.0.1:0".parse().unwrap());
        interlay(config, &Upstreams::one(spec))
    };
    let verified = with(TlsMode::VerifyFull(Some(keys.cert())));
    let mut client = Client::connect(verified.local_addr());
    client.check("SET k v", "+OK|");
    client.check("MULTI", "+OK|");
    client.check("GET k", "+QUEUED|");
    client.check("EXEC", "*1|$1|v|");
    let stranger = with(TlsMode::VerifyFull(Some(Keys::new().cert())));
    let reply = Client::connect(stranger.local_addr()).ask("GET k");
    assert!(reply.starts_with("-ERR EXO-PXY-002 "), "{reply}");
    let unchecked = with(TlsMode::Require);
    Client::connect(unchecked.local_addr()).check("GET k", "$1|v|");
}
