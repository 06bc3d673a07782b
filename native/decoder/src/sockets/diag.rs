//! Listings by NETLINK_SOCK_DIAG (include/uapi/linux/inet_diag.h): some times cheaper than /proc/PID/net, and without the
//! connections that only wait to be forgotten. A netlink socket sees the network namespace that it was made in.
use super::{Entry, Listing};
use crate::address::Address;
use crate::socket::Transport;
use crate::target::Target;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// struct inet_diag_msg.
const ANSWER_BYTES: usize = 72;
const RECEIVE_BYTES: usize = 1 << 16;
const TCP_LISTEN: u8 = 10;
/// TCP_ESTABLISHED … TCP_CLOSING, but for SYN_RECV and TIME_WAIT: those belong to no descriptor.
const STATES: u32 = 0xffe & !(1 << 3) & !(1 << 6);

pub struct Diag {
    socket: OwnedFd,
    /// `net:[…]`: where the socket was made.
    namespace: Vec<u8>,
    buffer: Vec<u8>,
}

impl Diag {
    /// False: the listing can't be had in this way. What was told to `add` by then stands.
    pub fn list(slot: &mut Option<Self>, listing: Listing, target: &Target, add: impl FnMut(u64, Entry)) -> bool {
        let Some((transport, is_v6)) = kind_of(listing) else { return false };
        let Some(namespace) = target.network_namespace() else { return false };
        if slot.as_ref().is_none_or(|diag| diag.namespace != namespace) {
            *slot = Self::open(target, namespace);
        }
        let Some(diag) = slot else { return false };
        diag.dump(transport, is_v6, add).is_ok()
    }

    fn open(target: &Target, namespace: Vec<u8>) -> Option<Self> {
        let own = std::fs::read_link("/proc/thread-self/ns/net").ok()?;
        let socket = if own.as_os_str().as_encoded_bytes() == namespace {
            netlink_socket().ok()?
        } else {
            // A thread of its own enters the namespace, so that ours never has to find its way back.
            let namespace = File::open(target.proc("ns/net")).ok()?;
            let enter = move || {
                // SAFETY: a plain call; it changes nothing but this thread's view, and the thread ends here.
                let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
                if entered == 0 { netlink_socket() } else { Err(io::Error::last_os_error()) }
            };
            std::thread::Builder::new().name("scope-netns".into()).spawn(enter).ok()?.join().ok()?.ok()?
        };
        Some(Self { socket, namespace, buffer: vec![0; RECEIVE_BYTES] })
    }

    fn dump(&mut self, transport: Transport, is_v6: bool, mut add: impl FnMut(u64, Entry)) -> io::Result<()> {
        let request = request(transport, is_v6);
        // SAFETY: a buffer and its length.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        loop {
            let into = &mut self.buffer;
            // SAFETY: a buffer and its length.
            let got = unsafe { libc::recv(self.socket.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), 0) };
            let Ok(got) = usize::try_from(got) else { return Err(io::Error::last_os_error()) };
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if read_messages(&into[..got], transport, &mut add)? {
                return Ok(());
            }
        }
    }
}

fn kind_of(listing: Listing) -> Option<(Transport, bool)> {
    match listing {
        Listing::Tcp4 => Some((Transport::Tcp, false)),
        Listing::Tcp6 => Some((Transport::Tcp, true)),
        Listing::Udp4 => Some((Transport::Udp, false)),
        Listing::Udp6 => Some((Transport::Udp, true)),
        Listing::Unix => None,
    }
}

fn netlink_socket() -> io::Result<OwnedFd> {
    // SAFETY: plain calls; the descriptor is ours alone, the option's value lives as long as the call.
    unsafe {
        let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_SOCK_DIAG);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = OwnedFd::from_raw_fd(fd);
        // The kernel answers within the call; should it ever not, nobody is kept waiting for long.
        let patience = libc::timeval { tv_sec: 0, tv_usec: 200_000 };
        let value = (&raw const patience).cast();
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, value, size_of::<libc::timeval>() as u32);
        Ok(socket)
    }
}

/// struct nlmsghdr, struct inet_diag_req_v2 with an empty struct inet_diag_sockid.
fn request(transport: Transport, is_v6: bool) -> [u8; REQUEST_BYTES] {
    let mut bytes = [0; REQUEST_BYTES];
    bytes[0..4].copy_from_slice(&(REQUEST_BYTES as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes[16] = if is_v6 { libc::AF_INET6 } else { libc::AF_INET } as u8;
    bytes[17] = if transport == Transport::Tcp { libc::IPPROTO_TCP } else { libc::IPPROTO_UDP } as u8;
    bytes[20..24].copy_from_slice(&STATES.to_ne_bytes());
    bytes
}

/// True: that was the last of them.
fn read_messages(bytes: &[u8], transport: Transport, mut add: impl FnMut(u64, Entry)) -> io::Result<bool> {
    let mut rest = bytes;
    while let Some((header, _)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(body) = rest.get(HEADER_BYTES..length) else { return Err(io::ErrorKind::InvalidData.into()) };
        match u16::from_ne_bytes([header[4], header[5]]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
            SOCK_DIAG_BY_FAMILY => {
                if let Some((inode, entry)) = read_answer(body, transport) {
                    add(inode, entry);
                }
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// struct inet_diag_msg: family, state, timer, retrans; ports; addresses; interface, cookie; expires, queues, uid, inode.
fn read_answer(body: &[u8], transport: Transport) -> Option<(u64, Entry)> {
    let body: &[u8; ANSWER_BYTES] = body.first_chunk()?;
    let (family, state) = (i32::from(body[0]), body[1]);
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let ip = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&body[at..at + 16]);
        match family {
            libc::AF_INET => Some(IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))),
            libc::AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()),
            _ => None,
        }
    };
    let local = Address::Ip(ip(8)?, port(4));
    let peer = Address::Ip(ip(24)?, port(6));
    let is_connected = !peer.is_open();
    let inode = u32::from_ne_bytes([body[68], body[69], body[70], body[71]]);
    let entry = Entry {
        transport,
        is_v6: family == libc::AF_INET6,
        is_stream: transport == Transport::Tcp,
        local: Some(local),
        peer: is_connected.then_some(peer),
        is_listening: transport == Transport::Tcp && state == TCP_LISTEN,
        is_connected,
    };
    Some((u64::from(inode), entry))
}
