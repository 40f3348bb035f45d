//! What a platform supplies: byte streams and listeners registered with Tokio's driver, under the same names.
//!
//! - `Stream`: one connection, or one that is on its way. `adopt` registers a non-blocking socket; `read`, `send`,
//!   `try_send` and `shutdown` are one system call each; `poll_read_ready` and `poll_write_ready` ask to be woken.
//!   `read` tells what is behind the bytes it found ([`Behind`]): the reactor asks the system nothing twice.
//! - `Listener`: `adopt` registers a listening socket, `poll_accept` gives the next connection.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{Listener, Stream};
#[cfg(windows)]
pub(crate) use windows::{Listener, Stream};

/// What a stream or listener runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    /// Whatever a path names on this platform.
    Path,
}

/// What follows the bytes of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nothing now; the waker that `read` was given is woken when there is.
    Nothing,
    /// More bytes, the end, or an error: another read tells.
    More,
}
