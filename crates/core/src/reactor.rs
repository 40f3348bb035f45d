//! The reactor: every socket of one JavaScript environment, in the order of a connection's life.
//!
//! Owned by the JavaScript thread and called by nobody else. Verbs come down as methods; what happened goes up
//! through a [`Sink`] in [`Reactor::pump`], and only there: no verb reports an event inside its own call.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::driver::{Driver, DriverKind};
use crate::endpoint::{self, Endpoint};
use crate::errno;
#[cfg(unix)]
use crate::handover::{self, Released, Stage, Unlink};
use crate::options;
use crate::ready::{Bell, Direction, Key, Ready, ReadyList, Signal};
use crate::slots::Slots;
use crate::sys::{Behind, Listener, Stream, Transport};

/// What a read asks for at first, and again after the reader has stopped: what lies beyond a reader's high-water
/// mark is bounded by it.
const FIRST_READ: usize = 64 * 1024;
/// A reader that keeps up is asked for twice as much after each full read, up to this. 512 KiB a call carried nearly
/// twice as much as 64 KiB a call on an upload over loopback; 1 MiB was within noise of it (2026-11).
const MAX_READ: usize = 512 * 1024;
/// Less room than this is not worth a system call: the socket waits for the next batch.
const MIN_READ: usize = 16 * 1024;

/// How much is read in one iteration of the owner's event loop before those who have more wait for the next one, in
/// which everybody is asked first. With 50 small messages under way beside one upload, as ratios to `node:net` (Node 24,
/// 2026-11): 512 KiB gave p50 0.48 and an upload of 0.64, 1 MiB 0.54 and 0.93, 2 MiB 0.80 and 1.04, but p99 1.42.
const TURN_BYTES: usize = 1024 * 1024;

/// Where events go. Offsets, lengths and errors are numbers: the sink is the border to JavaScript, or a test.
pub trait Sink {
    /// Room for two more events, the most that one step of a socket reports.
    fn has_room(&self) -> bool;
    /// Memory for the next read, at most `wanted` bytes; too little, or none, when the batch is full.
    fn buffer(&mut self, wanted: usize, chunk: Chunk) -> &mut [u8];
    /// `length` bytes for `slot` are at the front of the buffer lent last.
    fn read(&mut self, slot: u32, length: usize);
    /// The peer's FIN: nothing more will be read.
    fn read_end(&mut self, slot: u32);
    /// Reading failed: nothing more will be read.
    fn read_error(&mut self, slot: u32, code: i32);
    /// Bytes wait for [`Reactor::read_into`].
    fn readable(&mut self, slot: u32);
    /// A write that was short may go on.
    fn writable(&mut self, slot: u32);
    /// A connect ended, well (0) or not.
    fn connected(&mut self, slot: u32, status: i32);
    /// `listener` has a new connection, in `slot`.
    fn accepted(&mut self, listener: u32, slot: u32);
    /// `listener` could not accept; it will go on trying.
    fn accept_failed(&mut self, listener: u32, code: i32);
}

/// How a socket reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// Into the sink's buffer, reported as [`Sink::read`].
    Chunks,
    /// The same, for a reader that shares its memory with other sockets' readers.
    SharedChunks,
    /// Reported as [`Sink::readable`], then fetched with [`Reactor::read_into`].
    Into,
}

/// Whose memory a chunk will be, which the sink may want to know before it lends some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// The reader's own.
    Own,
    /// A part of something larger.
    Shared,
}

/// A socket that is bound, or failed to connect, and does no I/O.
struct Bound {
    #[cfg(unix)]
    unlink: Option<Box<Unlink>>,
    socket: Socket,
    transport: Transport,
    /// libuv tells EADDRINUSE of a TCP bind only when the socket is put to use, and so do we.
    delayed: Option<i32>,
}

/// What a connection can do with bytes that go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outgoing {
    /// Nothing yet: [`Sink::connected`] follows.
    Connecting,
    /// Send them.
    Open,
    /// Nothing until the kernel's buffer has room: [`Sink::writable`] follows.
    Blocked,
}

struct Connection {
    /// Of a client that is bound to a path; before the stream, for the name goes first.
    #[cfg(unix)]
    unlink: Option<Box<Unlink>>,
    stream: Stream,
    outgoing: Outgoing,
    reading: Option<ReadMode>,
    read_size: u32,
    /// The pump it was last read in: never twice in one.
    read_in: u32,
    readable: Arc<Signal>,
    /// Made when first needed: most sockets never fill the kernel's buffer.
    writable: Option<Arc<Signal>>,
}

struct Accepting {
    #[cfg(unix)]
    unlink: Option<Box<Unlink>>,
    listener: Listener,
    readable: Arc<Signal>,
}

