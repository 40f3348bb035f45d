//! Sockets before they are registered: binding, and connecting.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{SockAddr, Socket};

use crate::errno;

/// Prepares a TCP socket for bind. SO_REUSEADDR is not set: here it would let others take the port over.
pub(crate) fn before_bind(_socket: &Socket, reuse_port: bool) -> io::Result<()> {
    if reuse_port {
        return Err(errno::error(errno::ENOTSUP));
    }
    Ok(())
}

pub(crate) fn bind_path(_path: &str) -> io::Result<Socket> {
    Err(errno::error(errno::ENOTSUP))
}

pub(crate) fn path_address(_path: &str) -> io::Result<SockAddr> {
    Err(errno::error(errno::ENOTSUP))
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
