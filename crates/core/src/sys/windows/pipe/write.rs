//! Writing to a pipe, with overlapped I/O of our own. Tokio's writes are copied and reported as done at once, so that a
//! program which then ends its process would lose what it believes to be sent, and the first of them fails until the
//! driver's thread has seen the pipe.

use std::cell::UnsafeCell;
use std::io::{self, IoSlice};
use std::mem;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use windows_sys::Wdk::Storage::FileSystem::{
    FILE_PIPE_LOCAL_INFORMATION, FilePipeLocalInformation, NtQueryInformationFile,
};
use windows_sys::Win32::Foundation::{
    ERROR_IO_INCOMPLETE, ERROR_IO_PENDING, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{FlushFileBuffers, WriteFile};
use windows_sys::Win32::System::IO::{
    CancelIoEx, CancelSynchronousIo, GetOverlappedResult, IO_STATUS_BLOCK, OVERLAPPED,
};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD,
    WT_EXECUTEONLYONCE, WaitForSingleObject,
};

use super::wake::Wake;

/// The most that one write takes: as much as the pipe's own buffer holds.
const MOST: usize = 64 * 1024;

/// What has been given to the system to write. At most one write is under way.
#[derive(Default)]
pub(super) struct Writing {
    /// Made with the first write.
    operation: Option<Operation>,
    is_pending: bool,
    /// So much has been written, and the caller does not know yet: it is the beginning of what it offers next. A write
    /// that is under way has not been reported as sent, because it is lost if the process ends.
    owed: usize,
}

impl Writing {
    /// Writes what the system takes. When it takes nothing at once, the write goes on, [`Writing::poll`] says when it is
    /// done, and the same bytes have to be offered again.
    pub(super) fn send(
        &mut self,
        handle: BorrowedHandle<'_>,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        if self.is_pending {
            self.owed = self.finish(handle)?;
        }
        if self.owed > 0 {
            let offered = slices.iter().map(|slice| slice.len()).sum();
            let told = self.owed.min(offered);
            self.owed -= told;
            return Ok(told);
        }
        let operation = match &mut self.operation {
            Some(operation) => operation,
            none => none.insert(Operation::new()?),
        };
        let written = operation.start(handle, slices);
        self.is_pending =
            matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        written
    }

    pub(super) fn poll(&mut self, handle: BorrowedHandle<'_>, cx: &Context<'_>) -> Poll<()> {
        match &mut self.operation {
            Some(operation) if self.is_pending => operation.poll(handle, cx),
            _ => Poll::Ready(()),
        }
    }

    fn finish(&mut self, handle: BorrowedHandle<'_>) -> io::Result<usize> {
        let Some(operation) = &mut self.operation else {
            return Ok(0);
        };
        let written = operation.result(handle);
        self.is_pending =
            matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        written
    }

    /// Whether the peer has read everything.
    pub(super) fn is_flushed(&mut self, handle: BorrowedHandle<'_>) -> io::Result<bool> {
        if self.operation.is_none() {
            return Ok(true);
        }
        if self.is_pending {
            self.owed = self.finish(handle)?;
        }
        let mut status = IO_STATUS_BLOCK::default();
        let mut information = FILE_PIPE_LOCAL_INFORMATION::default();
        // SAFETY: the handle is open, and both structures have the size that the system is told.
        let found = unsafe {
            NtQueryInformationFile(
                handle.as_raw_handle(),
                &mut status,
                ptr::from_mut(&mut information).cast(),
                size_of::<FILE_PIPE_LOCAL_INFORMATION>() as u32,
                FilePipeLocalInformation,
            )
        };
        Ok(found == 0 && information.OutboundQuota == information.WriteQuotaAvailable)
    }

    /// Gives up a write that is under way.
    pub(super) fn cancel(&mut self, handle: BorrowedHandle<'_>) {
        if mem::take(&mut self.is_pending)
            && let Some(operation) = &mut self.operation
        {
            operation.cancel(handle);
        }
    }
}

/// One overlapped write.
struct Operation {
    // Before the event it waits for.
    wait: Option<Wait>,
    event: OwnedHandle,
    overlapped: Box<UnsafeCell<OVERLAPPED>>,
    /// Belongs to the system while a write is under way.
    bytes: Vec<u8>,
}

impl Operation {
    fn new() -> io::Result<Self> {
        // SAFETY: no name, and the default security.
        let event = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        let overlapped = OVERLAPPED {
            // The lowest bit keeps the completion from Tokio's port, where this structure would be taken for another.
            hEvent: event.map_addr(|address| address | 1),
            ..OVERLAPPED::default()
        };
        Ok(Self {
            wait: None,
            // SAFETY: a new handle, which nothing else owns.
            event: unsafe { OwnedHandle::from_raw_handle(event) },
            overlapped: Box::new(UnsafeCell::new(overlapped)),
            bytes: Vec::new(),
        })
    }

