//! Which thread runs Tokio's I/O driver: the JavaScript thread itself, or a thread beside it. Everything else is the
//! same for both.

mod helper_thread;
#[cfg(unix)]
mod in_loop;

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::runtime::{Handle, Runtime};

use helper_thread::HelperThread;
#[cfg(unix)]
use in_loop::InLoop;

/// Which driver to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// The owner's thread polls the driver whenever its descriptor is readable (Linux, macOS).
    InLoop,
    /// A thread of its own waits in the driver and wakes the owner's thread.
    HelperThread,
}

impl DriverKind {
    /// The one for an owner that can watch a descriptor and has no wish of its own. macOS has an in-loop driver too, which
    /// is not the default as long as it has not been run there.
    pub const fn usual() -> Self {
        if cfg!(target_os = "linux") {
            Self::InLoop
        } else {
            Self::HelperThread
        }
    }
}

pub(crate) enum Driver {
    #[cfg(unix)]
    InLoop(InLoop),
    HelperThread(HelperThread),
}

impl Driver {
    /// Starts the driver asked for, or the helper thread where in-loop is impossible (no `/proc`, Windows).
    pub(crate) fn start(kind: DriverKind) -> io::Result<Self> {
        #[cfg(unix)]
        if kind == DriverKind::InLoop
            && let Some(in_loop) = InLoop::start()?
        {
            return Ok(Self::InLoop(in_loop));
        }
        let _ = kind;
        HelperThread::start().map(Self::HelperThread)
    }

    pub(crate) const fn kind(&self) -> DriverKind {
        match self {
            #[cfg(unix)]
            Self::InLoop(_) => DriverKind::InLoop,
            Self::HelperThread(_) => DriverKind::HelperThread,
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        match self {
            #[cfg(unix)]
            Self::InLoop(driver) => driver.handle(),
            Self::HelperThread(driver) => driver.handle(),
        }
    }

    /// The descriptor that is readable when a turn is due. Only the in-loop driver has one.
    pub(crate) const fn descriptor(&self) -> Option<i32> {
        match self {
            #[cfg(unix)]
            Self::InLoop(driver) => Some(driver.descriptor()),
            Self::HelperThread(_) => None,
        }
    }

    /// Polls the driver once, without blocking. The helper thread polls by itself, except while the owner has taken the
    /// driver from it.
    pub(crate) fn turn(&self) {
        match self {
            #[cfg(unix)]
            Self::InLoop(driver) => driver.turn(),
            Self::HelperThread(driver) => driver.turn(),
        }
    }

    /// Has the owner's thread poll the driver, and the helper thread wait.
    pub(crate) fn take(&self) {
        match self {
            #[cfg(unix)]
            Self::InLoop(_) => {}
            Self::HelperThread(driver) => driver.take(),
        }
    }

    pub(crate) fn give_back(&self) {
        match self {
            #[cfg(unix)]
            Self::InLoop(_) => {}
            Self::HelperThread(driver) => driver.give_back(),
        }
    }
}

/// One non-blocking poll of the runtime's driver. When a future has woken itself, the scheduler polls its driver, with a
/// time-out of zero, before it polls the future again.
fn turn(runtime: &Runtime) {
    let mut polled = false;
    runtime.block_on(poll_fn(|cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
}
