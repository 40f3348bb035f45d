//! Sockets that come from outside, and sockets on their way from one reactor to another.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use socket2::SockRef;

use crate::connection::Connection;
use crate::errno;
use crate::place::{Bound, Place};
use crate::reactor::{Reactor, not_a_socket};
use crate::sys::descriptor::{Stage, stage};
use crate::sys::{Name, Stream};

pub use crate::sys::descriptor::{DescriptorKind, kind};

/// A socket that belongs to no reactor: non-blocking, in whatever state it was in.
#[derive(Debug)]
pub struct Released {
    // Before the descriptor: fields are dropped in order, and the path is removed first.
    name: Name,
    descriptor: OwnedFd,
}

impl Released {
    /// The descriptor alone. If the socket is bound to a path, that stays in the file system.
    pub fn into_descriptor(self) -> OwnedFd {
        self.name.keep();
        self.descriptor
    }
}

impl From<OwnedFd> for Released {
    fn from(descriptor: OwnedFd) -> Self {
        Self {
            name: Name::default(),
            descriptor,
        }
    }
}

impl AsFd for Released {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Released {
    fn as_raw_fd(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }
}

impl Reactor {
    /// Takes in a descriptor from outside, or from another reactor. A connection can be read and written; a socket that
    /// is not connected can be bound, listen or connect. A connect that is under way goes unnoticed.
    ///
    /// # Errors
    /// `EINVAL` for anything but TCP, Unix-domain streams and FIFOs, `EEXIST` for a descriptor that this reactor has
    /// already, and the system's error when it will not watch the descriptor. In each case the socket is given back.
    pub fn adopt(&mut self, released: Released) -> Result<u32, (io::Error, Released)> {
        let prepared = stage(released.as_fd()).and_then(|stage| {
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
        let Released { name, descriptor } = released;
        let stream = {
            let _context = self.driver.handle().enter();
            match stage {
                Stage::Bound(transport) => {
                    return Ok(self.insert_bound(Bound::new(name, descriptor.into(), transport)));
                }
                Stage::Connected(transport) => Stream::adopt_descriptor(descriptor, transport),
                Stage::Fifo => Stream::adopt_fifo(descriptor),
            }
        };
        match stream {
            Ok(stream) => {
                let list = &self.ready;
                Ok(self
                    .slots
                    .insert_with(|key| Place::Connection(Connection::new(stream, name, key, list))))
            }
            Err((error, descriptor)) => Err((error, Released { name, descriptor })),
        }
    }

    fn owns(&self, descriptor: i32) -> bool {
        self.slots
            .iter()
            .filter_map(Place::descriptor)
            .any(|ours| ours.as_raw_fd() == descriptor)
    }

    /// The descriptor in a slot, which stays the reactor's.
    ///
    /// # Errors
    /// `EBADF` when the slot is empty.
    pub fn descriptor_of(&self, slot: u32) -> io::Result<BorrowedFd<'_>> {
        match self.slots.get(slot).and_then(Place::descriptor) {
            Some(descriptor) => Ok(descriptor),
            None => not_a_socket(),
        }
    }

    /// Gives a socket away, with everything the kernel holds for it. The slot is closed.
    ///
    /// # Errors
    /// `EALREADY` while a connect is under way: its outcome would be lost.
    pub fn release(&mut self, slot: u32) -> io::Result<Released> {
        self.descriptor_of(slot)?;
        if self.is_connecting(slot) {
            return Err(errno::error(errno::EALREADY));
        }
        self.relay_forget(slot);
        let (name, descriptor) = match self.slots.remove(slot) {
            Some(Place::Bound(bound)) => (bound.name, bound.socket.into()),
            Some(Place::Connection(connection)) => (connection.name, connection.stream.release()),
            Some(Place::Accepting(accepting)) => (accepting.name, accepting.listener.release()),
            Some(Place::Spent) | None => return not_a_socket(),
        };
        Ok(Released { name, descriptor })
    }
}

impl Place {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Bound(bound) => Some(bound.socket.as_fd()),
            Self::Connection(connection) => Some(connection.stream.descriptor()),
            Self::Accepting(accepting) => Some(accepting.listener.descriptor()),
            Self::Spent => None,
        }
    }
}

