//! The byte streams a reactor can own, behind one set of verbs. Platforms meet here.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, Interest, ReadBuf};
#[cfg(unix)]
use tokio::net::UnixListener;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpListener, TcpStream};

/// A connected, or connecting, socket registered with Tokio's driver.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

// A peer that is gone must cost an EPIPE, never the process, whatever the host does about SIGPIPE.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
// macOS has no such flag; std and mio set SO_NOSIGPIPE on the sockets they make, and so does `adopt`.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const SEND_FLAGS: i32 = 0;

impl Stream {
    /// Registers a non-blocking socket; must run inside the runtime's context.
    pub(crate) fn adopt(socket: Socket, tcp: bool) -> io::Result<Self> {
        #[cfg(target_vendor = "apple")]
        socket.set_nosigpipe(true)?;
        if tcp {
            return TcpStream::from_std(socket.into()).map(Self::Tcp);
        }
        #[cfg(unix)]
        return UnixStream::from_std(socket.into()).map(Self::Unix);
        #[cfg(windows)]
        Err(crate::errno::error(crate::errno::ENOTSUP))
    }

    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    pub(crate) fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            #[cfg(unix)]
            Self::Unix(stream) => SockRef::from(stream),
        }
    }

    /// One read. A partial one clears Tokio's readiness, which spares the read that would find nothing.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// One system call, whether or not Tokio has heard yet that the socket is writable: a socket that was accepted
    /// in this turn can be written in this turn.
    pub(crate) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let sent = match slices {
                [one] => self.socket().send_with_flags(one, SEND_FLAGS),
                many => self.socket().send_vectored_with_flags(many, SEND_FLAGS),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent,
            }
        }
    }

    /// Like [`Stream::send`], and tells Tokio's readiness when the kernel's buffer is full.
    pub(crate) fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_io(Interest::WRITABLE, || self.send(slices)),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_io(Interest::WRITABLE, || self.send(slices)),
        }
    }

    /// Tells Tokio that the kernel's buffer is full. Sound only where no readiness can have come since it was seen.
    pub(crate) fn clear_writable(&self) {
        let full = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        // It fails with what it is given.
        let _ = match self {
            Self::Tcp(stream) => stream.try_io(Interest::WRITABLE, full),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_io(Interest::WRITABLE, full),
        };
    }

    pub(crate) fn shutdown(&self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
    }

    /// The outcome of a connect, once writable.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
    }
}

/// A listening socket registered with Tokio's driver.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    /// Registers a non-blocking, listening socket; must run inside the runtime's context.
    pub(crate) fn adopt(socket: Socket, tcp: bool) -> io::Result<Self> {
        if tcp {
            return TcpListener::from_std(socket.into()).map(Self::Tcp);
        }
        #[cfg(unix)]
        return UnixListener::from_std(socket.into()).map(Self::Unix);
        #[cfg(windows)]
        Err(crate::errno::error(crate::errno::ENOTSUP))
    }

    pub(crate) fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(listener) => SockRef::from(listener),
            #[cfg(unix)]
            Self::Unix(listener) => SockRef::from(listener),
        }
    }

    /// The next connection, close-on-exec and non-blocking; must run inside the runtime's context.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| Stream::Tcp(stream)),
            #[cfg(unix)]
            Self::Unix(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| Stream::Unix(stream)),
        }
    }
}