enum Place {
    Bound(Box<Bound>),
    Connection(Connection),
    Accepting(Box<Accepting>),
    /// Its registration failed half-way: there is nothing left to do but close.
    Spent,
}

/// What one step of a socket leaves.
enum Step {
    /// Nothing, until the system tells.
    Done,
    /// A full read, behind which another may follow at once, when JavaScript has seen this one and wants more.
    Full,
    /// More, in the next iteration.
    More,
    /// The batch had no memory for it: it is among the first of the next one.
    Unserved,
}

/// One pump, and what has been read in its iteration.
#[derive(Clone, Copy)]
struct Turn {
    /// Counts pumps, from 1 on.
    pump: u32,
    bytes: usize,
}

/// See the [module](self).
pub struct Reactor {
    // Before the driver: sockets are deregistered from a runtime that still exists.
    slots: Slots<Place>,
    driver: Driver,
    ready: Arc<ReadyList>,
    /// What the pump has taken from the ready list, and what it left for its next run.
    queue: VecDeque<Ready>,
    /// What verbs found to be ready already: for the pump after [`Reactor::begin`].
    asked: VecDeque<Ready>,
    /// How many at the front of `queue` have not had their step in this iteration, because the batch was full.
    due: usize,
    /// Those whose last read was full, behind those who found no memory left: the next batch's, in this iteration if
    /// there is time.
    full: VecDeque<Ready>,
    turn: Turn,
    /// Outcomes known inside a verb, to be told by the pump.
    outcomes: Vec<(Key, i32)>,
    /// Listeners that met a full descriptor table; a closed socket may have made room.
    starved: Vec<Key>,
}

fn not_a_socket<T>() -> io::Result<T> {
    Err(errno::error(errno::EBADF))
}

/// A place in the pump's queue, for a signal that has none yet. Every entry is made here or by a waker: a socket with
/// two of them would get two steps a pump.
fn enqueue(queue: &mut VecDeque<Ready>, signal: &Signal) {
    if signal.claim() {
        queue.push_back(signal.ready());
    }
}

impl Reactor {
    /// Starts a reactor. `bell` is rung from the helper thread when there is something to pump; the in-loop driver
    /// has [`Reactor::descriptor`] instead.
    ///
    /// # Errors
    /// When the system has no descriptors or threads left.
    pub fn start(kind: DriverKind, bell: Bell) -> io::Result<Self> {
        let driver = Driver::start(kind)?;
        let bell = (driver.kind() == DriverKind::HelperThread).then_some(bell);
        Ok(Self {
            slots: Slots::new(),
            driver,
            ready: Arc::new(ReadyList::new(bell)),
            queue: VecDeque::new(),
            asked: VecDeque::new(),
            due: 0,
            full: VecDeque::new(),
            turn: Turn { pump: 0, bytes: 0 },
            outcomes: Vec::new(),
            starved: Vec::new(),
        })
    }

    /// The driver in use, which may not be the one asked for.
    pub const fn driver(&self) -> DriverKind {
        self.driver.kind()
    }

    /// Readable when a turn is due (in-loop driver only).
    #[cfg(unix)]
    pub fn descriptor(&self) -> Option<std::os::fd::RawFd> {
        self.driver.descriptor()
    }

    /// How many sockets are open.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no socket is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // --- open ---------------------------------------------------------------------------------------------------

    /// A TCP socket bound to an address (port 0: any).
    ///
    /// # Errors
    /// As bind(2), but for `EADDRINUSE`, which is kept for [`Reactor::listen`] or [`Reactor::connect_tcp`].
    pub fn bind_tcp(
        &mut self,
        address: SocketAddr,
        only_v6: bool,
        reuse_port: bool,
    ) -> io::Result<u32> {
        let socket = tcp_socket(&address)?;
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if reuse_port {
            #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
            socket.set_reuse_port(true)?;
            #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
            return Err(errno::error(errno::ENOTSUP));
        }
        if address.is_ipv6() {
            socket.set_only_v6(only_v6)?;
        }
        let delayed = match socket.bind(&address.into()) {
            Ok(()) => None,
            Err(error) if errno::code(&error) == errno::EADDRINUSE => Some(errno::EADDRINUSE),
            Err(error) => return Err(error),
        };
        Ok(self.insert_bound(Bound {
            socket,
            transport: Transport::Tcp,
            delayed,
            #[cfg(unix)]
            unlink: None,
        }))
    }

