//! What a platform supplies. `unix/` and `windows/` have the same files with the same names in them, and a new
//! platform, or another transport on one of these, is a matter of this folder alone.
//!
//! - [`Stream`]: one connection, from the start of its connect on. `adopt` registers a non-blocking socket with Tokio's
//!   driver. `read`, `send`, `try_send` and `shutdown` are one system call each. `read` also says what comes after the
//!   bytes it found ([`Behind`]), because the reactor does not read again to find out; so does `read_pieces`, into several
//!   pieces of memory, which there is where `READS_PIECES`. `poll_read_ready` and
//!   `poll_write_ready` ask to be woken; `clear_writable` tells Tokio what a send has shown. `take_error` is the
//!   outcome of a connect, and `is_hung_up` says that nothing can come or go any more. `socket` is for options, and
//!   fails with `ENOTSOCK` on a stream that is none: a FIFO, or a named pipe of Windows. `shutdown` says whether a read
//!   has to look for an end that comes by itself, and fails with `EAGAIN` when `poll_write_ready` will say when to try
//!   again; both are for named pipes only, and so is `access`, which says whether bytes can go both ways.
//! - [`Listener`]: `adopt` registers a listening socket, `poll_accept` returns the next connection as a [`Stream`].
//!   `local` is where it listens, and `open_to_all` changes the permissions of a named pipe.
//! - [`Name`]: what a bound path leaves in the file system. Dropping it removes that, `keep` leaves it there. Every
//!   socket has one; it is empty for nearly all of them, and on a platform whose paths vanish by themselves.
//! - [`Socket`] (`socket.rs`): what is not registered yet, with `listen` and `connect`. `new_socket` makes one,
//!   `as_socket` is for its options. `before_bind` sets what a TCP socket needs before bind(2); `bind_path` and
//!   `path_address` are for paths; [`Target`] is where to connect to, `reachable` adjusts it, and `is_in_progress` tells
//!   whether a connect that returned an error is merely not finished.
//! - [`Duct`]: what bytes go through from one stream to another inside the kernel. Linux has it (`duct.rs`); elsewhere
//!   there is none (`no_duct.rs`).
//! - `descriptor` (Unix): what a descriptor from outside is, and what can be done with it next. A platform that has it
//!   also has `release` on streams and listeners and `adopt_descriptor` on streams, and with them
//!   [`handover`](crate::handover). Windows, where programs do not pass sockets around by number, goes without.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod duct;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "no_duct.rs"]
mod duct;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub(crate) use duct::Duct;
#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

/// What a stream or a listener runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    /// What a path names on this platform: on Unix a Unix-domain socket, on Windows a named pipe.
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
