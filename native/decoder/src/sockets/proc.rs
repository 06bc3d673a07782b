//! Listings as text, from /proc/PID/net: where the kernel's own way of asking is shut.
use super::{Entry, Listing};
use crate::address::Address;
use crate::socket::Transport;
use crate::target::Target;
use std::fs;

/// Larger ones are read to this point.
const MOST_BYTES: usize = 64 << 20;

pub fn list(listing: Listing, target: &Target, mut add: impl FnMut(u64, Entry)) {
    let (name, kind) = match listing {
        Listing::Tcp4 => ("net/tcp", Some((Transport::Tcp, false))),
        Listing::Tcp6 => ("net/tcp6", Some((Transport::Tcp, true))),
        Listing::Udp4 => ("net/udp", Some((Transport::Udp, false))),
        Listing::Udp6 => ("net/udp6", Some((Transport::Udp, true))),
        Listing::Unix => ("net/unix", None),
    };
    let mut bytes = fs::read(target.proc(name)).unwrap_or_default();
    bytes.truncate(MOST_BYTES);
    for line in String::from_utf8_lossy(&bytes).lines().skip(1) {
        let found = match kind {
            Some((transport, is_v6)) => internet(line, transport, is_v6),
            None => unix(line),
        };
        if let Some((inode, entry)) = found {
            add(inode, entry);
        }
    }
}

pub(super) fn internet(line: &str, transport: Transport, is_v6: bool) -> Option<(u64, Entry)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = Address::parse_proc(fields.next()?)?;
    let peer = Address::parse_proc(fields.next()?)?;
    let state = fields.next()?;
    let inode: u64 = fields.nth(5)?.parse().ok()?;
    let is_connected = !peer.is_open();
    let entry = Entry {
        transport,
        is_v6,
        is_stream: transport == Transport::Tcp,
        local: Some(local),
        peer: is_connected.then_some(peer),
        is_listening: transport == Transport::Tcp && state == "0A",
        is_connected,
    };
    Some((inode, entry))
}

/// `0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x`
pub(super) fn unix(line: &str) -> Option<(u64, Entry)> {
    let mut fields = line.splitn(8, ' ').filter(|field| !field.is_empty());
    let (_, _, _) = (fields.next()?, fields.next()?, fields.next()?);
    let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
    let kind = u32::from_str_radix(fields.next()?, 16).ok()?;
    let state = fields.next()?;
    let rest = fields.next()?.trim_start();
    // The inode is padded with blanks: what follows it may hold blanks of its own.
    let rest = match fields.next() {
        Some(more) => format!("{rest} {more}"),
        None => rest.to_owned(),
    };
    let rest = rest.trim_start();
    let (inode, path) = rest.split_once(' ').unwrap_or((rest, ""));
    let entry = Entry {
        transport: Transport::Unix,
        is_v6: false,
        is_stream: kind == libc::SOCK_STREAM as u32,
        local: (!path.is_empty()).then(|| Address::Unix(path.as_bytes().into())),
        peer: None,
        is_listening: flags & 0x10000 != 0,
        is_connected: state == "03",
    };
    Some((inode.parse().ok()?, entry))
}