    /// To be called when no write is under way.
    fn start(&mut self, handle: BorrowedHandle<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.wait = None;
        self.bytes.clear();
        for slice in slices {
            let room = MOST - self.bytes.len();
            self.bytes
                .extend_from_slice(&slice[..slice.len().min(room)]);
        }
        if self.bytes.is_empty() {
            return Ok(0);
        }
        // SAFETY: the bytes and the structure stay where they are until the write is done: `start` is not called before
        // that, and whoever drops this has called `cancel`.
        let done = unsafe {
            WriteFile(
                handle.as_raw_handle(),
                self.bytes.as_ptr(),
                self.bytes.len() as u32,
                ptr::null_mut(),
                self.overlapped.get(),
            )
        };
        if done == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() == Some(ERROR_IO_PENDING as i32) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            return Err(error);
        }
        self.result(handle)
    }

    /// `WouldBlock` while the write is under way.
    fn result(&mut self, handle: BorrowedHandle<'_>) -> io::Result<usize> {
        let mut written = 0;
        // SAFETY: the structure of a write that was started on this handle.
        let done = unsafe {
            GetOverlappedResult(
                handle.as_raw_handle(),
                self.overlapped.get(),
                &mut written,
                0,
            )
        };
        if done != 0 {
            return Ok(written as usize);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(ERROR_IO_INCOMPLETE as i32) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Err(error)
    }

    fn poll(&mut self, handle: BorrowedHandle<'_>, cx: &Context<'_>) -> Poll<()> {
        let is_done = |this: &mut Self| !matches!(this.result(handle), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        if is_done(self) {
            return Poll::Ready(());
        }
        match &self.wait {
            Some(wait) => wait.wake.register(cx),
            None => match Wait::start(&self.event, cx) {
                Ok(wait) => self.wait = Some(wait),
                // Without it nobody would come back. The caller asks again, and is told to wait or is done.
                Err(_) => return Poll::Ready(()),
            },
        }
        if is_done(self) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn cancel(&mut self, handle: BorrowedHandle<'_>) {
        // SAFETY: the structure of the write that is under way on this handle. It fails if that has just ended.
        unsafe { CancelIoEx(handle.as_raw_handle(), self.overlapped.get()) };
        // SAFETY: the event is open, and set when the write has ended, cancelled or not.
        unsafe { WaitForSingleObject(self.event.as_raw_handle(), INFINITE) };
    }
}

/// Has the system wake us when an event is set.
struct Wait {
    registered: HANDLE,
    /// The system has a pointer to it while the wait is registered.
    wake: Arc<Wake>,
}

impl Wait {
    fn start(event: &OwnedHandle, cx: &Context<'_>) -> io::Result<Self> {
        unsafe extern "system" fn on_event(wake: *mut std::ffi::c_void, _timed_out: bool) {
            // SAFETY: kept by the wait, which is not dropped before the last call has returned.
            let wake = unsafe { &*wake.cast_const().cast::<Wake>() };
            wake.wake();
        }

        let wake = Arc::new(Wake::default());
        wake.register(cx);
        let mut registered = ptr::null_mut();
        // SAFETY: the event outlives the wait (`Operation`), and so does the context (`drop`). The callback does not
        // unwind, and is quick, so it may run on the thread that waits.
        let done = unsafe {
            RegisterWaitForSingleObject(
                &mut registered,
                event.as_raw_handle(),
                Some(on_event),
                Arc::as_ptr(&wake).cast(),
                INFINITE,
                WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD,
            )
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { registered, wake })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // SAFETY: registered in `start`, and unregistered once. Returns when no callback is running.
        unsafe { UnregisterWaitEx(self.registered, INVALID_HANDLE_VALUE) };
    }
}

/// A thread that waits until the peer has read everything: there is no other way to learn that.
pub(super) struct Flush {
    thread: Option<JoinHandle<()>>,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    over: AtomicBool,
    wake: Wake,
}

/// A pipe's handle on its way to the thread.
struct Flushed(HANDLE);

// SAFETY: a handle may be used from any thread; `Flush` is dropped before the pipe.
unsafe impl Send for Flushed {}

impl Flush {
    pub(super) fn start(handle: BorrowedHandle<'_>) -> io::Result<Self> {
        let told = Arc::new(Told::default());
        let (tell, pipe) = (Arc::clone(&told), Flushed(handle.as_raw_handle()));
        let thread = thread::Builder::new()
            .name("ferronet flush".into())
            .spawn(move || {
                let Flushed(handle) = { pipe };
                // SAFETY: open until this thread has been joined. An error means that the peer has gone, which is as
                // good an end of the wait as any.
                unsafe { FlushFileBuffers(handle) };
                tell.over.store(true, Ordering::Release);
                tell.wake.wake();
            })?;
        Ok(Self {
            thread: Some(thread),
            told,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.told.over.load(Ordering::Acquire)
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        self.told.wake.register(cx);
        if self.is_over() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        while !thread.is_finished() {
            // SAFETY: the handle of a thread that has not been joined. It fails before the thread has begun to wait,
            // and is tried again.
            unsafe { CancelSynchronousIo(thread.as_raw_handle()) };
            thread::yield_now();
        }
        let _ = thread.join();
    }
}
