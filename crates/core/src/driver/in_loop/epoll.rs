//! Finds Tokio's epoll descriptor, which Tokio does not give away.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;

use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// We register a socket with the runtime: the epoll instance that lists this socket in `/proc/self/fdinfo` is the
/// runtime's.
pub(super) fn find(runtime: &Runtime) -> io::Result<Option<RawFd>> {
    let _context = runtime.enter();
    let (probe, _peer) = UnixStream::pair()?;
    let target = probe.as_raw_fd().to_string();
    let inode = fs::metadata(format!("/proc/self/fd/{target}"))
        .map(|probe| format!("ino:{:x}", probe.ino()));

    let Ok(descriptors) = fs::read_dir("/proc/self/fd") else {
        return Ok(None);
    };
    for entry in descriptors.flatten() {
        let is_epoll =
            fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:[eventpoll]");
        if !is_epoll {
            continue;
        }
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else {
            continue;
        };
        // "tfd:       21 events: 8000201d data: …  pos:0 ino:61af sdev:9": a line for each descriptor that this epoll
        // instance watches. It may list a number that has been closed and given to our probe since; the inode (Linux
        // 4.13 and later) shows the difference.
        let watches = info
            .lines()
            .filter_map(|line| line.strip_prefix("tfd:"))
            .any(|rest| {
                let mut words = rest.split_whitespace();
                let mut named = words.clone().filter(|word| word.starts_with("ino:"));
                words.next() == Some(&target)
                    && named.all(|word| inode.as_ref().is_ok_and(|inode| inode == word))
            });
        if watches {
            return Ok(Some(number));
        }
    }
    Ok(None)
}
