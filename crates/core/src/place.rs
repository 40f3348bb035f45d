//! What a slot of the reactor can hold.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, SockRef};

use crate::connection::Connection;
use crate::errno;
use crate::options::PipeOptions;
use crate::ready::{Direction, Signal};
use crate::sys::{self, Listener, Name, Socket, Transport};

/// One slot's content. A socket starts as `Bound` and becomes one of the other two; an accepted one starts as
/// `Connection`.
pub(crate) enum Place {
    Bound(Box<Bound>),
    Connection(Connection),
    Accepting(Box<Accepting>),
    /// Registering the socket failed half-way. All that is left is to close the slot.
    Spent,
}

/// A socket that does no I/O yet: it is bound, or new, or its connect failed.
pub(crate) struct Bound {
    // Before the socket, here and below: fields are dropped in order, and the path is removed first.
    pub(crate) name: Name,
    pub(crate) socket: Socket,
    pub(crate) transport: Transport,
    /// The error of a TCP bind that is reported when the socket is put to use: libuv does that with `EADDRINUSE`.
    delayed: Option<i32>,
}

pub(crate) struct Accepting {
    pub(crate) name: Name,
    pub(crate) listener: Listener,
    pub(crate) readable: Arc<Signal>,
}

impl Bound {
    pub(crate) const fn new(name: Name, socket: Socket, transport: Transport) -> Self {
        Self {
            name,
            socket,
            transport,
            delayed: None,
        }
    }

    /// A new socket to connect with.
    pub(crate) fn unbound(domain: Domain, transport: Transport) -> io::Result<Self> {
        let socket = sys::new_socket(domain, transport)?;
        Ok(Self::new(Name::default(), socket, transport))
    }

    /// A TCP socket bound to an address.
    pub(crate) fn tcp(address: SocketAddr, only_v6: bool, reuse_port: bool) -> io::Result<Self> {
        let mut bound = Self::unbound(Domain::for_address(address), Transport::Tcp)?;
        let socket = sys::as_socket(&bound.socket)?;
        sys::before_bind(&socket, reuse_port)?;
        if address.is_ipv6() {
            socket.set_only_v6(only_v6)?;
        }
        match socket.bind(&address.into()) {
            Err(error) if errno::code(&error) == errno::EADDRINUSE => {
                bound.delayed = Some(errno::EADDRINUSE);
            }
            result => result?,
        }
        Ok(bound)
    }

    /// A socket bound to a path, which is removed when the socket closes.
    pub(crate) fn path(path: &str, options: &PipeOptions) -> io::Result<Self> {
        let socket = sys::bind_path(path, options)?;
        Ok(Self::new(Name::of(path), socket, Transport::Path))
    }

    /// The bind's own error, if it is still to be reported.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.delayed.map_or(Ok(()), |code| Err(errno::error(code)))
    }
}

impl Place {
    /// # Errors
    /// `EBADF` when there is none, `ENOTSOCK` for what is not a socket.
    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        match self {
            Self::Bound(bound) => sys::as_socket(&bound.socket),
            Self::Connection(connection) => connection.socket(),
            Self::Accepting(accepting) => accepting.listener.socket(),
            Self::Spent => Err(errno::error(errno::EBADF)),
        }
    }

    pub(crate) fn name_mut(&mut self) -> Option<&mut Name> {
        match self {
            Self::Bound(bound) => Some(&mut bound.name),
            Self::Connection(connection) => Some(&mut connection.name),
            Self::Accepting(accepting) => Some(&mut accepting.name),
            Self::Spent => None,
        }
    }

    /// The signal of one direction, if the place has one.
    pub(crate) fn signal(&self, direction: Direction) -> Option<&Signal> {
        match self {
            Self::Bound(_) | Self::Spent => None,
            Self::Accepting(accepting) => Some(&accepting.readable),
            Self::Connection(connection) => connection.signal(direction),
        }
    }
}
