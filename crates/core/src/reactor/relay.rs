//! Relays: what one connection reads is sent by another, and JavaScript hears of the end, of errors, and of nothing else.
//!
//! Small amounts go through a buffer, which takes a read and a write and tells for certain whether the socket is empty.
//! After a large read the next goes through a [`Duct`], where the system has them. A relay has a duct for as long as
//! there are bytes in it: those that only wait for bytes have none, and a duct is never passed on with bytes in it.

use std::io;
use std::mem;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{Reactor, not_a_socket};
use crate::connection::{Load, Relay, Site};
use crate::driver::DriverKind;
use crate::errno;
use crate::place::Place;
use crate::queue::Step;
use crate::ready::{Direction, Key};
use crate::sink::Sink;
use crate::sys::{Behind, Duct};

/// What is read at once into the buffer, and what counts as a large read.
const COPY: usize = 64 * 1024;
/// What a relay carries in one step; then the other sockets have their turn.
const SHARE: usize = 512 * 1024;
/// As many ducts are kept for the next relay that needs one.
const IDLE_DUCTS: usize = 8;
/// No more than this are open: each is two descriptors, and 256 KiB of the 64 MiB that Linux allows all pipes of a user
/// without asking. Further relays copy.
const MAX_DUCTS: usize = 64;

/// What all relays of a reactor share.
pub(crate) struct Relays {
    /// How many there are.
    count: usize,
    /// Made when first needed; the same memory each time, which stays hot in the cache.
    buffer: Vec<u8>,
    idle: Vec<Duct>,
    /// How many ducts are open.
    open: usize,
}

impl Relays {
    pub(crate) const fn new() -> Self {
        Self {
            count: 0,
            buffer: Vec::new(),
            idle: Vec::new(),
            open: 0,
        }
    }

    fn begun(&mut self) {
        self.count += 1;
        self.buffer.resize(COPY, 0);
    }

    fn ended(&mut self) {
        self.count -= 1;
        if self.count == 0 {
            self.open -= self.idle.len();
            self.idle = Vec::new();
            self.buffer = Vec::new();
        }
    }

    /// An empty duct.
    fn take(&mut self) -> Option<Duct> {
        if let Some(duct) = self.idle.pop() {
            return Some(duct);
        }
        if self.open >= MAX_DUCTS {
            return None;
        }
        let duct = Duct::open()?;
        self.open += 1;
        Some(duct)
    }

    /// One with bytes in it is closed: they are nobody else's.
    fn give_back(&mut self, duct: Duct) {
        if duct.len() == 0 && self.idle.len() < IDLE_DUCTS {
            self.idle.push(duct);
        } else {
            self.open -= 1;
        }
    }
}

/// What one read of a relay has found.
enum Found {
    /// Bytes, and more may be waiting.
    Full,
    /// Bytes, and what comes after them.
    Last(Behind),
    Nothing,
    End,
}

/// How sending went.
enum Sending {
    Done,
    Blocked,
    Failed(io::Error),
    /// There is nobody who could send.
    Gone,
}

impl Reactor {
    /// From now on what `from` receives is sent by `to`, which may be the same. [`Sink::read_end`] and
    /// [`Sink::read_error`] tell the end, when all before it is sent, and [`Sink::relay_failed`] that `to` cannot send
    /// any more. After each of them, and at any other time, [`Reactor::relay_stop`] ends the relay.
    ///
    /// # Errors
    /// `EBUSY` when one of them is in another relay in the same direction, or connecting, or when `to` has bytes waiting
    /// to be sent; `EINVAL` with TLS.
    pub fn relay_start(&mut self, from: u32, to: u32) -> io::Result<()> {
        let (source, target) = (self.slots.key(from), self.slots.key(to));
        for slot in [from, to] {
            if self.connection(slot)?.tls.is_some() {
                return Err(errno::error(errno::EINVAL));
            }
        }
        let reader = self.connection(from)?;
        let may_read = reader.may_relay_from() && reader.relay.is_none();
        let sender = self.connection(to)?;
        if !(may_read && sender.may_relay_to() && sender.fed_by.is_none()) {
            return Err(errno::error(errno::EBUSY));
        }
        self.connection(to)?.fed_by = Some(source);
        self.relays.begun();
        let may_lag = self.driver.kind() == DriverKind::HelperThread;
        let Some(Place::Connection(connection)) = self.slots.get_mut(from) else {
            return not_a_socket();
        };
        if let Some(readable) = connection.relay_start(Relay::new(target), may_lag) {
            self.queue.ask(readable);
        }
        Ok(())
    }

