//! All calls of libc: epoll, non-blocking connect and accept, CPU clocks, limits.
//! Everything else uses std. Never blocks, except `Epoll::wait` and `connect_blocking`.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::endpoint::{Address, Endpoint};

/// libc's convention (−1 and `errno`) as a `Result`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Which events of a socket epoll should report.
#[derive(Clone, Copy)]
pub struct Interest(u32);

impl Interest {
    /// Both directions, once per change: registered once, never modified.
    pub const EDGE: Self =
        Self((libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32);
    /// Readable, level-triggered: for endless readers, which leave bytes behind to be fair.
    pub const READ: Self = Self((libc::EPOLLIN | libc::EPOLLRDHUP) as u32);
    /// Writable, level-triggered: for endless writers.
    pub const WRITE: Self = Self((libc::EPOLLOUT | libc::EPOLLRDHUP) as u32);
}

/// One thing that epoll reported.
#[derive(Clone, Copy)]
pub struct Event {
    /// The key given to `Epoll::add`.
    pub key: usize,
    flags: u32,
}

impl Event {
    /// Bytes, an end of stream or an error can be read.
    pub fn readable(self) -> bool {
        self.flags & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32
            != 0
    }

    /// The peer has ended its side, or the connection failed.
    pub fn hung_up(self) -> bool {
        self.flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0
    }
}

/// An epoll descriptor and the room for what it reports.
pub struct Epoll {
    fd: OwnedFd,
    ready: Vec<libc::epoll_event>,
    /// Never sleeps.
    spins: bool,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Self {
            // SAFETY: the descriptor was created on the line above and has no other owner.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            ready: vec![libc::epoll_event { events: 0, u64: 0 }; 1024],
            spins: false,
        })
    }

    /// From now on `wait` returns at once, whether there are events or not.
    pub fn spin(&mut self) {
        self.spins = true;
    }

    /// Closing the socket removes it, because we never duplicate its descriptor.
    pub fn add(&self, socket: &impl AsRawFd, key: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), key, interest)
    }

    pub fn change(&self, socket: &impl AsRawFd, key: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket.as_raw_fd(), key, interest)
    }

    fn control(
        &self,
        verb: libc::c_int,
        socket: RawFd,
        key: usize,
        interest: Interest,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest.0,
            u64: key as u64,
        };
        // SAFETY: `event` lives until the call returns, and the kernel copies it.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), verb, socket, &raw mut event) })?;
        Ok(())
    }

    /// Waits at most `timeout` (`None`: for ever) and returns how many events there are; an
    /// interrupted wait has none.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        // Rounded up, because rounding down would busy-wait through the last millisecond.
        let millis = match timeout {
            _ if self.spins => 0,
            None => -1,
            Some(left) => left.as_micros().div_ceil(1000).min(60_000) as libc::c_int,
        };
        let room = self.ready.len() as libc::c_int;
        // SAFETY: the kernel writes at most `room` entries into `ready`, which has that many.
        match check(unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), self.ready.as_mut_ptr(), room, millis)
        }) {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// One of the events of the last `wait`.
    pub fn event(&self, index: usize) -> Event {
        let libc::epoll_event { events, u64: key } = self.ready[index];
        Event {
            key: key as usize,
            flags: events,
        }
    }
}

/// Starts a connection and returns at once; writable or an error follows through epoll.
///
/// `source` is the last byte of the 127.0.0.x address to connect from.
///
/// A connection is std's `TcpStream` whatever its family. We only use `recv`, `send` and `shutdown`,
/// which are the same calls for TCP and Unix sockets.
pub fn connect(endpoint: &Endpoint, source: Option<u8>) -> io::Result<TcpStream> {
    let address = endpoint.address();
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::socket(address.family(), kind, 0) })?;
    // SAFETY: the descriptor was created on the line above and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    if let (Some(last), Address::Tcp(_)) = (source, &address) {
        // Without it bind() would take a port that is free for every destination; with it connect() takes
        // one that is free for this source and destination, so each source address has all ports.
        set_option(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
        let from =
            Endpoint::Tcp(std::net::SocketAddrV4::new([127, 0, 0, last].into(), 0)).address();
        // SAFETY: pointer and length describe `from`, which outlives the call.
        check(unsafe { libc::bind(socket.as_raw_fd(), from.as_ptr(), from.len()) })?;
    }
    // SAFETY: pointer and length describe `address`, which outlives the call.
    match check(unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr(), address.len()) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from(socket)),
    }
}

