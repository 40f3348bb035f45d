//! The loop of a host without libuv. A thread-safe function brings us back to the JavaScript thread, and one call of
//! it does everything that is due.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use napi::{check_status, sys};

use super::Visitor;

pub(crate) struct Function {
    env: sys::napi_env,
    /// `None` before `attach` and after `detach`.
    attached: Cell<Option<Attached>>,
    close_due: Cell<bool>,
}

#[derive(Clone, Copy)]
struct Attached {
    visitor: &'static dyn Visitor,
    alarm: Alarm,
}

impl Function {
    pub(super) const fn new(env: sys::napi_env) -> Self {
        Self {
            env,
            attached: Cell::new(None),
            close_due: Cell::new(false),
        }
    }

    pub(super) fn attach(&'static self, visitor: &'static dyn Visitor) -> napi::Result<Alarm> {
        let mut name = ptr::null_mut();
        // SAFETY: `env` is alive and this its thread (`EventLoop::of`); the literal has the length given.
        check_status!(unsafe {
            sys::napi_create_string_utf8(self.env, c"ferronet".as_ptr(), 8, &mut name)
        })?;
        let mut function = ptr::null_mut();
        // SAFETY: as above; the context is never freed, and `on_ring` takes it for what it is.
        check_status!(unsafe {
            sys::napi_create_threadsafe_function(
                self.env,
                ptr::null_mut(),
                ptr::null_mut(),
                name,
                0,
                1,
                ptr::null_mut(),
                None,
                ptr::from_ref(self).cast_mut().cast(),
                Some(on_ring),
                &mut function,
            )
        })?;
        // It does not keep the loop alive: JavaScript counts what does, and calls `set_ref`.
        // SAFETY: as above; the function was just created.
        unsafe { sys::napi_unref_threadsafe_function(self.env, function) };
        let alarm = Alarm { function };
        self.attached.set(Some(Attached { visitor, alarm }));
        Ok(alarm)
    }

    pub(super) fn set_ref(&self, referenced: bool) {
        let Some(Attached { alarm, .. }) = self.attached.get() else {
            return;
        };
        let change = if referenced {
            sys::napi_ref_threadsafe_function
        } else {
            sys::napi_unref_threadsafe_function
        };
        // SAFETY: `env` is alive and this its thread (`EventLoop::of`); an attached function is not released.
        unsafe { change(self.env, alarm.function) };
    }

    pub(super) fn call_back(&self) {
        if let Some(Attached { alarm, .. }) = self.attached.get() {
            alarm.ring();
        }
    }

    pub(super) fn close_soon(&self) {
        self.close_due.set(true);
        self.call_back();
    }

    pub(super) fn detach(&self) {
        let Some(Attached { alarm, .. }) = self.attached.take() else {
            return;
        };
        // SAFETY: taken out above, so it is released once; nobody rings any more (`EventLoop::detach`).
        unsafe {
            sys::napi_release_threadsafe_function(
                alarm.function,
                sys::ThreadsafeFunctionReleaseMode::abort,
            )
        };
    }
}

#[derive(Clone, Copy)]
pub(super) struct Alarm {
    function: sys::napi_threadsafe_function,
}

// SAFETY: other threads do nothing with the function but call it, which N-API allows to any thread.
unsafe impl Send for Alarm {}
// SAFETY: as above; several threads may call it at once.
unsafe impl Sync for Alarm {}

impl Alarm {
    pub(super) fn ring(self) {
        // SAFETY: the function is released by `detach` only, after which nobody rings.
        unsafe {
            sys::napi_call_threadsafe_function(
                self.function,
                ptr::null_mut(),
                sys::ThreadsafeFunctionCallMode::nonblocking,
            )
        };
    }
}

extern "C" fn on_ring(
    env: sys::napi_env,
    _function: sys::napi_value,
    context: *mut c_void,
    _data: *mut c_void,
) {
    // Without an environment N-API is only emptying its queue, because the environment is about to end.
    if env.is_null() {
        return;
    }
    // SAFETY: `attach` gave the function this context, which is never freed.
    let function = unsafe { &*context.cast::<Function>() };
    let Some(Attached { visitor, .. }) = function.attached.get() else {
        return;
    };
    visitor.posted();
    visitor.ready();
    if function.close_due.take() {
        visitor.closed();
    }
}
