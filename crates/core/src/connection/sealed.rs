//! A connection with a TLS session: what is read is opened before it goes up, what goes down is sealed before it is
//! sent. The session's own bytes, of its handshake for example, come and go without anybody above hearing of them.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::task::Poll;

use super::{Connection, FIRST_READ, MIN_READ, Site};
use crate::errno;
use crate::queue::{Step, Turn};
use crate::ready::Signal;
use crate::sink::{Chunk, ReadMode, Sink, TlsEvent};
use crate::sys::Behind;
use crate::tls::{Opened, Phase, Question, RECORD, Session};

mod handshake;
mod write;

/// While so much waits for the kernel nothing is read: each change of keys, for example, is one that the peer may ask us
/// to answer, and it may never read an answer.
const UNSENT: usize = 256 * 1024;

/// Memory for ciphertext, the same for all sockets of the thread, which stays hot in the cache.
#[derive(Default)]
struct Scratch {
    input: Vec<u8>,
    output: Vec<u8>,
    joined: Vec<u8>,
}

fn room(memory: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if memory.len() < length {
        memory.resize(length, 0);
    }
    &mut memory[..length]
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A session and what it has for the kernel.
pub(crate) struct Sealed {
    pub(crate) session: Session,
    /// Ciphertext that the kernel has not taken yet, from `unsent_at` on.
    unsent: Vec<u8>,
    unsent_at: usize,
    /// Why sealed bytes could not be sent. The system tells it once, and whoever writes or reads next has to hear of it.
    broken: Option<i32>,
    /// Nothing is read before the kernel has taken some of it.
    read_waits: bool,
    /// close_notify is sealed, and need not be again when FIN has to wait for room.
    said_goodbye: bool,
    /// Bytes to be written wait until the session has read something.
    write_waits: bool,
    /// The first handshake was over in the call that began it, with a failure that is still to be told.
    failed_at_once: bool,
    /// What is unsent stays here until the owner has answered.
    withheld: bool,
    /// The last of the handshake, tickets for example: it leaves with the first that is written, or when it turns out that
    /// nothing is. A send costs as much as a tenth of a handshake.
    parting: Vec<u8>,
}

impl Sealed {
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.len() - self.unsent_at
    }
}

/// Where the ciphertext of a step came from.
enum Source {
    Held,
    /// How much was asked for, how much was there, and what comes behind it.
    Socket(usize, usize, Behind),
    /// There is none yet.
    Nothing,
    /// The peer's FIN (0), or an error.
    End(i32),
}

impl Connection {
    fn sealed(&mut self) -> &mut Sealed {
        self.tls
            .as_deref_mut()
            .expect("the callers have asked whether there is a session")
    }

