//! A TCP connection, or one end of a named pipe.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::Socket;
use super::pipe::Pipe;
use crate::errno;
use crate::options::PipeAccess;
use crate::sys::{Behind, Transport};

/// A connected, or connecting, socket or pipe, registered with Tokio's driver.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Pipe(Box<Pipe>),
}

impl From<TcpStream> for Stream {
    fn from(io: TcpStream) -> Self {
        Self::Tcp(io)
    }
}

impl From<Pipe> for Stream {
    fn from(pipe: Pipe) -> Self {
        Self::Pipe(Box::new(pipe))
    }
}

impl Stream {
    /// Registers a non-blocking socket, or a pipe that has been opened; must run inside the runtime's context.
    pub(crate) fn adopt(socket: Socket, _transport: Transport) -> io::Result<Self> {
        match socket {
            Socket::Winsock(socket) => TcpStream::from_std(socket.into()).map(Self::from),
            Socket::Opened(opening) => Ok(Pipe::client(opening).into()),
            Socket::Client | Socket::Server(_) => Err(errno::error(errno::EINVAL)),
        }
    }

    /// The socket, for options. A named pipe does not have one.
    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        match self {
            Self::Tcp(io) => Ok(SockRef::from(io)),
            Self::Pipe(_) => Err(errno::error(errno::ENOTSOCK)),
        }
    }

    /// The directions in which bytes can go.
    pub(crate) fn access(&self) -> PipeAccess {
        match self {
            Self::Tcp(_) => PipeAccess::Duplex,
            Self::Pipe(pipe) => pipe.access(),
        }
    }

    // --- read ---------------------------------------------------------------------------------------------------

    pub(crate) const READS_PIECES: bool = false;

    /// Nobody calls it.
    #[expect(clippy::unused_self, reason = "as on Unix")]
    pub(crate) fn read_pieces(
        &mut self,
        _cx: &mut Context<'_>,
        _pieces: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<(usize, Behind)>> {
        Poll::Ready(Err(errno::error(errno::ENOTSUP)))
    }

    /// One read: how many bytes it found (0 at the end), and what comes after them. After `Pending` and after
    /// [`Behind::Nothing`], `cx` is woken when there is more.
    pub(crate) fn read(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut [u8],
    ) -> Poll<io::Result<(usize, Behind)>> {
        let io = match self {
            Self::Tcp(io) => io,
            Self::Pipe(pipe) => return pipe.read(cx, memory),
        };
        let mut buffer = ReadBuf::new(memory);
        match Pin::new(&mut *io).poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let (length, full) = (buffer.filled().len(), buffer.remaining() == 0);
        let behind = if full || length == 0 || io.poll_read_ready(cx).is_ready() {
            Behind::More
        } else {
            Behind::Nothing
        };
        Poll::Ready(Ok((length, behind)))
    }

    /// One read of what the driver has not told of yet, after a [`Stream::read`] that was pending; the driver still
    /// tells of it.
    pub(crate) fn read_unannounced(&self, memory: &mut [u8]) -> Poll<io::Result<(usize, Behind)>> {
        let Self::Tcp(io) = self else {
            // Its reads ask the system anyway.
            return Poll::Pending;
        };
        match (&*SockRef::from(io)).read(memory) {
            Ok(length) => Poll::Ready(Ok((length, Behind::More))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(io) => io.poll_read_ready(cx),
            Self::Pipe(pipe) => pipe.poll_read_ready(cx),
        }
    }

    /// On this platform only a read finds the end.
    pub(crate) fn is_hung_up(&self) -> bool {
        false
    }

    // --- write --------------------------------------------------------------------------------------------------

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(io) => io.poll_write_ready(cx),
            Self::Pipe(pipe) => pipe.poll_write_ready(cx),
        }
    }

    /// One system call, even if Tokio does not know yet that the socket is writable: a socket that was accepted in this
    /// turn can be written in this turn.
    pub(crate) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let io = match self {
            Self::Tcp(io) => io,
            Self::Pipe(pipe) => return pipe.send(slices),
        };
        loop {
            let socket = SockRef::from(io);
            let sent = match slices {
                [one] => socket.send(one),
                many => socket.send_vectored(many),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent,
            }
        }
    }

    /// Like [`Stream::send`], and Tokio learns of it when the kernel's buffer is full.
    pub(crate) fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(io) => io.try_io(Interest::WRITABLE, || self.send(slices)),
            Self::Pipe(pipe) => pipe.send(slices),
        }
    }

    /// Tells Tokio that the kernel's buffer is full. To be used only where the socket cannot have become writable since
    /// that was seen.
    pub(crate) fn clear_writable(&self) {
        if let Self::Tcp(io) = self {
            // Always an error: the one it is given.
            let _ = io.try_io(Interest::WRITABLE, || {
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            });
        }
    }

    pub(crate) fn shutdown(&mut self) -> io::Result<Behind> {
        match self {
            Self::Tcp(io) => SockRef::from(&*io)
                .shutdown(Shutdown::Write)
                .map(|()| Behind::Nothing),
            Self::Pipe(pipe) => pipe.shutdown(),
        }
    }

    /// The outcome of a connect, once the stream is writable.
    pub(crate) fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Tcp(io) => SockRef::from(&*io).take_error(),
            Self::Pipe(pipe) => pipe.finish_open().map(|()| None),
        }
    }
}
