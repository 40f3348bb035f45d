//! A TCP connection.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::errno;
use crate::sys::{Behind, Transport};

/// A connected, or connecting, socket registered with Tokio's driver.
pub(crate) struct Stream {
    io: TcpStream,
}

impl From<TcpStream> for Stream {
    fn from(io: TcpStream) -> Self {
        Self { io }
    }
}

impl Stream {
    /// Registers a non-blocking socket; must run inside the runtime's context.
    pub(crate) fn adopt(socket: Socket, transport: Transport) -> io::Result<Self> {
        match transport {
            Transport::Tcp => TcpStream::from_std(socket.into()).map(Self::from),
            Transport::Path => Err(errno::error(errno::ENOTSUP)),
        }
    }

    /// The socket, for options. A named pipe would not have one.
    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        Ok(SockRef::from(&self.io))
    }

    // --- read ---------------------------------------------------------------------------------------------------

    /// One read: how many bytes it found (0 at the end), and what comes after them. After `Pending` and after
    /// [`Behind::Nothing`], `cx` is woken when there is more.
    pub(crate) fn read(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut [u8],
    ) -> Poll<io::Result<(usize, Behind)>> {
        let mut buffer = ReadBuf::new(memory);
        match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let (length, full) = (buffer.filled().len(), buffer.remaining() == 0);
        let behind = if full || length == 0 || self.io.poll_read_ready(cx).is_ready() {
            Behind::More
        } else {
            Behind::Nothing
        };
        Poll::Ready(Ok((length, behind)))
    }

    /// One read of what the driver has not told of yet, after a [`Stream::read`] that was pending; the driver still
    /// tells of it.
    pub(crate) fn read_unannounced(&self, memory: &mut [u8]) -> Poll<io::Result<(usize, Behind)>> {
        match (&*SockRef::from(&self.io)).read(memory) {
            Ok(length) => Poll::Ready(Ok((length, Behind::More))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_read_ready(cx)
    }

    /// With Winsock only a read finds the end.
    pub(crate) fn is_hung_up(&self) -> bool {
        false
    }

    // --- write --------------------------------------------------------------------------------------------------

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_write_ready(cx)
    }

    /// One system call, even if Tokio does not know yet that the socket is writable: a socket that was accepted in this
    /// turn can be written in this turn.
    pub(crate) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let socket = SockRef::from(&self.io);
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
        self.io.try_io(Interest::WRITABLE, || self.send(slices))
    }

    /// Tells Tokio that the kernel's buffer is full. To be used only where the socket cannot have become writable since
    /// that was seen.
    pub(crate) fn clear_writable(&self) {
        // Always an error: the one it is given.
        let _ = self.io.try_io(Interest::WRITABLE, || {
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
    }

    pub(crate) fn shutdown(&self) -> io::Result<()> {
        self.socket()?.shutdown(Shutdown::Write)
    }

    /// The outcome of a connect, once the socket is writable.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket()?.take_error()
    }
}
