//! One end of a named pipe: `read.rs` and `write.rs` do the I/O, with overlapped operations of our own (`operation.rs`
//! says why); here is what libuv makes of a half-close, which pipes do not have.

mod flush;
mod open;
mod operation;
mod read;
mod server;
mod wake;
mod write;

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub(crate) use open::Opening;
pub(crate) use server::{Instances, Reserved};

use crate::errno;
use crate::options::PipeAccess;
use crate::sys::Behind;
use flush::Flush;
use open::{Opened, Waiting};
use read::Reading;
use write::Writing;

/// How long we go on reading after our end, as libuv does. The peer of a pipe learns of an end only when the whole pipe
/// is closed, so nobody waits for longer than this without a byte.
const AFTER_END: Duration = Duration::from_millis(50);

pub(crate) struct Pipe {
    flush: Option<Flush>,
    reading: RefCell<Reading>,
    writing: RefCell<Writing>,
    end: End,
    access: PipeAccess,
    runtime: Handle,
    /// Our end has been announced: everything written has been read by the peer.
    ended: bool,
    /// Set while we wait for the peer's last bytes.
    last_wait: Option<LastWait>,
    /// The peer has closed its end.
    is_at_end: bool,
}

enum End {
    /// The server has no free instance yet.
    Waiting(Waiting),
    Open(OwnedHandle),
    Closed,
}

impl End {
    fn handle(&self) -> io::Result<BorrowedHandle<'_>> {
        match self {
            Self::Open(pipe) => Ok(pipe.as_handle()),
            Self::Waiting(_) => Err(errno::error(errno::ENOTCONN)),
            Self::Closed => Err(errno::error(errno::EPIPE)),
        }
    }
}

impl Pipe {
    /// The client's end; must run inside the runtime's context.
    pub(crate) fn client(opening: Opening) -> Self {
        match opening {
            Opening::Open(Opened { handle, access }) => Self::new(End::Open(handle), access),
            // What it can do is known when it is open.
            Opening::Busy(path) => {
                Self::new(End::Waiting(Waiting::start(path)), PipeAccess::Duplex)
            }
        }
    }

    /// The server's end of an instance that has a client; must run inside the runtime's context.
    fn server(pipe: OwnedHandle, access: PipeAccess) -> Self {
        Self::new(End::Open(pipe), access)
    }

    fn new(end: End, access: PipeAccess) -> Self {
        Self {
            flush: None,
            reading: RefCell::default(),
            writing: RefCell::default(),
            end,
            access,
            runtime: Handle::current(),
            ended: false,
            last_wait: None,
            is_at_end: false,
        }
    }

    /// The outcome of the wait for a free instance, once the pipe is writable.
    pub(crate) fn finish_open(&mut self) -> io::Result<()> {
        let End::Waiting(waiting) = &self.end else {
            return Ok(());
        };
        let Opened { handle, access } = waiting.take()?;
        self.end = End::Open(handle);
        self.access = access;
        Ok(())
    }

    pub(crate) const fn access(&self) -> PipeAccess {
        self.access
    }

    // --- read ---------------------------------------------------------------------------------------------------

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.end {
            End::Waiting(_) => Poll::Pending,
            End::Open(pipe) if self.access.may_read() => {
                self.reading.borrow_mut().poll(pipe.as_handle(), cx)
            }
            // The end.
            End::Open(_) | End::Closed => Poll::Ready(Ok(())),
        }
    }

    /// One read, and what comes after it.
    pub(crate) fn read(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut [u8],
    ) -> Poll<io::Result<(usize, Behind)>> {
        let handle = match &self.end {
            End::Waiting(_) => return Poll::Pending,
            End::Open(pipe) if self.access.may_read() => pipe.as_handle(),
            End::Open(_) | End::Closed => return Poll::Ready(Ok((0, Behind::More))),
        };
        let reading = self.reading.get_mut();
        loop {
            let found = match reading.read(handle, memory) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Ok(0) => {
                    self.is_at_end = true;
                    return Poll::Ready(Ok((0, Behind::More)));
                }
                Ok(length) => length,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if found > 0 {
                // The time begins anew.
                self.last_wait = None;
            }
            if found == memory.len() {
                return Poll::Ready(Ok((found, Behind::More)));
            }
            match reading.poll(handle, cx) {
                Poll::Pending => {}
                Poll::Ready(_) if found > 0 => return Poll::Ready(Ok((found, Behind::More))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // Something has come just now.
                Poll::Ready(Ok(())) => continue,
            }
            let is_over = self.read_last(cx);
            return if found > 0 {
                Poll::Ready(Ok((found, Behind::Nothing)))
            } else {
                is_over
            };
        }
    }

    /// There is nothing to read for now. After our end that is the end of the pipe, in a moment.
    fn read_last(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(usize, Behind)>> {
        if !self.ended {
            return Poll::Pending;
        }
        let runtime = &self.runtime;
        let wait = self
            .last_wait
            .get_or_insert_with(|| LastWait::start(runtime, cx));
        if !wait.is_over() {
            return Poll::Pending;
        }
        self.close();
        Poll::Ready(Ok((0, Behind::More)))
    }

    // --- write --------------------------------------------------------------------------------------------------

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let End::Waiting(waiting) = &self.end {
            return waiting.poll(cx).map(Ok);
        }
        if let Some(flush) = &self.flush
            && flush.poll(cx).is_pending()
        {
            return Poll::Pending;
        }
        match self.end.handle() {
            Ok(handle) => self.writing.borrow_mut().poll(handle, cx).map(Ok),
            // The next write fails.
            Err(_) => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.access.may_write() {
            return Err(errno::error(errno::EPIPE));
        }
        let handle = self.end.handle()?;
        self.writing.borrow_mut().send(handle, slices)
    }

    // --- half-close and close -----------------------------------------------------------------------------------

    /// Ends our side: when the peer has read everything, and then sends nothing for a moment, the pipe is closed. Fails
    /// with `EAGAIN` until the peer has read everything.
    pub(crate) fn shutdown(&mut self) -> io::Result<Behind> {
        if self.ended {
            return Ok(Behind::More);
        }
        let handle = self.end.handle()?;
        let is_flushed = match &self.flush {
            Some(flush) => flush.is_over(),
            None => self.writing.borrow_mut().is_flushed(handle)?,
        };
        if !is_flushed {
            if self.flush.is_none() {
                self.flush = Some(Flush::start(handle)?);
            }
            return Err(errno::error(errno::EAGAIN));
        }
        self.flush = None;
        self.ended = true;
        if self.is_at_end || !self.access.may_read() {
            self.close();
            return Ok(Behind::Nothing);
        }
        Ok(Behind::More)
    }

    fn close(&mut self) {
        self.last_wait = None;
        self.flush = None;
        if let Ok(handle) = self.end.handle() {
            self.reading.get_mut().cancel(handle);
            self.writing.get_mut().cancel(handle);
        }
        self.end = End::Closed;
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.close();
    }
}

/// A timer that wakes the reader when the peer has had its time.
struct LastWait {
    timer: JoinHandle<()>,
    over: Arc<AtomicBool>,
}

impl LastWait {
    fn start(runtime: &Handle, cx: &Context<'_>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (mark, waker) = (Arc::clone(&over), cx.waker().clone());
        let timer = runtime.spawn(async move {
            tokio::time::sleep(AFTER_END).await;
            mark.store(true, Ordering::Release);
            waker.wake();
        });
        Self { timer, over }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

impl Drop for LastWait {
    fn drop(&mut self) {
        self.timer.abort();
    }
}
