//! What can be asked and set of what is in a slot, beside its life: its ends, its options, who may open it.

use std::io;

use socket2::SockRef;

use super::{Reactor, not_a_socket};
use crate::endpoint::{self, Endpoint};
use crate::errno;
use crate::options::PipeAccess;
use crate::place::Place;

impl Reactor {
    /// The socket itself, for options.
    ///
    /// # Errors
    /// `EBADF` when the slot is empty, `ENOTSOCK` for what is not a socket (an adopted FIFO).
    pub fn socket(&self, slot: u32) -> io::Result<SockRef<'_>> {
        match self.slots.get(slot) {
            Some(place) => place.socket(),
            None => not_a_socket(),
        }
    }

    /// The local end.
    ///
    /// # Errors
    /// Those of [`Reactor::socket`], and `EADDRINUSE` when the bind has failed with that.
    pub fn local(&self, slot: u32) -> io::Result<Endpoint> {
        match self.slots.get(slot) {
            Some(Place::Bound(bound)) => bound.check()?,
            Some(Place::Accepting(accepting)) => return accepting.listener.local(),
            _ => {}
        }
        Ok(endpoint::endpoint(&self.socket(slot)?.local_addr()?))
    }

    /// The peer's end.
    pub fn peer(&self, slot: u32) -> io::Result<Endpoint> {
        Ok(endpoint::endpoint(&self.socket(slot)?.peer_addr()?))
    }

    /// Lets everybody open a listening pipe as a client, to read from it or to write to it.
    ///
    /// # Errors
    /// `EINVAL` for what is no pipe that listens. `ENOTSUP` on Unix, where the mode of the path says who may.
    pub fn open_to_all(&self, slot: u32, readable: bool, writable: bool) -> io::Result<()> {
        match self.slots.get(slot) {
            Some(Place::Accepting(accepting)) => accepting.listener.open_to_all(readable, writable),
            _ => Err(errno::error(errno::EINVAL)),
        }
    }

    /// What can be done with a connection; less than everything with some named pipes only.
    ///
    /// # Errors
    /// `EBADF` when the slot has no connection.
    pub fn access(&self, slot: u32) -> io::Result<PipeAccess> {
        match self.slots.get(slot) {
            Some(Place::Connection(connection)) => Ok(connection.stream.access()),
            _ => not_a_socket(),
        }
    }
}