    /// Whether the session has something to report that no readiness of the socket announces.
    pub(super) fn has_held(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|sealed| sealed.session.has_held() || sealed.session.phase == Phase::Ended)
    }

    /// Whether a peer that reads nothing has made us answer so much that it has to be read before we hear more of it.
    fn is_flooded(&mut self) -> bool {
        let sealed = self.sealed();
        sealed.read_waits = sealed.unsent() > UNSENT;
        sealed.read_waits
    }

    /// Whether nothing is read before the kernel has taken some of what is unsent.
    pub(super) fn read_waits(&self) -> bool {
        self.tls.as_ref().is_some_and(|sealed| sealed.read_waits)
    }

    /// Whether a read has waited for the kernel to take what is unsent, and it has taken enough.
    pub(super) fn read_has_waited(&mut self) -> bool {
        self.read_waits() && !self.is_flooded()
    }

    /// What else a read can have found: news, a question, and that a write can go on which needed to read first.
    fn tell_the_rest(&mut self, slot: u32, sink: &mut impl Sink) {
        let sealed = self.sealed();
        if sealed.session.has_news() {
            sink.tls(slot, TlsEvent::News);
        }
        if sealed.session.ask_to_store() {
            sink.tls(slot, TlsEvent::Asks(Question::Store));
        }
        if mem::take(&mut sealed.write_waits) {
            sink.writable(slot);
        }
    }

    // --- read ---------------------------------------------------------------------------------------------------

    /// The pump's step for a readable socket.
    pub(super) fn read_sealed(
        &mut self,
        site: Site<'_>,
        turn: &mut Turn,
        sink: &mut impl Sink,
    ) -> Step {
        SCRATCH.with_borrow_mut(|scratch| match self.sealed().session.phase {
            Phase::Handshaking => self.handshake_step(site, turn, sink, scratch),
            Phase::Verifying => {
                let memory = room(&mut scratch.input, FIRST_READ);
                self.hold_until_answered(memory, site.key.slot, sink)
            }
            Phase::Open => self.open_step(site, turn, sink, scratch),
            Phase::Ended => {
                if self.reading.take().is_some() {
                    sink.read_end(site.key.slot);
                }
                Step::Done
            }
            Phase::Failed => {
                if mem::take(&mut self.sealed().failed_at_once) {
                    sink.tls(site.key.slot, TlsEvent::Failed);
                }
                Step::Done
            }
        })
    }

    /// Ciphertext from the socket, unless some is held, or the session goes on without any.
    fn fetch(&mut self, memory: &mut [u8]) -> Source {
        let session = &self.sealed().session;
        if session.has_held() || session.goes_on {
            return Source::Held;
        }
        self.fetch_more(memory)
    }

    fn fetch_more(&mut self, memory: &mut [u8]) -> Source {
        let asked = memory.len();
        match self.read_stream(memory) {
            Poll::Pending => Source::Nothing,
            Poll::Ready(Ok((0, _))) => {
                let sealed = self.sealed();
                // The system has told a send of a failure: then this is no end. (Of EPIPE it tells behind the peer's.)
                if let Some(code) = sealed.broken.filter(|code| *code != errno::EPIPE) {
                    sealed.session.phase = Phase::Failed;
                    return Source::End(code);
                }
                let session = &mut sealed.session;
                // There is nothing more to open, but there may be something to seal.
                session.phase = match session.phase {
                    Phase::Open => Phase::Ended,
                    _ => Phase::Failed,
                };
                Source::End(0)
            }
            Poll::Ready(Ok((length, behind))) => Source::Socket(asked, length, behind),
            Poll::Ready(Err(error)) => {
                self.sealed().session.phase = Phase::Failed;
                Source::End(errno::code(&error))
            }
        }
    }

    fn tell_end(&mut self, slot: u32, code: i32, sink: &mut impl Sink) -> Step {
        self.reading = None;
        match code {
            0 => sink.read_end(slot),
            code => sink.read_error(slot, code),
        }
        Step::Done
    }

    fn open_step(
        &mut self,
        site: Site<'_>,
        turn: &mut Turn,
        sink: &mut impl Sink,
        scratch: &mut Scratch,
    ) -> Step {
        let slot = site.key.slot;
        let mut parting = !self.sealed().parting.is_empty();
        if parting {
            // What came along with the handshake may be answered at once: then the answer goes along with it.
            parting = self.has_held()
                && matches!(
                    self.reading,
                    Some(ReadMode::Chunks | ReadMode::SharedChunks)
                );
            if !parting {
                self.part(&mut scratch.output, site);
            }
        }
        if self.reading == Some(ReadMode::Into) {
            // What the owner's own read has found.
            self.tell_the_rest(slot, sink);
        }
        if self.is_flooded() {
            return Step::Done;
        }
        let (chunk, wanted) = match self.wanted(slot, turn, sink) {
            Ok(wanted) => wanted,
            Err(step) => return step,
        };
        // A record whose beginning OpenSSL has already becomes plaintext beyond what is read now. Readers that share
        // memory have no more than this of it.
        let lent = match chunk {
            Chunk::Shared if wanted == FIRST_READ => FIRST_READ,
            _ => wanted + RECORD,
        };
        let memory = sink.buffer(lent, chunk);
        if memory.len() < MIN_READ + RECORD {
            return Step::Unserved;
        }
        let asked = wanted.min(memory.len() - RECORD);
        let ciphertext = room(&mut scratch.input, asked);
        let source = self.fetch(ciphertext);
        let input = match source {
            Source::Held => &[],
            Source::Socket(_, length, _) => &ciphertext[..length],
            Source::Nothing => return Step::Done,
            Source::End(code) => return self.tell_end(slot, code, sink),
        };
        scratch.output.clear();
        let (filled, opened) = self
            .sealed()
            .session
            .open(input, memory, &mut scratch.output);
        // Before the bytes, as in Node, and in any case before the end. After another handshake it may be that nobody wants
        // those bytes any more.
        self.tell_the_rest(slot, sink);
        if filled > 0 {
            sink.read(slot, filled);
        }
        if !scratch.output.is_empty() {
            // An answer to a change of keys, or an alert. If it cannot be sent, reading finds out.
            let _ = self.emit(&mut scratch.output, site);
        }
        turn.has_read(input.len().max(filled));
        if parting && matches!(opened, Opened::End | Opened::Failed) {
            self.part(&mut scratch.output, site);
        }
        match opened {
            Opened::Failed => {
                sink.tls(slot, TlsEvent::Failed);
                return Step::Done;
            }
            Opened::End => {
                self.reading = None;
                sink.read_end(slot);
                return Step::Done;
            }
            Opened::All | Opened::Full => {}
        }
        match source {
            _ if parting => Step::Urgent,
            _ if opened == Opened::Full => Step::Full,
            Source::Socket(asked, length, behind) => self.after_read(asked, length, behind),
            _ if self.arm_read() => Step::Done,
            _ => Step::More,
        }
    }

    /// Nothing was written that the last of the handshake could leave with.
    fn part(&mut self, output: &mut Vec<u8>, site: Site<'_>) {
        output.clear();
        output.append(&mut self.sealed().parting);
        // If the connection has failed, reading finds out.
        let _ = self.emit(output, site);
    }

    /// As [`Connection::read_into`].
    pub(super) fn read_into_sealed(
        &mut self,
        memory: &mut [u8],
        site: Site<'_>,
    ) -> io::Result<(usize, Option<&Signal>)> {
        let outcome = SCRATCH.with_borrow_mut(|scratch| match self.sealed().session.phase {
            Phase::Handshaking | Phase::Verifying => Err(errno::error(errno::EAGAIN)),
            // The session tells why.
            Phase::Failed => Err(errno::error(errno::EPIPE)),
            Phase::Ended => Ok(0),
            Phase::Open => self.open_into(memory, site, scratch),
        });
        match outcome {
            Err(error) if errno::code(&error) == errno::EAGAIN => Err(error),
            Ok(length) if length > 0 => {
                let more = self.has_held() || self.sealed().write_waits || !self.arm_read();
                Ok((length, more.then_some(&*self.readable)))
            }
            ended => {
                self.reading = None;
                ended.map(|length| (length, None))
            }
        }
    }

    fn open_into(
        &mut self,
        memory: &mut [u8],
        site: Site<'_>,
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        loop {
            if self.is_flooded() {
                return Err(errno::error(errno::EAGAIN));
            }
            let ciphertext = room(&mut scratch.input, FIRST_READ);
            let length = match self.fetch(ciphertext) {
                Source::Held => 0,
                Source::Socket(_, length, _) => length,
                Source::Nothing => return Err(errno::error(errno::EAGAIN)),
                Source::End(0) => return Ok(0),
                Source::End(code) => return Err(errno::error(code)),
            };
            scratch.output.clear();
            let session = &mut self.sealed().session;
            let (filled, opened) = session.open(&ciphertext[..length], memory, &mut scratch.output);
            let _ = self.emit(&mut scratch.output, site);
            match opened {
                _ if filled > 0 => return Ok(filled),
                Opened::End => return Ok(0),
                Opened::Failed => return Err(errno::error(errno::EPIPE)),
                Opened::All | Opened::Full => {}
            }
        }
    }
}
