//! A pipe(2) that bytes go through on their way from one socket to another, so that splice(2) can move them without
//! copying them into the process.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::sys::Stream;

/// How much a duct holds. The kernel's default of 64 KiB costs a system call more for every 64 KiB, and a process
/// without privileges may have 64 MiB in all its pipes.
const SIZE: usize = 256 * 1024;

/// Empty, or the bytes of one relay.
pub(crate) struct Duct {
    read: OwnedFd,
    write: OwnedFd,
    /// How many bytes are in it.
    filled: usize,
}

impl Duct {
    /// A new one, or none if the system has no descriptors left.
    pub(crate) fn open() -> Option<Self> {
        let mut ends = [0; 2];
        // SAFETY: the kernel writes two descriptors into an array of two.
        let status = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
        if status != 0 {
            return None;
        }
        // SAFETY: just opened, and nobody else's.
        let [read, write] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        // It works with another size as well, which is what a user with many pipes gets.
        // SAFETY: an open descriptor and a number.
        unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, SIZE as libc::c_int) };
        Some(Self {
            read,
            write,
            filled: 0,
        })
    }

    pub(crate) const fn len(&self) -> usize {
        self.filled
    }

    /// Moves bytes in, if it is empty, and returns how many. 0 or `EAGAIN` may mean anything: only a read of the socket
    /// tells what is with it. Another error may be the socket's, which the system tells once.
    pub(crate) fn fill(&mut self, from: &Stream) -> io::Result<usize> {
        debug_assert_eq!(self.filled, 0, "a full pipe looks like an empty socket");
        self.filled = from.splice_in(self.write.as_raw_fd(), SIZE)?;
        Ok(self.filled)
    }

    /// Moves bytes out until the kernel's buffer is full, and returns whether it is.
    pub(crate) fn drain(&mut self, to: &Stream) -> io::Result<bool> {
        while self.filled > 0 {
            match to.splice_out(self.read.as_raw_fd(), self.filled) {
                Ok(sent) => self.filled -= sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Moves some bytes out, and Tokio learns of it when the kernel's buffer is full.
    pub(crate) fn try_drain(&mut self, to: &Stream) -> io::Result<()> {
        self.filled -= to.try_splice_out(self.read.as_raw_fd(), self.filled)?;
        Ok(())
    }

    /// Takes the bytes out.
    pub(crate) fn take(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.filled];
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &mut bytes[taken..];
            // SAFETY: pointer and length are those of memory that is borrowed for the call; the descriptor is open.
            let read =
                unsafe { libc::read(self.read.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len()) };
            match usize::try_from(read) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => taken += more,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
        self.filled = 0;
        Ok(bytes)
    }
}