    /// Ends a relay. Returns the bytes that are read and not sent: they come before anything else that `to` sends, and
    /// [`Sink::writable`] says when it can. Nobody reads `from` then.
    pub fn relay_stop(&mut self, from: u32, to: u32) -> io::Result<Vec<u8>> {
        let source = self.slots.key(from);
        if let Ok(target) = self.connection(to)
            && target.fed_by == Some(source)
        {
            target.fed_by = None;
        }
        let Some(relay) = self.connection(from)?.relay.take() else {
            return Ok(Vec::new());
        };
        let unsent = match relay.load {
            // What is in the buffer is sent or copied in the step that has read it.
            Load::Nothing | Load::Buffered(_) => Ok(Vec::new()),
            Load::Copied(mut bytes, sent) => {
                bytes.drain(..sent);
                Ok(bytes)
            }
            Load::In(mut duct) => {
                let bytes = duct.take();
                self.relays.give_back(duct);
                bytes
            }
        };
        self.relays.ended();
        unsent
    }

    /// How many bytes a relay has read since it was last asked.
    pub fn relay_count(&mut self, from: u32) -> io::Result<u64> {
        let relay = self.connection(from)?.relay.as_mut();
        Ok(relay.map_or(0, |relay| mem::take(&mut relay.moved)))
    }

    /// How long ago a relay has last read, or with `sent` last sent.
    pub fn relay_idle(&mut self, from: u32, sent: bool) -> io::Result<Duration> {
        let relay = self.connection(from)?.relay.as_ref();
        Ok(relay.map_or(Duration::ZERO, |relay| {
            if sent { relay.sent_at } else { relay.read_at }.elapsed()
        }))
    }

    /// A connection is about to go: so do the relays that it is in. Whoever closes it has stopped them before, or does
    /// not care any more.
    pub(crate) fn relay_forget(&mut self, slot: u32) {
        let Ok(connection) = self.connection(slot) else {
            return;
        };
        let to = connection.relay.as_ref().map(|relay| relay.to.slot);
        let from = connection.fed_by.map(|source| source.slot);
        if let Some(to) = to {
            let _lost = self.relay_stop(slot, to);
        }
        if let Some(from) = from {
            let _lost = self.relay_stop(from, slot);
        }
    }

    /// The step of a connection that is ready to be read and has a relay.
    pub(super) fn relay_step(&mut self, from: Key, sink: &mut impl Sink) -> Step {
        let pump = self.queue.turn.pump;
        let Some(Place::Connection(source)) = self.slots.get_key_mut(from) else {
            return Step::Done;
        };
        let may_read = !source.was_read_in(pump);
        let Some(mut relay) = source.relay.take() else {
            return Step::Done;
        };
        source.reads_in(pump);
        let step = if relay.is_over {
            Step::Done
        } else {
            self.carry(from, &mut relay, may_read, sink)
        };
        if let Some(Place::Connection(source)) = self.slots.get_key_mut(from) {
            source.relay = Some(relay);
        }
        step
    }

    /// `to` has room again for what `from` has for it.
    pub(super) fn relay_on(&mut self, from: Key, sink: &mut impl Sink) {
        let step = self.relay_step(from, sink);
        self.relay_later(from, &step);
    }

    fn relay_later(&mut self, from: Key, step: &Step) {
        let Some(Place::Connection(source)) = self.slots.get_key_mut(from) else {
            return;
        };
        let Some(readable) = source.signal(Direction::Read) else {
            return;
        };
        match step {
            Step::Done => {}
            Step::Full => self.queue.ask_soon(readable),
            Step::Urgent => self.queue.ask_urgently(readable),
            Step::More | Step::Unserved => self.queue.push(readable),
        }
    }

    /// A connection that reads for a relay is ready to be written. As with other sockets what it has received goes first:
    /// when the peer is gone its next write fails, and that is the end of it. Returns whether the write has to wait for
    /// that.
    pub(super) fn relay_before_write(&mut self, key: Key, sink: &mut impl Sink) -> bool {
        let pump = self.queue.turn.pump;
        let Some(Place::Connection(connection)) = self.slots.get_key_mut(key) else {
            return false;
        };
        if connection.was_read_in(pump) || !connection.has_arrivals() {
            return false;
        }
        let step = self.relay_step(key, sink);
        self.relay_later(key, &step);
        let Some(Place::Connection(connection)) = self.slots.get_key_mut(key) else {
            return false;
        };
        let goes_on = matches!(&connection.relay, Some(relay) if !relay.is_over
            && matches!(relay.load, Load::Nothing));
        goes_on && connection.stream.is_hung_up()
    }

