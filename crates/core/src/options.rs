//! Socket options, one function for each. Units are the system's, and the caller has validated the ranges.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

#[cfg(not(target_os = "linux"))]
use crate::errno;

/// What Windows lets a program say about a named pipe that it makes. The default is what libuv asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipeOptions {
    /// The name must not exist yet. Otherwise the pipe may join those of other servers of the same name.
    pub first_instance: bool,
    /// Clients on other machines are turned away.
    pub reject_remote_clients: bool,
    pub access: PipeAccess,
    /// Who may do what with the pipe, in the security descriptor definition language.
    pub security_descriptor: Option<String>,
}

impl Default for PipeOptions {
    fn default() -> Self {
        Self {
            first_instance: true,
            reject_remote_clients: false,
            access: PipeAccess::Duplex,
            security_descriptor: None,
        }
    }
}

/// The directions in which bytes may go, as seen from this end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipeAccess {
    Duplex,
    Inbound,
    Outbound,
}

#[cfg(windows)]
impl PipeAccess {
    pub(crate) fn may_read(self) -> bool {
        self != Self::Outbound
    }

    pub(crate) fn may_write(self) -> bool {
        self != Self::Inbound
    }
}

/// `TCP_NODELAY`: sends small segments at once (true) or lets Nagle's algorithm (RFC 896) gather them.
pub fn set_nodelay(socket: SockRef<'_>, nodelay: bool) -> io::Result<()> {
    socket.set_tcp_nodelay(nodelay)
}

/// `SO_KEEPALIVE`, its timing in seconds, and its count of probes. A delay, interval or count of 0 leaves the system's
/// value.
pub fn set_keepalive(
    socket: SockRef<'_>,
    enable: bool,
    delay: u32,
    interval: u32,
    count: u32,
) -> io::Result<()> {
    if !enable {
        return socket.set_keepalive(false);
    }
    // With Windows' call for the timing a zero would not leave the system's value.
    #[cfg(windows)]
    if delay == 0 {
        return socket.set_keepalive(true);
    }
    let mut keepalive = TcpKeepalive::new();
    if delay > 0 {
        keepalive = keepalive.with_time(Duration::from_secs(delay.into()));
    }
    if interval > 0 {
        keepalive = keepalive.with_interval(Duration::from_secs(interval.into()));
    }
    if count > 0 {
        keepalive = keepalive.with_retries(count);
    }
    // Sets SO_KEEPALIVE as well.
    socket.set_tcp_keepalive(&keepalive)
}

/// `IP_TOS`, or IPv6's traffic class: 0 to 255.
pub fn set_type_of_service(socket: SockRef<'_>, tos: u32) -> io::Result<()> {
    #[cfg(unix)]
    if socket.local_addr()?.is_ipv6() {
        return socket.set_tclass_v6(tos);
    }
    socket.set_tos_v4(tos)
}

/// The value that [`set_type_of_service`] sets.
pub fn type_of_service(socket: SockRef<'_>) -> io::Result<u32> {
    #[cfg(unix)]
    if socket.local_addr()?.is_ipv6() {
        return socket.tclass_v6();
    }
    socket.tos_v4()
}

/// `SO_BUSY_POLL`: for how many microseconds a call that finds nothing asks the network card itself; 0 for not at all.
///
/// # Errors
/// `EPERM` for more than `net.core.busy_read` without `CAP_NET_ADMIN`, and `ENOTSUP` where there is no such option.
#[cfg(target_os = "linux")]
pub fn set_busy_poll(socket: SockRef<'_>, microseconds: u32) -> io::Result<()> {
    socket.set_busy_poll(microseconds)
}

#[cfg(not(target_os = "linux"))]
pub fn set_busy_poll(_socket: SockRef<'_>, _microseconds: u32) -> io::Result<()> {
    Err(errno::error(errno::ENOTSUP))
}

/// The value that [`set_busy_poll`] sets.
///
/// # Errors
/// `ENOTSUP` where there is no such option.
#[cfg(target_os = "linux")]
pub fn busy_poll(socket: SockRef<'_>) -> io::Result<u32> {
    socket.busy_poll()
}

#[cfg(not(target_os = "linux"))]
pub fn busy_poll(_socket: SockRef<'_>) -> io::Result<u32> {
    Err(errno::error(errno::ENOTSUP))
}

/// `TCP_MAXSEG`: how many bytes of the stream a segment to this peer carries; 0 where the system does not tell.
#[cfg(unix)]
pub fn segment_size(socket: SockRef<'_>) -> u32 {
    socket.tcp_mss().unwrap_or(0)
}

#[cfg(not(unix))]
pub fn segment_size(_socket: SockRef<'_>) -> u32 {
    0
}

/// `SO_LINGER` with zero seconds: close(2) sends RST and drops what has not been sent.
pub fn set_reset_on_close(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_linger(Some(Duration::ZERO))
}
