//! A socket's own address, and its peer's where accept was not asked for it: no call tells them, the kernel's listings do.
//!
//! ```text
//!   number ──look from outside──▶ inode ──listing made since──▶ entry ──agrees with the calls──▶ addresses
//!             (looks.rs: valid?)            (budget: allowed?)            (same kind, same places?)
//! ```
//!
//! What can't be had at once is tried again as long as the socket lives; what is not certain is not told.
use crate::clock::ticks;
use crate::descriptors::Key;
use crate::session::Session;
use crate::sockets::{Entry, Listing};
use crate::target::Life;

/// Sockets that wait for their turn; one more is not tried again.
const MOST_WAITING: usize = 1024;
/// They are not tried more often than this.
const AGAIN_NS: u64 = 2_000_000;
/// A net.open is not put off for longer.
const LONGEST_DELAY_NS: u64 = 100_000_000;
/// Vain tries before it counts as not to be found.
const MOST_MISSES: u8 = 3;

/// Descriptors (number and serial) whose sockets are to be tried again.
#[derive(Default)]
pub struct Unsettled {
    waiting: Vec<(i32, u64)>,
    tried: u64,
}

enum Look {
    Is(u64),
    /// Calls that wait are about the number: its end, or a child's doing.
    Touched,
    /// What waits can't be known yet.
    NotNow,
    Gone,
}

impl Session {
    /// Learns what is not known of an internet socket's addresses, if that can be had now.
    pub(crate) fn settle(&mut self, key: Key) {
        let Some(socket) = self.fds.at(key).socket() else { return };
        if socket.settling.is_unknown || socket.settling.waits || socket.is_settled() {
            return;
        }
        let (Some(listing), since) = (Listing::of(socket), socket.settling.since) else { return };
        let inode = match self.look_for(key) {
            Look::Is(inode) => inode,
            Look::Touched => return self.missed(key),
            Look::NotNow => return self.settle_later(key),
            Look::Gone => {
                if let Some(socket) = self.fds.at(key).socket() {
                    socket.settling.is_over = true;
                }
                return;
            }
        };
        if self.tables.read_at(listing) <= since || self.tables.find(listing, inode).is_none() {
            if !self.tables.is_due(listing, &self.clock) {
                return self.settle_later(key);
            }
            self.tables.read(listing, &self.target, &self.clock);
        }
        let generation = self.tables.generation(listing);
        let Some(socket) = self.fds.at(key).socket() else { return };
        match self.tables.find(listing, inode).filter(|entry| entry.agrees_with(socket)) {
            Some(entry) => {
                socket.local.clone_from(&entry.local);
                if socket.peer.is_none() {
                    socket.peer.clone_from(&entry.peer);
                }
                socket.changed();
                socket.settling.is_over = true;
                socket.settling.has_found = true;
            }
            None => {
                if socket.settling.not_in == Some(generation) {
                    return self.settle_later(key);
                }
                socket.settling.not_in = Some(generation);
                self.missed(key);
            }
        }
    }

    /// A socket's inode: looked for early, it stays right whatever becomes of the number.
    fn look_for(&mut self, key: Key) -> Look {
        let description = self.fds.at(key);
        let fd = description.fd;
        if let Some(inode) = description.socket().and_then(|socket| socket.inode) {
            return Look::Is(inode);
        }
        // Its first number may be another's by now, while a copy lives.
        if self.fds.key(fd) != Some(key) {
            return Look::Gone;
        }
        let is_known = self.know_what_waits();
        let link = if is_known && !self.ahead.touches(fd) { self.target.descriptor(fd) } else { None };
        if !is_known || !self.know_what_waits() {
            return Look::NotNow;
        }
        if self.ahead.touches(fd) {
            return Look::Touched;
        }
        let inode = link.and_then(|link| crate::adopt::inode_of(&link));
        if let Some(socket) = self.fds.at(key).socket() {
            socket.inode = inode;
        }
        inode.map_or(Look::Gone, Look::Is)
    }

    fn missed(&mut self, key: Key) {
        if let Some(socket) = self.fds.at(key).socket() {
            socket.settling.misses += 1;
            socket.settling.is_over = socket.settling.misses >= MOST_MISSES;
            self.settle_later(key);
        }
    }

    pub(crate) fn settle_later(&mut self, key: Key) {
        let description = self.fds.at(key);
        let (fd, serial) = (description.fd, description.serial);
        let Some(socket) = description.socket() else { return };
        if !socket.settling.waits && !socket.settling.is_over && self.unsettled.waiting.len() < MOST_WAITING {
            socket.settling.waits = true;
            self.unsettled.waiting.push((fd, serial));
        }
    }

    /// Tries those that wait, if listings may be made, and tells of those that have waited for long.
    pub(crate) fn settle_waiting(&mut self) {
        let now = ticks();
        if self.unsettled.waiting.is_empty() || self.since(self.unsettled.tried, now) < AGAIN_NS {
            return;
        }
        self.unsettled.tried = now;
        if self.target.life() != Life::Running {
            return;
        }
        let may_read = self.tables.may_read();
        for (fd, serial) in std::mem::take(&mut self.unsettled.waiting) {
            let Some(key) = self.fds.key(fd).filter(|key| self.fds.at(*key).serial == serial) else { continue };
            let Some(socket) = self.fds.at(key).socket() else { continue };
            socket.settling.waits = false;
            let is_unknown = socket.settling.is_unknown;
            match may_read {
                true if is_unknown => self.identify(key),
                true => self.settle(key),
                false => self.settle_later(key),
            }
            let Some(socket) = self.fds.at(key).socket() else { continue };
            let (waits, due) = (socket.settling.waits, socket.opens_at);
            if due.is_some_and(|due| !waits || self.since(due, now) >= LONGEST_DELAY_NS) {
                self.tell_due_open(key);
            }
        }
    }

    /// Tells of every net.open that was put off.
    pub(crate) fn tell_due_opens(&mut self) {
        for at in 0..self.unsettled.waiting.len() {
            let (fd, serial) = self.unsettled.waiting[at];
            if let Some(key) = self.fds.key(fd).filter(|key| self.fds.at(*key).serial == serial) {
                self.tell_due_open(key);
            }
        }
    }

    fn since(&self, then: u64, now: u64) -> u64 {
        self.clock.ns_of(now.saturating_sub(then))
    }

    /// Learns what kind of socket was adopted.
    fn identify(&mut self, key: Key) {
        let Some(inode) = self.fds.at(key).socket().and_then(|socket| socket.inode) else { return };
        let found = self.entry_of(inode);
        let role = found.as_ref().and_then(|entry| self.role_of(entry));
        let Some(socket) = self.fds.at(key).socket() else { return };
        match found {
            Some(entry) => socket.become_adopted(entry, role),
            None => self.missed(key),
        }
    }

    /// What the listings say of an inode; they are made anew if it is not there and that is allowed.
    pub(crate) fn entry_of(&mut self, inode: u64) -> Option<Entry> {
        if self.tables.by_inode(inode).is_none() {
            self.tables.read_due(&self.target, &self.clock);
        }
        self.tables.by_inode(inode).cloned()
    }
}
