//! Descriptors that come from outside: what they are, and what can be done with them next.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;

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

/// Looks at a descriptor without changing anything about it.
pub fn kind(descriptor: BorrowedFd<'_>) -> DescriptorKind {
    if descriptor.is_terminal() {
        return DescriptorKind::Tty;
    }
    // A copy, because std reads the metadata of files only, and closes what it is given.
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
    /// Read or write. It is not a socket.
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

/// Whether a socket without a peer used to have one: a connection that both sides have ended, or that was reset. Such
/// a socket is hung up and readable, if only for its end; one that was never connected is hung up and not readable.
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
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
}
