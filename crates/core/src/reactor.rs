//! The reactor: every socket of one JavaScript environment, from open to close.
//!
//! It belongs to the JavaScript thread, and only that thread calls it. Verbs come down as methods. What happened goes
//! up through a [`Sink`] in [`Reactor::pump`] and only there: no verb reports an event from inside its own call.

mod facts;
mod relay;
mod tls;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::task::{Context, Poll};

use self::relay::Relays;
use crate::connection::{Connection, Outgoing, Sent, Site};
use crate::driver::{Driver, DriverKind};
use crate::errno;
use crate::options::PipeOptions;
use crate::place::{Accepting, Bound, Place};
use crate::queue::{Queue, Step};
use crate::ready::{Bell, Direction, Key, Ready, ReadyList, Signal};
use crate::sink::{ReadMode, Sink};
use crate::slots::Slots;
use crate::sys::{self, Behind, Listener, Name, Stream, Target, Transport};

/// See the [module](self).
pub struct Reactor {
    // Before the driver: sockets are deregistered from a runtime that still exists.
    pub(crate) slots: Slots<Place>,
    pub(crate) driver: Driver,
    pub(crate) ready: Arc<ReadyList>,
    queue: Queue,
    /// Connects that failed inside their verb. The pump reports them.
    outcomes: Vec<(Key, i32)>,
    /// Listeners that could not accept, because the descriptor table is full for example: a closed socket may have made
    /// room.
    starved: Vec<Key>,
    relays: Relays,
}

pub(crate) fn not_a_socket<T>() -> io::Result<T> {
    Err(errno::error(errno::EBADF))
}