    /// A Unix-domain socket bound to a path, which is unlinked when the socket closes.
    ///
    /// # Errors
    /// As bind(2); a missing directory is `EACCES`, as in libuv.
    #[cfg(unix)]
    pub fn bind_path(&mut self, path: &str) -> io::Result<u32> {
        let address = endpoint::parse_path(path)?;
        let socket = unix_socket()?;
        socket
            .bind(&address)
            .map_err(|error| match errno::code(&error) {
                errno::ENOENT => errno::error(errno::EACCES),
                _ => error,
            })?;
        let unlink =
            (!path.is_empty() && !path.starts_with('\0')).then(|| Box::new(Unlink(path.into())));
        Ok(self.insert_bound(Bound {
            socket,
            transport: Transport::Path,
            delayed: None,
            unlink,
        }))
    }

    #[cfg(not(unix))]
    pub fn bind_path(&mut self, _path: &str) -> io::Result<u32> {
        Err(errno::error(errno::ENOTSUP))
    }

    fn insert_bound(&mut self, bound: Bound) -> u32 {
        self.slots.insert_with(|_| Place::Bound(Box::new(bound)))
    }

    /// Lets a bound socket accept connections.
    ///
    /// # Errors
    /// As listen(2), and the bind's own `EADDRINUSE`.
    pub fn listen(&mut self, slot: u32, backlog: i32) -> io::Result<()> {
        let Some(Place::Bound(bound)) = self.slots.get_mut(slot) else {
            return not_a_socket();
        };
        if let Some(code) = bound.delayed {
            return Err(errno::error(code));
        }
        bound.socket.listen(backlog)?;
        let key = self.slots.key(slot);
        let bound = self.take_bound(slot)?;
        let _context = self.driver.handle().enter();
        let listener = Listener::adopt(bound.socket, bound.transport)?;
        let readable = Signal::new(key, Direction::Read, &self.ready);
        // Not polled yet: the pump does that, and arms it.
        enqueue(&mut self.asked, &readable);
        self.slots.replace(
            slot,
            Place::Accepting(Box::new(Accepting {
                #[cfg(unix)]
                unlink: bound.unlink,
                listener,
                readable,
            })),
        );
        Ok(())
    }

    /// Takes a bound socket out to make something else of it; until that is put in its place the slot is spent.
    fn take_bound(&mut self, slot: u32) -> io::Result<Bound> {
        match self.slots.replace(slot, Place::Spent) {
            Some(Place::Bound(bound)) => Ok(*bound),
            _ => not_a_socket(),
        }
    }

    /// Starts to connect to an IP endpoint, from a bound socket or a new one; [`Sink::connected`] tells the end.
    ///
    /// # Errors
    /// What connect(2) refuses at once, `ECONNREFUSED` excepted: an unreachable network, for one.
    pub fn connect_tcp(&mut self, slot: Option<u32>, address: SocketAddr) -> io::Result<u32> {
        #[cfg(windows)]
        let address = endpoint::reachable(address);
        let target = SockAddr::from(address);
        self.connect(slot, &target, Transport::Tcp, |code| {
            code == errno::ECONNREFUSED
        })
    }

    /// Starts to connect to a Unix-domain path; every failure but a bad path is told by [`Sink::connected`].
    ///
    /// # Errors
    /// `EINVAL` for a path that cannot be one.
    #[cfg(unix)]
    pub fn connect_path(&mut self, slot: Option<u32>, path: &str) -> io::Result<u32> {
        let target = endpoint::parse_path(path)?;
        self.connect(slot, &target, Transport::Path, |_| true)
    }

    #[cfg(not(unix))]
    pub fn connect_path(&mut self, _slot: Option<u32>, _path: &str) -> io::Result<u32> {
        Err(errno::error(errno::ENOTSUP))
    }

    fn connect(
        &mut self,
        slot: Option<u32>,
        target: &SockAddr,
        transport: Transport,
        tell_later: impl FnOnce(i32) -> bool,
    ) -> io::Result<u32> {
        let bound_before = slot.is_some();
        let slot = match slot {
            Some(slot) => slot,
            None => {
                let protocol = match transport {
                    Transport::Tcp => Some(Protocol::TCP),
                    Transport::Path => None,
                };
                let socket = stream_socket(target.domain(), protocol)?;
                self.insert_bound(Bound {
                    socket,
                    transport,
                    delayed: None,
                    #[cfg(unix)]
                    unlink: None,
                })
            }
        };
        match self.start_connect(slot, target) {
            Ok(()) => Ok(slot),
            Err(error) => {
                let code = errno::code(&error);
                if tell_later(code) {
                    self.outcomes.push((self.slots.key(slot), code));
                    return Ok(slot);
                }
                // A slot that the caller knows already is the caller's to close.
                if !bound_before {
                    self.slots.remove(slot);
                }
                Err(error)
            }
        }
    }

