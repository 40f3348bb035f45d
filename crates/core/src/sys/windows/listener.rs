//! A listening TCP socket.

use std::io;
use std::task::{Context, Poll};

use socket2::{SockRef, Socket};
use tokio::net::TcpListener;

use super::Stream;
use crate::errno;
use crate::sys::Transport;

/// A listening socket registered with Tokio's driver.
pub(crate) struct Listener {
    io: TcpListener,
}

impl Listener {
    /// Registers a non-blocking, listening socket; must run inside the runtime's context.
    pub(crate) fn adopt(socket: Socket, transport: Transport) -> io::Result<Self> {
        match transport {
            Transport::Tcp => TcpListener::from_std(socket.into()).map(|io| Self { io }),
            Transport::Path => Err(errno::error(errno::ENOTSUP)),
        }
    }

    pub(crate) fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.io)
    }

    /// The next connection, non-blocking; must run inside the runtime's context.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        self.io
            .poll_accept(cx)
            .map_ok(|(stream, _)| Stream::from(stream))
    }
}
