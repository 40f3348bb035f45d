//! A listening TCP socket.

use std::io;
use std::task::{Context, Poll};

use socket2::{SockRef, Socket};
use tokio::net::TcpListener;

use super::Stream;
use crate::errno;

/// A listening socket registered with Tokio's driver.
pub(crate) struct Listener {
    io: TcpListener,
}

impl Listener {
    /// Registers a non-blocking, listening socket; must run inside the runtime's context.
    pub(crate) fn adopt(socket: Socket, tcp: bool) -> io::Result<Self> {
        if !tcp {
            return Err(errno::error(errno::ENOTSUP));
        }
        TcpListener::from_std(socket.into()).map(|io| Self { io })
    }

    #[expect(clippy::unused_self, reason = "pipes will not be")]
    pub(crate) fn is_tcp(&self) -> bool {
        true
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
