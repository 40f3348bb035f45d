//! One connection: connecting, reading, writing and half-closing it. The reactor calls in, from a verb or from the
//! pump; this is where the system calls of the hot path are made. What is different with TLS is in `sealed`, and what a
//! relay needs in `relayed`.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::SockRef;

use crate::driver::{Driver, DriverKind};
use crate::errno;
use crate::options;
use crate::queue::{Step, Turn};
use crate::ready::{Direction, Key, ReadyList, Signal};
use crate::sink::{Chunk, ReadMode, Sink};
use crate::sys::{Behind, Name, Stream};

mod relayed;
mod sealed;

pub(crate) use relayed::{Load, Relay};
pub(crate) use sealed::Sealed;

/// What a read asks for at first, and again after the reader has stopped: so no more than this arrives beyond a
/// reader's high-water mark.
const FIRST_READ: usize = 64 * 1024;
/// After each full read a reader that keeps up is asked for twice as much, up to this. 512 KiB a call carried nearly
/// twice as much as 64 KiB a call on an upload over loopback; 1 MiB was within noise of it (2026-11).
const MAX_READ: usize = 512 * 1024;
/// Less room than this is not worth a system call: the socket waits for the next batch.
const MIN_READ: usize = 16 * 1024;

/// What can be done with bytes that are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Nothing before [`Sink::connected`].
    Connecting,
    /// Send them.
    Open,
    /// Nothing before [`Sink::writable`]: the kernel's buffer is full.
    Blocked,
}

/// Where in the reactor a connection is.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) key: Key,
    pub(crate) list: &'a Arc<ReadyList>,
    pub(crate) driver: &'a Driver,
}

/// What has become of bytes that were given for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// How many of them need not be given again.
    pub bytes: usize,
    /// Whether the kernel has all that was given. If not, [`Sink::writable`] says when to go on.
    pub all: bool,
}

pub(crate) struct Connection {
    // Before the stream: fields are dropped in order, and the path is removed first.
    pub(crate) name: Name,
    pub(crate) stream: Stream,
    outgoing: Outgoing,
    reading: Option<ReadMode>,
    read_size: u32,
    /// The pump in which it was last read; it is never read twice in one.
    read_in: u32,
    /// The last read has found an error.
    pub(crate) read_failed: bool,
    /// The driver has not told that it is readable, but it may be: the next read finds out.
    ask_system: bool,
    readable: Arc<Signal>,
    /// Made when first needed: most sockets never fill the kernel's buffer.
    writable: Option<Arc<Signal>>,
    pub(crate) tls: Option<Box<Sealed>>,
    /// What is read goes to another connection, and nobody else reads.
    pub(crate) relay: Option<Box<Relay>>,
    /// The connection whose relay ends here.
    pub(crate) fed_by: Option<Key>,
}

/// ENOBUFS. On Windows that is an error like others, as for libuv.
fn is_short_of_memory(error: &io::Error) -> bool {
    cfg!(unix) && errno::code(error) == errno::ENOBUFS
}

