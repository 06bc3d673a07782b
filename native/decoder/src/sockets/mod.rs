//! The sockets of the process's network namespace, as the kernel lists them: the only place that tells a socket's own
//! address from outside. (pidfd_getfd would tell at once, but whoever holds a copy of a socket delays its close: a port
//! could not be bound again, an epoll would go on reporting it.)
//!
//! A listing walks the kernel's whole hash table, however few sockets there are (a millisecond where there is much
//! memory). So each is kept for a while, and all sessions together spend a bounded share of the time on it; what a listing
//! does not know yet is simply not known.
mod diag;
mod proc;

use crate::address::Address;
use crate::clock::{Clock, ticks, worked_ns};
use crate::socket::{Phase, Socket, Transport};
use crate::target::Target;
use diag::Diag;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A listing is not made again before so many nanoseconds have gone by.
const FRESH_NS: u64 = 5_000_000;

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub transport: Transport,
    pub is_v6: bool,
    pub is_stream: bool,
    pub local: Option<Address>,
    pub peer: Option<Address>,
    pub is_listening: bool,
    pub is_connected: bool,
}

impl Entry {
    /// Whether it may be the socket that the calls have told of: same kind, and in an internet bound and connected to the
    /// same places.
    pub fn agrees_with(&self, socket: &Socket) -> bool {
        if !matches!(self.transport, Transport::Tcp | Transport::Udp) {
            return (self.transport, self.is_stream) == (socket.transport, socket.is_stream);
        }
        let is_same_kind = (self.transport, self.is_v6, self.is_stream)
            == (socket.transport, socket.is_v6, socket.is_stream)
            && self.is_listening == (socket.phase == Phase::Listening);
        let fits = |told: &Option<Address>, found: &Option<Address>| match (told, found) {
            (Some(told), Some(found)) => told.allows(found),
            (Some(told), None) => told.is_open(),
            (None, _) => true,
        };
        is_same_kind && fits(&socket.local, &self.local) && fits(&socket.peer, &self.peer)
    }
}

/// What all sessions of a hub together may spend on listings: a twentieth of the time, each as long as the processor was
/// at it.
#[derive(Debug, Default)]
pub struct Budget {
    /// Ticks from which on the next may be made.
    next: AtomicU64,
}

impl Budget {
    const SHARE: u64 = 20;

    fn allows(&self, now: u64) -> bool {
        self.next.load(Ordering::Relaxed) <= now
    }

    fn spend(&self, took: u64, now: u64) {
        self.next.fetch_max(now.saturating_add(took.saturating_mul(Self::SHARE)), Ordering::Relaxed);
    }
}

/// One listing each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
    Unix,
}

impl Listing {
    const ALL: [Self; 5] = [Self::Tcp4, Self::Tcp6, Self::Udp4, Self::Udp6, Self::Unix];

    /// Where an internet socket is listed.
    pub fn of(socket: &Socket) -> Option<Self> {
        match (socket.transport, socket.is_v6) {
            (Transport::Tcp, false) => Some(Self::Tcp4),
            (Transport::Tcp, true) => Some(Self::Tcp6),
            (Transport::Udp, false) => Some(Self::Udp4),
            (Transport::Udp, true) => Some(Self::Udp6),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Table {
    by_inode: FxHashMap<u64, Entry>,
    /// Ticks when its last reading began.
    read_at: Option<u64>,
    /// Grows with each reading.
    generation: u64,
    /// TCP ports that somebody listens on.
    listening: FxHashSet<u16>,
}

#[derive(Default)]
pub struct SocketTables {
    tables: [Table; Listing::ALL.len()],
    diag: Option<Diag>,
    budget: Arc<Budget>,
}

impl SocketTables {
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { budget, ..Self::default() }
    }

    pub fn generation(&self, listing: Listing) -> u64 {
        self.tables[listing as usize].generation
    }

    /// Ticks when its last reading began; 0: never.
    pub fn read_at(&self, listing: Listing) -> u64 {
        self.tables[listing as usize].read_at.unwrap_or(0)
    }

    /// Whether any reading may be made now.
    pub fn may_read(&self) -> bool {
        self.budget.allows(ticks())
    }

    /// Whether a reading now would be worth it, and may be made.
    pub fn is_due(&self, listing: Listing, clock: &Clock) -> bool {
        let now = ticks();
        let is_old = |at| clock.ns_of(now.saturating_sub(at)) >= FRESH_NS;
        self.tables[listing as usize].read_at.is_none_or(is_old) && self.budget.allows(now)
    }

    /// Reads all of them, whatever is allowed.
    pub fn read_all(&mut self, target: &Target, clock: &Clock) {
        Listing::ALL.into_iter().for_each(|listing| self.read(listing, target, clock));
    }

    /// Reads those that are due. False: none was.
    pub fn read_due(&mut self, target: &Target, clock: &Clock) -> bool {
        // They share one budget: whether it allows is asked once.
        let due: Vec<_> = Listing::ALL.into_iter().filter(|listing| self.is_due(*listing, clock)).collect();
        due.iter().for_each(|listing| self.read(*listing, target, clock));
        !due.is_empty()
    }

    /// Reads one anew.
    pub fn read(&mut self, listing: Listing, target: &Target, clock: &Clock) {
        let began = worked_ns();
        let mut table = std::mem::take(&mut self.tables[listing as usize]);
        table.generation += 1;
        table.read_at = Some(ticks());
        table.by_inode.clear();
        table.listening.clear();
        let mut add = |inode: u64, entry: Entry| {
            if entry.is_listening && entry.transport == Transport::Tcp {
                table.listening.extend(entry.local.as_ref().and_then(Address::port));
            }
            if inode != 0 {
                table.by_inode.insert(inode, entry);
            }
        };
        if !Diag::list(&mut self.diag, listing, target, &mut add) {
            proc::list(listing, target, &mut add);
        }
        self.tables[listing as usize] = table;
        self.budget.spend(clock.ticks_of(worked_ns().saturating_sub(began)), ticks());
    }

    pub fn find(&self, listing: Listing, inode: u64) -> Option<&Entry> {
        self.tables[listing as usize].by_inode.get(&inode)
    }

    pub fn by_inode(&self, inode: u64) -> Option<&Entry> {
        self.tables.iter().find_map(|table| table.by_inode.get(&inode))
    }

    pub fn is_listening_on(&self, port: u16) -> bool {
        self.tables.iter().any(|table| table.listening.contains(&port))
    }
}

#[cfg(test)]
mod tests;
