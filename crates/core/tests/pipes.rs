//! Named pipes under the reactor: real pipes, no JavaScript. What `net` makes of them is tested in `__test__/pipes`.
//!
//! Tests wait for events, never for time.

#![cfg(windows)]

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use ferronet_core::options::{PipeAccess, PipeOptions};
use ferronet_core::{Chunk, DriverKind, Reactor, ReadMode, Sink, TlsEvent, errno};

/// How long a test may wait for one event.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reactor, and what it has told.
struct Host {
    reactor: Reactor,
    rings: Receiver<()>,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    memory: Vec<u8>,
    bytes: HashMap<u32, Vec<u8>>,
    ends: Vec<u32>,
    errors: Vec<(u32, i32)>,
    writable: Vec<u32>,
    connected: Vec<(u32, i32)>,
    accepted: Vec<u32>,
}

impl Sink for Seen {
    fn has_room(&self) -> bool {
        true
    }

    fn buffer(&mut self, wanted: usize, _chunk: Chunk) -> &mut [u8] {
        self.memory.resize(wanted, 0);
        &mut self.memory
    }

    fn read(&mut self, slot: u32, length: usize) {
        let bytes = self.bytes.entry(slot).or_default();
        bytes.extend_from_slice(&self.memory[..length]);
    }

    fn pieces(&mut self, _wanted: usize) -> Vec<IoSliceMut<'_>> {
        Vec::new()
    }

    fn read_pieces(&mut self, _slot: u32, _length: usize) {
        unreachable!("none were lent");
    }

    fn read_end(&mut self, slot: u32) {
        self.ends.push(slot);
    }

    fn read_error(&mut self, slot: u32, code: i32) {
        self.errors.push((slot, code));
    }

    fn readable(&mut self, _slot: u32) {}

    fn writable(&mut self, slot: u32) {
        self.writable.push(slot);
    }

    fn relay_failed(&mut self, _slot: u32, _code: i32) {}
    fn connected(&mut self, slot: u32, status: i32) {
        self.connected.push((slot, status));
    }

    fn accepted(&mut self, _listener: u32, slot: u32) {
        self.accepted.push(slot);
    }

    fn accept_failed(&mut self, _listener: u32, code: i32) {
        panic!("accept: {}", errno::name(code));
    }

    fn tls(&mut self, _slot: u32, event: TlsEvent) {
        panic!("no pipe has TLS: {event:?}");
    }
}

impl Host {
    fn start() -> Self {
        let (ring, rings) = mpsc::channel();
        let bell = Box::new(move || {
            let _ = ring.send(());
        });
        Self {
            reactor: Reactor::start(DriverKind::HelperThread, bell).expect("reactor"),
            rings,
            seen: Seen::default(),
        }
    }

    /// Pumps until `found` finds what it looks for.
    fn until<T>(&mut self, what: &str, mut found: impl FnMut(&mut Self) -> Option<T>) -> T {
        loop {
            self.reactor.begin();
            self.reactor.tell_outcomes(&mut self.seen);
            self.reactor.pump(&mut self.seen);
            while self.reactor.may_go_on() {
                self.reactor.pump_on(&mut self.seen);
            }
            if let Some(found) = found(self) {
                return found;
            }
            if !self.reactor.has_work() && self.rings.recv_timeout(PATIENCE).is_err() {
                panic!("waited in vain for {what}");
            }
        }
    }

    fn listen(&mut self, path: &str) -> u32 {
        let listener = self.reactor.bind_path(path).expect("bind");
        self.reactor.listen(listener, 0).expect("listen");
        listener
    }

    /// The two ends of a connection: the client's, then the server's.
    fn pair(&mut self, path: &str) -> (u32, u32) {
        let client = self.reactor.connect_path(None, path).expect("connect");
        let status = self.until("the connect", |host| host.connected(client));
        assert_eq!(status, 0, "{}", errno::name(status));
        let peer = self.until("the accept", |host| host.seen.accepted.pop());
        (client, peer)
    }

