//! Sockets before they are registered: binding, and connecting. What a path names here is a named pipe.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use super::pipe::{Opening, Reserved};
use crate::errno;
use crate::options::PipeOptions;
use crate::sys::Transport;

/// A socket of Winsock, or a named pipe, on its way to become a stream or a listener.
pub(crate) enum Socket {
    Winsock(socket2::Socket),
    /// A pipe that is to be opened.
    Client,
    /// One that has been opened, or is busy.
    Opened(Opening),
    /// A pipe's name, which is ours.
    Server(Reserved),
}

/// Where to connect to.
pub(crate) enum Target {
    Socket(SockAddr),
    Pipe(String),
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Socket(address.into())
    }
}

impl Target {
    /// Means nothing for a pipe.
    pub(crate) const fn domain(&self) -> Domain {
        match self {
            Self::Socket(address) => address.domain(),
            Self::Pipe(_) => Domain::UNIX,
        }
    }
}

/// A new socket, non-blocking and not inherited by children.
pub(crate) fn new_socket(domain: Domain, transport: Transport) -> io::Result<Socket> {
    if transport == Transport::Path {
        return Ok(Socket::Client);
    }
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(Socket::Winsock(socket))
}

impl Socket {
    pub(crate) fn listen(&self, backlog: i32) -> io::Result<()> {
        match self {
            Self::Winsock(socket) => socket.listen(backlog),
            // Its instances are made when it is adopted. A pipe has no backlog.
            Self::Server(_) => Ok(()),
            Self::Client | Self::Opened(_) => Err(errno::error(errno::EINVAL)),
        }
    }

    pub(crate) fn connect(&mut self, target: &Target) -> io::Result<()> {
        match (&*self, target) {
            (Self::Winsock(socket), Target::Socket(address)) => socket.connect(address),
            (Self::Client, Target::Pipe(path)) => {
                *self = Self::Opened(Opening::start(path)?);
                Ok(())
            }
            _ => Err(errno::error(errno::EINVAL)),
        }
    }
}

/// The socket, for options.
///
/// # Errors
/// `ENOTSOCK` for a pipe.
pub(crate) fn as_socket(socket: &Socket) -> io::Result<SockRef<'_>> {
    match socket {
        Socket::Winsock(socket) => Ok(SockRef::from(socket)),
        _ => Err(errno::error(errno::ENOTSOCK)),
    }
}

/// Prepares a TCP socket for bind. SO_REUSEADDR is not set: here it would let others take the port over.
pub(crate) fn before_bind(_socket: &socket2::Socket, reuse_port: bool) -> io::Result<()> {
    if reuse_port {
        return Err(errno::error(errno::ENOTSUP));
    }
    Ok(())
}

/// Makes a pipe.
pub(crate) fn bind_path(path: &str, options: &PipeOptions) -> io::Result<Socket> {
    Reserved::new(path, options).map(Socket::Server)
}

/// Where a path is to be found.
pub(crate) fn path_address(path: &str) -> io::Result<Target> {
    // The system would see another name, the part before the NUL.
    if path.contains('\0') {
        return Err(errno::error(errno::EINVAL));
    }
    Ok(Target::Pipe(path.to_owned()))
}

/// The address to connect to: Winsock does not accept "any", so the loopback address stands in for it.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// Whether a connect goes on in the background.
pub(crate) fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
