//! A connection as one descriptor: a TCP or Unix-domain socket, or an end of a pipe(2).
//!
//! epoll reports readiness once, when it begins (edge-triggered). A read that found less than it asked for is taken to
//! have emptied the kernel's buffer, which saves us the read that would find nothing. Two things end a read early
//! although there is more: TCP's urgent mark, and a Unix-domain message that came with descriptors. Both can be
//! recognised.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::RawFd;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use socket2::{SockRef, Socket};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use crate::errno;
use crate::options::PipeAccess;
use crate::sys::{Behind, Transport};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Unix,
    /// One end of a pipe(2), which has been adopted. It is not a socket: it has no options and no half-close.
    Fifo,
}

/// A connected, or connecting, socket registered with Tokio's driver.
pub(crate) struct Stream {
    io: AsyncFd<OwnedFd>,
    kind: Kind,
}

// Writing to a peer that is gone must fail with EPIPE and never kill the process, whatever the host does about SIGPIPE.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
// macOS has no such flag. There std and mio set SO_NOSIGPIPE on the sockets they make, and `adopt` does so too.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const SEND_FLAGS: i32 = 0;

/// The kernel sends a file in parts of this size, by a pipe of its own. TCP's end of each is a short segment, and with
/// Nagle's algorithm the last one would wait until the peer has acknowledged another, which may take it 40 ms.
#[cfg(target_os = "linux")]
const PIPE: usize = 64 * 1024;

// PRIORITY is urgent data. It is needed with epoll only: under kqueue a read does not stop at the mark.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INTEREST: Interest = Interest::READABLE
    .add(Interest::WRITABLE)
    .add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

impl Stream {
    /// Registers a non-blocking socket; must run inside the runtime's context.
    pub(crate) fn adopt(socket: Socket, transport: Transport) -> io::Result<Self> {
        Self::adopt_descriptor(socket.into(), transport).map_err(|(error, _closed)| error)
    }

    /// As [`Stream::adopt`], for a descriptor from outside. It is given back if the system will not watch it.
    pub(crate) fn adopt_descriptor(
        descriptor: OwnedFd,
        transport: Transport,
    ) -> Result<Self, (io::Error, OwnedFd)> {
        #[cfg(target_vendor = "apple")]
        if let Err(error) = SockRef::from(&descriptor).set_nosigpipe(true) {
            return Err((error, descriptor));
        }
        let kind = match transport {
            Transport::Tcp => Kind::Tcp,
            Transport::Path => Kind::Unix,
        };
        Self::register(descriptor, kind, INTEREST)
    }

    /// As [`Stream::adopt_descriptor`], for one end of a pipe(2).
    pub(crate) fn adopt_fifo(fifo: OwnedFd) -> Result<Self, (io::Error, OwnedFd)> {
        let interest = Interest::READABLE.add(Interest::WRITABLE);
        Self::register(fifo, Kind::Fifo, interest)
    }

    fn register(
        descriptor: OwnedFd,
        kind: Kind,
        interest: Interest,
    ) -> Result<Self, (io::Error, OwnedFd)> {
        // SAFETY: an OwnedFd is the same descriptor all its life and stays open until it is dropped. AsyncFd drops it
        // after deregistering it.
        match unsafe { AsyncFd::register_with_interest(descriptor, interest) } {
            Ok(io) => Ok(Self { io, kind }),
            Err(failed) => {
                let (descriptor, error) = failed.into_parts();
                Err((error, descriptor))
            }
        }
    }

    /// Deregisters it from Tokio's driver.
    pub(crate) fn release(self) -> OwnedFd {
        self.io.into_inner()
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }

    /// The socket, for options.
    ///
    /// # Errors
    /// `ENOTSOCK` for a FIFO.
    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        match self.kind {
            Kind::Fifo => Err(errno::error(errno::ENOTSOCK)),
            Kind::Tcp | Kind::Unix => Ok(SockRef::from(self.io.get_ref())),
        }
    }

    #[expect(clippy::unused_self, reason = "some pipes of Windows are one-way")]
    pub(crate) const fn access(&self) -> PipeAccess {
        PipeAccess::Duplex
    }

    // --- read ---------------------------------------------------------------------------------------------------

    /// One read of what the driver has not told of yet, after a [`Stream::read`] that was pending; the driver still
    /// tells of it.
    pub(crate) fn read_unannounced(&self, memory: &mut [u8]) -> Poll<io::Result<(usize, Behind)>> {
        match self.receive(memory) {
            Ok((length, _marked)) => Poll::Ready(Ok((length, Behind::More))),
            Err(error) if is_retried(&error) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// One read: how many bytes it found (0 at the end), and what comes after them. After `Pending` and after
    /// [`Behind::Nothing`], `cx` is woken when there is more.
    pub(crate) fn read(
        &self,
        cx: &mut Context<'_>,
        memory: &mut [u8],
    ) -> Poll<io::Result<(usize, Behind)>> {
        self.read_by(cx, memory.len(), || self.receive(memory))
    }

    /// Whether there is [`Stream::read_pieces`].
    pub(crate) const READS_PIECES: bool = true;

    /// The same into several pieces of memory, one behind the other.
    pub(crate) fn read_pieces(
        &self,
        cx: &mut Context<'_>,
        pieces: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<(usize, Behind)>> {
        let room = pieces.iter().map(|piece| piece.len()).sum();
        self.read_by(cx, room, || self.receive_pieces(pieces))
    }

    fn read_by(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        mut receive: impl FnMut() -> io::Result<(usize, bool)>,
    ) -> Poll<io::Result<(usize, Behind)>> {
        loop {
            let mut guard = ready!(self.io.poll_read_ready(cx))?;
            let (length, marked) = match receive() {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A false alarm, or all that was after a mark has been read.
                    guard.clear_ready();
                    self.clear_priority();
                    continue;
                }
                Err(error) => return Poll::Ready(Err(error)),
            };
            if length == room || length == 0 {
                return Poll::Ready(Ok((length, Behind::More)));
            }
            if marked || self.stopped_at_mark() {
                return Poll::Ready(Ok((length, Behind::More)));
            }
            guard.clear_ready();
            let behind = match self.io.poll_read_ready(cx) {
                Poll::Pending => Behind::Nothing,
                Poll::Ready(_) => Behind::More,
            };
            return Poll::Ready(Ok((length, behind)));
        }
    }

    /// One system call: how many bytes it found, and whether it reports that it stopped early.
    fn receive(&self, memory: &mut [u8]) -> io::Result<(usize, bool)> {
        let descriptor = self.io.get_ref().as_raw_fd();
        let (data, length) = (memory.as_mut_ptr().cast(), memory.len());
        let received = match self.kind {
            // SAFETY: pointer and length are those of memory that is borrowed for the call; the descriptor is open.
            Kind::Tcp => unsafe { libc::recv(descriptor, data, length, 0) },
            // SAFETY: as above.
            Kind::Fifo => unsafe { libc::read(descriptor, data, length) },
            Kind::Unix => return self.receive_message(&mut [IoSliceMut::new(memory)]),
        };
        match usize::try_from(received) {
            Ok(received) => Ok((received, false)),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    fn receive_pieces(&self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<(usize, bool)> {
        if self.kind != Kind::Fifo {
            return self.receive_message(pieces);
        }
        let (parts, count) = (pieces.as_mut_ptr().cast(), pieces.len() as libc::c_int);
        // SAFETY: an IoSliceMut has the layout of an iovec; the pieces and their memory are borrowed for the call.
        let received = unsafe { libc::readv(self.io.get_ref().as_raw_fd(), parts, count) };
        match usize::try_from(received) {
            Ok(received) => Ok((received, false)),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    fn receive_message(&self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<(usize, bool)> {
        // SAFETY: a msghdr is plain data, and all zeros mean no address and no control data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = pieces.as_mut_ptr().cast();
        message.msg_iovlen = pieces.len() as _;
        // SAFETY: an IoSliceMut has the layout of an iovec; the pieces and their memory are borrowed for the call.
        let received = unsafe { libc::recvmsg(self.io.get_ref().as_raw_fd(), &raw mut message, 0) };
        // There were descriptors in the message. The kernel has closed them, because we gave it no room for them, and a
        // read ends with such a message even if more bytes follow.
        let marked = message.msg_flags & libc::MSG_CTRUNC != 0;
        match usize::try_from(received) {
            Ok(received) => Ok((received, marked)),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// Whether urgent data may be what ended a read. Tokio knows, so this costs no system call.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn stopped_at_mark(&self) -> bool {
        // `try_io` also succeeds once the peer has closed, hence the second look.
        self.io.try_io(Interest::PRIORITY, |_| Ok(())).is_ok()
            && self.readiness(Interest::PRIORITY).is_priority()
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn stopped_at_mark(&self) -> bool {
        false
    }

    /// The kernel's buffer is empty, so the mark has been passed. epoll will report the next one.
    fn clear_priority(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.stopped_at_mark() {
            // Always an error: the one it is given.
            let _ = self.io.try_io(Interest::PRIORITY, |_| {
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            });
        }
    }

    /// Whether both directions are closed (EPOLLHUP): nothing can be received or sent any more.
    pub(crate) fn is_hung_up(&self) -> bool {
        let ready = self.readiness(Interest::READABLE.add(Interest::WRITABLE));
        ready.is_read_closed() && ready.is_write_closed()
    }

    /// What Tokio knows, without a system call.
    fn readiness(&self, interest: Interest) -> Ready {
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(self.io.ready(interest)).poll(&mut cx) {
            Poll::Ready(Ok(guard)) => guard.ready(),
            _ => Ready::EMPTY,
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_read_ready(cx).map_ok(drop)
    }

    // --- write --------------------------------------------------------------------------------------------------

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_write_ready(cx).map_ok(drop)
    }

    /// One system call, even if Tokio does not know yet that the socket is writable: a socket that was accepted in this
    /// turn can be written in this turn.
    pub(crate) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let socket = SockRef::from(self.io.get_ref());
            let sent = match (self.kind, slices) {
                (Kind::Fifo, parts) => write_vectored(self.descriptor(), parts),
                (_, [one]) => socket.send_with_flags(one, SEND_FLAGS),
                (_, many) => socket.send_vectored_with_flags(many, SEND_FLAGS),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent,
            }
        }
    }

    /// Like [`Stream::send`], and Tokio learns of it when the kernel's buffer is full.
    pub(crate) fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.io.try_io(Interest::WRITABLE, |_| self.send(slices))
    }

    /// sendfile(2), until the kernel's buffer is full: how many bytes, and whether it is. Fewer bytes than asked for and
    /// room in the buffer means that the file is shorter.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file has nothing there at all.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_file(
        &self,
        file: RawFd,
        offset: u64,
        count: usize,
    ) -> io::Result<(usize, bool)> {
        let corks = self.kind == Kind::Tcp && count > PIPE;
        if corks {
            // If it cannot be, the file leaves all the same.
            let _ = SockRef::from(self.io.get_ref()).set_tcp_cork(true);
        }
        let outcome = self.send_file_on(file, offset, count);
        if corks {
            let _ = SockRef::from(self.io.get_ref()).set_tcp_cork(false);
        }
        outcome
    }

    #[cfg(target_os = "linux")]
    fn send_file_on(&self, file: RawFd, offset: u64, count: usize) -> io::Result<(usize, bool)> {
        let mut sent = 0;
        while sent < count {
            let mut at = (offset + sent as u64) as libc::off64_t;
            let socket = self.io.get_ref().as_raw_fd();
            // SAFETY: two descriptors, which need not be open, and a number that is ours.
            let result = unsafe { libc::sendfile64(socket, file, &raw mut at, count - sent) };
            match usize::try_from(result) {
                Ok(0) if sent == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) => break,
                Ok(more) => sent += more,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error if error.kind() == io::ErrorKind::WouldBlock => return Ok((sent, true)),
                    // The next call meets it again.
                    _ if sent > 0 => break,
                    error => return Err(error),
                },
            }
        }
        Ok((sent, false))
    }

    /// Like [`Stream::send_file`], and Tokio learns of it when the kernel's buffer is full.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_send_file(
        &self,
        file: RawFd,
        offset: u64,
        count: usize,
    ) -> io::Result<usize> {
        self.io.try_io(Interest::WRITABLE, |_| {
            match self.send_file(file, offset, count)? {
                (0, true) => Err(io::ErrorKind::WouldBlock.into()),
                (sent, _) => Ok(sent),
            }
        })
    }

    /// splice(2) into an empty pipe: how many bytes.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn splice_in(&self, pipe: RawFd, count: usize) -> io::Result<usize> {
        splice(self.io.get_ref().as_raw_fd(), pipe, count)
    }

    /// splice(2) out of a pipe that holds `count` bytes: how many the kernel has taken.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn splice_out(&self, pipe: RawFd, count: usize) -> io::Result<usize> {
        match splice(pipe, self.io.get_ref().as_raw_fd(), count)? {
            // The pipe has fewer bytes than we have counted, which cannot be.
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }

    /// Like [`Stream::splice_out`], and Tokio learns of it when the kernel's buffer is full.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn try_splice_out(&self, pipe: RawFd, count: usize) -> io::Result<usize> {
        self.io
            .try_io(Interest::WRITABLE, |_| self.splice_out(pipe, count))
    }

    /// Tells Tokio that the kernel's buffer is full. To be used only where the socket cannot have become writable since
    /// that was seen.
    pub(crate) fn clear_writable(&self) {
        // Always an error: the one it is given.
        let _ = self.io.try_io(Interest::WRITABLE, |_| {
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
    }

    pub(crate) fn shutdown(&self) -> io::Result<Behind> {
        match self.kind {
            // It has one direction, which ends when it is closed.
            Kind::Fifo => {}
            Kind::Tcp | Kind::Unix => self.socket()?.shutdown(Shutdown::Write)?,
        }
        Ok(Behind::Nothing)
    }

    /// The outcome of a connect, once the socket is writable.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        // epoll reports a connect that failed with EPOLLERR, and then only the system knows why.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !self.readiness(Interest::WRITABLE).is_write_closed() {
            return Ok(None);
        }
        self.socket()?.take_error()
    }
}

/// writev(2), for a FIFO. A broken one is EPIPE, because the host ignores SIGPIPE, as Node does.
fn write_vectored(descriptor: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    // IOV_MAX; the caller sends the rest with another call.
    let count = slices.len().min(1024) as libc::c_int;
    // SAFETY: an IoSlice has the layout of an iovec; the slices and the memory they point to outlive the call.
    let sent = unsafe { libc::writev(descriptor.as_raw_fd(), slices.as_ptr().cast(), count) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// One splice(2). As with sendfile(2) a broken connection is EPIPE, because the host ignores SIGPIPE, as Node does.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn splice(from: RawFd, to: RawFd, count: usize) -> io::Result<usize> {
    loop {
        let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
        let (no_offset, none) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: two open descriptors and numbers; without offsets no memory of ours is involved.
        let moved = unsafe { libc::splice(from, no_offset, to, none, count, flags) };
        match usize::try_from(moved) {
            Ok(moved) => return Ok(moved),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

fn is_retried(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}