    fn start_connect(&mut self, slot: u32, target: &SockAddr) -> io::Result<()> {
        let Some(Place::Bound(bound)) = self.slots.get_mut(slot) else {
            return Err(errno::error(errno::EISCONN));
        };
        if let Some(code) = bound.delayed {
            return Err(errno::error(code));
        }
        match bound.socket.connect(target) {
            Err(error) if !is_in_progress(&error) => return Err(error),
            _ => {}
        }
        let key = self.slots.key(slot);
        let bound = self.take_bound(slot)?;
        let _context = self.driver.handle().enter();
        let stream = Stream::adopt(bound.socket, bound.transport)?;
        let mut connection = Connection::new(stream, key, &self.ready);
        #[cfg(unix)]
        {
            connection.unlink = bound.unlink;
        }
        connection.outgoing = Outgoing::Connecting;
        if !connection.arm_write(key, &self.ready)
            && let Some(writable) = &connection.writable
        {
            enqueue(&mut self.asked, writable);
        }
        self.slots.replace(slot, Place::Connection(connection));
        Ok(())
    }

    // --- hand over ----------------------------------------------------------------------------------------------

    /// Takes in a descriptor from outside, or from another reactor: a connection can be read and written, what is
    /// not connected can be bound, listen or connect. A connect under way is not noticed.
    ///
    /// # Errors
    /// `EINVAL` for what is neither TCP nor a Unix-domain stream nor a FIFO, `EEXIST` for a descriptor that is here
    /// already, and the system's when it will not watch the descriptor; which is given back.
    #[cfg(unix)]
    pub fn adopt(&mut self, released: Released) -> Result<u32, (io::Error, Released)> {
        let prepared = handover::stage(released.as_fd()).and_then(|stage| {
            // The second registration would fail, and close the first one's descriptor.
            if self.owns(released.as_raw_fd()) {
                return Err(errno::error(errno::EEXIST));
            }
            SockRef::from(&released.descriptor).set_nonblocking(true)?;
            Ok(stage)
        });
        let stage = match prepared {
            Ok(stage) => stage,
            Err(error) => return Err((error, released)),
        };
        let Released { unlink, descriptor } = released;
        let _context = self.driver.handle().enter();
        let stream = match stage {
            Stage::Bound(transport) => {
                return Ok(self.insert_bound(Bound {
                    unlink,
                    socket: descriptor.into(),
                    transport,
                    delayed: None,
                }));
            }
            Stage::Connected(transport) => Stream::adopt_descriptor(descriptor, transport),
            Stage::Fifo => Stream::adopt_fifo(descriptor),
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err((error, descriptor)) => return Err((error, Released { unlink, descriptor })),
        };
        let ready = &self.ready;
        Ok(self.slots.insert_with(|key| {
            let mut connection = Connection::new(stream, key, ready);
            connection.unlink = unlink;
            Place::Connection(connection)
        }))
    }

    #[cfg(unix)]
    fn owns(&self, descriptor: i32) -> bool {
        self.slots.iter().any(|place| match place {
            Place::Bound(bound) => bound.socket.as_raw_fd() == descriptor,
            Place::Connection(connection) => connection.stream.socket().as_raw_fd() == descriptor,
            Place::Accepting(accepting) => accepting.listener.socket().as_raw_fd() == descriptor,
            Place::Spent => false,
        })
    }

    /// Gives a socket away, with everything the kernel holds for it. The slot is closed.
    ///
    /// # Errors
    /// `EALREADY` while a connect is under way: its outcome would be lost.
    #[cfg(unix)]
    pub fn release(&mut self, slot: u32) -> io::Result<Released> {
        let key = self.slots.key(slot);
        let connecting = match self.slots.get(slot) {
            Some(Place::Connection(connection)) => connection.outgoing == Outgoing::Connecting,
            Some(Place::Bound(_)) => self.outcomes.iter().any(|(of, _)| *of == key),
            Some(Place::Accepting(_)) => false,
            Some(Place::Spent) | None => return not_a_socket(),
        };
        if connecting {
            return Err(errno::error(errno::EALREADY));
        }
        match self.slots.remove(slot) {
            Some(Place::Connection(Connection { unlink, stream, .. })) => Ok(Released {
                descriptor: stream.release(),
                unlink,
            }),
            Some(Place::Bound(bound)) => Ok(Released {
                unlink: bound.unlink,
                descriptor: bound.socket.into(),
            }),
            Some(Place::Accepting(accepting)) => Ok(Released {
                descriptor: accepting.listener.release(),
                unlink: accepting.unlink,
            }),
            Some(Place::Spent) | None => not_a_socket(),
        }
    }

    // --- read ---------------------------------------------------------------------------------------------------

