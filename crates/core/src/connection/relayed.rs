//! What a connection does for a relay: where its bytes go, and sending what another has read.

use std::io::{self, IoSlice};
use std::task::Poll;
use std::time::Instant;

use super::{Connection, Outgoing, Sent, Site, is_short_of_memory};
use crate::driver::DriverKind;
use crate::errno;
use crate::ready::{Key, Signal};
use crate::sys::{Behind, Duct};

/// What is read but not sent yet, because the other connection's kernel buffer is full.
#[derive(Default)]
pub(crate) enum Load {
    #[default]
    Nothing,
    /// So many bytes in the buffer of all relays, which belongs to this one for as long as its step takes.
    Buffered(usize),
    /// Bytes, of which so many are sent.
    Copied(Vec<u8>, usize),
    /// In the kernel.
    In(Duct),
}

/// A connection whose bytes go to another. It stays until its owner ends it, also when there is nothing more to carry.
pub(crate) struct Relay {
    pub(crate) to: Key,
    pub(crate) load: Load,
    /// Bytes read since the owner last asked.
    pub(crate) moved: u64,
    /// Much has come the last time: what comes next may go through a duct.
    pub(crate) is_bulk: bool,
    /// The system does not splice between these two.
    pub(crate) only_copies: bool,
    /// The end has come, or an error, and the owner has been told.
    pub(crate) is_over: bool,
    pub(crate) read_at: Instant,
    pub(crate) sent_at: Instant,
}

impl Relay {
    pub(crate) fn new(to: Key) -> Self {
        let now = Instant::now();
        Self {
            to,
            load: Load::Nothing,
            moved: 0,
            is_bulk: false,
            only_copies: false,
            is_over: false,
            read_at: now,
            sent_at: now,
        }
    }

    pub(crate) fn has_read(&mut self, length: usize) {
        self.moved += length as u64;
        self.read_at = Instant::now();
    }
}

impl Connection {
    /// Whether what it reads can go to another connection. What it has to send itself makes no difference.
    pub(crate) fn may_relay_from(&self) -> bool {
        self.outgoing != Outgoing::Connecting
    }

    /// Whether it can send what another connection reads, with nothing in front of that.
    pub(crate) fn may_relay_to(&self) -> bool {
        self.outgoing == Outgoing::Open
    }

    /// From here on what is read is the relay's. Returns the signal, to be queued, if there is something to read already.
    pub(crate) fn relay_start(&mut self, relay: Relay, may_lag: bool) -> Option<&Signal> {
        self.read_stop();
        self.relay = Some(Box::new(relay));
        let ready = !self.arm_read();
        self.ask_system = may_lag && !ready;
        (ready || self.ask_system).then_some(&*self.readable)
    }

    /// The pump has taken the entry that says that it is readable.
    pub(crate) fn read_is_due(&self) {
        self.readable.taken();
    }

    /// The same for an entry that says that it is writable.
    pub(crate) fn write_is_due(&self) {
        if let Some(writable) = &self.writable {
            writable.taken();
        }
    }

    /// Whether it has been read in this pump.
    pub(crate) fn was_read_in(&self, pump: u32) -> bool {
        self.read_in == pump
    }

    /// Whether it has been read in this pump, and that has found an error, of which the owner has not heard yet.
    pub(crate) fn has_failed_in(&self, pump: u32) -> bool {
        self.read_failed && self.was_read_in(pump)
    }

    pub(crate) fn reads_in(&mut self, pump: u32) {
        self.read_in = pump;
    }

    /// Whether there is something to read, as far as Tokio knows; otherwise we are woken when there is.
    pub(crate) fn has_arrivals(&self) -> bool {
        !self.arm_read()
    }

    pub(crate) fn read_copy(&mut self, memory: &mut [u8]) -> Poll<io::Result<(usize, Behind)>> {
        self.read_stream(memory)
    }

    /// Sends what another connection has read, and asks to be woken if the kernel does not take all of it.
    pub(crate) fn send_copy(&mut self, bytes: &[u8], site: Site<'_>) -> io::Result<Sent> {
        match self.outgoing {
            Outgoing::Connecting => Err(errno::error(errno::ENOTCONN)),
            Outgoing::Blocked => Ok(Sent {
                bytes: 0,
                all: false,
            }),
            Outgoing::Open => self.send(&[IoSlice::new(bytes)], site),
        }
    }

    /// The same with the bytes of a duct. Returns whether it is empty now.
    pub(crate) fn send_duct(&mut self, duct: &mut Duct, site: Site<'_>) -> io::Result<bool> {
        match self.outgoing {
            Outgoing::Connecting => return Err(errno::error(errno::ENOTCONN)),
            Outgoing::Blocked => return Ok(false),
            Outgoing::Open => {}
        }
        match duct.drain(&self.stream) {
            Ok(false) => return Ok(true),
            Ok(true) => {}
            Err(error) if is_short_of_memory(&error) => {
                self.send_later(0, site);
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        // As in `blocked`.
        self.outgoing = Outgoing::Blocked;
        if site.driver.kind() == DriverKind::InLoop {
            self.stream.clear_writable();
        }
        while !self.arm_write(site.key, site.list) {
            match duct.try_drain(&self.stream) {
                Err(error) if is_short_of_memory(&error) => {
                    self.send_later(0, site);
                    return Ok(false);
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            if duct.len() == 0 {
                self.outgoing = Outgoing::Open;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
