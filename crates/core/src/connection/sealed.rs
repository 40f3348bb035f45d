//! A connection with a TLS session: what is read is opened before it goes up, what goes down is sealed before it is
//! sent. The session's own bytes, of its handshake for example, come and go without anybody above hearing of them.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{Connection, FIRST_READ, MIN_READ, Outgoing, Sent, Site};
use crate::errno;
use crate::queue::{Step, Turn};
use crate::ready::Signal;
use crate::sink::{Chunk, ReadMode, Sink, TlsEvent};
use crate::sys::Behind;
use crate::tls::{Answer, Context, Opened, Phase, Progress, Question, RECORD, Session, Start};

/// Handshakes of one iteration may take so long, then those that follow wait for the next one: a full handshake takes
/// the time of a hundred small messages, and a flood of them must not hold up the sockets that are open.
const HANDSHAKES: Duration = Duration::from_millis(2);
/// So much is sealed before it is sent. What the kernel does not take of it has to be kept.
const SEALED: usize = 64 * 1024;
/// So much is sealed in one iteration for a writer that has more, which takes a third of a millisecond.
const MAX_SEALED: usize = 1024 * 1024;
/// So much ciphertext is kept while the owner thinks about an answer; a peer that waits for it sends none.
const MAX_HELD: usize = 64 * 1024;

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
    // --- start --------------------------------------------------------------------------------------------------

    /// See [`Reactor::tls_start`](crate::Reactor::tls_start).
    pub(crate) fn start_session(
        &mut self,
        context: &Context,
        start: &Start<'_>,
        site: Site<'_>,
    ) -> io::Result<()> {
        if self.outgoing != Outgoing::Open || self.tls.is_some() {
            return Err(errno::error(errno::EINVAL));
        }
        self.tls = Some(Box::new(Sealed {
            session: Session::new(context, start)?,
            unsent: Vec::new(),
            unsent_at: 0,
            read_waits: false,
            said_goodbye: false,
            write_waits: false,
            failed_at_once: false,
            withheld: false,
            parting: Vec::new(),
        }));
        if !start.server {
            // The hello leaves at once.
            SCRATCH.with_borrow_mut(|scratch| {
                let progress = self.shake_hands(&[], &mut scratch.output, site);
                self.sealed().failed_at_once = progress == Progress::Failed;
            });
        }
        self.arm_read();
        Ok(())
    }

    /// See [`Reactor::tls_open`](crate::Reactor::tls_open).
    pub(crate) fn open_session(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(sealed) if sealed.session.phase == Phase::Verifying => {
                sealed.session.phase = Phase::Open;
                Ok(())
            }
            _ => Err(errno::error(errno::EINVAL)),
        }
    }

    /// See [`Reactor::tls_answer`](crate::Reactor::tls_answer).
    pub(crate) fn answer_session(&mut self, answer: &Answer<'_>) -> io::Result<()> {
        let Some(sealed) = &mut self.tls else {
            return Err(errno::error(errno::EINVAL));
        };
        let answered = sealed.session.answer(answer);
        if matches!(answer, Answer::Stored) && answered.is_ok() {
            sealed.withheld = false;
        }
        answered
    }

    /// See [`Reactor::tls_renegotiate`](crate::Reactor::tls_renegotiate).
    pub(crate) fn renegotiate(
        &mut self,
        verify: Option<(bool, bool)>,
        site: Site<'_>,
    ) -> io::Result<Result<(), Vec<u8>>> {
        match &mut self.tls {
            Some(sealed) if matches!(sealed.session.phase, Phase::Verifying | Phase::Open) => {}
            _ => return Err(errno::error(errno::EINVAL)),
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.output.clear();
            let session = &mut self.sealed().session;
            if let Some((request, require)) = verify {
                session.set_verify(request, require);
            }
            let begun = session.renegotiate(&mut scratch.output);
            // If it cannot be sent, reading finds out.
            let _ = self.emit(&mut scratch.output, site);
            Ok(begun)
        })
    }

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

    /// Whether a read has waited for the kernel to take what is unsent, and it has taken enough.
    pub(super) fn read_has_waited(&mut self) -> bool {
        self.tls.as_ref().is_some_and(|sealed| sealed.read_waits) && !self.is_flooded()
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
            Phase::Verifying => Step::Done,
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
                let session = &mut self.sealed().session;
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

    fn handshake_step(
        &mut self,
        site: Site<'_>,
        turn: &mut Turn,
        sink: &mut impl Sink,
        scratch: &mut Scratch,
    ) -> Step {
        let slot = site.key.slot;
        if turn.handshakes > HANDSHAKES {
            return Step::More;
        }
        let memory = room(&mut scratch.input, FIRST_READ);
        if self.sealed().session.asked().is_some() {
            return self.hold_until_answered(memory, slot, sink);
        }
        let source = self.fetch(memory);
        let input = match source {
            Source::Held => &[],
            Source::Socket(_, length, _) => &memory[..length],
            Source::Nothing => return Step::Done,
            Source::End(code) => return self.tell_end(slot, code, sink),
        };
        let began = Instant::now();
        let progress = self.shake_hands(input, &mut scratch.output, site);
        turn.handshakes += began.elapsed();
        let session = &mut self.sealed().session;
        let urgent = session.has_urgent_news();
        if urgent {
            sink.tls(slot, TlsEvent::News);
        }
        match progress {
            Progress::Waits | Progress::Asks => {}
            Progress::Done => {
                let event = TlsEvent::Secure {
                    verdict: session.verify_result(),
                    reused: session.is_reused(),
                };
                sink.tls(slot, event);
            }
            Progress::Failed => sink.tls(slot, TlsEvent::Failed),
        }
        if let Some(question) = session.asked() {
            sink.tls(slot, TlsEvent::Asks(question));
        }
        if !urgent && session.has_news() {
            sink.tls(slot, TlsEvent::News);
        }
        match (progress, source) {
            (Progress::Done | Progress::Failed, _) | (_, Source::Socket(_, _, Behind::Nothing)) => {
                Step::Done
            }
            (_, Source::Socket(..)) => Step::More,
            (_, Source::Held) if !self.arm_read() => Step::More,
            _ => Step::Done,
        }
    }

    /// While the owner thinks about an answer the connection may end, and hardly anything else comes.
    fn hold_until_answered(&mut self, memory: &mut [u8], slot: u32, sink: &mut impl Sink) -> Step {
        if self.sealed().session.held() >= MAX_HELD {
            return Step::Done;
        }
        match self.fetch_more(memory) {
            Source::Socket(_, length, behind) => {
                self.sealed().session.hold(&memory[..length]);
                match behind {
                    Behind::Nothing => Step::Done,
                    Behind::More => Step::More,
                }
            }
            Source::End(code) => self.tell_end(slot, code, sink),
            Source::Nothing | Source::Held => Step::Done,
        }
    }

    /// One step of the handshake, whose answer leaves at once.
    fn shake_hands(&mut self, input: &[u8], output: &mut Vec<u8>, site: Site<'_>) -> Progress {
        output.clear();
        let sealed = self.sealed();
        let progress = sealed.session.handshake(input, output);
        if sealed.session.asked() == Some(Question::Store) {
            // The client gets to know of the session when it is kept; what follows waits behind that.
            sealed.withheld = true;
            sealed.unsent.append(output);
            self.outgoing = Outgoing::Blocked;
            return progress;
        }
        if progress == Progress::Done {
            // If the owner does not like the certificate it does not leave at all, as in Node.
            sealed.parting = output.to_vec();
            output.clear();
            return progress;
        }
        // If the connection has failed, reading finds out.
        let _ = self.emit(output, site);
        progress
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
        let sealed = self.sealed();
        match opened {
            Opened::Failed => {
                // Behind the bytes, which were all right.
                if filled > 0 {
                    sealed.failed_at_once = true;
                    return Step::More;
                }
                sink.tls(slot, TlsEvent::Failed);
                return Step::Done;
            }
            Opened::End => {
                // Not in one iteration with the bytes before it.
                if filled > 0 {
                    return Step::More;
                }
                self.reading = None;
                sink.read_end(slot);
                return Step::Done;
            }
            Opened::All | Opened::Full => {}
        }
        match source {
            _ if opened == Opened::Full || parting => Step::Full,
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

    // --- write --------------------------------------------------------------------------------------------------

    /// Sends ciphertext, and keeps what the kernel does not take. The buffer is empty afterwards.
    fn emit(&mut self, output: &mut Vec<u8>, site: Site<'_>) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let parting = mem::take(&mut self.sealed().parting);
        if !parting.is_empty() {
            output.splice(..0, parting);
        }
        let mut sent = 0;
        if self.outgoing == Outgoing::Open {
            let result = self.send(&[IoSlice::new(output)], site);
            sent = match result {
                Ok(sent) => sent.bytes,
                Err(error) => {
                    output.clear();
                    return Err(error);
                }
            };
        }
        if sent < output.len() {
            self.sealed().unsent.extend_from_slice(&output[sent..]);
        }
        output.clear();
        Ok(())
    }

    /// As [`Connection::write`].
    pub(super) fn write_sealed(
        &mut self,
        slices: &[IoSlice<'_>],
        site: Site<'_>,
    ) -> io::Result<Sent> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let nothing = Sent {
            bytes: 0,
            all: total == 0,
        };
        let phase = self.sealed().session.phase;
        match phase {
            Phase::Handshaking | Phase::Verifying => return Ok(nothing),
            Phase::Failed => return Err(errno::error(errno::EPIPE)),
            Phase::Open | Phase::Ended if self.outgoing == Outgoing::Blocked => return Ok(nothing),
            // Of a connection that is gone the kernel says so.
            Phase::Open | Phase::Ended if total == 0 => return self.send(slices, site),
            Phase::Open | Phase::Ended => {}
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut pieces = Pieces::of(slices);
            let mut bytes = 0;
            let Scratch { output, joined, .. } = scratch;
            output.clear();
            while let Some(piece) = pieces.next(joined) {
                let sealed = self.sealed();
                let length = sealed.session.seal(piece, output)?;
                bytes += length;
                if length < piece.len() {
                    sealed.write_waits = true;
                    break;
                }
                if output.len() >= SEALED {
                    self.emit(output, site)?;
                    if self.outgoing == Outgoing::Blocked {
                        break;
                    }
                    if bytes >= MAX_SEALED && bytes < total {
                        // The kernel has room, and the rest comes in the next iteration: see `write_due`.
                        self.outgoing = Outgoing::Blocked;
                        break;
                    }
                }
            }
            self.emit(output, site)?;
            Ok(Sent {
                bytes,
                all: bytes == total && self.outgoing == Outgoing::Open,
            })
        })
    }

    /// The signal, to be queued, of a connection that takes more without the kernel having to tell: its writer had more
    /// than is sealed at once, or its owner has answered.
    pub(crate) fn write_due(&mut self, site: Site<'_>) -> Option<&Signal> {
        if self.outgoing != Outgoing::Blocked || self.is_withheld() {
            return None;
        }
        if self.arm_write(site.key, site.list) {
            return None;
        }
        self.writable.as_deref()
    }

    /// What is unsent waits for an answer of the owner's.
    pub(super) fn is_withheld(&self) -> bool {
        self.tls.as_ref().is_some_and(|sealed| sealed.withheld)
    }

    /// The kernel has room again: whether it has all of our ciphertext now.
    pub(super) fn send_unsent(&mut self, site: Site<'_>) -> bool {
        let sealed = self.sealed();
        let unsent = mem::take(&mut sealed.unsent);
        let at = mem::take(&mut sealed.unsent_at);
        if at < unsent.len() {
            match self.send(&[IoSlice::new(&unsent[at..])], site) {
                // Reading finds out, and so does the next write.
                Err(_) => return true,
                Ok(sent) if sent.all => {}
                Ok(sent) => {
                    let sealed = self.sealed();
                    sealed.unsent = unsent;
                    sealed.unsent_at = at + sent.bytes;
                    return false;
                }
            }
        }
        true
    }

    // --- half-close ---------------------------------------------------------------------------------------------

    /// Sends close_notify. False while the kernel does not take all of it: FIN has to wait.
    pub(super) fn say_goodbye(&mut self, site: Site<'_>) -> bool {
        if !mem::replace(&mut self.sealed().said_goodbye, true) {
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.output.clear();
                self.sealed().session.close(&mut scratch.output);
                // If it cannot be sent the connection is gone.
                let _ = self.emit(&mut scratch.output, site);
            });
        }
        self.outgoing != Outgoing::Blocked
    }
}

