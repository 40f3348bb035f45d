//! What leaves a session: sealed bytes, those of its handshake, and its end.

use std::io::{self, IoSlice};
use std::mem;

use super::{SCRATCH, Scratch, Sealed};
use crate::connection::{Connection, Outgoing, Sent, Site};
use crate::errno;
use crate::ready::Signal;
use crate::tls::{Phase, RECORD};

/// So much is given to OpenSSL at once.
const PIECE: usize = 64 * 1024;
/// So much is sealed in one iteration for a writer that has more, which takes a third of a millisecond. It leaves in one
/// system call: between two, with Nagle's algorithm, the end of the first is a short segment, and the end of the second
/// one then waits until the peer has acknowledged that, which may take it 40 ms.
const MAX_SEALED: usize = 1024 * 1024;

impl Connection {
    /// Sends ciphertext, and keeps what the kernel does not take. The buffer is empty afterwards.
    pub(super) fn emit(&mut self, output: &mut Vec<u8>, site: Site<'_>) -> io::Result<()> {
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
                    self.sealed().broken = Some(errno::code(&error));
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
    pub(in crate::connection) fn write_sealed(
        &mut self,
        slices: &[IoSlice<'_>],
        site: Site<'_>,
    ) -> io::Result<Sent> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let nothing = Sent {
            bytes: 0,
            all: total == 0,
        };
        let Sealed {
            session, broken, ..
        } = self.sealed();
        match session.phase {
            Phase::Handshaking | Phase::Verifying => return Ok(nothing),
            Phase::Failed => return Err(errno::error(errno::EPIPE)),
            Phase::Open | Phase::Ended => {}
        }
        if let Some(code) = *broken {
            return Err(errno::error(code));
        }
        if self.outgoing == Outgoing::Blocked {
            return Ok(nothing);
        }
        // Of a connection that is gone the kernel says so.
        if total == 0 {
            return self.send(slices, site);
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
                if bytes >= MAX_SEALED && bytes < total {
                    break;
                }
            }
            self.emit(output, site)?;
            if bytes >= MAX_SEALED && bytes < total {
                // If the kernel has room the rest comes in the next iteration: see `write_due`.
                self.outgoing = Outgoing::Blocked;
            }
            Ok(Sent {
                bytes,
                all: bytes == total && self.outgoing == Outgoing::Open,
            })
        })
    }

    /// The signal, to be queued, of a connection that takes more without the kernel having to tell: its writer had more
    /// than is sealed at once, or its owner has answered.
    pub(crate) fn write_due(&mut self, site: Site<'_>) -> Option<&Signal> {
        if self.tls.is_none() || self.outgoing != Outgoing::Blocked || self.is_withheld() {
            return None;
        }
        if self.arm_write(site.key, site.list) {
            return None;
        }
        self.writable.as_deref()
    }

    /// What is unsent waits for an answer of the owner's.
    pub(in crate::connection) fn is_withheld(&self) -> bool {
        self.tls.as_ref().is_some_and(|sealed| sealed.withheld)
    }

    /// The kernel has room again: whether it has all of our ciphertext now.
    pub(in crate::connection) fn send_unsent(&mut self, site: Site<'_>) -> bool {
        let sealed = self.sealed();
        let unsent = mem::take(&mut sealed.unsent);
        let at = mem::take(&mut sealed.unsent_at);
        if at < unsent.len() {
            match self.send(&[IoSlice::new(&unsent[at..])], site) {
                // The next write hears of it, be it one of nothing.
                Err(error) => {
                    self.sealed().broken = Some(errno::code(&error));
                    return true;
                }
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
    pub(in crate::connection) fn say_goodbye(&mut self, site: Site<'_>) -> bool {
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
            let piece = &rest[..rest.len().min(PIECE)];
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
