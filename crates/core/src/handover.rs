//! Descriptors that come from outside, and sockets on their way from one reactor to another.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use socket2::{Domain, SockRef, Type};

use crate::sys::Transport;

/// What a descriptor refers to, in libuv's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptorKind {
    Tcp,
    /// A Unix-domain stream socket or a FIFO.
    Pipe,
    Udp,
    File,
    Tty,
    Unknown,
}

impl DescriptorKind {
    /// The name that Node's errors use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Pipe => "PIPE",
            Self::Udp => "UDP",
            Self::File => "FILE",
            Self::Tty => "TTY",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Looks at a descriptor without touching it.
pub fn kind(descriptor: BorrowedFd<'_>) -> DescriptorKind {
    use std::io::IsTerminal;
    if descriptor.is_terminal() {
        return DescriptorKind::Tty;
    }
    // A copy, because std reads the metadata of files only; the original stays with its owner.
    let Ok(copy) = descriptor.try_clone_to_owned() else {
        return DescriptorKind::Unknown;
    };
    let Ok(metadata) = File::from(copy).metadata() else {
        return DescriptorKind::Unknown;
    };
    let file_type = metadata.file_type();
    if file_type.is_file() || file_type.is_char_device() {
        return DescriptorKind::File;
    }
    if file_type.is_fifo() {
        return DescriptorKind::Pipe;
    }
    let socket = SockRef::from(&descriptor);
    let (Ok(kind), Ok(address)) = (socket.r#type(), socket.local_addr()) else {
        return DescriptorKind::Unknown;
    };
    match (kind, address.domain()) {
        (Type::STREAM, Domain::IPV4 | Domain::IPV6) => DescriptorKind::Tcp,
        (Type::STREAM, Domain::UNIX) => DescriptorKind::Pipe,
        (Type::DGRAM, Domain::IPV4 | Domain::IPV6) => DescriptorKind::Udp,
        _ => DescriptorKind::Unknown,
    }
}

/// What an adopted descriptor can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Read and write.
    Connected(Transport),
    /// Listen or connect.
    Bound(Transport),
    /// Read or write; it is no socket.
    Fifo,
}

/// # Errors
/// `EINVAL` for anything that is neither TCP nor a pipe.
pub(crate) fn stage(descriptor: BorrowedFd<'_>) -> io::Result<Stage> {
    let transport = match kind(descriptor) {
        DescriptorKind::Tcp => Transport::Tcp,
        DescriptorKind::Pipe => Transport::Path,
        _ => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
    };
    let socket = SockRef::from(&descriptor);
    if transport == Transport::Path && socket.r#type().is_err() {
        return Ok(Stage::Fifo);
    }
    Ok(if socket.peer_addr().is_ok() || is_over(descriptor) {
        Stage::Connected(transport)
    } else {
        Stage::Bound(transport)
    })
}

/// Whether a socket without a peer had one: a connection that both sides have ended, or that was reset. There is
/// something to read from it still, if only its end; a socket that was never connected hangs up without.
fn is_over(descriptor: BorrowedFd<'_>) -> bool {
    const OVER: libc::c_short = libc::POLLIN | libc::POLLHUP;
    let mut polled = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which outlives the call.
    let count = unsafe { libc::poll(&raw mut polled, 1, 0) };
    count == 1 && polled.revents & OVER == OVER
}

