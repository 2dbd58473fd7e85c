//! The PROXY protocol header, versions 1 and 2.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>. Pure; bounded by the sizes the
//! specification gives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest version 1 line, CR LF included.
const LINE_BYTES_MAX: usize = 107;
/// Most bytes of addresses and extensions accepted behind a version 2 header.
const BODY_BYTES_MAX: usize = 2048;

/// What has been read so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    More,
    /// A whole header; `None` when it names no address (health checks of the balancer).
    Done(Option<SocketAddr>),
    Bad,
}

/// Looks at all bytes read so far.
pub(crate) fn parse(head: &[u8]) -> Parsed {
    if head.is_empty() {
        return Parsed::More;
    }
    let compared = head.len().min(SIGNATURE.len());
    if head[..compared] == SIGNATURE[..compared] {
        return binary(head);
    }
    text(head)
}

fn text(head: &[u8]) -> Parsed {
    let compared = head.len().min(6);
    if head[..compared] != b"PROXY "[..compared] || head.len() > LINE_BYTES_MAX {
        return Parsed::Bad;
    }
    let Some(line) = head.strip_suffix(b"\r\n") else { return Parsed::More };
    let Ok(line) = std::str::from_utf8(line) else { return Parsed::Bad };
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Parsed::Done(None),
        ["PROXY", "TCP4" | "TCP6", source, _, port, _] => {
            match (source.parse::<IpAddr>(), port.parse::<u16>()) {
                (Ok(ip), Ok(port)) => Parsed::Done(Some(SocketAddr::new(ip, port))),
                _ => Parsed::Bad,
            }
        }
        _ => Parsed::Bad,
    }
}

fn binary(head: &[u8]) -> Parsed {
    let Some(fixed) = head.first_chunk::<16>() else { return Parsed::More };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if fixed[12] >> 4 != 2 || length > BODY_BYTES_MAX {
        return Parsed::Bad;
    }
    let body = &head[16..];
    if body.len() < length {
        return Parsed::More;
    }
    match (fixed[12] & 0xf, fixed[13]) {
        // LOCAL: the balancer speaks for itself.
        (0, _) => Parsed::Done(None),
        (1, 0x11) => match body.first_chunk::<12>() {
            Some(b) => {
                let ip = Ipv4Addr::new(b[0], b[1], b[2], b[3]);
                Parsed::Done(Some(SocketAddr::new(ip.into(), u16::from_be_bytes([b[8], b[9]]))))
            }
            None => Parsed::Bad,
        },
        (1, 0x21) => match body.first_chunk::<36>() {
            Some(b) => {
                let mut ip = [0u8; 16];
                ip.copy_from_slice(&b[..16]);
                let port = u16::from_be_bytes([b[32], b[33]]);
                Parsed::Done(Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port)))
            }
            None => Parsed::Bad,
        },
        (1, _) => Parsed::Done(None),
        _ => Parsed::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every shorter prefix wants more; the whole is the expected.
    fn check(head: &[u8], expect: Option<&str>) {
        for cut in 0..head.len() {
            assert_eq!(parse(&head[..cut]), Parsed::More, "{cut}");
        }
        assert_eq!(parse(head), Parsed::Done(expect.map(|a| a.parse().unwrap())));
    }

    #[test]
    fn both_versions() {
        check(b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n", Some("1.2.3.4:1000"));
        check(b"PROXY TCP6 ::1 ::2 1 2\r\n", Some("[::1]:1"));
        check(b"PROXY UNKNOWN\r\n", None);
        let mut v2 = SIGNATURE.to_vec();
        v2.extend_from_slice(&[0x21, 0x11, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 3, 232, 7, 208]);
        check(&v2, Some("1.2.3.4:1000"));
        let mut local = SIGNATURE.to_vec();
        local.extend_from_slice(&[0x20, 0, 0, 0]);
        check(&local, None);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [&b"GET k\r\n"[..], b"*1\r\n$4\r\nPING\r\n", b"PROXY TCP4 x y 1 2\r\n"] {
            assert_eq!(parse(bad), Parsed::Bad);
        }
        assert_eq!(parse(&[b'P'; 200]), Parsed::Bad);
    }
}
