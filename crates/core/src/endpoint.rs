//! Addresses: text to socket addresses and back, as libuv spells them.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use socket2::SockAddr;
#[cfg(target_os = "linux")]
use socket2::SockAddrStorage;

use crate::errno;

/// One end of a connection, or where a listener is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Ip(SocketAddr),
    /// A Unix-domain path. A leading NUL stands for Linux's abstract namespace; an unnamed socket's is empty.
    Path(Vec<u8>),
}

/// Parses a numeric address, an IPv6 one with an optional zone (`fe80::1%eth0`).
///
/// # Errors
/// `EINVAL` for anything else. An unknown zone counts as none, as in libuv.
pub fn parse_ip(address: &str, port: u16) -> io::Result<SocketAddr> {
    let invalid = |_| errno::error(errno::EINVAL);
    if let Some((address, zone)) = address.split_once('%') {
        let ip: Ipv6Addr = address.parse().map_err(invalid)?;
        return Ok(SocketAddrV6::new(ip, port, 0, zone_index(zone)).into());
    }
    Ok(match address.parse().map_err(invalid)? {
        IpAddr::V4(ip) => SocketAddrV4::new(ip, port).into(),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, 0).into(),
    })
}

#[cfg(unix)]
fn zone_index(zone: &str) -> u32 {
    std::ffi::CString::new(zone).map_or(0, |name| {
        // SAFETY: `name` is a NUL-terminated string that outlives the call, which only reads it.
        unsafe { libc::if_nametoindex(name.as_ptr()) }
    })
}

#[cfg(windows)]
fn zone_index(zone: &str) -> u32 {
    zone.parse().unwrap_or(0)
}

/// The socket address of a Unix-domain path.
///
/// # Errors
/// `EINVAL` when the path is longer than the system's `sun_path`, or has a NUL where it may not.
pub fn parse_path(path: &str) -> io::Result<SockAddr> {
    let named = !path.starts_with('\0');
    if named && path.contains('\0') || (!named && !cfg!(target_os = "linux")) {
        return Err(errno::error(errno::EINVAL));
    }
    #[cfg(target_os = "linux")]
    if path.len() == LONGEST_PATH {
        return Ok(longest(path.as_bytes()));
    }
    SockAddr::unix(path).map_err(|_| errno::error(errno::EINVAL))
}

// Linux needs no NUL after a path, so libuv uses the last byte of the address. std and socket2 do not.
#[cfg(target_os = "linux")]
const LONGEST_PATH: usize = size_of::<libc::sockaddr_un>() - PATH_OFFSET;
#[cfg(target_os = "linux")]
const PATH_OFFSET: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);

#[cfg(target_os = "linux")]
fn longest(path: &[u8]) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_un is plain data, for which all zeros is a valid value, and no larger than the storage.
    let address = unsafe { storage.view_as::<libc::sockaddr_un>() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as libc::c_char;
    }
    let length = PATH_OFFSET + path.len();
    // SAFETY: `length` covers the family and the bytes of the path, all of which have just been filled in.
    unsafe { SockAddr::new(storage, length as libc::socklen_t) }
}

/// The endpoint in an address that a system call returned.
pub fn endpoint(address: &SockAddr) -> Endpoint {
    if let Some(ip) = address.as_socket() {
        return Endpoint::Ip(ip);
    }
    #[cfg(unix)]
    if let Some(path) = address.as_pathname() {
        return Endpoint::Path(path.as_os_str().as_encoded_bytes().to_vec());
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.as_abstract_namespace() {
        return Endpoint::Path([b"\0", name].concat());
    }
    Endpoint::Path(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_addresses_parse_and_names_do_not() {
        assert_eq!(
            parse_ip("127.0.0.1", 80).expect("IPv4"),
            "127.0.0.1:80".parse().expect("literal")
        );
        assert_eq!(
            parse_ip("::1", 0).expect("IPv6"),
            "[::1]:0".parse().expect("literal")
        );
        assert!(parse_ip("localhost", 1).is_err());
        assert!(parse_ip("", 1).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_zone_becomes_its_interface_index() {
        let SocketAddr::V6(address) = parse_ip("fe80::1%lo", 1).expect("zone") else {
            panic!("an IPv6 address");
        };
        assert_eq!(address.scope_id(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn paths_round_trip_and_bad_ones_are_refused() {
        let address = parse_path("/tmp/x.sock").expect("path");
        assert_eq!(endpoint(&address), Endpoint::Path(b"/tmp/x.sock".to_vec()));
        assert!(parse_path("/tmp/a\0b").is_err());
        assert!(parse_path(&"x".repeat(200)).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_keeps_its_leading_nul() {
        let address = parse_path("\0name").expect("abstract");
        assert_eq!(endpoint(&address), Endpoint::Path(b"\0name".to_vec()));
    }
}
