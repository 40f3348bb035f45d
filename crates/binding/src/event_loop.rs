//! The event loop around us, which says when to pump and which we may keep alive. The phases of an iteration, with what
//! they do for us: timers; idle (runs what was posted, and keeps the poll from waiting); prepare; poll (the pump);
//! check (the pump, if there is work that no descriptor announces; `setImmediate` comes after it); closing.
//!
//! There are two kinds of loop: libuv's, in which handles of our own do this, and any other, where a thread-safe
//! function does everything in one callback.

mod function;
mod uv;

use std::ffi::c_int;
use std::sync::{Arc, OnceLock};

use ferronet_core::Bell;
use napi::sys;

/// What the loop calls: always on the JavaScript thread, outside of JavaScript and in a handle scope, unless a method
/// says otherwise. No method may panic, because the caller is C.
pub(crate) trait Visitor {
    /// An iteration is about to poll (libuv only). Returns whether [`Visitor::go_on`] has to be called before it does.
    /// Without a handle scope, which most iterations do not need.
    fn prepare(&self) -> bool;
    /// The loop may be about to wait, and something of ours is unfinished: a handler runs the loop itself.
    fn go_on(&self);
    /// Sockets may be ready.
    fn ready(&self);
    /// [`EventLoop::call_back`] was called: the pump may have more to do.
    fn again(&self);
    /// [`EventLoop::call_back`] was called: completions may be waiting.
    fn posted(&self);
    /// Whether `again` or `posted` still has something to do. Without a handle scope.
    fn is_due(&self) -> bool;
    /// [`EventLoop::stay_awake`] was called: whether the loop still has to. Without a handle scope.
    fn is_awake(&self) -> bool;
    /// The same, asked once in an iteration: the answer may be that this one sleeps again.
    fn stays_awake(&self) -> bool;
    /// [`EventLoop::close_soon`] was called.
    fn closed(&self);
}

pub(crate) enum EventLoop {
    Libuv(uv::Libuv),
    Function(function::Function),
}

impl EventLoop {
    /// The loop of `env`. `libuv` says whether it is libuv's; where libuv's functions cannot be found, it is treated
    /// as any other.
    ///
    /// # Safety
    /// `env` must be alive and its thread the present one, and [`EventLoop::detach`] must be called before it ends.
    pub(crate) unsafe fn of(env: sys::napi_env, libuv: bool) -> Self {
        if libuv
            // SAFETY: the caller's promise.
            && let Some(uv) = unsafe { uv::Libuv::find(env) }
        {
            return Self::Libuv(uv);
        }
        Self::Function(function::Function::new(env))
    }

    /// Whether the loop is libuv's, which can watch a descriptor for us and calls [`Visitor::prepare`] in each
    /// iteration.
    pub(crate) const fn is_libuv(&self) -> bool {
        match self {
            Self::Libuv(_) => true,
            Self::Function(_) => false,
        }
    }

    /// Starts to call `visitor`: when `descriptor` is readable, or without one when somebody rings the wire. When this
    /// fails, nothing of ours is in the loop.
    pub(crate) fn attach(
        &'static self,
        visitor: &'static dyn Visitor,
        descriptor: Option<c_int>,
        wire: &Wire,
    ) -> napi::Result<()> {
        let alarm = match self {
            Self::Libuv(uv) => uv.attach(visitor, descriptor)?.map(Alarm::Libuv),
            Self::Function(function) => {
                let _ = descriptor;
                Some(Alarm::Function(function.attach(visitor)?))
            }
        };
        if let Some(alarm) = alarm {
            let _set_once = wire.alarm.set(alarm);
        }
        Ok(())
    }

    /// Whether we keep the loop alive.
    pub(crate) fn set_ref(&self, referenced: bool) {
        match self {
            Self::Libuv(uv) => uv.set_ref(referenced),
            Self::Function(function) => function.set_ref(referenced),
        }
    }

    /// Has [`Visitor::again`] and [`Visitor::posted`] called where libuv would run its own pending callbacks: after the
    /// poll phase, which then does not wait, or before the next one if that comes first (`posted` only).
    pub(crate) fn call_back(&self) {
        match self {
            Self::Libuv(uv) => uv.call_back(),
            Self::Function(function) => function.call_back(),
        }
    }

    /// Keeps the poll from waiting, and calls [`Visitor::again`] in each iteration, until [`Visitor::stays_awake`] says
    /// otherwise (libuv only).
    pub(crate) fn stay_awake(&self) {
        if let Self::Libuv(uv) = self {
            uv.call_back();
        }
    }

    /// Has [`Visitor::closed`] called in the loop's closing phase.
    pub(crate) fn close_soon(&'static self) {
        match self {
            Self::Libuv(uv) => uv.close_soon(),
            Self::Function(function) => function.close_soon(),
        }
    }

    /// Stops watching the descriptor, which may be closed after this.
    pub(crate) fn unwatch(&self) {
        if let Self::Libuv(uv) = self {
            uv.unwatch();
        }
    }

    /// Stops calling the visitor; `done` runs when nothing of ours is in the loop any more. It must not panic.
    ///
    /// # Safety
    /// The wire must not be rung any more: the helper thread has been joined.
    pub(crate) unsafe fn detach(&self, done: Box<dyn FnOnce()>) {
        match self {
            Self::Libuv(uv) => uv.detach(done),
            Self::Function(function) => {
                function.detach();
                done();
            }
        }
    }
}

/// How the helper thread has the loop call us. It is made before the loop knows of us, and does nothing until
/// [`EventLoop::attach`]: until then there are no sockets that could be ready.
#[derive(Clone, Default)]
pub(crate) struct Wire {
    alarm: Arc<OnceLock<Alarm>>,
}

impl Wire {
    pub(crate) fn bell(&self) -> Bell {
        let alarm = Arc::clone(&self.alarm);
        Box::new(move || match alarm.get() {
            Some(Alarm::Libuv(alarm)) => alarm.ring(),
            Some(Alarm::Function(alarm)) => alarm.ring(),
            None => {}
        })
    }
}

/// With libuv this is a uv_async: a loop that is run by one of our handlers would not hear a thread-safe function,
/// whose calls wait until the one under way has returned.
enum Alarm {
    Libuv(uv::Alarm),
    Function(function::Alarm),
}
