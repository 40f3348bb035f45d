//! Finds Tokio's kqueue, which Tokio does not give away. Type-checked and linked so far, but not run: see
//! docs/internals.md.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// We register a socket with the runtime: the kqueue that can forget this socket is the runtime's. Asking another one
/// changes nothing, because the entry that it should remove is not there (ENOENT), and neither does asking a descriptor
/// that is no kqueue (EBADF). Unlike epoll, a kqueue forgets a descriptor that is closed, so it cannot know our probe's
/// number from before.
///
/// mio holds several descriptors of the one kqueue, all of them until the runtime ends. Any of them will do. It also
/// expects ENOENT when it removes the probe itself.
pub(super) fn find(runtime: &Runtime) -> io::Result<Option<RawFd>> {
    let _context = runtime.enter();
    let (probe, _peer) = UnixStream::pair()?;
    let Ok(descriptors) = fs::read_dir("/dev/fd") else {
        return Ok(None);
    };
    Ok(descriptors
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok())
        .find(|&descriptor| forgets(descriptor, probe.as_raw_fd())))
}

/// Removes `socket` from what the kqueue `descriptor` watches for reading. Returns whether it was there.
fn forgets(descriptor: RawFd, socket: RawFd) -> bool {
    let change = libc::kevent {
        ident: socket as libc::uintptr_t,
        filter: libc::EVFILT_READ,
        flags: libc::EV_DELETE,
        fflags: 0,
        data: 0,
        udata: ptr::null_mut(),
    };
    // SAFETY: one change to read, and room for no event: without any the call does not wait either. A descriptor that is
    // no kqueue is an error.
    let status = unsafe { libc::kevent(descriptor, &change, 1, ptr::null_mut(), 0, ptr::null()) };
    status == 0
}
