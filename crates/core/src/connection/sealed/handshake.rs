//! How a session begins: the handshake, what it asks meanwhile, and those that may follow it.

use std::io;
use std::time::{Duration, Instant};

use super::{SCRATCH, Scratch, Sealed, Source, room};
use crate::connection::{Connection, FIRST_READ, Outgoing, Site};
use crate::errno;
use crate::queue::{Step, Turn};
use crate::sink::{Sink, TlsEvent};
use crate::sys::Behind;
use crate::tls::{Answer, Context, Phase, Progress, Question, Session, Start};

/// Handshakes of one iteration may take so long, then those that follow wait for the next one: a full handshake takes
/// the time of a hundred small messages, and a flood of them must not hold up the sockets that are open.
const HANDSHAKES: Duration = Duration::from_millis(2);
/// So much ciphertext is kept while the owner thinks about an answer; a peer that waits for it sends none.
const MAX_HELD: usize = 64 * 1024;

impl Connection {
    /// See [`Reactor::tls_start`](crate::Reactor::tls_start).
    pub(crate) fn start_session(
        &mut self,
        context: &Context,
        start: &Start<'_>,
        site: Site<'_>,
    ) -> io::Result<()> {
        // The kernel may have no room at the moment, behind a relay for example: then the hello waits for it.
        if self.outgoing == Outgoing::Connecting || self.tls.is_some() {
            return Err(errno::error(errno::EINVAL));
        }
        self.tls = Some(Box::new(Sealed {
            session: Session::new(context, start)?,
            unsent: Vec::new(),
            unsent_at: 0,
            broken: None,
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

    /// See [`Reactor::tls_part`](crate::Reactor::tls_part).
    pub(crate) fn part_session(&mut self, site: Site<'_>) -> io::Result<()> {
        match &self.tls {
            Some(sealed) if sealed.session.phase == Phase::Verifying => {}
            _ => return Err(errno::error(errno::EINVAL)),
        }
        SCRATCH.with_borrow_mut(|scratch| self.part(&mut scratch.output, site));
        Ok(())
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

    pub(super) fn handshake_step(
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

    /// While the owner thinks about an answer, or about the peer, the connection may end, and hardly anything else comes.
    pub(super) fn hold_until_answered(
        &mut self,
        memory: &mut [u8],
        slot: u32,
        sink: &mut impl Sink,
    ) -> Step {
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
}