/// The path of a Unix-domain socket, which goes when its socket does, just before it: with `close`, and when the
/// environment ends.
#[derive(Debug)]
pub(crate) struct Unlink(pub(crate) PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        // Somebody else may have removed it; libuv does not mind either.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A socket that belongs to no reactor: non-blocking, in whatever state it was in.
#[derive(Debug)]
pub struct Released {
    // Before the descriptor: the name goes first.
    pub(crate) unlink: Option<Box<Unlink>>,
    pub(crate) descriptor: OwnedFd,
}

impl Released {
    /// The descriptor alone: its path, if it has one, stays in the file system.
    pub fn into_descriptor(self) -> OwnedFd {
        if let Some(mut unlink) = self.unlink {
            // An empty path is no file's, so nothing is removed.
            unlink.0 = PathBuf::new();
        }
        self.descriptor
    }
}

impl From<OwnedFd> for Released {
    fn from(descriptor: OwnedFd) -> Self {
        Self {
            unlink: None,
            descriptor,
        }
    }
}

impl AsFd for Released {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Released {
    fn as_raw_fd(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }
}

/// Sockets between two reactors of this process, by the number on their ticket.
///
/// A process may hold several copies of this library, each with a map of its own, and all of them see all tickets: so
/// the numbers are drawn at random. What one copy is asked for with a number of another's is, as good as surely, not
/// in its map.
static PARKED: Mutex<Option<HashMap<Ticket, Released>>> = Mutex::new(None);

/// The number on a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// JavaScript's numbers are exact up to here.
    const MOST: u64 = (1 << 53) - 1;

    fn draw() -> Self {
        // std seeds it from the system's randomness, in each copy of itself, and never twice alike.
        Self(RandomState::new().hash_one(()) & Self::MOST)
    }

    /// As JavaScript has it; none has a negative number.
    pub const fn number(self) -> i64 {
        self.0.cast_signed()
    }
}

impl From<i64> for Ticket {
    fn from(number: i64) -> Self {
        Self(number.cast_unsigned())
    }
}

fn parked() -> MutexGuard<'static, Option<HashMap<Ticket, Released>>> {
    // Whoever panicked with the lock has left a map that is whole: each change of it is one call.
    PARKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a socket for whichever thread comes with the ticket that is returned.
pub fn park(socket: Released) -> Ticket {
    let mut parked = parked();
    let sockets = parked.get_or_insert_default();
    let mut ticket = Ticket::draw();
    while sockets.contains_key(&ticket) {
        ticket = Ticket::draw();
    }
    sockets.insert(ticket, socket);
    ticket
}

/// The socket of a ticket; `None` when it has been fetched already, or never was here.
pub fn claim(ticket: Ticket) -> Option<Released> {
    parked().as_mut()?.remove(&ticket)
}

/// Puts back what [`claim`] gave: the ticket is good again.
pub fn unclaim(ticket: Ticket, socket: Released) {
    parked().get_or_insert_default().insert(ticket, socket);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    #[test]
    fn descriptors_are_told_by_what_they_refer_to() {
        let file = File::open("/proc/self/exe").or_else(|_| File::open("/bin/sh"));
        let tcp = TcpListener::bind("127.0.0.1:0").expect("port");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("port");
        let (unix, _other) = UnixStream::pair().expect("pair");
        let (datagram, _other) = UnixDatagram::pair().expect("pair");
        let (reader, _writer) = io::pipe().expect("pipe");
        assert_eq!(kind(file.expect("file").as_fd()), DescriptorKind::File);
        assert_eq!(kind(tcp.as_fd()), DescriptorKind::Tcp);
        assert_eq!(kind(udp.as_fd()), DescriptorKind::Udp);
        assert_eq!(kind(unix.as_fd()), DescriptorKind::Pipe);
        assert_eq!(kind(datagram.as_fd()), DescriptorKind::Unknown);
        assert_eq!(kind(reader.as_fd()), DescriptorKind::Pipe);
        assert_eq!(stage(tcp.as_fd()).ok(), Some(Stage::Bound(Transport::Tcp)));
        assert_eq!(
            stage(unix.as_fd()).ok(),
            Some(Stage::Connected(Transport::Path))
        );
        assert_eq!(stage(reader.as_fd()).ok(), Some(Stage::Fifo));
        assert!(stage(udp.as_fd()).is_err());
    }

    #[test]
    fn a_connection_that_is_over_is_still_one() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let address = listener.local_addr().expect("address");
        let client = TcpStream::connect(address).expect("listening");
        let (mut server, _) = listener.accept().expect("connected");
        client.shutdown(Shutdown::Write).expect("connected");
        assert_eq!(server.read(&mut [0]).expect("FIN"), 0);
        server.write_all(b"unread").expect("half open");
        drop(server);
        while client.peer_addr().is_ok() {
            std::thread::yield_now();
        }
        assert_eq!(
            stage(client.as_fd()).ok(),
            Some(Stage::Connected(Transport::Tcp))
        );
        let _waiting = TcpStream::connect(address).expect("listening");
        assert_eq!(
            stage(listener.as_fd()).ok(),
            Some(Stage::Bound(Transport::Tcp))
        );
    }

    #[test]
    fn a_ticket_is_good_once() {
        let (unix, _other) = UnixStream::pair().expect("pair");
        let descriptor = unix.as_raw_fd();
        let ticket = park(Released::from(OwnedFd::from(unix)));
        let claimed = claim(ticket).expect("parked");
        assert_eq!(claimed.as_raw_fd(), descriptor);
        assert!(claim(ticket).is_none());
        unclaim(ticket, claimed);
        assert!(claim(ticket).is_some());
    }

    fn park_one() -> Ticket {
        let (unix, _other) = UnixStream::pair().expect("pair");
        park(Released::from(OwnedFd::from(unix)))
    }

    #[test]
    fn the_number_of_a_ticket_tells_nothing_of_the_others() {
        let tickets: Vec<_> = (0..64).map(|_| park_one()).collect();
        for pair in tickets.windows(2) {
            let (one, next) = (pair[0].number(), pair[1].number());
            // Neighbours would be the next number of every other copy of this library.
            assert!(one.abs_diff(next) > 1 << 16);
            assert!(claim(Ticket::from(one + 1)).is_none());
        }
        for ticket in tickets {
            let number = ticket.number();
            assert!((0..1 << 53).contains(&number));
            // Past JavaScript and back.
            assert!(claim(Ticket::from(number as f64 as i64)).is_some());
        }
        assert!(claim(Ticket::from(-1)).is_none());
    }

    #[test]
    fn a_released_path_goes_with_its_socket_but_not_with_its_descriptor() {
        let path = std::env::temp_dir().join(format!("ferronet-{}-unlink", std::process::id()));
        for (goes, end) in [
            (true, drop as fn(Released)),
            (false, |released| {
                released.into_descriptor();
            }),
        ] {
            std::fs::write(&path, "").expect("temporary file");
            let (unix, _other) = UnixStream::pair().expect("pair");
            end(Released {
                unlink: Some(Box::new(Unlink(path.clone()))),
                descriptor: unix.into(),
            });
            assert_eq!(path.exists(), !goes);
        }
        std::fs::remove_file(&path).expect("still there");
    }
}
