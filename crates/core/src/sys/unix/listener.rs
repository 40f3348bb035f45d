//! A listening TCP or Unix-domain socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use socket2::{SockRef, Socket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Stream;
use crate::endpoint::{Endpoint, endpoint};
use crate::errno;
use crate::sys::Transport;

/// A listening socket registered with Tokio's driver.
pub(crate) struct Listener {
    io: AsyncFd<OwnedFd>,
    transport: Transport,
}

impl Listener {
    /// Registers a non-blocking, listening socket; must run inside the runtime's context.
    pub(crate) fn adopt(socket: Socket, transport: Transport) -> io::Result<Self> {
        let descriptor = OwnedFd::from(socket);
        // SAFETY: an OwnedFd is the same descriptor all its life and stays open until it is dropped. AsyncFd drops it
        // after deregistering it.
        let io = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
        Ok(Self { io, transport })
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "a named pipe of Windows has no socket"
    )]
    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        Ok(SockRef::from(self.io.get_ref()))
    }

    #[expect(clippy::unused_self, reason = "on Windows a pipe has permissions")]
    pub(crate) fn open_to_all(&self, _readable: bool, _writable: bool) -> io::Result<()> {
        Err(errno::error(errno::ENOTSUP))
    }

    pub(crate) fn local(&self) -> io::Result<Endpoint> {
        Ok(endpoint(&self.socket()?.local_addr()?))
    }

    /// Deregisters it from Tokio's driver.
    pub(crate) fn release(self) -> OwnedFd {
        self.io.into_inner()
    }

    /// The next connection, close-on-exec and non-blocking; must run inside the runtime's context.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        loop {
            let mut guard = ready!(self.io.poll_read_ready(cx))?;
            match accept(&SockRef::from(self.io.get_ref())) {
                Ok(socket) => return Poll::Ready(Stream::adopt(socket, self.transport)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// One system call, where accept4(2) sets both flags. The peer's address is not wanted yet.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn accept(listener: &Socket) -> io::Result<Socket> {
    use std::os::fd::{AsRawFd, FromRawFd};

    const FLAGS: libc::c_int = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let (no_address, no_length) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the listener is open, and null pointers mean that no address is written.
    let accepted = unsafe { libc::accept4(listener.as_raw_fd(), no_address, no_length, FLAGS) };
    if accepted == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nothing else owns.
    Ok(unsafe { Socket::from_raw_fd(accepted) })
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn accept(listener: &Socket) -> io::Result<Socket> {
    let (socket, _address) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