    fn connected(&self, slot: u32) -> Option<i32> {
        let mut outcomes = self.seen.connected.iter();
        outcomes.find(|(of, _)| *of == slot).map(|(_, code)| *code)
    }

    fn read(&mut self, slot: u32) {
        self.reactor
            .read_start(slot, ReadMode::Chunks)
            .expect("readStart");
    }

    fn bytes(&self, slot: u32) -> &[u8] {
        self.seen.bytes.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// Writes all of it, waiting for room; reads of other sockets go on meanwhile.
    fn write(&mut self, slot: u32, bytes: &[u8]) {
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = [IoSlice::new(&bytes[sent..])];
            sent += self.reactor.write(slot, &rest).expect("write").bytes;
            if sent < bytes.len() {
                self.until("room", |host| host.take_writable(slot));
            }
        }
    }

    fn take_writable(&mut self, slot: u32) -> Option<()> {
        let writable = &mut self.seen.writable;
        let at = writable.iter().position(|of| *of == slot)?;
        writable.remove(at);
        Some(())
    }
}

fn path() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(r"\\.\pipe\ferronet-core-{}-{number}", process::id())
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8)) as u8).collect()
}

#[test]
fn bytes_go_both_ways() {
    let mut host = Host::start();
    let path = path();
    host.listen(&path);
    let (client, peer) = host.pair(&path);
    host.read(client);
    host.read(peer);
    host.write(client, b"there");
    host.write(peer, b"and back");
    host.until("the bytes", |host| {
        (host.bytes(peer) == b"there" && host.bytes(client) == b"and back").then_some(())
    });
}

#[test]
fn megabytes_arrive_whole_and_in_order() {
    let mut host = Host::start();
    let path = path();
    host.listen(&path);
    let (client, peer) = host.pair(&path);
    host.read(peer);
    let bytes = pattern(3_000_000);
    host.write(client, &bytes);
    host.until("all of it", |host| {
        (host.bytes(peer).len() == bytes.len()).then_some(())
    });
    assert!(host.bytes(peer) == bytes);
}

#[test]
fn a_write_that_is_pending_is_not_reported_as_sent() {
    let mut host = Host::start();
    let path = path();
    host.listen(&path);
    let (client, peer) = host.pair(&path);
    let bytes = pattern(1_000_000);
    let mut sent = host
        .reactor
        .write(client, &[IoSlice::new(&bytes)])
        .expect("write")
        .bytes;
    assert!(sent < bytes.len(), "the pipe is not that large");
    assert!(host.reactor.is_blocked(client));
    host.read(peer);
    while sent < bytes.len() {
        host.until("room", |host| host.take_writable(client));
        let rest = [IoSlice::new(&bytes[sent..])];
        sent += host.reactor.write(client, &rest).expect("write").bytes;
    }
    host.until("all of it", |host| {
        (host.bytes(peer).len() == bytes.len()).then_some(())
    });
    assert!(host.bytes(peer) == bytes);
}

#[test]
fn a_shutdown_waits_for_the_reader_and_then_ends_both_sides() {
    let mut host = Host::start();
    let path = path();
    host.listen(&path);
    let (client, peer) = host.pair(&path);
    host.read(client);
    host.write(client, b"last words");
    let early = host.reactor.shutdown(client).expect_err("unread");
    assert_eq!(errno::code(&early), errno::EAGAIN);
    host.read(peer);
    host.until("the reader", |host| host.take_writable(client));
    host.reactor.shutdown(client).expect("read by now");
    host.until("both ends", |host| {
        (host.seen.ends.contains(&client) && host.seen.ends.contains(&peer)).then_some(())
    });
    assert_eq!(host.bytes(peer), b"last words");
}

