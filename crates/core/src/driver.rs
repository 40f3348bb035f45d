//! Who runs Tokio's I/O driver: the JavaScript thread itself, or a thread beside it. The engine above is the same.

mod helper_thread;
#[cfg(target_os = "linux")]
mod in_loop;

use std::io;

use tokio::runtime::Handle;

use helper_thread::HelperThread;
#[cfg(target_os = "linux")]
use in_loop::InLoop;

/// Which driver to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// The driver is polled by the owner's thread, whenever its descriptor is readable (Linux).
    InLoop,
    /// A thread parks in the driver and rings the owner's.
    HelperThread,
}

pub(crate) enum Driver {
    #[cfg(target_os = "linux")]
    InLoop(InLoop),
    HelperThread(HelperThread),
}

impl Driver {
    /// Starts the wanted driver, or the helper thread where in-loop cannot be had (no `/proc`, not Linux).
    pub(crate) fn start(kind: DriverKind) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
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
            #[cfg(target_os = "linux")]
            Self::InLoop(_) => DriverKind::InLoop,
            Self::HelperThread(_) => DriverKind::HelperThread,
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        match self {
            #[cfg(target_os = "linux")]
            Self::InLoop(driver) => driver.handle(),
            Self::HelperThread(driver) => driver.handle(),
        }
    }

    /// The descriptor whose readability means that a turn is due; only the in-loop driver has one.
    pub(crate) const fn descriptor(&self) -> Option<i32> {
        match self {
            #[cfg(target_os = "linux")]
            Self::InLoop(driver) => Some(driver.descriptor()),
            Self::HelperThread(_) => None,
        }
    }

    /// Polls the driver once without blocking; the helper thread does that by itself.
    pub(crate) fn turn(&self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::InLoop(driver) => driver.turn(),
            Self::HelperThread(_) => {}
        }
    }
}
