//! Descriptors that were opened unseen: before the attach, or where records were lost. What they are is found from
//! outside, and their events say `scope.adopted`.
use crate::clock::ticks;
use crate::descriptor_calls::IO_URING;
use crate::descriptors::{Description, Key, What};
use crate::protocols::Role;
use crate::session::Session;
use crate::socket::{Phase, Socket, Transport};
use crate::sockets::Entry;
use crate::target::MOST_LOOKED_FOR;
use rustc_hash::FxHashMap;

/// `socket:[4242]` → 4242.
pub(crate) fn inode_of(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_regular(link: &[u8]) -> bool {
    link.starts_with(b"/")
}

impl Session {
    /// At the session's start: everything that is open, but for numbers that calls not yet acted on have changed. Those
    /// are told of by their records.
    pub(crate) fn adopt_all(&mut self) {
        let mut links = Vec::new();
        for fd in self.target.descriptors() {
            links.extend(self.target.descriptor(fd).map(|link| (fd, link)));
        }
        self.tables.read_all(&self.target, &self.clock);
        // A listing is no snapshot: what others' sockets have pushed aside in it is there the next time.
        if links.iter().any(|(_, link)| inode_of(link).is_some_and(|inode| self.tables.by_inode(inode).is_none())) {
            self.tables.read_all(&self.target, &self.clock);
        }
        let now = ticks();
        self.cwd.at(0, &self.target);
        // What is not written yet may be anything; it is so rare that it is not waited for.
        self.know_what_waits();
        // Two numbers of one socket are one connection, whose requests may come in by one and whose answers leave by the other.
        let mut twins: FxHashMap<u64, Key> = FxHashMap::default();
        for (fd, link) in links {
            if self.fds.key(fd).is_some() || self.ahead.touches(fd) {
                continue;
            }
            // Who looked before us may have made nothing of it, or wanted to.
            self.merge.file().look_again(fd);
            let inode = inode_of(&link);
            match inode.and_then(|inode| twins.get(&inode)) {
                Some(&twin) => self.fds.alias(twin, fd),
                None => {
                    let key = self.adopt_as(fd, link, now);
                    twins.extend(inode.zip(key));
                }
            }
        }
        self.adopted_at = now;
    }

    /// The description of a number that a call has just used with success; adopted where it is not known. None: the
    /// table is full.
    #[inline]
    pub(crate) fn known(&mut self, fd: i32, now: u64) -> Option<Key> {
        match self.fds.key(fd) {
            Some(key) => Some(key),
            None => self.adopt(fd, now),
        }
    }

    /// `fd` must not be known. A number that stands for something else by now gets a description without a path.
    fn adopt(&mut self, fd: i32, now: u64) -> Option<Key> {
        if fd < 0 {
            return None;
        }
        let link = self.look_at(fd).unwrap_or_default();
        self.adopt_as(fd, link, now)
    }

    fn adopt_as(&mut self, fd: i32, link: Vec<u8>, now: u64) -> Option<Key> {
        let Some(inode) = inode_of(&link) else {
            self.io_urings += u64::from(link == IO_URING);
            let what = What::Path { is_regular: is_regular(&link), path: link.into() };
            return self.insert(fd, Description::new(what, fd, now, true));
        };
        let mut socket = Socket::new(Transport::Other(0), false, false);
        socket.inode = Some(inode);
        socket.told = true;
        socket.settling.is_unknown = true;
        if let Some(entry) = self.entry_of(inode) {
            let role = self.role_of(&entry);
            socket.become_adopted(entry, role);
        }
        let is_unknown = socket.settling.is_unknown;
        let key = self.insert(fd, Description::new(What::Socket(Box::new(socket)), fd, now, true))?;
        if is_unknown {
            self.settle_later(key);
        }
        Some(key)
    }

    /// Who began a connection can't be seen from outside: somebody listens on its local port, or nobody does.
    pub(crate) fn role_of(&self, entry: &Entry) -> Option<Role> {
        if entry.is_listening || !entry.is_connected {
            return None;
        }
        match entry.transport {
            Transport::Tcp => {
                let port = entry.local.as_ref()?.port()?;
                Some(if self.tables.is_listening_on(port) { Role::Server } else { Role::Client })
            }
            Transport::Unix => entry.local.is_some().then_some(Role::Server),
            _ => None,
        }
    }

    /// After a loss: numbers that are open and not known are adopted, numbers that are known and not open are closed,
    /// and so are those that are plainly something else by now. All but those that records yet to come tell of.
    /// False: not now.
    pub(crate) fn adopt_again(&mut self, now: u64) -> bool {
        if !self.tables.may_read() {
            return false;
        }
        let open = self.target.descriptors();
        if open.is_empty() {
            return true;
        }
        let links: Vec<_> = open.iter().map(|&fd| (fd, self.target.descriptor(fd).unwrap_or_default())).collect();
        let are_all = links.len() < MOST_LOOKED_FOR;
        if !self.know_what_waits() {
            return false;
        }
        self.tables.read_due(&self.target, &self.clock);
        let known = self.fds.numbers(0, u32::MAX);
        for (fd, link) in links {
            if self.ahead.touches(fd) {
                continue;
            }
            let is_same = self.fds.get(fd).is_some_and(|description| match &mut description.what {
                What::Socket(socket) => match (socket.inode, inode_of(&link)) {
                    (Some(known), Some(inode)) => known == inode,
                    // It may be another one of the same kind: nothing that was ever told of it says so.
                    (None, Some(inode)) => self.tables.by_inode(inode).is_none_or(|entry| entry.agrees_with(socket)),
                    (_, None) => false,
                },
                What::Path { is_regular: known, .. } => *known == is_regular(&link) && inode_of(&link).is_none(),
            });
            if !is_same {
                self.close_number(fd, now, "unseen");
                self.adopt_as(fd, link, now);
            }
        }
        if !are_all {
            return true;
        }
        let still: rustc_hash::FxHashSet<i32> = open.into_iter().collect();
        for fd in known {
            if !still.contains(&fd) && !self.ahead.touches(fd) {
                self.close_number(fd, now, "unseen");
            }
        }
        true
    }
}

impl Socket {
    /// What was adopted turns out to be this.
    pub(crate) fn become_adopted(&mut self, entry: Entry, role: Option<Role>) {
        (self.transport, self.is_v6, self.is_stream) = (entry.transport, entry.is_v6, entry.is_stream);
        self.role = role;
        self.is_peer = self.transport == Transport::Udp;
        self.phase = match (entry.is_listening, entry.is_connected) {
            (true, _) => Phase::Listening,
            (_, true) => Phase::Open,
            _ => Phase::Fresh,
        };
        (self.local, self.peer) = (entry.local, entry.peer);
        self.settling.is_unknown = false;
        self.settling.has_found = true;
        self.changed();
    }
}