/// Bytes that were given in slices, as pieces of a record or more each: one record costs as much as ten small ones.
struct Pieces<'a> {
    slices: &'a [IoSlice<'a>],
    /// Where the first slice goes on.
    at: usize,
}

impl<'a> Pieces<'a> {
    const fn of(slices: &'a [IoSlice<'a>]) -> Self {
        Self { slices, at: 0 }
    }

    /// The next piece; small slices are copied into `joined`.
    fn next<'b>(&mut self, joined: &'b mut Vec<u8>) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        while self
            .slices
            .first()
            .is_some_and(|first| first.len() == self.at)
        {
            self.slices = &self.slices[1..];
            self.at = 0;
        }
        let first: &'a [u8] = self.slices.first()?;
        let rest = &first[self.at..];
        if rest.len() >= RECORD || self.slices.len() == 1 {
            let piece = &rest[..rest.len().min(SEALED)];
            self.at += piece.len();
            return Some(piece);
        }
        joined.clear();
        while let Some(first) = self.slices.first()
            && joined.len() < RECORD
        {
            let rest = &first[self.at..];
            let taken = rest.len().min(RECORD - joined.len());
            joined.extend_from_slice(&rest[..taken]);
            self.at += taken;
            if taken == rest.len() {
                self.slices = &self.slices[1..];
                self.at = 0;
            }
        }
        Some(joined)
    }
}
