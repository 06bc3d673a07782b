//! Addresses of sockets: as `struct sockaddr` gives them, and as /proc/PID/net prints them.
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// v4-mapped v6 is told as v4.
    Ip(IpAddr, u16),
    /// A path; an abstract name begins with `@`; empty: unnamed.
    Unix(Box<[u8]>),
}

/// v4 where it is only dressed as v6.
fn plain(ip: Ipv6Addr) -> IpAddr {
    ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
}

impl Address {
    /// From a copy of `struct sockaddr`. None for other families and for what is cut short.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let family = i32::from(u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]));
        match family {
            libc::AF_INET => {
                let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
                let octets: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
                Some(Self::Ip(IpAddr::V4(Ipv4Addr::from(octets)), port))
            }
            libc::AF_INET6 => {
                let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
                let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
                Some(Self::Ip(plain(Ipv6Addr::from(octets)), port))
            }
            libc::AF_UNIX => {
                let path = &bytes[2..];
                if path.first() == Some(&0) {
                    let mut name = path.to_vec();
                    name[0] = b'@';
                    return Some(Self::Unix(if name.len() == 1 { Box::default() } else { name.into() }));
                }
                let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
                Some(Self::Unix(path[..end].into()))
            }
            _ => None,
        }
    }

    /// `0100007F:1F90`, `00000000000000000000000001000000:0050`: words in host order, port in hex.
    pub fn parse_proc(text: &str) -> Option<Self> {
        let (ip, port) = text.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
        match ip.len() {
            8 => Some(Self::Ip(IpAddr::V4(Ipv4Addr::from(word(0)?)), port)),
            32 => {
                let mut octets = [0; 16];
                for part in 0..4 {
                    octets[4 * part..4 * part + 4].copy_from_slice(&word(8 * part)?);
                }
                Some(Self::Ip(plain(Ipv6Addr::from(octets)), port))
            }
            _ => None,
        }
    }

    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(_, port) => Some(*port),
            Self::Unix(_) => None,
        }
    }

    /// Whether it names no particular place: 0.0.0.0, ::, port 0, an unnamed socket.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Ip(ip, port) => ip.is_unspecified() || *port == 0,
            Self::Unix(path) => path.is_empty(),
        }
    }

    /// Whether a socket that was told to be here can be found to be at `found`: the same, but for what was left open.
    pub fn allows(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::Ip(ip, port), Self::Ip(found_ip, found_port)) => {
                (ip.is_unspecified() || ip == found_ip) && (*port == 0 || port == found_port)
            }
            _ => self == found,
        }
    }

    /// The text of the address without its port, into `out`.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ip(IpAddr::V4(ip), _) => {
                let [first, rest @ ..] = ip.octets();
                let mut digits = itoa::Buffer::new();
                out.extend_from_slice(digits.format(first).as_bytes());
                for octet in rest {
                    out.push(b'.');
                    out.extend_from_slice(digits.format(octet).as_bytes());
                }
            }
            // Writing to a Vec can't fail.
            Self::Ip(IpAddr::V6(ip), _) => drop(write!(out, "{ip}")),
            Self::Unix(path) => out.extend_from_slice(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(address: &Address) -> String {
        let mut out = Vec::new();
        address.put(&mut out);
        format!("{} {:?}", String::from_utf8_lossy(&out), address.port())
    }

    #[test]
    fn reads_sockaddr() {
        let v4 = Address::parse(&[2, 0, 0x1f, 0x90, 127, 0, 0, 1]).expect("v4");
        assert_eq!(text(&v4), "127.0.0.1 Some(8080)");
        let mut mapped = vec![10, 0, 0, 80, 0, 0, 0, 0];
        mapped.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3]);
        assert_eq!(text(&Address::parse(&mapped).expect("mapped")), "10.1.2.3 Some(80)");
        assert_eq!(text(&Address::parse(b"\x01\0/run/x\0junk").expect("unix")), "/run/x None");
        assert_eq!(text(&Address::parse(b"\x01\0\0name").expect("abstract")), "@name None");
        assert_eq!(Address::parse(&[1, 0]).map(|a| a.is_open()), Some(true));
        assert_eq!(Address::parse(&[2, 0, 1]), None);
        assert_eq!(Address::parse(&[16, 0, 1, 1, 1, 1, 1, 1]), None);
    }

    #[test]
    fn reads_proc() {
        assert_eq!(text(&Address::parse_proc("0100007F:1F90").expect("v4")), "127.0.0.1 Some(8080)");
        let six = Address::parse_proc("00000000000000000000000001000000:0050").expect("v6");
        assert_eq!(text(&six), "::1 Some(80)");
        let mapped = Address::parse_proc("0000000000000000FFFF00000100007F:0050").expect("mapped");
        assert_eq!(text(&mapped), "127.0.0.1 Some(80)");
        assert_eq!(Address::parse_proc("nonsense"), None);
    }
}
