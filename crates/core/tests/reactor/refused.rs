//! What happens to a descriptor that the system will not watch. The user may have too many watched already
//! (`fs.epoll.max_user_watches`), or the kernel may have no memory.

use std::cell::Cell;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use ferronet_core::errno;
use ferronet_core::handover::Released;

use crate::common::{Directory, Host};

const REFUSAL: i32 = -libc::ENOSPC;

thread_local! {
    /// Whether this thread may watch nothing more.
    static REFUSING: Cell<bool> = const { Cell::new(false) };
}

/// Replaces the C library's in all of this program: a definition in the executable is found first.
///
/// # Safety
/// As epoll_ctl(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_ctl(
    epoll: i32,
    operation: i32,
    descriptor: i32,
    event: *mut libc::epoll_event,
) -> i32 {
    if REFUSING.get() && operation == libc::EPOLL_CTL_ADD {
        // SAFETY: the address of this thread's errno.
        let number = unsafe { libc::__errno_location() };
        // SAFETY: as above; only this thread writes there.
        unsafe { *number = libc::ENOSPC };
        return -1;
    }
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_epoll_ctl, epoll, operation, descriptor, event) };
    result as i32
}

fn refused<T>(run: impl FnOnce() -> T) -> T {
    REFUSING.set(true);
    let result = run();
    REFUSING.set(false);
    result
}

fn what_cannot_be_watched_stays_the_callers(host: &mut Host) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let mut tcp = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let (tcp_end, _) = listener.accept().expect("accept");
    let (mut unix, unix_end) = UnixStream::pair().expect("pair");
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    let ends: [OwnedFd; 3] = [tcp_end.into(), unix_end.into(), writer.into()];
    let others: [&mut dyn Read; 3] = [&mut tcp, &mut unix, &mut reader];
    for (end, other) in ends.into_iter().zip(others) {
        let number = end.as_raw_fd();
        let (error, back) = refused(|| host.reactor.adopt(Released::from(end)))
            .expect_err("nothing can be watched");
        assert_eq!(errno::code(&error), REFUSAL);
        assert_eq!(back.as_raw_fd(), number);
        let slot = host.reactor.adopt(back).map_err(|(error, _)| error);
        let slot = slot.expect("it can be watched now");
        host.seen.open(slot);
        host.send(slot, b"still open");
        host.close(slot);
        let mut text = String::new();
        other.read_to_string(&mut text).expect("read");
        assert_eq!(text, "still open");
    }
}

fn a_connect_that_cannot_be_watched_is_under_way_until_it_is_reported(host: &mut Host) {
    let directory = Directory::new();
    let path = directory.path("socket");
    let listener = UnixListener::bind(&path).expect("bind");
    let client = refused(|| host.start_connect_path(&path));
    assert_eq!(host.connected(client), REFUSAL);
    assert!(!host.close(client), "reported");

    let client = refused(|| host.start_connect_path(&path));
    assert!(host.close(client), "not reported yet");
    host.pump();

    let client = host.start_connect_path(&path);
    assert_eq!(host.connected(client), 0);
    drop(listener);
}

fn a_connect_over_tcp_that_cannot_be_watched_fails_at_once(host: &mut Host) {
    let (_listener, address) = host.listen_tcp();
    let before = host.reactor.len();
    let error = refused(|| host.reactor.connect_tcp(None, address)).expect_err("refused");
    assert_eq!(errno::code(&error), REFUSAL);
    assert_eq!(host.reactor.len(), before);
    let client = host.start_connect(address);
    assert_eq!(host.connected(client), 0);
}

under_both_drivers! {
    what_cannot_be_watched_stays_the_callers,
    a_connect_that_cannot_be_watched_is_under_way_until_it_is_reported,
    a_connect_over_tcp_that_cannot_be_watched_fails_at_once,
}
