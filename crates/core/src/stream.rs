//! The byte streams a reactor can own, behind one set of verbs. Platforms meet here.

#[cfg(unix)]
use std::fs::File;
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::io::{Read, Write};
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::pin::Pin;
#[cfg(unix)]
use std::task::ready;
use std::task::{Context, Poll};

use socket2::{SockRef, Socket};
#[cfg(unix)]
use tokio::io::unix::AsyncFd;
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
    /// One end of a pipe(2), adopted: no socket, so options and half-close mean nothing to it.
    #[cfg(unix)]
    Fifo(AsyncFd<File>),
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

    /// As [`Stream::adopt`], for a descriptor from outside, which is given back when the system will not watch it.
    #[cfg(unix)]
    pub(crate) fn adopt_descriptor(
        descriptor: OwnedFd,
        tcp: bool,
    ) -> Result<Self, (io::Error, OwnedFd)> {
        // Tokio's streams close what they cannot register. AsyncFd gives it back, so that one tries first.
        let Self::Fifo(watched) = Self::adopt_fifo(descriptor)? else {
            unreachable!("a fifo was asked for")
        };
        let descriptor = OwnedFd::from(watched.into_inner());
        let spare = match descriptor.try_clone() {
            Ok(spare) => spare,
            Err(error) => return Err((error, descriptor)),
        };
        Self::adopt(descriptor.into(), tcp).map_err(|error| (error, spare))
    }

    /// As [`Stream::adopt_descriptor`], for one end of a pipe(2).
    #[cfg(unix)]
    pub(crate) fn adopt_fifo(fifo: OwnedFd) -> Result<Self, (io::Error, OwnedFd)> {
        // SAFETY: a File names one descriptor for all its life, and closes it only when it is dropped, which AsyncFd does
        // after it has deregistered it.
        match unsafe { AsyncFd::register(File::from(fifo)) } {
            Ok(fifo) => Ok(Self::Fifo(fifo)),
            Err(failed) => {
                let (fifo, error) = failed.into_parts();
                Err((error, fifo.into()))
            }
        }
    }

    /// Takes it away from Tokio's driver.
    #[cfg(unix)]
    pub(crate) fn release(self) -> io::Result<OwnedFd> {
        Ok(match self {
            Self::Tcp(stream) => stream.into_std()?.into(),
            Self::Unix(stream) => stream.into_std()?.into(),
            Self::Fifo(fifo) => fifo.into_inner().into(),
        })
    }

    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    pub(crate) fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            #[cfg(unix)]
            Self::Unix(stream) => SockRef::from(stream),
            #[cfg(unix)]
            Self::Fifo(fifo) => SockRef::from(fifo.get_ref()),
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
            #[cfg(unix)]
            Self::Fifo(fifo) => loop {
                let mut guard = ready!(fifo.poll_read_ready(cx))?;
                let memory = buffer.initialize_unfilled();
                let wanted = memory.len();
                // An error is "would block" when readiness was told of in vain: it is cleared, and we ask again.
                let Ok(result) = guard.try_io(|file| file.get_ref().read(memory)) else {
                    continue;
                };
                let length = result?;
                if length > 0 && length < wanted {
                    guard.clear_ready();
                }
                buffer.advance(length);
                return Poll::Ready(Ok(()));
            },
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_read_ready(cx),
            #[cfg(unix)]
            Self::Fifo(fifo) => fifo.poll_read_ready(cx).map_ok(drop),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_write_ready(cx),
            #[cfg(unix)]
            Self::Fifo(fifo) => fifo.poll_write_ready(cx).map_ok(drop),
        }
    }

    /// One system call, whether or not Tokio has heard yet that the socket is writable: a socket that was accepted
    /// in this turn can be written in this turn.
    pub(crate) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            #[cfg(unix)]
            if let Self::Fifo(fifo) = self {
                // The host ignores SIGPIPE, as Node does: a pipe nobody reads is EPIPE.
                return fifo.get_ref().write_vectored(slices);
            }
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
            #[cfg(unix)]
            Self::Fifo(fifo) => fifo.try_io(Interest::WRITABLE, |_| self.send(slices)),
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
            #[cfg(unix)]
            Self::Fifo(fifo) => fifo.try_io(Interest::WRITABLE, |_| full()),
        };
    }

    pub(crate) fn shutdown(&self) -> io::Result<()> {
        #[cfg(unix)]
        if let Self::Fifo(_) = self {
            // It has one direction; closing it is all there is.
            return Ok(());
        }
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

    /// Takes it away from Tokio's driver.
    #[cfg(unix)]
    pub(crate) fn release(self) -> io::Result<OwnedFd> {
        Ok(match self {
            Self::Tcp(listener) => listener.into_std()?.into(),
            Self::Unix(listener) => listener.into_std()?.into(),
        })
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
