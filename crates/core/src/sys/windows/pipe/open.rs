//! Opening a pipe as a client. A server whose instances are all taken is asked again until it has made another one.

use std::io;
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER, ERROR_PIPE_BUSY, GENERIC_READ, GENERIC_WRITE,
    INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{CreateFileW, FILE_FLAG_OVERLAPPED, OPEN_EXISTING};
use windows_sys::Win32::System::Pipes::{PIPE_READMODE_BYTE, PIPE_WAIT, SetNamedPipeHandleState};

use super::wake::{Wake, wide};
use crate::errno;
use crate::options::PipeAccess;

/// How long a busy server is asked, as in libuv.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause between two tries, doubled after each up to the longest. The system's own wait (`WaitNamedPipeW`)
/// would need a thread that cannot be stopped.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

pub(crate) enum Opening {
    Open(Opened),
    /// The path of a pipe that has no free instance.
    Busy(String),
}

impl Opening {
    pub(crate) fn start(path: &str) -> io::Result<Self> {
        match Opened::open(path) {
            Ok(opened) => Ok(Self::Open(opened)),
            Err(error) if is_busy(&error) => Ok(Self::Busy(path.to_owned())),
            Err(error) => Err(error),
        }
    }
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_PIPE_BUSY as i32)
}

/// A pipe that is open, and what can be done with it.
pub(crate) struct Opened {
    pub(super) handle: OwnedHandle,
    pub(super) access: PipeAccess,
}

impl Opened {
    /// Opens it for reading and writing; for one of them, if the server or its permissions allow no more.
    fn open(path: &str) -> io::Result<Self> {
        let path = wide(path);
        let mut refused = None;
        for (rights, access) in [
            (GENERIC_READ | GENERIC_WRITE, PipeAccess::Duplex),
            (GENERIC_READ, PipeAccess::Inbound),
            (GENERIC_WRITE, PipeAccess::Outbound),
        ] {
            match open(&path, rights) {
                Ok(handle) => return Ok(Self { handle, access }),
                Err(error) if error.raw_os_error() == Some(ERROR_ACCESS_DENIED as i32) => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.expect("the loop has returned, or kept an error"))
    }
}

fn open(path: &[u16], rights: u32) -> io::Result<OwnedHandle> {
    // SAFETY: the path ends with a NUL, and outlives the call; the null pointers ask for the defaults.
    let handle = unsafe {
        CreateFileW(
            path.as_ptr(),
            rights,
            0,
            ptr::null(),
            OPEN_EXISTING,
            FILE_FLAG_OVERLAPPED,
            ptr::null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new handle, which nothing else owns.
    let owned = unsafe { OwnedHandle::from_raw_handle(handle) };
    let mode = PIPE_READMODE_BYTE | PIPE_WAIT;
    // The mode it has by default. That it can be set shows that this is a pipe.
    // SAFETY: the handle is open; the null pointers leave the rest as it is.
    if unsafe { SetNamedPipeHandleState(handle, &mode, ptr::null(), ptr::null()) } != 0 {
        return Ok(owned);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error().map(|raw| raw as u32) {
        Some(ERROR_INVALID_PARAMETER) => Err(errno::error(errno::ENOTSOCK)),
        // The rights are those to read.
        Some(ERROR_ACCESS_DENIED) => Ok(owned),
        _ => Err(error),
    }
}

/// The wait for a free instance, on the runtime's thread.
pub(super) struct Waiting {
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

type Outcome = io::Result<Opened>;

#[derive(Default)]
struct Shared {
    outcome: Mutex<Option<Outcome>>,
    wake: Wake,
}

impl Waiting {
    /// Must run inside the runtime's context.
    pub(super) fn start(path: String) -> Self {
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let outcome = wait(&path).await;
            *told.outcome() = Some(outcome);
            told.wake.wake();
        });
        Self { task, shared }
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        self.shared.wake.register(cx);
        if self.shared.outcome().is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(super) fn take(&self) -> Outcome {
        let outcome = self.shared.outcome().take();
        outcome.unwrap_or_else(|| Err(errno::error(errno::ENOTCONN)))
    }
}

impl Shared {
    fn outcome(&self) -> std::sync::MutexGuard<'_, Option<Outcome>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn wait(path: &str) -> Outcome {
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        sleep(pause).await;
        match Opened::open(path) {
            Ok(opened) => return Ok(opened),
            Err(error) if !is_busy(&error) => return Err(error),
            Err(_) if begin.elapsed() >= PATIENCE => return Err(errno::error(errno::ETIMEDOUT)),
            Err(_) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}