    /// Starts to read, or goes on.
    ///
    /// # Errors
    /// `ENOTCONN` when the socket is not connected.
    pub fn read_start(&mut self, slot: u32, mode: ReadMode) -> io::Result<()> {
        let connection = match self.slots.get_mut(slot) {
            Some(Place::Connection(connection)) => connection,
            Some(Place::Bound(_)) => return Err(errno::error(errno::ENOTCONN)),
            _ => return not_a_socket(),
        };
        connection.reading = Some(mode);
        if !connection.arm_read() {
            enqueue(&mut self.asked, &connection.readable);
        }
        Ok(())
    }

    /// Stops to read; bytes that arrive stay in the kernel.
    pub fn read_stop(&mut self, slot: u32) -> io::Result<()> {
        let Some(Place::Connection(connection)) = self.slots.get_mut(slot) else {
            return not_a_socket();
        };
        connection.reading = None;
        connection.read_size = FIRST_READ as u32;
        Ok(())
    }

    /// Fetches what waits, in [`ReadMode::Into`]; 0 is the peer's FIN.
    ///
    /// # Errors
    /// `EAGAIN` when nothing waits ([`Sink::readable`] will tell), and the socket's own.
    pub fn read_into(&mut self, slot: u32, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(Place::Connection(connection)) = self.slots.get_mut(slot) else {
            return not_a_socket();
        };
        let waker = connection.readable.waker();
        let mut cx = Context::from_waker(&waker);
        match connection.stream.read(&mut cx, buffer) {
            Poll::Pending => Err(errno::error(errno::EAGAIN)),
            Poll::Ready(Err(error)) => {
                connection.reading = None;
                Err(error)
            }
            Poll::Ready(Ok((0, _))) => {
                connection.reading = None;
                Ok(0)
            }
            Poll::Ready(Ok((length, behind))) => {
                if behind != Behind::Nothing {
                    enqueue(&mut self.asked, &connection.readable);
                }
                Ok(length)
            }
        }
    }

    // --- write --------------------------------------------------------------------------------------------------

