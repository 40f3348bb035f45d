//! One overlapped operation after the other on a pipe, and how we learn that one is done.
//!
//! Tokio's own named pipes read ahead as soon as there is a pipe, and report writes as done that may still be lost. A
//! peer would believe that its last bytes have been read, and close, before this side's program has seen them; and a
//! program that ends its process would lose what it believes to be sent. So the operations are ours, and the system's
//! thread pool watches the events that they set. What needs a timer runs on Tokio's runtime.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};

use windows_sys::Win32::Foundation::{
    ERROR_IO_INCOMPLETE, ERROR_IO_PENDING, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD,
};

use super::wake::Wake;

/// The place for an operation. What it works on has to stay where it is while [`Operation::is_pending`].
pub(super) struct Operation {
    /// Made when first needed, and dropped before the event it watches.
    watch: Option<Watch>,
    event: OwnedHandle,
    overlapped: Box<UnsafeCell<OVERLAPPED>>,
    is_pending: bool,
}

impl Operation {
    pub(super) fn new() -> io::Result<Self> {
        // It resets itself, so that one watch serves all operations.
        // SAFETY: no name, and the default security.
        let event = unsafe { CreateEventW(ptr::null(), 0, 0, ptr::null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        let overlapped = OVERLAPPED {
            hEvent: event,
            ..OVERLAPPED::default()
        };
        Ok(Self {
            watch: None,
            // SAFETY: a new handle, which nothing else owns.
            event: unsafe { OwnedHandle::from_raw_handle(event) },
            overlapped: Box::new(UnsafeCell::new(overlapped)),
            is_pending: false,
        })
    }

    pub(super) const fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// What a system call starts the next operation with. The call is followed by [`Operation::started`], and the memory
    /// that it works on stays valid until [`Operation::is_pending`] is false.
    pub(super) fn place(&mut self) -> *mut OVERLAPPED {
        assert!(!self.is_pending, "one operation at a time");
        self.overlapped.get()
    }

    /// How the system call has ended, right after it: 0 when it has failed or is not done. Returns how many bytes went,
    /// and `WouldBlock` if [`Operation::result`] has to tell.
    pub(super) fn started(&mut self, handle: BorrowedHandle<'_>, done: i32) -> io::Result<usize> {
        if done == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() == Some(ERROR_IO_PENDING as i32) {
                self.is_pending = true;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            return Err(error);
        }
        self.outcome(handle, false)
    }

    /// The outcome of the operation that was started last: `WouldBlock` while it is pending.
    pub(super) fn result(&mut self, handle: BorrowedHandle<'_>) -> io::Result<usize> {
        let outcome = self.outcome(handle, false);
        self.is_pending = is_pending(&outcome);
        outcome
    }

    fn outcome(&self, handle: BorrowedHandle<'_>, wait: bool) -> io::Result<usize> {
        let mut count = 0;
        let (raw, overlapped) = (handle.as_raw_handle(), self.overlapped.get());
        // SAFETY: the structure of an operation that was started on this handle.
        if unsafe { GetOverlappedResult(raw, overlapped, &mut count, i32::from(wait)) } != 0 {
            return Ok(count as usize);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(ERROR_IO_INCOMPLETE as i32) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Err(error)
    }

    /// Waits until the operation is done.
    pub(super) fn wait(&mut self, handle: BorrowedHandle<'_>) -> io::Result<usize> {
        // The watch would take the event's signal away.
        self.watch = None;
        let outcome = self.outcome(handle, true);
        self.is_pending = false;
        outcome
    }

    /// Asks to be woken when the operation is done. Its result is for the caller to fetch.
    pub(super) fn poll(&mut self, handle: BorrowedHandle<'_>, cx: &Context<'_>) -> Poll<()> {
        if !self.is_pending || !is_pending(&self.outcome(handle, false)) {
            return Poll::Ready(());
        }
        let watch = match &self.watch {
            Some(watch) => watch,
            None => match Watch::start(&self.event) {
                Ok(watch) => self.watch.insert(watch),
                // Without it nobody would come back. So the caller looks again, at once.
                Err(_) => return Poll::Ready(()),
            },
        };
        watch.wake.register(cx);
        if is_pending(&self.outcome(handle, false)) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Ends an operation that is pending, and waits until the system has let go of its memory. To be called before this
    /// is dropped.
    pub(super) fn cancel(&mut self, handle: BorrowedHandle<'_>) {
        if self.is_pending {
            // SAFETY: the structure of the operation that is pending. This fails if that has just ended.
            unsafe { CancelIoEx(handle.as_raw_handle(), self.overlapped.get()) };
            let _ = self.wait(handle);
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        assert!(
            !self.is_pending,
            "an operation is cancelled before it is dropped"
        );
    }
}

fn is_pending<T>(outcome: &io::Result<T>) -> bool {
    matches!(outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Has the system wake us each time an event is set.
struct Watch {
    registered: HANDLE,
    /// The system has a pointer to it.
    wake: Arc<Wake>,
}

impl Watch {
    fn start(event: &OwnedHandle) -> io::Result<Self> {
        unsafe extern "system" fn on_event(wake: *mut c_void, _timed_out: bool) {
            // SAFETY: kept by the watch, which is not dropped before the last call has returned.
            let wake = unsafe { &*wake.cast_const().cast::<Wake>() };
            wake.wake();
        }

        let wake = Arc::new(Wake::default());
        let mut registered = ptr::null_mut();
        // SAFETY: the event outlives the watch (`Operation`), and so does the context (`drop`). The callback does not
        // unwind, and is quick, so it may run on the thread that waits.
        let done = unsafe {
            RegisterWaitForSingleObject(
                &mut registered,
                event.as_raw_handle(),
                Some(on_event),
                Arc::as_ptr(&wake).cast(),
                INFINITE,
                WT_EXECUTEINWAITTHREAD,
            )
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { registered, wake })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: registered in `start`, and unregistered once. Returns when no callback is running.
        unsafe { UnregisterWaitEx(self.registered, INVALID_HANDLE_VALUE) };
    }
}
