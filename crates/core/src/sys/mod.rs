//! What a platform supplies. `unix/` and `windows/` have the same files with the same names in them, and a new
//! platform, or another transport on one of these, is a matter of this folder alone.
//!
//! - [`Stream`]: one connection, from the start of its connect on. `adopt` registers a non-blocking socket with Tokio's
//!   driver. `read`, `send`, `try_send` and `shutdown` are one system call each. `read` also says what comes after the
//!   bytes it found ([`Behind`]), because the reactor does not read again to find out. `poll_read_ready` and
//!   `poll_write_ready` ask to be woken; `clear_writable` tells Tokio what a send has shown. `take_error` is the
//!   outcome of a connect, and `is_hung_up` says that nothing can come or go any more. `socket` is for options, and
//!   fails with `ENOTSOCK` on a stream that is none: a FIFO, or a named pipe of Windows.
//! - [`Listener`]: `adopt` registers a listening socket, `poll_accept` returns the next connection as a [`Stream`].
//! - [`Name`]: what a bound path leaves in the file system. Dropping it removes that, `keep` leaves it there. Every
//!   socket has one; it is empty for nearly all of them, and on a platform whose paths vanish by themselves.
//! - Functions for sockets that are not registered yet (`socket.rs`): `before_bind` sets what a TCP socket needs before
//!   bind(2); `bind_path` and `path_address` are for paths; `reachable` adjusts the target of a connect, and
//!   `is_in_progress` tells whether a connect that returned an error is merely not finished.
//! - `descriptor` (Unix): what a descriptor from outside is, and what can be done with it next. A platform that has it
//!   also has `release` on streams and listeners and `adopt_descriptor` on streams, and with them
//!   [`handover`](crate::handover). Windows, where programs do not pass sockets around by number, goes without.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;

use socket2::{Domain, Protocol, Socket, Type};

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

/// What a stream or a listener runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    /// What a path names on this platform: on Unix a Unix-domain socket.
    Path,
}

/// What comes after the bytes of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nothing yet. The waker that `read` was given will be woken.
    Nothing,
    /// More bytes, the end, or an error: another read finds out.
    More,
}

/// A new socket, non-blocking and close-on-exec (socket2 sets the latter, atomically where the system can).
pub(crate) fn new_socket(domain: Domain, transport: Transport) -> io::Result<Socket> {
    let protocol = match transport {
        Transport::Tcp => Some(Protocol::TCP),
        Transport::Path => None,
    };
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