    /// Sends at once what the kernel takes, in order, and returns how much that was. When it was not all,
    /// [`Sink::writable`] tells when to go on.
    ///
    /// # Errors
    /// As send(2); a full buffer is not an error but a count of 0. `ENOTCONN` while a connect is under way.
    pub fn write(&mut self, slot: u32, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let key = self.slots.key(slot);
        let Some(Place::Connection(connection)) = self.slots.get_mut(slot) else {
            return not_a_socket();
        };
        if connection.outgoing == Outgoing::Connecting {
            return Err(errno::error(errno::ENOTCONN));
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut sent = match connection.stream.send(slices) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if sent == total {
            return Ok(sent);
        }
        // Rare: the kernel's buffer is full, which Tokio does not know yet. In the owner's thread nothing can have
        // changed its mind since the send, so it is just told; a helper thread may have seen the socket become
        // writable meanwhile, and only another send shows that.
        connection.outgoing = Outgoing::Blocked;
        if self.driver.kind() == DriverKind::InLoop {
            connection.stream.clear_writable();
        }
        while !connection.arm_write(key, &self.ready) {
            let mut rest = slices.to_vec();
            let mut rest = rest.as_mut_slice();
            IoSlice::advance_slices(&mut rest, sent);
            match connection.stream.try_send(rest) {
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if sent == total {
                connection.outgoing = Outgoing::Open;
                break;
            }
        }
        Ok(sent)
    }

    /// Whether the last write of this socket was short.
    pub fn is_blocked(&self, slot: u32) -> bool {
        matches!(self.slots.get(slot), Some(Place::Connection(connection)) if connection.outgoing == Outgoing::Blocked)
    }

    // --- half-close and close -----------------------------------------------------------------------------------

    /// Sends FIN; what was written before goes first.
    pub fn shutdown(&mut self, slot: u32) -> io::Result<()> {
        match self.slots.get(slot) {
            Some(Place::Connection(connection)) => connection.stream.shutdown(),
            _ => not_a_socket(),
        }
    }

    /// Closes the descriptor, with RST if `reset`. The slot's number is not reused before the next pump. Returns
    /// whether a connect was under way, whose end will not be told any more.
    pub fn close(&mut self, slot: u32, reset: bool) -> bool {
        let key = self.slots.key(slot);
        let Some(place) = self.slots.remove(slot) else {
            return false;
        };
        // Room for a listener that had none.
        self.retry_accept();
        let outcomes = self.outcomes.len();
        self.outcomes.retain(|(of, _)| *of != key);
        match place {
            Place::Connection(connection) => {
                if reset {
                    // Fails only on a socket that is reset already.
                    let _ = options::set_reset_on_close(connection.stream.socket());
                }
                connection.outgoing == Outgoing::Connecting
            }
            // One that failed at once, or that the system would not watch.
            Place::Bound(_) | Place::Spent => outcomes != self.outcomes.len(),
            Place::Accepting(_) => false,
        }
    }

    // --- facts and options --------------------------------------------------------------------------------------

    /// The socket itself, for options.
    ///
    /// # Errors
    /// `EBADF` when the slot is empty.
    pub fn socket(&self, slot: u32) -> io::Result<SockRef<'_>> {
        match self.slots.get(slot) {
            Some(Place::Bound(bound)) => Ok(SockRef::from(&bound.socket)),
            Some(Place::Connection(connection)) => Ok(connection.stream.socket()),
            Some(Place::Accepting(accepting)) => Ok(accepting.listener.socket()),
            Some(Place::Spent) | None => not_a_socket(),
        }
    }

    /// The local end. `EADDRINUSE` when the bind has failed so.
    pub fn local(&self, slot: u32) -> io::Result<Endpoint> {
        if let Some(Place::Bound(bound)) = self.slots.get(slot)
            && let Some(code) = bound.delayed
        {
            return Err(errno::error(code));
        }
        Ok(endpoint::endpoint(&self.socket(slot)?.local_addr()?))
    }

    /// The peer's end.
    pub fn peer(&self, slot: u32) -> io::Result<Endpoint> {
        Ok(endpoint::endpoint(&self.socket(slot)?.peer_addr()?))
    }

    // --- drive --------------------------------------------------------------------------------------------------

    /// Whether the next pump has something to do without waiting for the system.
    pub fn has_work(&self) -> bool {
        !(self.queue.is_empty() && self.asked.is_empty() && self.full.is_empty())
    }

    /// Whether a verb's outcome is known already, for [`Reactor::tell_outcomes`].
    pub fn has_outcomes(&self) -> bool {
        !self.outcomes.is_empty()
    }

    /// An iteration of the owner's event loop is about to ask the system: what verbs have asked for up to now has its
    /// turn in it, and what they ask for while it goes on has it in the next one, as with a system that is asked once.
    pub fn begin(&mut self) {
        self.queue.append(&mut self.asked);
        self.queue.append(&mut self.full);
        self.due = 0;
    }

    /// Asks the system once, without blocking, what is ready (in-loop driver; the helper thread does it by itself).
    pub fn turn(&self) {
        self.driver.turn();
    }

    /// Tells of connects that failed inside the verb: a missing path, or nobody who listens on this machine.
    pub fn tell_outcomes(&mut self, sink: &mut impl Sink) {
        let mut told = 0;
        while told < self.outcomes.len() && sink.has_room() {
            sink.connected(self.outcomes[told].0.slot, self.outcomes[told].1);
            told += 1;
        }
        self.outcomes.drain(..told);
    }

    /// Does the I/O of every socket that is ready, one step each, and tells `sink`. When that is full, the others have
    /// their step in [`Reactor::pump_on`]. A socket that has more waits until all the others have had theirs.
    pub fn pump(&mut self, sink: &mut impl Sink) {
        self.turn.pump = self.turn.pump.wrapping_add(1).max(1);
        self.turn.bytes = 0;
        self.ready.take(&mut self.queue);
        self.due = self.queue.len();
        self.steps(sink);
    }

    /// Whether [`Reactor::pump_on`] has something to do in this iteration.
    pub fn may_go_on(&self) -> bool {
        self.due > 0 || (!self.full.is_empty() && self.turn.bytes < TURN_BYTES)
    }

    /// Goes on, now that JavaScript has seen what filled the sink: with those who have not had their step, and then
    /// with those whose reads were full.
    pub fn pump_on(&mut self, sink: &mut impl Sink) {
        if self.due == 0 {
            self.turn.pump = self.turn.pump.wrapping_add(1).max(1);
            self.due = self.full.len();
            for ready in self.full.drain(..).rev() {
                self.queue.push_front(ready);
            }
        }
        self.steps(sink);
    }

    /// One step for each that is due, while the sink has room.
    fn steps(&mut self, sink: &mut impl Sink) {
        // No event of an earlier batch is on its way any more, so its numbers may be used again.
        self.slots.recycle();
        let mut unserved = Vec::new();
        let mut served = false;
        while self.due > 0 && sink.has_room() {
            let Some(ready) = self.queue.pop_front() else {
                break;
            };
            self.due -= 1;
            // A bug of ours must cost one socket, not the process: a panic becomes an error on it.
            let step = panic::catch_unwind(AssertUnwindSafe(|| self.advance(ready, sink)));
            served |= !matches!(step, Ok(Step::Unserved));
            let Ok(step) = step else {
                self.panicked(ready, sink);
                continue;
            };
            if matches!(step, Step::Done) || !self.signal(ready).is_some_and(Signal::claim) {
                continue;
            }
            match step {
                Step::Done => {}
                Step::Full => self.full.push_back(ready),
                Step::More => self.queue.push_back(ready),
                Step::Unserved => unserved.push(ready),
            }
        }
        if !served && !unserved.is_empty() {
            // The sink has no memory for any of them, and would have none if they were asked again at once.
            self.turn.bytes = TURN_BYTES;
        }
        // Not behind those who had memory and want more, or they would never get any.
        for ready in unserved.into_iter().rev() {
            self.full.push_front(ready);
        }
    }

    /// Tells a socket that its step failed of a bug of ours: as the end of what it waits for.
    fn panicked(&mut self, Ready { key, direction }: Ready, sink: &mut impl Sink) {
        match (self.slots.get_key_mut(key), direction) {
            (None | Some(Place::Bound(_) | Place::Spent), _) => {}
            (Some(Place::Accepting(_)), _) => {
                self.starved.push(key);
                sink.accept_failed(key.slot, errno::UNKNOWN);
            }
            (Some(Place::Connection(connection)), Direction::Read) => {
                connection.reading = None;
                sink.read_error(key.slot, errno::UNKNOWN);
            }
            (Some(Place::Connection(connection)), Direction::Write) => {
                match std::mem::replace(&mut connection.outgoing, Outgoing::Open) {
                    Outgoing::Connecting => sink.connected(key.slot, errno::UNKNOWN),
                    // The write that goes on meets the bug again, and fails of it.
                    Outgoing::Open | Outgoing::Blocked => sink.writable(key.slot),
                }
            }
        }
    }

    /// The signal that an entry of the queue is for, if its socket is open still.
    fn signal(&mut self, ready: Ready) -> Option<&Signal> {
        match self.slots.get_key_mut(ready.key)? {
            Place::Bound(_) | Place::Spent => None,
            Place::Accepting(accepting) => Some(&accepting.readable),
            Place::Connection(connection) => match ready.direction {
                Direction::Read => Some(&connection.readable),
                Direction::Write => connection.writable.as_deref(),
            },
        }
    }

    /// One step of one socket.
    fn advance(&mut self, ready: Ready, sink: &mut impl Sink) -> Step {
        let Ready { key, direction } = ready;
        match self.slots.get_key_mut(key) {
            None | Some(Place::Bound(_) | Place::Spent) => Step::Done,
            Some(Place::Accepting(accepting)) => {
                accepting.readable.taken();
                self.accept(key, sink)
            }
            Some(Place::Connection(connection)) => match direction {
                Direction::Read => connection.read(key.slot, &mut self.turn, sink),
                Direction::Write => {
                    let (step, unread) =
                        connection.write_ready(key, &self.ready, &mut self.turn, sink);
                    if unread {
                        enqueue(&mut self.queue, &connection.readable);
                    }
                    step
                }
            },
        }
    }

    /// Accepts one connection. Whoever waits behind it waits for the next pump, as in libuv: a flood of connections
    /// leaves time for those that are open, and each is told in an iteration of the loop of its own.
    fn accept(&mut self, key: Key, sink: &mut impl Sink) -> Step {
        let _context = self.driver.handle().enter();
        let Some(Place::Accepting(accepting)) = self.slots.get_key_mut(key) else {
            return Step::Done;
        };
        let waker = accepting.readable.waker();
        let mut cx = Context::from_waker(&waker);
        let stream = loop {
            match accepting.listener.poll_accept(&mut cx) {
                Poll::Pending => return Step::Done,
                Poll::Ready(Ok(stream)) => break stream,
                Poll::Ready(Err(error)) => {
                    let code = errno::code(&error);
                    // The peer gave up while it waited: not the listener's trouble.
                    if code == errno::ECONNABORTED {
                        continue;
                    }
                    self.starved.push(key);
                    sink.accept_failed(key.slot, code);
                    return Step::Done;
                }
            }
        };
        let ready = &self.ready;
        let slot = self
            .slots
            .insert_with(|key| Place::Connection(Connection::new(stream, key, ready)));
        sink.accepted(key.slot, slot);
        Step::More
    }

    /// Lets listeners that met a full descriptor table try again.
    pub fn retry_accept(&mut self) {
        while let Some(key) = self.starved.pop() {
            if let Some(Place::Accepting(accepting)) = self.slots.get_key_mut(key) {
                enqueue(&mut self.asked, &accepting.readable);
            }
        }
    }
}

impl Connection {
    fn new(stream: Stream, key: Key, ready: &Arc<ReadyList>) -> Self {
        Self {
            #[cfg(unix)]
            unlink: None,
            stream,
            outgoing: Outgoing::Open,
            reading: None,
            read_size: FIRST_READ as u32,
            read_in: 0,
            readable: Signal::new(key, Direction::Read, ready),
            writable: None,
        }
    }

