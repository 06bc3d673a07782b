//! What is known of one socket: its kind, where it is bound and connected to, and what its stream has turned out to be.
use crate::address::Address;
use crate::event_writer::Attributes;
use crate::name_lookups::DnsStreams;
use crate::protocols::{Role, http1::Http1Connection};

/// What the attributes of a connection between two IPv4 addresses take, and a text of either; more is made room for.
const FRAGMENT_BYTES: usize = 256;
const ADDRESS_BYTES: usize = 48;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
    Unix,
    /// Of a family that is told by its number alone.
    Other(u32),
}

impl Transport {
    pub fn of(domain: u32, kind: u32) -> Self {
        const KIND: u32 = 0xf;
        match (domain as i32, (kind & KIND) as i32) {
            (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) => Self::Tcp,
            (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => Self::Udp,
            (libc::AF_UNIX, _) => Self::Unix,
            _ => Self::Other(domain),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
            Self::Other(domain) => match domain as i32 {
                libc::AF_NETLINK => "netlink",
                libc::AF_PACKET => "packet",
                libc::AF_VSOCK => "vsock",
                libc::AF_INET | libc::AF_INET6 => "ip",
                _ => "other",
            },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Made, not connected.
    Fresh,
    /// connect said EINPROGRESS: the first bytes, or the close, will tell.
    Connecting,
    Open,
    Listening,
    /// connect failed, which was told.
    Failed,
}

/// How far the search for a socket's addresses, outside of the target, has come.
#[derive(Default)]
pub struct Settling {
    /// Ticks of the last call that may have changed them.
    pub since: u64,
    /// Nothing more is to be had.
    pub is_over: bool,
    /// The local address was found outside: it lasts until the next such call.
    pub has_found: bool,
    /// It is to be tried again later, and stands in the list of those.
    pub waits: bool,
    /// The generation of the listing in which it was not found last.
    pub not_in: Option<u64>,
    /// Vain tries.
    pub misses: u8,
    /// Adopted, and not even its kind is known.
    pub is_unknown: bool,
}

pub struct Socket {
    pub transport: Transport,
    pub is_v6: bool,
    pub is_stream: bool,
    pub phase: Phase,
    pub role: Option<Role>,
    pub local: Option<Address>,
    pub peer: Option<Address>,
    /// Whether net.open or net.listen was told, or will be without being asked for again.
    pub told: bool,
    /// Ticks of the call that it is to tell of, while it is put off.
    pub opens_at: Option<u64>,
    pub inode: Option<u64>,
    pub settling: Settling,
    pub http: Option<Box<Http1Connection>>,
    /// It was looked at and is something else.
    pub http_off: bool,
    pub dns: Option<Box<DnsStreams>>,
    /// The other side sends nothing more.
    pub is_ended_by_peer: bool,
    /// Neither side is the one that calls: a pair, or datagrams.
    pub is_peer: bool,
    /// Its part of every event's attributes; empty: to be made anew.
    fragment: Vec<u8>,
    without_role: usize,
}

impl Socket {
    pub fn new(transport: Transport, is_v6: bool, is_stream: bool) -> Self {
        Self {
            transport,
            is_v6,
            is_stream,
            phase: Phase::Fresh,
            role: None,
            local: None,
            peer: None,
            told: false,
            opens_at: None,
            inode: None,
            settling: Settling::default(),
            http: None,
            http_off: false,
            dns: None,
            is_ended_by_peer: false,
            is_peer: false,
            fragment: Vec::new(),
            without_role: 0,
        }
    }

    /// After a change of what `fragment` tells.
    pub fn changed(&mut self) {
        self.fragment.clear();
    }

    /// After a call at `time` that gave it another address: what was found outside before it no longer counts.
    pub fn moved(&mut self, time: u64) {
        self.changed();
        if self.settling.has_found {
            self.local = None;
        }
        self.settling = Settling { since: time, waits: self.settling.waits, ..Settling::default() };
    }

    /// Whether all that there is to know of its addresses is known.
    pub fn is_settled(&self) -> bool {
        let is_local_known = self.local.as_ref().is_some_and(|local| {
            let is_wild = self.phase == Phase::Listening || (self.transport == Transport::Udp && self.peer.is_none());
            if is_wild { local.port() != Some(0) } else { !local.is_open() }
        });
        let is_peer_missing = self.transport == Transport::Tcp && self.phase == Phase::Open && self.peer.is_none();
        self.settling.is_over || (is_local_known && !is_peer_missing)
    }

    /// Transport, addresses and role as finished attributes.
    pub fn fragment(&mut self, fd: i32) -> &[u8] {
        if self.fragment.is_empty() {
            let mut out = std::mem::take(&mut self.fragment);
            out.reserve(FRAGMENT_BYTES);
            let mut text = Vec::with_capacity(ADDRESS_BYTES);
            let mut attributes = Attributes::fragment_into(&mut out);
            attributes.text("network.transport", self.transport.name().as_bytes());
            if let Some(kind) = self.network_type() {
                attributes.text("network.type", kind.as_bytes());
            }
            let sides = [
                ("network.local.address", "network.local.port", &self.local),
                ("network.peer.address", "network.peer.port", &self.peer),
            ];
            for (address_key, port_key, side) in sides {
                let Some(address) = side else { continue };
                if matches!(address, Address::Unix(path) if path.is_empty()) {
                    continue;
                }
                // An accepted socket's 0.0.0.0 is its listener's: where it really is was not learnt.
                let is_wild = matches!(address, Address::Ip(ip, _) if ip.is_unspecified());
                if !is_wild || self.phase == Phase::Listening || self.transport == Transport::Udp {
                    text.clear();
                    address.put(&mut text);
                    attributes.text(address_key, &text);
                }
                if let Some(port) = address.port().filter(|&port| port != 0) {
                    attributes.number(port_key, u64::from(port));
                }
            }
            attributes.signed("scope.fd", i64::from(fd));
            self.without_role = out.len();
            if let Some(role) = self.role_word() {
                Attributes::fragment_into(&mut out).text("scope.net.role", role.as_bytes());
            }
            self.fragment = out;
        }
        &self.fragment
    }

    /// The same, for events that tell a role of their own.
    pub fn fragment_without_role(&mut self, fd: i32) -> &[u8] {
        self.fragment(fd);
        &self.fragment[..self.without_role]
    }

    fn role_word(&self) -> Option<&'static str> {
        match self.role {
            _ if self.phase == Phase::Listening => Some("listener"),
            Some(role) => Some(role.as_str()),
            None => self.is_peer.then_some("peer"),
        }
    }

    /// By the addresses, where they are known: a v6 socket may carry v4.
    fn network_type(&self) -> Option<&'static str> {
        let known = self.peer.as_ref().or(self.local.as_ref());
        match (known, self.transport) {
            (Some(Address::Ip(ip, _)), _) => Some(if ip.is_ipv4() { "ipv4" } else { "ipv6" }),
            (_, Transport::Tcp | Transport::Udp) => Some(if self.is_v6 { "ipv6" } else { "ipv4" }),
            _ => None,
        }
    }
}