impl Connection {
    pub(crate) fn new(stream: Stream, name: Name, key: Key, list: &Arc<ReadyList>) -> Self {
        Self {
            name,
            stream,
            outgoing: Outgoing::Open,
            reading: None,
            read_size: FIRST_READ as u32,
            read_in: 0,
            read_failed: false,
            ask_system: false,
            readable: Signal::new(key, Direction::Read, list),
            writable: None,
            tls: None,
            relay: None,
            fed_by: None,
        }
    }

    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        self.stream.socket()
    }

    pub(crate) fn outgoing(&self) -> Outgoing {
        self.outgoing
    }

    pub(crate) fn signal(&self, direction: Direction) -> Option<&Signal> {
        match direction {
            Direction::Read => Some(&self.readable),
            Direction::Write => self.writable.as_deref(),
        }
    }

    /// Asks to be woken when readable; false when it is readable now.
    fn arm_read(&self) -> bool {
        let waker = self.readable.waker();
        self.stream
            .poll_read_ready(&mut Context::from_waker(&waker))
            .is_pending()
    }

    /// Asks to be woken when writable; false when it is writable now.
    fn arm_write(&mut self, key: Key, list: &Arc<ReadyList>) -> bool {
        let signal = self
            .writable
            .get_or_insert_with(|| Signal::new(key, Direction::Write, list));
        let waker = signal.waker();
        self.stream
            .poll_write_ready(&mut Context::from_waker(&waker))
            .is_pending()
    }

    // --- connect ------------------------------------------------------------------------------------------------

    /// A connect has been started. Returns the signal, to be queued, if it has ended already.
    pub(crate) fn connecting(&mut self, key: Key, list: &Arc<ReadyList>) -> Option<&Signal> {
        self.outgoing = Outgoing::Connecting;
        if self.arm_write(key, list) {
            None
        } else {
            self.writable.as_deref()
        }
    }

    // --- read ---------------------------------------------------------------------------------------------------

    /// Starts to read. Returns the signal, to be queued, if there is something to read already.
    /// `may_lag`: readiness is told by another thread, which may not have come to it yet.
    pub(crate) fn read_start(&mut self, mode: ReadMode, may_lag: bool) -> Option<&Signal> {
        self.reading = Some(mode);
        let ready = !self.arm_read() || self.has_held();
        self.ask_system = may_lag && !ready && self.outgoing != Outgoing::Connecting;
        (ready || self.ask_system).then_some(&*self.readable)
    }

    pub(crate) fn read_stop(&mut self) {
        self.reading = None;
        self.ask_system = false;
        self.read_size = FIRST_READ as u32;
    }

    /// One read into the caller's memory. Returns the signal, to be queued, if there is more.
    pub(crate) fn read_into(
        &mut self,
        memory: &mut [u8],
        site: Site<'_>,
    ) -> io::Result<(usize, Option<&Signal>)> {
        if self.tls.is_some() {
            return self.read_into_sealed(memory, site);
        }
        match self.read_stream(memory) {
            Poll::Pending => Err(errno::error(errno::EAGAIN)),
            Poll::Ready(Err(error)) => {
                self.reading = None;
                Err(error)
            }
            Poll::Ready(Ok((0, _))) => {
                self.reading = None;
                Ok((0, None))
            }
            Poll::Ready(Ok((length, Behind::Nothing))) => Ok((length, None)),
            Poll::Ready(Ok((length, Behind::More))) => Ok((length, Some(&self.readable))),
        }
    }

    fn read_stream(&mut self, memory: &mut [u8]) -> Poll<io::Result<(usize, Behind)>> {
        let waker = self.readable.waker();
        let found = self.stream.read(&mut Context::from_waker(&waker), memory);
        let found = if std::mem::take(&mut self.ask_system) && found.is_pending() {
            self.stream.read_unannounced(memory)
        } else {
            found
        };
        self.read_failed = matches!(found, Poll::Ready(Err(_)));
        found
    }

    /// The pump's step for a readable socket: one read. What comes after a short one waits for the next iteration of
    /// the loop, as in libuv, so that a program can answer from `setImmediate` before it sees the end.
    pub(crate) fn read(&mut self, site: Site<'_>, turn: &mut Turn, sink: &mut impl Sink) -> Step {
        self.readable.taken();
        if self.read_in == turn.pump {
            return Step::More;
        }
        self.read_in = turn.pump;
        if self.tls.is_some() {
            return self.read_sealed(site, turn, sink);
        }
        let slot = site.key.slot;
        let (chunk, wanted) = match self.wanted(slot, turn, sink) {
            Ok(wanted) => wanted,
            Err(step) => return step,
        };
        let mut pieces = if Stream::READS_PIECES && wanted > FIRST_READ && !self.ask_system {
            sink.pieces(wanted)
        } else {
            Vec::new()
        };
        let in_pieces = !pieces.is_empty();
        let (asked, found) = if in_pieces {
            let waker = self.readable.waker();
            let asked = pieces.iter().map(|piece| piece.len()).sum();
            let cx = &mut Context::from_waker(&waker);
            let found = self.stream.read_pieces(cx, &mut pieces);
            self.read_failed = matches!(found, Poll::Ready(Err(_)));
            (asked, found)
        } else {
            drop(pieces);
            let memory = sink.buffer(wanted, chunk);
            if memory.len() < MIN_READ {
                return Step::Unserved;
            }
            (memory.len(), self.read_stream(memory))
        };
        let (length, behind) = match found {
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
        if in_pieces {
            sink.read_pieces(slot, length);
        } else {
            sink.read(slot, length);
        }
        turn.has_read(length);
        self.after_read(asked, length, behind)
    }

    /// What the reader wants: which kind of memory, and how much of it. `Err` when the step ends here, because nobody
    /// reads, the owner reads by itself, or the others come first.
    #[inline]
    fn wanted(&self, slot: u32, turn: &Turn, sink: &mut impl Sink) -> Result<(Chunk, usize), Step> {
        let chunk = match self.reading {
            None => return Err(Step::Done),
            Some(ReadMode::Into) => {
                if self.ask_system || self.has_held() || !self.arm_read() {
                    sink.readable(slot);
                }
                return Err(Step::Done);
            }
            Some(ReadMode::Chunks) => Chunk::Own,
            Some(ReadMode::SharedChunks) => Chunk::Shared,
        };
        let wanted = self.read_size as usize;
        if wanted <= FIRST_READ {
            return Ok((chunk, wanted));
        }
        // Large readers share what this iteration may still read. Small ones do not have to wait for them.
        if turn.left() == 0 {
            return Err(Step::Unserved);
        }
        Ok((chunk, wanted.min(turn.left().max(MIN_READ))))
    }

    fn after_read(&mut self, asked: usize, length: usize, behind: Behind) -> Step {
        if length == asked {
            // Filling the last corner of a batch does not show that the socket has more than its usual size.
            if asked == self.read_size as usize {
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

    // --- write --------------------------------------------------------------------------------------------------

    /// Sends what the kernel takes, and asks to be woken if that was not all.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>], site: Site<'_>) -> io::Result<Sent> {
        if self.outgoing == Outgoing::Connecting {
            return Err(errno::error(errno::ENOTCONN));
        }
        if self.tls.is_some() {
            return self.write_sealed(slices, site);
        }
        self.send(slices, site)
    }

    fn send(&mut self, slices: &[IoSlice<'_>], site: Site<'_>) -> io::Result<Sent> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let sent = match self.stream.send(slices) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if is_short_of_memory(&error) => return Ok(self.send_later(0, site)),
            Err(error) => return Err(error),
        };
        if sent == total {
            return Ok(Sent {
                bytes: sent,
                all: true,
            });
        }
        self.blocked(sent, total, site, |stream, sent| {
            let mut rest = slices.to_vec();
            let mut rest = rest.as_mut_slice();
            IoSlice::advance_slices(&mut rest, sent);
            stream.try_send(rest)
        })
    }

    /// Sends `count` bytes of a file from `offset` on, as far as the kernel takes them: sendfile(2). Blocks while the
    /// system reads what it does not have in memory.
    ///
    /// # Errors
    /// `EOF` when the file has no more bytes there, `EINVAL` when it is none that the system can send, or with TLS.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_file(
        &mut self,
        file: i32,
        offset: u64,
        count: usize,
        site: Site<'_>,
    ) -> io::Result<Sent> {
        match self.outgoing {
            Outgoing::Connecting => return Err(errno::error(errno::ENOTCONN)),
            Outgoing::Blocked => {
                return Ok(Sent {
                    bytes: 0,
                    all: false,
                });
            }
            Outgoing::Open if self.tls.is_some() => return Err(errno::error(errno::EINVAL)),
            Outgoing::Open => {}
        }
        let (sent, full) = match self.stream.send_file(file, offset, count) {
            Err(error) if is_short_of_memory(&error) => return Ok(self.send_later(0, site)),
            result => result?,
        };
        if !full {
            return Ok(Sent {
                bytes: sent,
                all: true,
            });
        }
        self.blocked(sent, count, site, |stream, sent| {
            stream.try_send_file(file, offset + sent as u64, count - sent)
        })
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "it is Linux's that needs it")]
    pub(crate) fn send_file(&mut self, _: i32, _: u64, _: usize, _: Site<'_>) -> io::Result<Sent> {
        Err(errno::error(errno::ENOTSUP))
    }

    /// The kernel has taken `sent` bytes of `total` and has no room for more. Asks to be woken when it has, and goes on
    /// with `again`, which is told how many bytes are sent, if it has already.
    fn blocked(
        &mut self,
        mut sent: usize,
        total: usize,
        site: Site<'_>,
        again: impl Fn(&Stream, usize) -> io::Result<usize>,
    ) -> io::Result<Sent> {
        // Rare: the kernel's buffer is full, and Tokio does not know that yet. If Tokio runs on this thread, no news
        // can have come since the send, so we just tell it. A helper thread may have seen the socket become writable
        // in the meantime, and only another send can find out.
        self.outgoing = Outgoing::Blocked;
        if site.driver.kind() == DriverKind::InLoop {
            self.stream.clear_writable();
        }
        while !self.arm_write(site.key, site.list) {
            match again(&self.stream, sent) {
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_short_of_memory(&error) => return Ok(self.send_later(sent, site)),
                Err(error) => return Err(error),
            }
            if sent == total {
                self.outgoing = Outgoing::Open;
                break;
            }
        }
        Ok(Sent {
            bytes: sent,
            all: sent == total,
        })
    }

    /// The system has no memory for more at the moment. It does not tell when it has, so we try again in the next
    /// iteration, as libuv does.
    fn send_later(&mut self, sent: usize, site: Site<'_>) -> Sent {
        let Site { key, list, .. } = site;
        self.outgoing = Outgoing::Blocked;
        let signal = self
            .writable
            .get_or_insert_with(|| Signal::new(key, Direction::Write, list));
        list.retry(signal.ready());
        Sent {
            bytes: sent,
            all: false,
        }
    }

    /// The pump's step for a writable socket: a connect has ended, or the kernel's buffer has room again. Also says
    /// whether there is more to read.
    pub(crate) fn write_ready(
        &mut self,
        site: Site<'_>,
        turn: &mut Turn,
        sink: &mut impl Sink,
    ) -> (Step, bool) {
        let Site { key, list, .. } = site;
        if let Some(signal) = &self.writable {
            signal.taken();
        }
        if self.outgoing == Outgoing::Open || self.is_withheld() || self.arm_write(key, list) {
            return (Step::Done, false);
        }
        if self.outgoing == Outgoing::Connecting {
            let status = match self.stream.take_error() {
                Ok(None) => 0,
                Ok(Some(error)) | Err(error) => errno::code(&error),
            };
            sink.connected(key.slot, status);
            // Only now: if the sink panics, `panicked` still has to report a connect.
            self.outgoing = Outgoing::Open;
            return (Step::Done, false);
        }
        let mut unread = false;
        if self.reading.is_some() {
            // When both came together the bytes go first, as in libuv. The system may have reported them separately, and
            // another thread may have told us of the one alone.
            if self.read_in != turn.pump {
                self.ask_system |= site.driver.kind() == DriverKind::HelperThread;
                if self.ask_system || !self.arm_read() {
                    unread = !matches!(self.read(site, turn, sink), Step::Done);
                }
            }
            // The peer is gone: the write that waits can only fail, and it would take the socket with it. So first
            // everything is delivered that the peer had sent, and that comes to an end. (A read that itself waits for what
            // is unsent would wait for ever.)
            if self.reading.is_some() && !self.read_waits() && self.stream.is_hung_up() {
                return (Step::More, unread);
            }
        }
        self.outgoing = Outgoing::Open;
        // What waits for room is in a relay, which the reactor goes on with.
        if self.fed_by.is_some() {
            unread |= self.read_has_waited();
            return (Step::Done, unread);
        }
        // Sealed bytes go before new ones.
        if self.tls.is_none() || self.send_unsent(site) {
            sink.writable(key.slot);
        }
        unread |= self.read_has_waited();
        (Step::Done, unread)
    }

    /// A step panicked, which is a bug of ours: what the socket was waiting for ends with an error.
    pub(crate) fn panicked(&mut self, direction: Direction, slot: u32, sink: &mut impl Sink) {
        match direction {
            Direction::Read => {
                self.reading = None;
                sink.read_error(slot, errno::UNKNOWN);
            }
            Direction::Write => match std::mem::replace(&mut self.outgoing, Outgoing::Open) {
                Outgoing::Connecting => sink.connected(slot, errno::UNKNOWN),
                // The write that goes on runs into the same bug, and fails with it.
                Outgoing::Open | Outgoing::Blocked => sink.writable(slot),
            },
        }
    }

    // --- half-close and close -----------------------------------------------------------------------------------

    /// Ends our side, and says whether the other one may have ended with it. `EAGAIN` when it has to be tried again,
    /// which is told like room for a write.
    pub(crate) fn shutdown(&mut self, site: Site<'_>) -> io::Result<Behind> {
        if self.tls.is_some() && !self.say_goodbye(site) {
            return Err(errno::error(errno::EAGAIN));
        }
        loop {
            match self.stream.shutdown() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.outgoing = Outgoing::Blocked;
                    if self.arm_write(site.key, site.list) {
                        return Err(error);
                    }
                    self.outgoing = Outgoing::Open;
                }
                result => return result,
            }
        }
    }

    /// Has the close that follows send RST. This fails on a connection that is reset already, and on what is not a
    /// socket; neither matters.
    pub(crate) fn reset(&self) {
        if let Ok(socket) = self.socket() {
            let _ = options::set_reset_on_close(socket);
        }
    }
}