impl Reactor {
    /// Starts a reactor. The helper thread rings `bell` when there is something to pump; for the in-loop driver the
    /// owner watches [`Reactor::descriptor`] instead.
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
            queue: Queue::new(),
            outcomes: Vec::new(),
            starved: Vec::new(),
            relays: Relays::new(),
        })
    }

    /// The driver in use, which may not be the one that was asked for.
    pub const fn driver(&self) -> DriverKind {
        self.driver.kind()
    }

    /// The descriptor that is readable when a turn is due. Only the in-loop driver has one.
    pub const fn descriptor(&self) -> Option<i32> {
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
    /// As bind(2), except that `EADDRINUSE` is reported by [`Reactor::listen`] or [`Reactor::connect_tcp`].
    pub fn bind_tcp(
        &mut self,
        address: SocketAddr,
        only_v6: bool,
        reuse_port: bool,
    ) -> io::Result<u32> {
        Bound::tcp(address, only_v6, reuse_port).map(|bound| self.insert_bound(bound))
    }

    /// A Unix-domain socket bound to a path, which is removed when the socket closes; on Windows a named pipe.
    ///
    /// # Errors
    /// As bind(2), but a missing directory is `EACCES`, as in libuv, and so is what cannot be the name of a pipe.
    pub fn bind_path(&mut self, path: &str) -> io::Result<u32> {
        self.bind_pipe(path, &PipeOptions::default())
    }

    /// The same with options that only a named pipe has.
    ///
    /// # Errors
    /// Those of [`Reactor::bind_path`], `EINVAL` for a security descriptor that is none, and `ENOTSUP` for any option
    /// where paths name something else.
    pub fn bind_pipe(&mut self, path: &str, options: &PipeOptions) -> io::Result<u32> {
        let bound = {
            let _context = self.driver.handle().enter();
            Bound::path(path, options)?
        };
        Ok(self.insert_bound(bound))
    }

    pub(crate) fn insert_bound(&mut self, bound: Bound) -> u32 {
        self.slots.insert_with(|_| Place::Bound(Box::new(bound)))
    }

    /// Lets a bound socket accept connections.
    ///
    /// # Errors
    /// As listen(2), and the `EADDRINUSE` of the bind.
    pub fn listen(&mut self, slot: u32, backlog: i32) -> io::Result<()> {
        let Some(Place::Bound(bound)) = self.slots.get_mut(slot) else {
            return not_a_socket();
        };
        bound.check()?;
        bound.socket.listen(backlog)?;
        let key = self.slots.key(slot);
        let bound = self.take_bound(slot)?;
        let _context = self.driver.handle().enter();
        let listener = Listener::adopt(bound.socket, bound.transport)?;
        let readable = Signal::new(key, Direction::Read, &self.ready);
        // Tokio has not been asked yet. The pump's first step does that, and arms the signal.
        self.queue.ask(&readable);
        let accepting = Accepting {
            name: bound.name,
            listener,
            readable,
        };
        self.slots
            .replace(slot, Place::Accepting(Box::new(accepting)));
        Ok(())
    }

    /// Takes a bound socket out, to make something else of it. Until that is put in its place the slot is spent.
    fn take_bound(&mut self, slot: u32) -> io::Result<Bound> {
        match self.slots.replace(slot, Place::Spent) {
            Some(Place::Bound(bound)) => Ok(*bound),
            _ => not_a_socket(),
        }
    }

    /// Starts to connect to an IP endpoint, from a bound socket or a new one. [`Sink::connected`] reports the outcome.
    ///
    /// # Errors
    /// What connect(2) refuses at once (an unreachable network, for example), except for `ECONNREFUSED`.
    pub fn connect_tcp(&mut self, slot: Option<u32>, address: SocketAddr) -> io::Result<u32> {
        let target = Target::from(sys::reachable(address));
        self.connect(slot, &target, Transport::Tcp, |code| {
            code == errno::ECONNREFUSED
        })
    }

    /// Starts to connect to a Unix-domain path, or on Windows to a named pipe. [`Sink::connected`] reports all failures
    /// but that of a bad path.
    ///
    /// # Errors
    /// `EINVAL` for a path that cannot be one.
    pub fn connect_path(&mut self, slot: Option<u32>, path: &str) -> io::Result<u32> {
        let target = sys::path_address(path)?;
        self.connect(slot, &target, Transport::Path, |_| true)
    }

    fn connect(
        &mut self,
        slot: Option<u32>,
        target: &Target,
        transport: Transport,
        is_reported_later: impl FnOnce(i32) -> bool,
    ) -> io::Result<u32> {
        let bound_before = slot.is_some();
        let slot = match slot {
            Some(slot) => slot,
            None => self.insert_bound(Bound::unbound(target.domain(), transport)?),
        };
        match self.start_connect(slot, target) {
            Ok(()) => Ok(slot),
            Err(error) => {
                let code = errno::code(&error);
                if is_reported_later(code) {
                    self.outcomes.push((self.slots.key(slot), code));
                    return Ok(slot);
                }
                // If the caller knew the slot before, closing it is up to the caller.
                if !bound_before {
                    self.slots.remove(slot);
                }
                Err(error)
            }
        }
    }

    fn start_connect(&mut self, slot: u32, target: &Target) -> io::Result<()> {
        let Some(Place::Bound(bound)) = self.slots.get_mut(slot) else {
            return Err(errno::error(errno::EISCONN));
        };
        bound.check()?;
        loop {
            match bound.socket.connect(target) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if !sys::is_in_progress(&error) => return Err(error),
                _ => break,
            }
        }
        let key = self.slots.key(slot);
        let bound = self.take_bound(slot)?;
        let _context = self.driver.handle().enter();
        let stream = Stream::adopt(bound.socket, bound.transport)?;
        let mut connection = Connection::new(stream, bound.name, key, &self.ready);
        if let Some(writable) = connection.connecting(key, &self.ready) {
            self.queue.ask(writable);
        }
        self.slots.replace(slot, Place::Connection(connection));
        Ok(())
    }

    /// Whether a connect is under way whose outcome has not been reported.
    pub(crate) fn is_connecting(&self, slot: u32) -> bool {
        match self.slots.get(slot) {
            Some(Place::Connection(connection)) => connection.outgoing() == Outgoing::Connecting,
            // It failed at once, or the system would not watch it.
            Some(Place::Bound(_) | Place::Spent) => {
                let key = self.slots.key(slot);
                self.outcomes.iter().any(|(of, _)| *of == key)
            }
            Some(Place::Accepting(_)) | None => false,
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
        let may_lag = self.driver.kind() == DriverKind::HelperThread;
        if let Some(readable) = connection.read_start(mode, may_lag) {
            self.queue.ask(readable);
        }
        Ok(())
    }

    /// Stops reading; bytes that arrive stay in the kernel.
    pub fn read_stop(&mut self, slot: u32) -> io::Result<()> {
        self.connection(slot)?.read_stop();
        Ok(())
    }

    /// Fetches waiting bytes, in [`ReadMode::Into`]; 0 is the peer's FIN.
    ///
    /// # Errors
    /// `EAGAIN` when nothing is waiting ([`Sink::readable`] follows), and the socket's own.
    pub fn read_into(&mut self, slot: u32, buffer: &mut [u8]) -> io::Result<usize> {
        let key = self.slots.key(slot);
        let Some(Place::Connection(connection)) = self.slots.get_mut(slot) else {
            return not_a_socket();
        };
        let site = Site {
            key,
            list: &self.ready,
            driver: &self.driver,
        };
        let (length, more) = connection.read_into(buffer, site)?;
        if let Some(readable) = more {
            self.queue.ask(readable);
        }
        Ok(length)
    }

    // --- write --------------------------------------------------------------------------------------------------

    /// Sends at once what the kernel takes, in order, and returns how much that was. If it was not all,
    /// [`Sink::writable`] says when to go on.
    ///
    /// # Errors
    /// As send(2), but a full buffer is a count of 0 and no error. `ENOTCONN` while a connect is under way.
    pub fn write(&mut self, slot: u32, slices: &[IoSlice<'_>]) -> io::Result<Sent> {
        let (connection, site) = self.connection_at(slot)?;
        let sent = connection.write(slices, site)?;
        if !sent.all {
            self.ask_writable(slot);
        }
        Ok(sent)
    }

    /// The same with bytes of a file, without bringing them into the process: at most `count` from `offset` on. Fewer
    /// bytes, and the socket is not blocked: the file has no more of them.
    ///
    /// # Errors
    /// As sendfile(2), and `EOF` when the file has nothing there. `EINVAL` for a socket with TLS, and `ENOTSUP` where the
    /// system cannot do this.
    pub fn send_file(
        &mut self,
        slot: u32,
        file: i32,
        offset: u64,
        count: usize,
    ) -> io::Result<Sent> {
        let (connection, site) = self.connection_at(slot)?;
        connection.send_file(file, offset, count, site)
    }

    /// Whether the last write of this socket was short.
    pub fn is_blocked(&self, slot: u32) -> bool {
        matches!(
            self.slots.get(slot),
            Some(Place::Connection(connection)) if connection.outgoing() == Outgoing::Blocked
        )
    }

    fn connection_at(&mut self, slot: u32) -> io::Result<(&mut Connection, Site<'_>)> {
        let key = self.slots.key(slot);
        match self.slots.get_mut(slot) {
            Some(Place::Connection(connection)) => Ok((
                connection,
                Site {
                    key,
                    list: &self.ready,
                    driver: &self.driver,
                },
            )),
            _ => not_a_socket(),
        }
    }

    fn connection(&mut self, slot: u32) -> io::Result<&mut Connection> {
        match self.slots.get_mut(slot) {
            Some(Place::Connection(connection)) => Ok(connection),
            _ => not_a_socket(),
        }
    }

    // --- half-close and close -----------------------------------------------------------------------------------

    /// Sends FIN, after everything that was written before.
    ///
    /// # Errors
    /// As shutdown(2). `EAGAIN` on a named pipe whose peer has not read everything yet: [`Sink::writable`] says when to
    /// try again.
    pub fn shutdown(&mut self, slot: u32) -> io::Result<()> {
        let (connection, site) = self.connection_at(slot)?;
        if let Behind::Nothing = connection.shutdown(site)? {
            return Ok(());
        }
        self.ask_readable(slot);
        Ok(())
    }

    /// Removes `path` from the file system when the socket closes, as if it had been bound here: for one that was
    /// adopted. Takes the place of a path that was to be removed before.
    ///
    /// # Errors
    /// `EBADF` when the slot is empty.
    pub fn remove_on_close(&mut self, slot: u32, path: &str) -> io::Result<()> {
        let Some(name) = self.slots.get_mut(slot).and_then(Place::name_mut) else {
            return not_a_socket();
        };
        std::mem::replace(name, Name::of(path)).keep();
        Ok(())
    }

    /// Closes the descriptor, with RST if `reset`. The slot's number is not used again before the next pump. Returns
    /// whether a connect was under way, whose outcome will not be reported any more.
    pub fn close(&mut self, slot: u32, reset: bool) -> bool {
        let key = self.slots.key(slot);
        let was_connecting = self.is_connecting(slot);
        self.relay_forget(slot);
        let Some(place) = self.slots.remove(slot) else {
            return false;
        };
        self.outcomes.retain(|(of, _)| *of != key);
        if reset && let Place::Connection(connection) = &place {
            connection.reset();
        }
        drop(place);
        // There may be room now for what a listener could not accept.
        self.retry_accept();
        was_connecting
    }

    // --- drive --------------------------------------------------------------------------------------------------

    /// Whether the next pump has something to do without asking the system.
    pub fn has_work(&self) -> bool {
        self.queue.has_work() || self.ready.has_retries()
    }

    /// Whether [`Reactor::tell_outcomes`] has something to report.
    pub fn has_outcomes(&self) -> bool {
        !self.outcomes.is_empty()
    }

    /// An iteration of the owner's event loop is about to ask the system what is ready. What verbs asked for until now
    /// gets its turn in this iteration; what they ask for from here on waits for the next one, as it would with a
    /// system that is asked once per iteration.
    pub fn begin(&mut self) {
        if self.ready.has_retries() {
            for Ready { key, direction } in self.ready.take_retries() {
                let place = self.slots.get_key_mut(key);
                if let Some(signal) = place.and_then(|place| place.signal(direction)) {
                    self.queue.ask(signal);
                }
            }
        }
        self.queue.begin();
    }

    /// Asks the system once, without blocking, what is ready. The helper thread does that by itself, unless the driver
    /// has been taken from it.
    pub fn turn(&self) {
        self.driver.turn();
    }

    /// As [`Reactor::turn`]. Returns whether there are sockets for [`Reactor::pump`] now.
    pub fn look(&self) -> bool {
        self.driver.turn();
        !self.ready.is_empty()
    }

    /// Whether the last pump has read bytes, also those of relays and handshakes, of which there are no events.
    pub fn has_read(&self) -> bool {
        self.queue.turn.any_read()
    }

    /// For an owner that does not sleep for a while: from here on it calls [`Reactor::turn`] itself, the helper thread
    /// waits, and nobody rings. Nothing happens with the in-loop driver.
    pub fn take_driver(&self) {
        self.ready.set_silent(true);
        self.driver.take();
    }

    /// Before the owner sleeps. Returns whether sockets are ready already, for which nobody has rung.
    pub fn give_driver_back(&self) -> bool {
        self.driver.give_back();
        self.ready.set_silent(false)
    }

    /// Reports connects that failed inside the verb: a path that does not exist, or a port of this machine where
    /// nothing listens.
    pub fn tell_outcomes(&mut self, sink: &mut impl Sink) {
        let mut told = 0;
        while told < self.outcomes.len() && sink.has_room() {
            sink.connected(self.outcomes[told].0.slot, self.outcomes[told].1);
            told += 1;
        }
        self.outcomes.drain(..told);
    }

    /// Does one step of I/O for every socket that is ready, and reports to `sink`. When that is full, the rest get
    /// their step in [`Reactor::pump_on`]. A socket with more to do waits until all the others have had their step.
    pub fn pump(&mut self, sink: &mut impl Sink) {
        self.queue.take(&self.ready);
        self.steps(sink);
    }

    /// Whether [`Reactor::pump_on`] has something to do in this iteration.
    pub fn may_go_on(&self) -> bool {
        self.queue.may_go_on()
    }

    /// Goes on when JavaScript has seen what filled the sink: first with the sockets that have not had their step yet,
    /// then with those whose reads were full.
    pub fn pump_on(&mut self, sink: &mut impl Sink) {
        self.queue.go_on(&self.ready);
        self.steps(sink);
    }

    /// One step for each socket that is due, while the sink has room.
    fn steps(&mut self, sink: &mut impl Sink) {
        // Earlier batches have been delivered, so no event names a closed slot any more.
        self.slots.recycle();
        let mut unserved = Vec::new();
        let mut served = false;
        while sink.has_room()
            && let Some(ready) = self.queue.next()
        {
            // A bug of ours may cost one socket, but not the process: a panic becomes an error on that socket.
            let step = panic::catch_unwind(AssertUnwindSafe(|| self.advance(ready, sink)));
            served |= !matches!(step, Ok(Step::Unserved));
            let Ok(step) = step else {
                self.panicked(ready, sink);
                continue;
            };
            if matches!(step, Step::Done) {
                continue;
            }
            // The signal that the entry stands for, if its socket is still open.
            let place = self.slots.get_key_mut(ready.key);
            let Some(signal) = place.and_then(|place| place.signal(ready.direction)) else {
                continue;
            };
            match step {
                Step::Urgent => self.queue.ask_urgently(signal),
                _ if !signal.claim() => {}
                Step::Unserved => unserved.push(ready),
                step => self.queue.again(ready, &step),
            }
        }
        self.queue.end(unserved, served);
    }

    /// Reports a panic in a step as the end of what the socket was waiting for.
    fn panicked(&mut self, Ready { key, direction }: Ready, sink: &mut impl Sink) {
        match self.slots.get_key_mut(key) {
            None | Some(Place::Bound(_) | Place::Spent) => {}
            Some(Place::Accepting(_)) => {
                self.starved.push(key);
                sink.accept_failed(key.slot, errno::UNKNOWN);
            }
            Some(Place::Connection(connection)) => connection.panicked(direction, key.slot, sink),
        }
    }

    /// One step of one socket.
    fn advance(&mut self, ready: Ready, sink: &mut impl Sink) -> Step {
        let Ready { key, direction } = ready;
        if let Some(Place::Connection(connection)) = self.slots.get_key_mut(key)
            && connection.relay.is_some()
        {
            if direction == Direction::Read {
                connection.read_is_due();
                return self.relay_step(key, sink);
            }
            connection.write_is_due();
            if self.relay_before_write(key, sink) {
                return Step::More;
            }
        }
        match self.slots.get_key_mut(key) {
            None | Some(Place::Bound(_) | Place::Spent) => Step::Done,
            Some(Place::Accepting(accepting)) => {
                accepting.readable.taken();
                self.accept(key, sink)
            }
            Some(Place::Connection(connection)) => {
                let turn = &mut self.queue.turn;
                let site = Site {
                    key,
                    list: &self.ready,
                    driver: &self.driver,
                };
                if direction == Direction::Read {
                    return connection.read(site, turn, sink);
                }
                let (step, unread) = connection.write_ready(site, turn, sink);
                if unread && let Some(readable) = connection.signal(Direction::Read) {
                    self.queue.push(readable);
                }
                if let Some(from) = connection.fed_by {
                    self.relay_on(from, sink);
                }
                step
            }
        }
    }

    /// Accepts one connection. The next one has to wait for the next pump, as in libuv: a flood of connections leaves
    /// time for those that are open, and each is reported in an iteration of its own.
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
                    // The peer gave up while it waited, which is no failure of the listener. Windows has several names for
                    // that: the last one is told when the address of a connection is asked for that is reset already.
                    if code == errno::ECONNABORTED
                        || (cfg!(windows) && matches!(code, errno::ECONNRESET | errno::ENOTCONN))
                    {
                        continue;
                    }
                    self.starved.push(key);
                    sink.accept_failed(key.slot, code);
                    return Step::Done;
                }
            }
        };
        let list = &self.ready;
        let slot = self.slots.insert_with(|key| {
            Place::Connection(Connection::new(stream, Name::default(), key, list))
        });
        sink.accepted(key.slot, slot);
        Step::More
    }

    /// Lets listeners try again that could not accept.
    pub fn retry_accept(&mut self) {
        while let Some(key) = self.starved.pop() {
            if let Some(Place::Accepting(accepting)) = self.slots.get_key_mut(key) {
                self.queue.ask(&accepting.readable);
            }
        }
    }
}
