//! Drives a reactor without Node: an event loop, and a sink that remembers what it was told.

mod child;
mod seen;
pub(crate) mod tls;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{env, fs};

use ferronet_core::endpoint::Endpoint;
use ferronet_core::{DriverKind, Reactor, ReadMode};

pub(crate) use child::in_a_process_of_its_own;
#[cfg(target_os = "linux")]
pub(crate) use child::refuse_sends_of;
pub(crate) use seen::Seen;

/// No test takes nearly this long. One that does is waiting for something that will not happen.
const DEADLINE: Duration = Duration::from_secs(60);

/// Turns each `fn(&mut Host)` into two tests.
macro_rules! under_both_drivers {
    ($($name:ident),* $(,)?) => {
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        mod in_loop {
            $(
                #[test]
                fn $name() {
                    let mut host = crate::common::Host::start(ferronet_core::DriverKind::InLoop);
                    super::$name(&mut host);
                }
            )*
        }

        mod helper_thread {
            $(
                #[test]
                fn $name() {
                    let mut host = crate::common::Host::start(ferronet_core::DriverKind::HelperThread);
                    super::$name(&mut host);
                }
            )*
        }
    };
}

/// A reactor, its event loop, and what has been seen.
pub(crate) struct Host {
    pub(crate) reactor: Reactor,
    pub(crate) seen: Seen,
    pub(crate) pumps: usize,
    pub(crate) gate: Arc<Gate>,
    rings: Receiver<()>,
    deadline: Instant,
}

/// Where the helper thread passes when it rings.
#[derive(Default)]
pub(crate) struct Gate {
    passing: Mutex<()>,
    closed: Mutex<()>,
}

impl Gate {
    /// Until this is dropped the helper thread is held up as soon as it rings. It is not on its way through now, so what
    /// happens from here on makes it ring.
    pub(crate) fn close(&self) -> MutexGuard<'_, ()> {
        let _nobody = self.passing.lock().expect("no panic");
        self.closed.lock().expect("no panic")
    }

    // A test that panicked has poisoned them, and the thread shall end all the same.
    fn pass(&self, ring: impl FnOnce()) {
        let _passing = self.passing.lock();
        ring();
        drop(self.closed.lock());
    }
}

impl Host {
    pub(crate) fn start(kind: DriverKind) -> Self {
        let (ring, rings) = mpsc::channel();
        // When the host is gone, nobody has to hear the bell.
        let gate = Arc::new(Gate::default());
        let way = Arc::clone(&gate);
        let bell = Box::new(move || {
            way.pass(|| {
                let _ = ring.send(());
            });
        });
        let reactor = Reactor::start(kind, bell).expect("a reactor");
        assert_eq!(reactor.driver(), kind);
        Self {
            reactor,
            seen: Seen::new(),
            pumps: 0,
            gate,
            rings,
            deadline: Instant::now() + DEADLINE,
        }
    }

    // --- drive --------------------------------------------------------------------------------------------------

    /// Waits until there is something to do, then pumps once.
    pub(crate) fn step(&mut self) {
        if self.reactor.has_work() || self.reactor.has_outcomes() {
            self.wait(Duration::ZERO);
        } else {
            let left = self.deadline.saturating_duration_since(Instant::now());
            assert!(self.wait(left), "nothing happens: {:?}", self.seen);
        }
        self.pump();
    }

    /// Pumps once if there is something to do now; false when all is quiet.
    pub(crate) fn step_if_due(&mut self) -> bool {
        let due =
            self.wait(Duration::ZERO) || self.reactor.has_work() || self.reactor.has_outcomes();
        if due {
            self.pump();
        }
        due
    }