    /// Sends and reads, by turns: nothing is read before all that was read is sent. What is left when it returns waits
    /// for room, and for nothing else.
    fn carry(
        &mut self,
        from: Key,
        relay: &mut Relay,
        may_read: bool,
        sink: &mut impl Sink,
    ) -> Step {
        let mut carried = 0;
        let mut found = Found::Full;
        let mut splices = relay.is_bulk;
        loop {
            match self.unload(relay) {
                Sending::Done => {}
                Sending::Blocked => return Step::Done,
                Sending::Gone => {
                    relay.is_over = true;
                    return Step::Done;
                }
                Sending::Failed(error) => {
                    relay.is_over = true;
                    sink.relay_failed(relay.to.slot, errno::code(&error));
                    return Step::Done;
                }
            }
            match found {
                Found::Full => {}
                Found::Last(Behind::More) => return Step::More,
                Found::Last(Behind::Nothing) | Found::Nothing => {
                    relay.is_bulk = carried >= COPY;
                    return Step::Done;
                }
                Found::End => {
                    relay.is_over = true;
                    sink.read_end(from.slot);
                    return Step::Done;
                }
            }
            if !may_read {
                return Step::More;
            }
            if carried >= SHARE {
                return Step::Full;
            }
            if relay.is_bulk && self.queue.turn.left() == 0 {
                // Whoever got nothing in this iteration is before the others in the next one.
                return if carried == 0 {
                    Step::Unserved
                } else {
                    Step::Full
                };
            }
            if self.is_lost(relay.to) {
                return Step::More;
            }
            let before = relay.moved;
            found = match self.load(from, relay, splices) {
                Ok(found) => found,
                Err(error) => {
                    relay.is_over = true;
                    sink.read_error(from.slot, errno::code(&error));
                    return Step::Done;
                }
            };
            let length = (relay.moved - before) as usize;
            carried += length;
            // Behind less there is hardly more.
            splices = length >= COPY;
            relay.is_bulk |= splices;
            self.queue.turn.has_read(length);
        }
    }

    /// Whether a connection has met an error in this pump. Its owner will end the relay, and what is not read by then is
    /// the source's to keep.
    fn is_lost(&mut self, key: Key) -> bool {
        let pump = self.queue.turn.pump;
        match self.slots.get_key_mut(key) {
            Some(Place::Connection(connection)) => connection.has_failed_in(pump),
            _ => false,
        }
    }

    /// Sends what has been read, as far as the kernel takes it.
    fn unload(&mut self, relay: &mut Relay) -> Sending {
        let Some(Place::Connection(target)) = self.slots.get_key_mut(relay.to) else {
            return Sending::Gone;
        };
        let site = Site {
            key: relay.to,
            list: &self.ready,
            driver: &self.driver,
        };
        let result = match mem::take(&mut relay.load) {
            Load::Nothing => return Sending::Done,
            Load::Buffered(length) => {
                let bytes = &self.relays.buffer[..length];
                target.send_copy(bytes, site).map(|sent| {
                    if !sent.all {
                        relay.load = Load::Copied(bytes[sent.bytes..].to_vec(), 0);
                    }
                    sent.bytes > 0
                })
            }
            Load::Copied(bytes, before) => target.send_copy(&bytes[before..], site).map(|sent| {
                if !sent.all {
                    relay.load = Load::Copied(bytes, before + sent.bytes);
                }
                sent.bytes > 0
            }),
            Load::In(mut duct) => {
                let before = duct.len();
                let result = target.send_duct(&mut duct, site);
                let has_sent = duct.len() < before;
                match result {
                    Ok(false) => relay.load = Load::In(duct),
                    // After an error, too: one with bytes in it is closed.
                    _ => self.relays.give_back(duct),
                }
                result.map(|_| has_sent)
            }
        };
        match result {
            Err(error) => return Sending::Failed(error),
            Ok(true) => relay.sent_at = Instant::now(),
            Ok(false) => {}
        }
        match relay.load {
            Load::Nothing => Sending::Done,
            _ => Sending::Blocked,
        }
    }

    /// Reads once. Only a read into the buffer tells whether more is waiting or the end has come: a duct that gets nothing
    /// has met either of these, an urgent mark, or an error of the socket's. The latter it has taken away with it: a read
    /// finds the end in its place.
    fn load(&mut self, from: Key, relay: &mut Relay, splices: bool) -> io::Result<Found> {
        let Some(Place::Connection(source)) = self.slots.get_key_mut(from) else {
            return Ok(Found::Nothing);
        };
        let mut failure = None;
        if splices
            && !relay.only_copies
            && let Some(mut duct) = self.relays.take()
        {
            match duct.fill(&source.stream) {
                Ok(length) if length > 0 => {
                    relay.has_read(length);
                    relay.load = Load::In(duct);
                    return Ok(Found::Full);
                }
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    // Of the system's, or of a sandbox.
                    io::ErrorKind::InvalidInput
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::PermissionDenied => relay.only_copies = true,
                    _ => failure = Some(error),
                },
            }
            self.relays.give_back(duct);
        }
        let memory = self.relays.buffer.as_mut_slice();
        let (length, behind) = match source.read_copy(memory) {
            Poll::Pending => return Ok(Found::Nothing),
            Poll::Ready(result) => result?,
        };
        if length == 0 {
            source.read_failed = failure.is_some();
            return failure.map_or(Ok(Found::End), Err);
        }
        relay.has_read(length);
        relay.load = Load::Buffered(length);
        Ok(if length == COPY {
            Found::Full
        } else {
            Found::Last(behind)
        })
    }
}
