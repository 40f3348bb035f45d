//! Entering JavaScript from the event loop. A handler's exception goes to 'uncaughtException', as from Node's own
//! callbacks, and the events behind it are still delivered.

use std::ptr;

use napi::sys;

/// More exceptions than this in one batch mean that JavaScript cannot run any more.
const MAX_EXCEPTIONS: usize = 4096;

/// A function of JavaScript that we call, kept alive for as long as the environment.
pub(crate) struct Callback {
    reference: sys::napi_ref,
}

impl Callback {
    /// # Safety
    /// `function` must be a function of `env`.
    pub(crate) unsafe fn new(env: sys::napi_env, function: sys::napi_value) -> napi::Result<Self> {
        let mut reference = ptr::null_mut();
        // SAFETY: the caller's promise; `reference` is written before it is read.
        napi::check_status!(unsafe {
            sys::napi_create_reference(env, function, 1, &mut reference)
        })?;
        Ok(Self { reference })
    }

    /// Calls the function with `argument`, then again with 0 after each exception, until it returns: by contract
    /// it goes on where it was. Ticks and microtasks are drained when the call ends.
    ///
    /// # Safety
    /// On the thread of `env`, which must be alive, outside any other call into JavaScript.
    pub(crate) unsafe fn enter(&self, env: sys::napi_env, argument: u32) {
        let mut argument = argument;
        for _ in 0..MAX_EXCEPTIONS {
            // SAFETY: the caller's promise.
            if unsafe { self.call(env, argument) } {
                return;
            }
            argument = 0;
            // SAFETY: the caller's promise.
            if !unsafe { report_exception(env) } {
                return;
            }
        }
    }

    /// Whether the call returned normally.
    ///
    /// # Safety
    /// As `enter`.
    unsafe fn call(&self, env: sys::napi_env, argument: u32) -> bool {
        let mut function = ptr::null_mut();
        let mut receiver = ptr::null_mut();
        let mut value = ptr::null_mut();
        let mut result = ptr::null_mut();
        // SAFETY: the reference is strong, so its value is there; `env` is alive.
        let mut status =
            unsafe { sys::napi_get_reference_value(env, self.reference, &mut function) };
        if status == sys::Status::napi_ok {
            // SAFETY: `env` is alive.
            status = unsafe { sys::napi_get_global(env, &mut receiver) };
        }
        if status == sys::Status::napi_ok {
            // SAFETY: `env` is alive.
            status = unsafe { sys::napi_create_uint32(env, argument, &mut value) };
        }
        if status == sys::Status::napi_ok {
            // No async context of its own: each handle enters the one it was created in.
            // SAFETY: all values were just made in the caller's handle scope.
            status = unsafe {
                sys::napi_make_callback(
                    env,
                    ptr::null_mut(),
                    receiver,
                    function,
                    1,
                    &value,
                    &mut result,
                )
            };
        }
        status == sys::Status::napi_ok
    }
}

/// Gives the pending exception to 'uncaughtException'; false when JavaScript cannot run (a worker that is being
/// terminated, a process that exits).
///
/// # Safety
/// As [`Callback::enter`].
unsafe fn report_exception(env: sys::napi_env) -> bool {
    let mut pending = false;
    // SAFETY: `env` is alive.
    unsafe { sys::napi_is_exception_pending(env, &mut pending) };
    if !pending {
        return false;
    }
    let mut error = ptr::null_mut();
    // SAFETY: `env` is alive and an exception is pending.
    if unsafe { sys::napi_get_and_clear_last_exception(env, &mut error) } != sys::Status::napi_ok {
        return false;
    }
    // SAFETY: `error` is the value just taken.
    unsafe { sys::napi_fatal_exception(env, error) == sys::Status::napi_ok }
}
