//! Descriptors as numbers: what JavaScript names them by, on their way in and out. On Windows sockets have none, and
//! every verb here says so.

#[cfg(unix)]
pub(crate) use unix::{adopt, claim, close, copy, kind, park, release};
#[cfg(not(unix))]
pub(crate) use windows::{adopt, claim, close, copy, kind, park, release};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

    use ferronet_core::handover::{self, DescriptorKind, Released, Ticket};
    use ferronet_core::{Reactor, errno};

    /// A descriptor that is open now, for the length of one verb.
    fn borrow<'a>(descriptor: i32) -> Option<BorrowedFd<'a>> {
        if descriptor < 0 {
            return None;
        }
        // SAFETY: asks for the flags of a number, whatever it is.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        if flags == -1 {
            return None;
        }
        // SAFETY: not -1, and open: just asked. Nobody else runs on this thread before the verb returns; another
        // thread that closes descriptors which it gave away breaks what every program relies on.
        Some(unsafe { BorrowedFd::borrow_raw(descriptor) })
    }

    pub(crate) fn kind(descriptor: i32) -> &'static str {
        borrow(descriptor)
            .map_or(DescriptorKind::Unknown, handover::kind)
            .name()
    }

    /// Takes a descriptor in, or a copy of it; on failure it stays the caller's.
    pub(crate) fn adopt(reactor: &mut Reactor, descriptor: i32, copy: bool) -> io::Result<u32> {
        let borrowed = borrow(descriptor).ok_or_else(|| errno::error(errno::EBADF))?;
        if copy {
            let copied = borrowed.try_clone_to_owned()?;
            return reactor
                .adopt(Released::from(copied))
                .map_err(|(error, _copy)| error);
        }
        // SAFETY: open, and the program gives it to us: it says so by calling (`new Socket({ fd })`).
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        reactor
            .adopt(Released::from(owned))
            .map_err(|(error, back)| {
                let _kept_open = back.into_descriptor().into_raw_fd();
                error
            })
    }

    /// Gives a socket's descriptor to the caller.
    pub(crate) fn release(reactor: &mut Reactor, slot: u32) -> io::Result<i32> {
        Ok(reactor.release(slot)?.into_descriptor().into_raw_fd())
    }

    /// Another descriptor of the same socket, for the caller.
    pub(crate) fn copy(reactor: &mut Reactor, slot: u32) -> io::Result<i32> {
        Ok(reactor
            .descriptor_of(slot)?
            .try_clone_to_owned()?
            .into_raw_fd())
    }

    /// Closes what `copy` or `release` gave, when nobody took it.
    pub(crate) fn close(descriptor: i32) {
        if borrow(descriptor).is_some() {
            // SAFETY: open, and the caller's: handle.ts calls this with what `copy` and `release` returned.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }

    pub(crate) fn park(reactor: &mut Reactor, slot: u32) -> io::Result<i64> {
        Ok(handover::park(reactor.release(slot)?).number())
    }

    pub(crate) fn claim(reactor: &mut Reactor, ticket: i64) -> io::Result<u32> {
        let ticket = Ticket::from(ticket);
        let released = handover::claim(ticket).ok_or_else(|| errno::error(errno::EBADF))?;
        reactor.adopt(released).map_err(|(error, back)| {
            handover::unclaim(ticket, back);
            error
        })
    }
}

#[cfg(not(unix))]
mod windows {
    use std::io;

    use ferronet_core::{Reactor, errno};

    fn none<T>() -> io::Result<T> {
        Err(errno::error(errno::ENOTSUP))
    }

    pub(crate) fn kind(_descriptor: i32) -> &'static str {
        "UNKNOWN"
    }

    pub(crate) fn adopt(_reactor: &mut Reactor, _descriptor: i32, _copy: bool) -> io::Result<u32> {
        none()
    }

    pub(crate) fn release(_reactor: &mut Reactor, _slot: u32) -> io::Result<i32> {
        none()
    }

    pub(crate) fn copy(_reactor: &mut Reactor, _slot: u32) -> io::Result<i32> {
        none()
    }

    pub(crate) fn close(_descriptor: i32) {}

    pub(crate) fn park(_reactor: &mut Reactor, _slot: u32) -> io::Result<i64> {
        none()
    }

    pub(crate) fn claim(_reactor: &mut Reactor, _ticket: i64) -> io::Result<u32> {
        none()
    }
}