    /// Asks to be woken when readable; false when it is readable now.
    fn arm_read(&self) -> bool {
        let waker = self.readable.waker();
        self.stream
            .poll_read_ready(&mut Context::from_waker(&waker))
            .is_pending()
    }

    fn arm_write(&mut self, key: Key, ready: &Arc<ReadyList>) -> bool {
        let signal = self
            .writable
            .get_or_insert_with(|| Signal::new(key, Direction::Write, ready));
        let waker = signal.waker();
        self.stream
            .poll_write_ready(&mut Context::from_waker(&waker))
            .is_pending()
    }

    /// One read. What is behind a short one waits for the next iteration of the loop, as in libuv: a program may
    /// answer from `setImmediate` before it hears of the end.
    fn read(&mut self, slot: u32, turn: &mut Turn, sink: &mut impl Sink) -> Step {
        self.readable.taken();
        if self.read_in == turn.pump {
            return Step::More;
        }
        self.read_in = turn.pump;
        let how = match self.reading {
            None => return Step::Done,
            Some(ReadMode::Into) => {
                if !self.arm_read() {
                    sink.readable(slot);
                }
                return Step::Done;
            }
            Some(ReadMode::Chunks) => Chunk::Own,
            Some(ReadMode::SharedChunks) => Chunk::Shared,
        };
        let waker = self.readable.waker();
        let mut cx = Context::from_waker(&waker);
        let mut wanted = self.read_size as usize;
        if wanted > FIRST_READ {
            // Those who send much share what this iteration has left. Those who send little are not kept waiting for it.
            if turn.bytes >= TURN_BYTES {
                return Step::Unserved;
            }
            wanted = wanted.min((TURN_BYTES - turn.bytes).max(MIN_READ));
        }
        let memory = sink.buffer(wanted, how);
        if memory.len() < MIN_READ {
            return Step::Unserved;
        }
        let all_of_it = memory.len() == self.read_size as usize;
        let asked = memory.len();
        let (length, behind) = match self.stream.read(&mut cx, memory) {
            Poll::Pending => return Step::Done,
            Poll::Ready(Err(error)) => {
                self.reading = None;
                sink.read_error(slot, errno::code(&error));
                return Step::Done;
            }
            Poll::Ready(Ok(found)) => found,
        };
        if length == 0 {
            self.reading = None;
            sink.read_end(slot);
            return Step::Done;
        }
        sink.read(slot, length);
        turn.bytes += length;
        if length == asked {
            // Only what was asked for and filled tells of more than fits: not what was left of a batch.
            if all_of_it {
                self.read_size = (self.read_size * 2).min(MAX_READ as u32);
            }
            return Step::Full;
        }
        if length <= FIRST_READ / 2 {
            self.read_size = FIRST_READ as u32;
        }
        match behind {
            Behind::Nothing => Step::Done,
            Behind::More => Step::More,
        }
    }