/// Connects and waits until the connection is established. The stream is non-blocking afterwards.
pub fn connect_blocking(endpoint: &Endpoint) -> io::Result<TcpStream> {
    match endpoint {
        Endpoint::Tcp(address) => {
            let stream = TcpStream::connect_timeout(&(*address).into(), Duration::from_secs(10))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        }
        Endpoint::Unix(path) => {
            let stream = std::os::unix::net::UnixStream::connect(path)?;
            stream.set_nonblocking(true)?;
            Ok(TcpStream::from(OwnedFd::from(stream)))
        }
    }
}

/// The next pending connection, non-blocking; `WouldBlock` when there is none.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<TcpStream> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: null pointers say that the peer's address is not wanted.
    let fd = check(unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            flags,
        )
    })?;
    // SAFETY: the descriptor was created on the line above and has no other owner.
    Ok(TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Raises a listener's backlog above std's 128: a second listen() only changes that number.
pub fn set_backlog(listener: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::listen(listener.as_raw_fd(), backlog) })?;
    Ok(())
}

fn set_option(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: pointer and length describe `value`, which outlives the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            length,
        )
    })?;
    Ok(())
}

/// A piece of memory that can be sent any number of times without being copied: the kernel passes
/// references to its pages on, and the only copy left is the receiver's.
pub struct Chunk {
    file: File,
    length: usize,
}

impl Chunk {
    pub fn of(bytes: &[u8]) -> io::Result<Self> {
        // SAFETY: the name is a C string literal.
        let fd = check(unsafe { libc::memfd_create(c"chunk".as_ptr(), libc::MFD_CLOEXEC) })?;
        // SAFETY: the descriptor was created on the line above and has no other owner.
        let mut file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        file.write_all(bytes)?;
        Ok(Self {
            file,
            length: bytes.len(),
        })
    }

    /// Sends as much of it as there is room for.
    pub fn send(&self, stream: &TcpStream) -> io::Result<usize> {
        let mut from = 0;
        // SAFETY: `from` outlives the call, which moves it and leaves the file's own position alone.
        let sent = unsafe {
            libc::sendfile(
                stream.as_raw_fd(),
                self.file.as_raw_fd(),
                &raw mut from,
                self.length,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Receives and discards: on TCP `MSG_TRUNC` spares the copy; a Unix socket ignores it and fills `room`.
pub fn discard(stream: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `room.len()` bytes into `room`.
    let count = unsafe {
        libc::recv(
            stream.as_raw_fd(),
            room.as_mut_ptr().cast(),
            room.len(),
            libc::MSG_TRUNC,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Raises the limit so that `wanted` descriptors fit besides those every process has.
pub fn raise_descriptor_limit(wanted: u64) -> io::Result<()> {
    let needed = wanted + 64;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit into `limit`.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur >= needed {
        return Ok(());
    }
    limit.rlim_cur = needed;
    limit.rlim_max = limit.rlim_max.max(needed);
    // SAFETY: `limit` outlives the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(())
}

/// Makes the kernel end this process after that time, even if it hangs.
pub fn end_after(limit: Duration) {
    // SAFETY: takes no pointers; SIGALRM keeps its default action, which is to terminate.
    unsafe { libc::alarm(limit.as_secs().max(1) as libc::c_uint) };
}

/// How long this thread was ready to run so far while its core ran something else; zero where the
/// kernel does not count it.
pub fn waited_for_a_core() -> Duration {
    let counters = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = counters
        .split(' ')
        .nth(1)
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

/// User and system time of a process so far, all its threads, in nanoseconds' resolution
/// (`/proc/PID/stat` counts in ticks of 10 ms, `/proc/PID/schedstat` only the main thread).
#[derive(Clone, Copy)]
pub struct CpuClock(libc::clockid_t);

impl CpuClock {
    pub const OWN: Self = Self(libc::CLOCK_PROCESS_CPUTIME_ID);

    pub fn of(pid: u32) -> io::Result<Self> {
        let mut clock = 0;
        // SAFETY: the id is written into `clock`.
        match unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) } {
            0 => Ok(Self(clock)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    pub fn read(self) -> io::Result<Duration> {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the kernel writes one timespec into `time`.
        check(unsafe { libc::clock_gettime(self.0, &raw mut time) })?;
        Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }
}