    /// Steps until `done`.
    pub(crate) fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        while !done(self) {
            self.step();
            assert!(Instant::now() < self.deadline, "not done: {:?}", self.seen);
        }
    }

    /// What an event loop does in one iteration: a step, and on with those whose reads were full.
    pub(crate) fn iteration(&mut self) {
        self.step();
        self.rest_of_iteration();
    }

    /// The same, when the step has been made.
    pub(crate) fn rest_of_iteration(&mut self) {
        while self.reactor.may_go_on() {
            self.seen.begin();
            self.reactor.pump_on(&mut self.seen);
        }
    }

    /// Waits until the driver has something for the next pump.
    pub(crate) fn until_told(&self) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        assert!(self.wait(left), "nothing comes: {:?}", self.seen);
    }

    /// For tests that wait in a way of their own.
    pub(crate) fn in_time(&self) -> bool {
        assert!(Instant::now() < self.deadline, "not done: {:?}", self.seen);
        true
    }

    /// What an owner does that does not sleep.
    pub(crate) fn turn(&mut self) {
        self.in_time();
        self.reactor.turn();
        self.pump();
    }

    pub(crate) fn pump(&mut self) {
        self.pumps += 1;
        self.seen.begin();
        self.reactor.begin();
        self.reactor.tell_outcomes(&mut self.seen);
        self.reactor.pump(&mut self.seen);
        assert_eq!(self.seen.strays, [], "events for sockets that are closed");
    }

    /// Whether the driver has something for the pump; waits for it, and no longer than `most`.
    fn wait(&self, most: Duration) -> bool {
        let Some(descriptor) = self.reactor.descriptor() else {
            let mut rung = self.rings.recv_timeout(most).is_ok();
            // A ring may also come right behind the last moment.
            while self.rings.try_recv().is_ok() {
                rung = true;
            }
            return rung;
        };
        let ready = readable(descriptor, most);
        if ready {
            self.reactor.turn();
        }
        ready
    }

    // --- verbs --------------------------------------------------------------------------------------------------

    pub(crate) fn listen_tcp(&mut self) -> (u32, SocketAddr) {
        let slot = self
            .reactor
            .bind_tcp(loopback(), false, false)
            .expect("bind");
        self.seen.open(slot);
        self.reactor.listen(slot, 511).expect("listen");
        (slot, self.address(slot))
    }

    pub(crate) fn listen_path(&mut self, path: &str) -> u32 {
        let slot = self.reactor.bind_path(path).expect("bind");
        self.seen.open(slot);
        self.reactor.listen(slot, 511).expect("listen");
        slot
    }

    pub(crate) fn address(&self, slot: u32) -> SocketAddr {
        match self.reactor.local(slot).expect("a local end") {
            Endpoint::Ip(address) => address,
            Endpoint::Path(path) => panic!("a path: {path:?}"),
        }
    }

    pub(crate) fn start_connect(&mut self, address: SocketAddr) -> u32 {
        let slot = self.reactor.connect_tcp(None, address).expect("connect");
        self.seen.open(slot);
        slot
    }

    pub(crate) fn start_connect_path(&mut self, path: &str) -> u32 {
        let slot = self.reactor.connect_path(None, path).expect("connect");
        self.seen.open(slot);
        slot
    }

    /// Waits for the end of a connect.
    pub(crate) fn connected(&mut self, slot: u32) -> i32 {
        self.until(|host| host.seen.of(slot).connected.is_some());
        self.seen.of(slot).connected.expect("just seen")
    }

    /// Waits for a connection.
    pub(crate) fn accepted(&mut self, listener: u32) -> u32 {
        self.until(|host| !host.seen.of(listener).accepted.is_empty());
        let accepted: &mut VecDeque<u32> = &mut self.seen.of(listener).accepted;
        accepted.pop_front().expect("just seen")
    }

    /// Both ends of a TCP connection, the one that connected first.
    pub(crate) fn tcp_pair(&mut self) -> (u32, u32) {
        let (listener, address) = self.listen_tcp();
        let client = self.start_connect(address);
        self.join(listener, client)
    }

    /// Both ends of a Unix-domain connection.
    pub(crate) fn unix_pair(&mut self) -> (u32, u32) {
        let directory = Directory::new();
        let path = directory.path("pair");
        let listener = self.listen_path(&path);
        let client = self.start_connect_path(&path);
        self.join(listener, client)
    }

    fn join(&mut self, listener: u32, client: u32) -> (u32, u32) {
        assert_eq!(self.connected(client), 0);
        let server = self.accepted(listener);
        self.close(listener);
        (client, server)
    }

    pub(crate) fn read(&mut self, slot: u32) {
        self.reactor
            .read_start(slot, ReadMode::Chunks)
            .expect("read_start");
    }

    /// Sends all, waiting as often as the kernel's buffer is full.
    pub(crate) fn send(&mut self, slot: u32, bytes: &[u8]) {
        let mut sent = 0;
        while sent < bytes.len() {
            let before = self.seen.of(slot).writable;
            sent += self.write(slot, &bytes[sent..]);
            if sent < bytes.len() {
                self.until(|host| host.seen.of(slot).writable > before);
            }
        }
    }

    pub(crate) fn write(&mut self, slot: u32, bytes: &[u8]) -> usize {
        self.reactor
            .write(slot, &[std::io::IoSlice::new(bytes)])
            .expect("write")
            .bytes
    }

    pub(crate) fn close(&mut self, slot: u32) -> bool {
        self.seen.forget(slot);
        self.reactor.close(slot, false)
    }

    pub(crate) fn reset(&mut self, slot: u32) {
        self.seen.forget(slot);
        self.reactor.close(slot, true);
    }
}

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("a literal")
}

fn readable(descriptor: RawFd, most: Duration) -> bool {
    let mut watched = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    let most = i32::try_from(most.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one entry, alive and writable for the call.
    let ready = unsafe { libc::poll(&mut watched, 1, most) };
    ready == 1
}

/// A name that no other test and no other run uses.
pub(crate) fn unique() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("ferronet-{}-{next}", process::id())
}

/// A directory of a test's own, removed with all that is in it.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let path = env::temp_dir().join(unique());
        fs::create_dir(&path).expect("a fresh name");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("a temporary path in UTF-8").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The same numbers in every run (xorshift64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