#[test]
fn what_is_pending_does_not_hold_up_a_close() {
    let mut host = Host::start();
    let path = path();
    let listener = host.listen(&path);
    let (writing, _) = host.pair(&path);
    let (ending, _) = host.pair(&path);
    let bytes = pattern(1_000_000);
    host.reactor
        .write(writing, &[IoSlice::new(&bytes)])
        .expect("write");
    host.write(ending, b"unread");
    host.reactor.shutdown(ending).expect_err("unread");
    host.read(writing);
    host.reactor.close(writing, false);
    host.reactor.close(ending, false);
    host.reactor.close(listener, false);
    // And what is left goes with the reactor.
}

#[test]
fn more_clients_than_instances_find_their_way_in() {
    let mut host = Host::start();
    let path = path();
    let listener = host.listen(&path);
    let clients: Vec<u32> = (0..20)
        .map(|_| host.reactor.connect_path(None, &path).expect("connect"))
        .collect();
    host.until("all of them", |host| {
        let connected = clients
            .iter()
            .filter(|slot| host.connected(**slot) == Some(0));
        (connected.count() == 20 && host.seen.accepted.len() == 20).then_some(())
    });
    host.reactor.close(listener, false);
}

#[test]
fn a_client_that_waits_can_be_closed() {
    let mut host = Host::start();
    let path = path();
    // Bound, with one instance, and not listening: the second client finds none.
    let bound = host.reactor.bind_path(&path).expect("bind");
    let first = host.reactor.connect_path(None, &path).expect("connect");
    host.until("the first", |host| host.connected(first));
    let second = host.reactor.connect_path(None, &path).expect("connect");
    assert!(host.reactor.close(second, false), "it is still connecting");
    host.reactor.close(bound, false);
}

#[test]
fn errors_have_libuvs_names() {
    let mut host = Host::start();
    let missing = host.reactor.connect_path(None, &path()).expect("later");
    let code = host.until("the outcome", |host| host.connected(missing));
    assert_eq!(errno::name(code), "ENOENT");
    let name = |error: std::io::Error| errno::name(errno::code(&error));
    let bad = host.reactor.bind_path(r"C:\no\pipe").expect_err("no pipe");
    assert_eq!(name(bad), "EACCES");
    for path in ["\0", "a\0b"] {
        let bad = host.reactor.bind_path(path).expect_err("NUL");
        assert_eq!(name(bad), "EINVAL");
        let bad = host.reactor.connect_path(None, path).expect_err("NUL");
        assert_eq!(name(bad), "EINVAL");
    }
    let options = PipeOptions {
        security_descriptor: Some("everybody".into()),
        ..PipeOptions::default()
    };
    let bad = host.reactor.bind_pipe(&path(), &options).expect_err("SDDL");
    assert_eq!(name(bad), "EINVAL");
}

#[test]
fn an_inbound_pipe_goes_one_way() {
    let mut host = Host::start();
    let path = path();
    let options = PipeOptions {
        access: PipeAccess::Inbound,
        ..PipeOptions::default()
    };
    let listener = host.reactor.bind_pipe(&path, &options).expect("bind");
    host.reactor.listen(listener, 0).expect("listen");
    let (client, peer) = host.pair(&path);
    assert_eq!(
        host.reactor.access(client).expect("open"),
        PipeAccess::Outbound
    );
    assert_eq!(
        host.reactor.access(peer).expect("open"),
        PipeAccess::Inbound
    );
    host.read(peer);
    host.write(client, b"one way");
    host.until("the bytes", |host| {
        (host.bytes(peer) == b"one way").then_some(())
    });
    let error = host
        .reactor
        .write(peer, &[IoSlice::new(b"back")])
        .expect_err("one way");
    assert_eq!(errno::code(&error), errno::EPIPE);
}

#[test]
fn everybody_can_be_let_in() {
    let mut host = Host::start();
    let path = path();
    let listener = host.listen(&path);
    host.reactor
        .open_to_all(listener, true, true)
        .expect("permissions");
    host.pair(&path);
}
