use super::*;
use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;

fn this_process() -> Target {
    Target::open(std::process::id() as i32, Path::new("/none")).expect("it is there")
}

fn inode(target: &Target, socket: &impl AsRawFd) -> u64 {
    let link = target.descriptor(socket.as_raw_fd()).expect("it is open");
    crate::adopt::inode_of(&link).expect("a socket")
}

/// A listener, a connection's two ends and a datagram socket, in one family.
fn sockets(ip: &str) -> (TcpListener, TcpStream, TcpStream, UdpSocket) {
    let listener = TcpListener::bind((ip, 0)).expect("a listener");
    let caller = TcpStream::connect(listener.local_addr().expect("its address")).expect("connected");
    let called = listener.accept().expect("accepted").0;
    (listener, caller, called, UdpSocket::bind((ip, 0)).expect("bound"))
}

#[test]
fn both_ways_of_asking_tell_the_same() {
    let target = this_process();
    for (ip, tcp, udp) in [("127.0.0.1", Listing::Tcp4, Listing::Udp4), ("::1", Listing::Tcp6, Listing::Udp6)] {
        let (listener, caller, called, datagrams) = sockets(ip);
        let tcp_inodes = [inode(&target, &listener), inode(&target, &caller), inode(&target, &called)];
        let udp_inodes = [inode(&target, &datagrams)];
        let mut slot = None;
        for (listing, inodes) in [(tcp, &tcp_inodes[..]), (udp, &udp_inodes[..])] {
            let mut by_diag = FxHashMap::default();
            let mut by_proc = FxHashMap::default();
            proc::list(listing, &target, |inode, entry| drop(by_proc.insert(inode, entry)));
            if !Diag::list(&mut slot, listing, &target, |inode, entry| drop(by_diag.insert(inode, entry))) {
                panic!("this kernel answers no NETLINK_SOCK_DIAG");
            }
            for inode in inodes {
                assert!(by_proc.contains_key(inode));
                assert_eq!(by_diag.get(inode), by_proc.get(inode));
            }
        }
        let port = |address: std::io::Result<std::net::SocketAddr>| address.expect("an address").port();
        let mut tables = SocketTables::default();
        tables.read_all(&target, &Clock::new());
        let entry = tables.find(tcp, tcp_inodes[1]).expect("listed");
        assert_eq!(entry.local.as_ref().and_then(Address::port), Some(port(caller.local_addr())));
        assert_eq!(entry.peer.as_ref().and_then(Address::port), Some(port(listener.local_addr())));
        assert!(tables.find(tcp, tcp_inodes[0]).is_some_and(|entry| entry.is_listening));
        assert!(tables.is_listening_on(port(listener.local_addr())));
        assert!(!tables.is_listening_on(port(caller.local_addr())));
    }
}

#[test]
fn reads_lines_of_each_kind() {
    let tcp = "   0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0000000000000000 20 4 30 10 -1";
    let (inode, entry) = proc::internet(tcp, Transport::Tcp, false).expect("a line");
    assert_eq!((inode, entry.peer.as_ref().and_then(Address::port)), (4242, Some(50000)));
    assert!(entry.is_connected && !entry.is_listening);

    let (_, listener) =
        proc::unix("0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/a b").expect("a line");
    assert!(listener.is_listening && listener.is_stream);
    assert_eq!(listener.local, Some(Address::Unix(b"/run/a b".as_slice().into())));
    let (inode, other) = proc::unix("0000000000000000: 00000003 00000000 00000000 0001 03   777").expect("a line");
    assert!(inode == 777 && other.is_connected && other.local.is_none());
}

#[test]
fn an_entry_must_be_what_the_calls_have_told_of() {
    let address = |ip: [u8; 4], port| Some(Address::Ip(std::net::IpAddr::from(ip), port));
    let entry = Entry {
        transport: Transport::Tcp,
        is_v6: false,
        is_stream: true,
        local: address([10, 0, 0, 1], 4000),
        peer: address([10, 0, 0, 9], 80),
        is_listening: false,
        is_connected: true,
    };
    let agrees = |transport, is_v6, local, peer| {
        let mut socket = Socket::new(transport, is_v6, transport == Transport::Tcp);
        (socket.local, socket.peer) = (local, peer);
        entry.agrees_with(&socket)
    };
    let peer = || address([10, 0, 0, 9], 80);
    assert!(agrees(Transport::Tcp, false, None, peer()));
    assert!(agrees(Transport::Tcp, false, address([0; 4], 0), None));
    assert!(agrees(Transport::Tcp, false, address([10, 0, 0, 1], 0), address([0; 4], 80)));
    let wrong = [
        agrees(Transport::Udp, false, None, peer()),
        agrees(Transport::Tcp, true, None, peer()),
        agrees(Transport::Tcp, false, None, address([10, 0, 0, 9], 81)),
        agrees(Transport::Tcp, false, None, address([10, 0, 0, 8], 80)),
        agrees(Transport::Tcp, false, address([10, 0, 0, 1], 4001), peer()),
        agrees(Transport::Tcp, false, address([10, 0, 0, 2], 0), peer()),
    ];
    assert_eq!(wrong, [false; 6]);
    let listener = Entry { peer: None, is_listening: true, is_connected: false, ..entry.clone() };
    let mut socket = Socket::new(Transport::Tcp, false, true);
    assert!(!listener.agrees_with(&socket));
    socket.phase = Phase::Listening;
    assert!(listener.agrees_with(&socket));
}

#[test]
fn listings_take_a_twentieth_of_the_time() {
    let budget = Budget::default();
    let (took, now) = (100, 1_000);
    assert!(budget.allows(now));
    budget.spend(took, now);
    let next = now + took * Budget::SHARE;
    budget.spend(took / 2, now); // a shorter one does not bring the next one forward
    assert_eq!([budget.allows(next - 1), budget.allows(next)], [false, true]);
}

#[test]
fn listings_of_all_sessions_share_one_budget() {
    let target = this_process();
    let clock = Clock::new();
    let budget = Arc::new(Budget::default());
    let mut tables = [SocketTables::new(Arc::clone(&budget)), SocketTables::new(Arc::clone(&budget))];
    assert!(tables[0].read_due(&target, &clock));
    assert!(!budget.allows(0), "the reading was not spent");
    budget.spend(u64::MAX, ticks());
    for tables in &mut tables {
        let due: BTreeSet<bool> = Listing::ALL.into_iter().map(|listing| tables.is_due(listing, &clock)).collect();
        assert_eq!(due, BTreeSet::from([false]));
        assert!(!tables.may_read() && !tables.read_due(&target, &clock));
    }
}
