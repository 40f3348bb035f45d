//! Writing to a pipe.

use std::io::{self, IoSlice};
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::ptr;
use std::task::{Context, Poll};

use windows_sys::Wdk::Storage::FileSystem::{
    FILE_PIPE_LOCAL_INFORMATION, FilePipeLocalInformation, NtQueryInformationFile,
};
use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;

use super::operation::Operation;

/// The most that one write takes: as much as the pipe's own buffer holds.
const MOST: usize = 64 * 1024;

/// What has been given to the system to write. At most one write is under way.
#[derive(Default)]
pub(super) struct Writing {
    /// Made with the first write.
    operation: Option<Operation>,
    /// What the operation writes: the system's while it is pending.
    bytes: Vec<u8>,
    /// So much has been written, and the caller does not know yet: it is the beginning of what it offers next. A write
    /// that is pending has not been reported as sent, because it is lost if the process ends.
    owed: usize,
}

impl Writing {
    /// Writes what the system takes. When it takes nothing at once the write goes on, [`Writing::poll`] says when it is
    /// done, and the same bytes have to be offered again.
    pub(super) fn send(
        &mut self,
        handle: BorrowedHandle<'_>,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.finish(handle)?;
        if self.owed > 0 {
            let offered = slices.iter().map(|slice| slice.len()).sum();
            let told = self.owed.min(offered);
            self.owed -= told;
            return Ok(told);
        }
        self.bytes.clear();
        for slice in slices {
            let room = MOST - self.bytes.len();
            self.bytes
                .extend_from_slice(&slice[..slice.len().min(room)]);
        }
        if self.bytes.is_empty() {
            return Ok(0);
        }
        let operation = match &mut self.operation {
            Some(operation) => operation,
            none => none.insert(Operation::new()?),
        };
        let overlapped = operation.place();
        let (raw, from) = (handle.as_raw_handle(), self.bytes.as_ptr());
        let length = self.bytes.len() as u32;
        // SAFETY: the handle is open, and the bytes are not touched while the write is pending: `finish` fails then, and
        // whoever drops this has called `cancel`.
        let done = unsafe { WriteFile(raw, from, length, ptr::null_mut(), overlapped) };
        operation.started(handle, done)
    }

    /// Fetches the outcome of a write that was pending; `WouldBlock` if it still is.
    fn finish(&mut self, handle: BorrowedHandle<'_>) -> io::Result<()> {
        if let Some(operation) = &mut self.operation
            && operation.is_pending()
        {
            self.owed = operation.result(handle)?;
        }
        Ok(())
    }

    /// Asks to be woken when another write can be made.
    pub(super) fn poll(&mut self, handle: BorrowedHandle<'_>, cx: &Context<'_>) -> Poll<()> {
        match &mut self.operation {
            Some(operation) => operation.poll(handle, cx),
            None => Poll::Ready(()),
        }
    }

    /// Whether the peer has read everything.
    pub(super) fn is_flushed(&mut self, handle: BorrowedHandle<'_>) -> io::Result<bool> {
        if self.operation.is_none() {
            return Ok(true);
        }
        self.finish(handle)?;
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

    /// Gives up a write that is pending.
    pub(super) fn cancel(&mut self, handle: BorrowedHandle<'_>) {
        if let Some(operation) = &mut self.operation {
            operation.cancel(handle);
        }
    }
}
