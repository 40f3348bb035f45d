//! Where the server is: a loopback TCP address or the path of a Unix socket, and its C form.

use std::io;
use std::mem;
use std::net::SocketAddrV4;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;

/// The two flags every program here takes.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// Loopback TCP address, such as 127.0.0.1:4000 (port 0 lets a server choose)
    #[arg(long)]
    tcp: Option<SocketAddrV4>,
    /// Path of a Unix socket
    #[arg(long)]
    unix: Option<PathBuf>,
}

impl Place {
    /// Refuses addresses on other machines, so that nothing here can load another network.
    pub fn endpoint(self) -> io::Result<Endpoint> {
        match (self.tcp, self.unix) {
            (Some(address), _) if address.ip().is_loopback() => Ok(Endpoint::Tcp(address)),
            (Some(_), _) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "only loopback addresses",
            )),
            (None, Some(path)) if path.as_os_str().len() < SUN_PATH => Ok(Endpoint::Unix(path)),
            (None, _) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the Unix path is too long",
            )),
        }
    }
}

/// A parsed and checked endpoint.
pub enum Endpoint {
    Tcp(SocketAddrV4),
    Unix(PathBuf),
}

const SUN_PATH: usize = 108;

impl Endpoint {
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Tcp(address) => Address::Tcp(libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(address.ip().octets()),
                },
                sin_zero: [0; 8],
            }),
            Self::Unix(path) => {
                let mut address = libc::sockaddr_un {
                    sun_family: libc::AF_UNIX as libc::sa_family_t,
                    sun_path: [0; SUN_PATH],
                };
                for (to, from) in address.sun_path.iter_mut().zip(path.as_os_str().as_bytes()) {
                    *to = *from as libc::c_char;
                }
                Address::Unix(address)
            }
        }
    }
}

/// An endpoint in the kernel's form.
pub(crate) enum Address {
    Tcp(libc::sockaddr_in),
    Unix(libc::sockaddr_un),
}

impl Address {
    pub(crate) fn family(&self) -> libc::c_int {
        match self {
            Self::Tcp(_) => libc::AF_INET,
            Self::Unix(_) => libc::AF_UNIX,
        }
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        match self {
            Self::Tcp(address) => (&raw const *address).cast(),
            Self::Unix(address) => (&raw const *address).cast(),
        }
    }

    pub(crate) fn len(&self) -> libc::socklen_t {
        let bytes = match self {
            Self::Tcp(_) => mem::size_of::<libc::sockaddr_in>(),
            Self::Unix(_) => mem::size_of::<libc::sockaddr_un>(),
        };
        bytes as libc::socklen_t
    }
}
