//! One end of a named pipe. Tokio reads it: bytes that arrive are in its driver before we ask for them. Writes are our
//! own (`write.rs`), and so is what libuv makes of a half-close, which pipes do not have.

mod open;
mod server;
mod wake;
mod write;

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::windows::io::{AsHandle, BorrowedHandle};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::windows::named_pipe::{NamedPipeClient, NamedPipeServer};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub(crate) use open::Opening;
pub(crate) use server::{Instances, Reserved};

use crate::errno;
use crate::options::PipeAccess;
use crate::sys::Behind;
use open::Waiting;
use write::{Flush, Writing};

/// How long we go on reading after our end, as libuv does. The peer of a pipe learns of an end only when the whole pipe
/// is closed, so nobody waits for longer than this without a byte.
const AFTER_END: Duration = Duration::from_millis(50);

pub(crate) struct Pipe {
    // Before the pipe: fields are dropped in order, and what is being written or flushed uses its handle.
    flush: Option<Flush>,
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
    Client(NamedPipeClient),
    Server(NamedPipeServer),
    Closed,
}

impl End {
    fn handle(&self) -> io::Result<BorrowedHandle<'_>> {
        match self {
            Self::Client(io) => Ok(io.as_handle()),
            Self::Server(io) => Ok(io.as_handle()),
            Self::Waiting(_) => Err(errno::error(errno::ENOTCONN)),
            Self::Closed => Err(errno::error(errno::EPIPE)),
        }
    }
}

impl Pipe {
    /// The client's end; must run inside the runtime's context.
    pub(crate) fn client(opening: Opening) -> io::Result<Self> {
        Ok(match opening {
            Opening::Open(opened) => {
                let access = opened.access();
                Self::new(End::Client(opened.register()?), access)
            }
            Opening::Busy(path) => {
                // What it can do is known when it is open.
                Self::new(End::Waiting(Waiting::start(path)), PipeAccess::Duplex)
            }
        })
    }

    /// The server's end of a connected instance; must run inside the runtime's context.
    fn server(io: NamedPipeServer, access: PipeAccess) -> Self {
        Self::new(End::Server(io), access)
    }

    fn new(end: End, access: PipeAccess) -> Self {
        Self {
            flush: None,
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
        let (client, access) = waiting.take()?;
        self.end = End::Client(client);
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
            End::Closed => Poll::Ready(Ok(())),
            _ if !self.access.may_read() => Poll::Ready(Ok(())),
            End::Client(io) => io.poll_read_ready(cx),
            End::Server(io) => io.poll_read_ready(cx),
        }
    }

    /// What the driver has read by now.
    pub(crate) fn read(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut [u8],
    ) -> Poll<io::Result<(usize, Behind)>> {
        if !self.access.may_read() {
            return Poll::Ready(Ok((0, Behind::More)));
        }
        let mut buffer = ReadBuf::new(memory);
        // The driver reads a few KiB at a time.
        let behind = loop {
            let before = buffer.filled().len();
            let found = match &mut self.end {
                End::Client(io) => Pin::new(io).poll_read(cx, &mut buffer),
                End::Server(io) => Pin::new(io).poll_read(cx, &mut buffer),
                End::Waiting(_) => return Poll::Pending,
                End::Closed => return Poll::Ready(Ok((0, Behind::More))),
            };
            let is_first = before == 0;
            match found {
                Poll::Pending if is_first => return self.read_last(cx),
                Poll::Pending => break Behind::Nothing,
                Poll::Ready(Err(error)) if is_first => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if is_first && buffer.filled().is_empty() => {
                    self.is_at_end = true;
                    return Poll::Ready(Ok((0, Behind::More)));
                }
                // An end or an error is reported again by the next read.
                Poll::Ready(Err(_)) => break Behind::More,
                Poll::Ready(Ok(())) if buffer.filled().len() == before => break Behind::More,
                Poll::Ready(Ok(())) if buffer.remaining() == 0 => break Behind::More,
                Poll::Ready(Ok(())) => {}
            }
        };
        // Something has come, and the time begins anew.
        self.last_wait = None;
        if matches!(behind, Behind::Nothing) {
            let _ = self.read_last(cx);
        }
        Poll::Ready(Ok((buffer.filled().len(), behind)))
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
            self.writing.borrow_mut().cancel(handle);
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
