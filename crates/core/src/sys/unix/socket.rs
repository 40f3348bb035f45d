//! Sockets before they are registered: binding, and connecting.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockRef, Type};

use crate::endpoint;
use crate::errno;
use crate::options::PipeOptions;
use crate::sys::Transport;

pub(crate) use socket2::{SockAddr as Target, Socket};

/// A new socket, non-blocking and close-on-exec (socket2 sets the latter, atomically where the system can).
pub(crate) fn new_socket(domain: Domain, transport: Transport) -> io::Result<Socket> {
    let protocol = match transport {
        Transport::Tcp => Some(Protocol::TCP),
        Transport::Path => None,
    };
    // One system call instead of three, where the system has the flag.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    return Socket::new(domain, Type::STREAM.nonblocking(), protocol);
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    {
        let socket = Socket::new(domain, Type::STREAM, protocol)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

/// The socket, for options.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a named pipe of Windows has no socket"
)]
pub(crate) fn as_socket(socket: &Socket) -> io::Result<SockRef<'_>> {
    Ok(SockRef::from(socket))
}

/// Prepares a TCP socket for bind(2). As with libuv a port can be bound again while old connections are in TIME_WAIT.
pub(crate) fn before_bind(socket: &Socket, reuse_port: bool) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    if reuse_port {
        share_port(socket)
    } else {
        Ok(())
    }
}

// Elsewhere SO_REUSEPORT does not spread connections over the sockets, or does not exist; libuv refuses it there too.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn share_port(_socket: &Socket) -> io::Result<()> {
    Err(errno::error(errno::ENOTSUP))
}

/// A Unix-domain socket bound to a path. A missing directory is `EACCES`, as in libuv.
pub(crate) fn bind_path(path: &str, options: &PipeOptions) -> io::Result<Socket> {
    if *options != PipeOptions::default() {
        return Err(errno::error(errno::ENOTSUP));
    }
    let address = path_address(path)?;
    let socket = new_socket(Domain::UNIX, Transport::Path)?;
    match socket.bind(&address) {
        Err(error) if errno::code(&error) == errno::ENOENT => Err(errno::error(errno::EACCES)),
        result => result.map(|()| socket),
    }
}

/// Where a path is to be found.
pub(crate) fn path_address(path: &str) -> io::Result<Target> {
    endpoint::parse_path(path)
}

/// The address to connect to; "any" is this machine already.
pub(crate) const fn reachable(address: SocketAddr) -> SocketAddr {
    address
}

/// Whether a connect goes on in the background.
pub(crate) fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}