    /// The end of a connect, or of a full send buffer; and whether there is more to read.
    fn write_ready(
        &mut self,
        key: Key,
        ready: &Arc<ReadyList>,
        turn: &mut Turn,
        sink: &mut impl Sink,
    ) -> (Step, bool) {
        if let Some(signal) = &self.writable {
            signal.taken();
        }
        if self.outgoing == Outgoing::Open || self.arm_write(key, ready) {
            return (Step::Done, false);
        }
        if self.outgoing == Outgoing::Connecting {
            let status = match self.stream.take_error() {
                Ok(None) => 0,
                Ok(Some(error)) | Err(error) => errno::code(&error),
            };
            sink.connected(key.slot, status);
            // Once it is told: if that fails, `panicked` tells.
            self.outgoing = Outgoing::Open;
            return (Step::Done, false);
        }
        let mut unread = false;
        if self.reading.is_some() {
            // Of what came together the bytes come first, as in libuv; the system may have told of them apart.
            if self.read_in != turn.pump && !self.arm_read() {
                unread = !matches!(self.read(key.slot, turn, sink), Step::Done);
            }
            // The peer is gone, so that the write which waits can only fail, and take the socket with it. What the
            // peer sent before is delivered first; there is an end to it.
            if self.reading.is_some() && self.stream.is_hung_up() {
                return (Step::More, unread);
            }
        }
        sink.writable(key.slot);
        self.outgoing = Outgoing::Open;
        (Step::Done, unread)
    }
}

fn stream_socket(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    // Close-on-exec is set by socket2, atomically where the system can.
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn tcp_socket(address: &SocketAddr) -> io::Result<Socket> {
    stream_socket(Domain::for_address(*address), Some(Protocol::TCP))
}

#[cfg(unix)]
fn unix_socket() -> io::Result<Socket> {
    stream_socket(Domain::UNIX, None)
}

#[cfg(unix)]
fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}

#[cfg(windows)]
fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