/// Sockets between two reactors of this process, by the number on their ticket.
///
/// A process may hold several copies of this library, each with a map of its own, and a ticket can end up with any of
/// them. So the numbers are drawn at random: a copy will not have a number of another one's in its map.
static PARKED: Mutex<Option<HashMap<Ticket, Released>>> = Mutex::new(None);

/// The number on a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// JavaScript's numbers are exact up to here.
    const MOST: u64 = (1 << 53) - 1;

    fn draw() -> Self {
        // std seeds it from the system's randomness, anew in each copy of itself, and never gives the same one twice.
        Self(RandomState::new().hash_one(()) & Self::MOST)
    }

    /// As JavaScript has it. It is never negative.
    pub const fn number(self) -> i64 {
        self.0.cast_signed()
    }
}

impl From<i64> for Ticket {
    fn from(number: i64) -> Self {
        Self(number.cast_unsigned())
    }
}

fn parked() -> MutexGuard<'static, Option<HashMap<Ticket, Released>>> {
    // The map is whole even if a thread panicked with the lock: each change of it is a single call.
    PARKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a socket for the thread that comes with the ticket.
pub fn park(socket: Released) -> Ticket {
    let mut parked = parked();
    let sockets = parked.get_or_insert_default();
    let mut ticket = Ticket::draw();
    while sockets.contains_key(&ticket) {
        ticket = Ticket::draw();
    }
    sockets.insert(ticket, socket);
    ticket
}

/// The socket of a ticket; `None` when it has been fetched already, or never was here.
pub fn claim(ticket: Ticket) -> Option<Released> {
    parked().as_mut()?.remove(&ticket)
}

/// Puts back what [`claim`] gave: the ticket is good again.
pub fn unclaim(ticket: Ticket, socket: Released) {
    parked().get_or_insert_default().insert(ticket, socket);
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_ticket_is_good_once() {
        let (unix, _other) = UnixStream::pair().expect("pair");
        let descriptor = unix.as_raw_fd();
        let ticket = park(Released::from(OwnedFd::from(unix)));
        let claimed = claim(ticket).expect("parked");
        assert_eq!(claimed.as_raw_fd(), descriptor);
        assert!(claim(ticket).is_none());
        unclaim(ticket, claimed);
        assert!(claim(ticket).is_some());
    }

    fn park_one() -> Ticket {
        let (unix, _other) = UnixStream::pair().expect("pair");
        park(Released::from(OwnedFd::from(unix)))
    }

    #[test]
    fn the_number_of_a_ticket_tells_nothing_of_the_others() {
        let tickets: Vec<_> = (0..64).map(|_| park_one()).collect();
        for pair in tickets.windows(2) {
            let (one, next) = (pair[0].number(), pair[1].number());
            // Neighbours would be the next number of every other copy of this library.
            assert!(one.abs_diff(next) > 1 << 16);
            assert!(claim(Ticket::from(one + 1)).is_none());
        }
        for ticket in tickets {
            let number = ticket.number();
            assert!((0..1 << 53).contains(&number));
            // Past JavaScript and back.
            assert!(claim(Ticket::from(number as f64 as i64)).is_some());
        }
        assert!(claim(Ticket::from(-1)).is_none());
    }

    #[test]
    fn a_path_goes_with_its_socket_but_stays_when_only_the_descriptor_is_taken() {
        let path = std::env::temp_dir().join(format!("ferronet-{}-released", std::process::id()));
        let text = path.to_str().expect("a temporary path in UTF-8");
        for (stays, end) in [
            (false, drop as fn(Released)),
            (true, |released| drop(released.into_descriptor())),
        ] {
            std::fs::write(&path, "").expect("temporary file");
            let (unix, _other) = UnixStream::pair().expect("pair");
            end(Released {
                name: Name::of(text),
                descriptor: unix.into(),
            });
            assert_eq!(path.exists(), stays);
        }
        std::fs::remove_file(&path).expect("it stayed");
    }
}
