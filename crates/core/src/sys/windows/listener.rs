//! A listening TCP socket, or the server of a named pipe.

use std::io;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::net::TcpListener;

use super::pipe::Instances;
use super::{Socket, Stream};
use crate::endpoint::{Endpoint, endpoint};
use crate::errno;
use crate::sys::Transport;

/// A listener registered with Tokio's driver.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Pipe(Instances),
}

impl Listener {
    /// Registers a non-blocking, listening socket, or a pipe; must run inside the runtime's context.
    pub(crate) fn adopt(socket: Socket, _transport: Transport) -> io::Result<Self> {
        match socket {
            Socket::Winsock(socket) => TcpListener::from_std(socket.into()).map(Self::Tcp),
            Socket::Server(reserved) => Ok(Self::Pipe(Instances::listen(reserved))),
            Socket::Client | Socket::Opened(_) => Err(errno::error(errno::EINVAL)),
        }
    }

    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        match self {
            Self::Tcp(io) => Ok(SockRef::from(io)),
            Self::Pipe(_) => Err(errno::error(errno::ENOTSOCK)),
        }
    }

    /// Where it listens.
    pub(crate) fn local(&self) -> io::Result<Endpoint> {
        match self {
            Self::Tcp(io) => Ok(endpoint(&SockRef::from(io).local_addr()?)),
            Self::Pipe(instances) => Ok(Endpoint::Path(instances.path().into_bytes())),
        }
    }

    /// Lets everybody open a pipe as a client, to read or to write.
    pub(crate) fn open_to_all(&self, readable: bool, writable: bool) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Err(errno::error(errno::EINVAL)),
            Self::Pipe(instances) => instances.open_to_all(readable, writable),
        }
    }

    /// The next connection, non-blocking; must run inside the runtime's context.
    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(io) => io
                .poll_accept(cx)
                .map_ok(|(stream, _)| Stream::from(stream)),
            Self::Pipe(instances) => instances.poll_accept(cx).map_ok(Stream::from),
        }
    }
}
