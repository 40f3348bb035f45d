//! Tokio as a guest of the owner's event loop: no thread, and nothing passed between threads.
//!
//! The host watches Tokio's own epoll descriptor. When that is readable, one [`InLoop::turn`] makes Tokio poll it once
//! without blocking, which runs the wakers of the sockets that are ready. Tokio's timers would fire only in a turn, so
//! nothing on this runtime uses them.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::task::Poll;

use tokio::net::UnixStream;
use tokio::runtime::{Builder, Handle, Runtime};

pub(crate) struct InLoop {
    runtime: Runtime,
    descriptor: RawFd,
}

impl InLoop {
    /// `None` where Tokio's epoll descriptor cannot be found, for example because there is no `/proc`.
    pub(crate) fn start() -> io::Result<Option<Self>> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        Ok(find_epoll(&runtime)?.map(|descriptor| Self {
            runtime,
            descriptor,
        }))
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    pub(crate) const fn descriptor(&self) -> RawFd {
        self.descriptor
    }

    /// One non-blocking poll of the driver. When a future has woken itself, the scheduler polls its driver, with a
    /// time-out of zero, before it polls the future again.
    pub(crate) fn turn(&self) {
        let mut polled = false;
        self.runtime.block_on(poll_fn(|cx| {
            if polled {
                return Poll::Ready(());
            }
            polled = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
    }
}

/// Tokio does not give its epoll descriptor away. So we register a socket with the runtime: the epoll instance that
/// lists this socket in `/proc/self/fdinfo` is the runtime's.
fn find_epoll(runtime: &Runtime) -> io::Result<Option<RawFd>> {
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
