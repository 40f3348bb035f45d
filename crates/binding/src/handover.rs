//! Descriptors on their way in and out, as the numbers that JavaScript has for them. On Windows sockets have no
//! descriptors, and most verbs here fail with ENOTSUP; a copy can be made, which libuv opens by the number of its SOCKET.

#[cfg(unix)]
pub(crate) use unix::{adopt, claim, close, copy, kind, number, park, release};
#[cfg(not(unix))]
pub(crate) use windows::{adopt, claim, close, copy, kind, number, park, release};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

    use ferronet_core::handover::{self, DescriptorKind, Released, Ticket};
    use ferronet_core::{Reactor, errno};

    /// A descriptor for the length of one verb; `None` if it is not open.
    fn borrow<'a>(descriptor: i32) -> Option<BorrowedFd<'a>> {
        if descriptor < 0 {
            return None;
        }
        // SAFETY: asks for the flags of a descriptor; any number will do.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        if flags == -1 {
            return None;
        }
        // SAFETY: open, and so not -1, as the system just said. Nothing else runs on this thread before the verb
        // returns. Another thread could close it meanwhile, but a program that closes descriptors which are in use
        // breaks far more than us.
        Some(unsafe { BorrowedFd::borrow_raw(descriptor) })
    }

    pub(crate) fn kind(descriptor: i32) -> &'static str {
        borrow(descriptor)
            .map_or(DescriptorKind::Unknown, handover::kind)
            .name()
    }

    /// Takes in a descriptor, or a copy of it. On failure the descriptor stays the caller's.
    pub(crate) fn adopt(reactor: &mut Reactor, descriptor: i32, copy: bool) -> io::Result<u32> {
        let borrowed = borrow(descriptor).ok_or_else(|| errno::error(errno::EBADF))?;
        if copy {
            let copied = borrowed.try_clone_to_owned()?;
            return reactor
                .adopt(Released::from(copied))
                .map_err(|(error, _copy)| error);
        }
        // SAFETY: open, and the program's to give: that is what `new Socket({ fd })` means.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        reactor
            .adopt(Released::from(owned))
            .map_err(|(error, back)| {
                let _kept_open = back.into_descriptor().into_raw_fd();
                error
            })
    }

    /// The descriptor of a socket, which stays the socket's.
    pub(crate) fn number(reactor: &mut Reactor, slot: u32) -> io::Result<i32> {
        Ok(reactor.descriptor_of(slot)?.as_raw_fd())
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

    /// Closes what `copy` or `release` returned, if nobody has taken it.
    pub(crate) fn close(descriptor: i32) {
        if borrow(descriptor).is_some() {
            // SAFETY: open, and the caller's to give: it came from `copy` or `release`.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }

    /// Keeps a socket for another thread, which claims it by the number that is returned.
    pub(crate) fn park(reactor: &mut Reactor, slot: u32) -> io::Result<i64> {
        Ok(handover::park(reactor.release(slot)?).number())
    }

    /// Takes in a socket that another thread has parked. On failure it can be claimed again.
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
    use std::os::windows::io::{AsRawSocket, FromRawSocket, IntoRawSocket, OwnedSocket, RawSocket};

    use ferronet_core::{Reactor, errno};

    fn unsupported<T>() -> io::Result<T> {
        Err(errno::error(errno::ENOTSUP))
    }

    pub(crate) fn kind(_descriptor: i32) -> &'static str {
        "UNKNOWN"
    }

    pub(crate) fn adopt(_reactor: &mut Reactor, _descriptor: i32, _copy: bool) -> io::Result<u32> {
        unsupported()
    }

    /// -1, as of a socket without a descriptor.
    pub(crate) fn number(_reactor: &mut Reactor, _slot: u32) -> io::Result<i32> {
        Ok(-1)
    }

    pub(crate) fn release(_reactor: &mut Reactor, _slot: u32) -> io::Result<i32> {
        unsupported()
    }

    /// Another SOCKET for the same socket, not inherited, for the caller. Tokio waits through a handle of its own (AFD),
    /// so the socket is not bound to Tokio's completion port, and libuv can bind it to its own one.
    ///
    /// # Errors
    /// `ENOTSOCK` for a named pipe.
    pub(crate) fn copy(reactor: &mut Reactor, slot: u32) -> io::Result<i32> {
        let copy = reactor.socket(slot)?.try_clone()?;
        // A handle has no more than 32 bits that count, and Windows gives small numbers first. Should one ever be too
        // large, the copy is closed.
        let number =
            i32::try_from(copy.as_raw_socket()).map_err(|_| errno::error(errno::ENOTSUP))?;
        let _ = copy.into_raw_socket();
        Ok(number)
    }

    /// Closes what `copy` returned, if nobody has taken it.
    pub(crate) fn close(number: i32) {
        if let Ok(socket) = RawSocket::try_from(number) {
            // SAFETY: open, and the caller's to give: it came from `copy`.
            drop(unsafe { OwnedSocket::from_raw_socket(socket) });
        }
    }

    pub(crate) fn park(_reactor: &mut Reactor, _slot: u32) -> io::Result<i64> {
        unsupported()
    }

    pub(crate) fn claim(_reactor: &mut Reactor, _ticket: i64) -> io::Result<u32> {
        unsupported()
    }
}
