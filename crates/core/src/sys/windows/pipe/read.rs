//! Reading from a pipe as libuv does: a read of nothing says when there is something, and until then no byte leaves the
//! pipe.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::ptr;
use std::task::{Context, Poll};

use windows_sys::Win32::Foundation::ERROR_BROKEN_PIPE;
use windows_sys::Win32::Storage::FileSystem::ReadFile;
use windows_sys::Win32::System::Pipes::PeekNamedPipe;

use super::operation::Operation;

#[derive(Default)]
pub(super) struct Reading {
    /// Both are made with the first read.
    operations: Option<Operations>,
}

struct Operations {
    /// The read of nothing.
    notice: Operation,
    read: Operation,
}

impl Reading {
    fn operations(&mut self) -> io::Result<&mut Operations> {
        Ok(match &mut self.operations {
            Some(operations) => operations,
            none => none.insert(Operations {
                notice: Operation::new()?,
                read: Operation::new()?,
            }),
        })
    }

    /// Asks to be woken when there is something to read: bytes, the end or an error.
    pub(super) fn poll(
        &mut self,
        handle: BorrowedHandle<'_>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !matches!(available(handle), Ok(0)) {
            return Poll::Ready(Ok(()));
        }
        let notice = match self.operations() {
            Ok(operations) => &mut operations.notice,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if notice.is_pending() && notice.poll(handle, cx).is_pending() {
            return Poll::Pending;
        }
        if notice.is_pending() {
            // It is done. If there is nothing all the same, somebody has written nothing.
            let _ = notice.result(handle);
            if !matches!(available(handle), Ok(0)) {
                return Poll::Ready(Ok(()));
            }
        }
        let overlapped = notice.place();
        let (raw, none) = (handle.as_raw_handle(), ptr::null_mut());
        // SAFETY: the handle is open, and a read of nothing has no memory.
        let done = unsafe { ReadFile(raw, none, 0, ptr::null_mut(), overlapped) };
        match notice.started(handle, done) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                notice.poll(handle, cx).map(Ok)
            }
            // A read finds out what it is.
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reads what is there: `WouldBlock` if that is nothing, 0 at the end.
    pub(super) fn read(
        &mut self,
        handle: BorrowedHandle<'_>,
        memory: &mut [u8],
    ) -> io::Result<usize> {
        let waiting = match available(handle) {
            Ok(0) => return Err(io::ErrorKind::WouldBlock.into()),
            Ok(waiting) => waiting,
            Err(error) if is_end(&error) => return Ok(0),
            Err(error) => return Err(error),
        };
        let length = waiting.min(memory.len());
        let read = &mut self.operations()?.read;
        let overlapped = read.place();
        let (raw, to) = (handle.as_raw_handle(), memory.as_mut_ptr());
        // SAFETY: the handle is open, the length is within the memory, and the read does not outlive this function.
        let done = unsafe { ReadFile(raw, to, length as u32, ptr::null_mut(), overlapped) };
        match read.started(handle, done) {
            // The bytes are there, so it is done at once.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => read.wait(handle),
            Err(error) if is_end(&error) => Ok(0),
            outcome => outcome,
        }
    }

    pub(super) fn cancel(&mut self, handle: BorrowedHandle<'_>) {
        if let Some(Operations { notice, read }) = &mut self.operations {
            notice.cancel(handle);
            read.cancel(handle);
        }
    }
}

/// How many bytes wait in the pipe.
fn available(handle: BorrowedHandle<'_>) -> io::Result<usize> {
    let mut count = 0;
    // SAFETY: the handle is open; nothing is asked for but the number of bytes.
    let done = unsafe {
        PeekNamedPipe(
            handle.as_raw_handle(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            &mut count,
            ptr::null_mut(),
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(count as usize)
}

fn is_end(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_BROKEN_PIPE as i32)
}
