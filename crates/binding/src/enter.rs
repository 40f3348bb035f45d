//! Entering JavaScript from the event loop. An exception of a handler goes to 'uncaughtException', as it does from
//! Node's own callbacks, and the events behind it are still delivered.

use std::ptr;

use napi::bindgen_prelude::{JsObjectValue, Object, Unknown};
use napi::{Error, JsValue, Result, ValueType, sys};

use crate::call::Kept;

/// After so many exceptions in one batch JavaScript evidently cannot run any more.
const MAX_EXCEPTIONS: usize = 4096;

/// What we call in JavaScript.
pub(crate) struct Entries {
    pub(crate) dispatch: Callback,
    pub(crate) go_on: Callback,
    pub(crate) posted: Callback,
    pub(crate) closed: Callback,
}

impl Entries {
    /// Takes the four functions from an object of them.
    ///
    /// # Safety
    /// As [`Kept::new`].
    pub(crate) unsafe fn of(env: sys::napi_env, functions: &Object<'_>) -> Result<Self> {
        let callback = |name: &str| {
            let function: Unknown<'_> = functions.get_named_property(name)?;
            if function.get_type()? != ValueType::Function {
                return Err(Error::from_reason(format!("{name} is not a function")));
            }
            // SAFETY: the caller's promise.
            let function = unsafe { Kept::new(env, function.raw()) }?;
            Ok(Callback { env, function })
        };
        Ok(Self {
            dispatch: callback("dispatch")?,
            go_on: callback("goOn")?,
            posted: callback("posted")?,
            closed: callback("closed")?,
        })
    }
}

pub(crate) struct Callback {
    env: sys::napi_env,
    function: Kept,
}

impl Callback {
    /// Calls the function with `argument`. If it throws, calls it again with 0, until it returns: it has to go on where
    /// it was. Ticks and microtasks run when a call ends. Returns false if the program is over and JavaScript must not be
    /// called again.
    ///
    /// # Safety
    /// The environment must be alive, and we on its thread, in a handle scope and outside of any other call into
    /// JavaScript.
    pub(crate) unsafe fn enter(&self, argument: u32) -> bool {
        let mut argument = argument;
        for _ in 0..MAX_EXCEPTIONS {
            // SAFETY: the caller's promise.
            if unsafe { self.call(argument) } {
                return true;
            }
            argument = 0;
            // SAFETY: the caller's promise.
            match unsafe { report_exception(self.env) } {
                Report::Made => {}
                Report::Refused => return true,
                Report::Over => return false,
            }
        }
        true
    }

    /// Whether the call returned normally.
    ///
    /// # Safety
    /// As [`Callback::enter`].
    unsafe fn call(&self, argument: u32) -> bool {
        let env = self.env;
        let Some(function) = self.function.value() else {
            return false;
        };
        let mut receiver = ptr::null_mut();
        let mut value = ptr::null_mut();
        let mut result = ptr::null_mut();
        // SAFETY: the caller's promise.
        let mut status = unsafe { sys::napi_get_global(env, &mut receiver) };
        if status == sys::Status::napi_ok {
            // SAFETY: the caller's promise.
            status = unsafe { sys::napi_create_uint32(env, argument, &mut value) };
        }
        if status == sys::Status::napi_ok {
            // Without an async context: each handle enters the one that it was created in.
            // SAFETY: the caller's promise; all values were just made in the caller's handle scope.
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

enum Report {
    Made,
    /// JavaScript cannot run, in a worker that is being terminated or a process that is exiting.
    Refused,
    Over,
}

/// Gives the pending exception to 'uncaughtException'.
///
/// # Safety
/// As [`Callback::enter`].
unsafe fn report_exception(env: sys::napi_env) -> Report {
    let mut pending = false;
    // SAFETY: the caller's promise.
    unsafe { sys::napi_is_exception_pending(env, &mut pending) };
    if !pending {
        return Report::Refused;
    }
    let mut error = ptr::null_mut();
    // SAFETY: the caller's promise; an exception is pending.
    if unsafe { sys::napi_get_and_clear_last_exception(env, &mut error) } != sys::Status::napi_ok {
        return Report::Refused;
    }
    // Deno terminates JavaScript when nobody has caught an exception, shows that as null, and ends the program when we
    // return to its loop. To report the null would replace the exception. (A program's own null is caught in `dispatch`.)
    let mut kind = sys::ValueType::napi_undefined;
    // SAFETY: the caller's promise; `error` is the value just taken.
    unsafe { sys::napi_typeof(env, error, &mut kind) };
    if kind == sys::ValueType::napi_null {
        return Report::Over;
    }
    // SAFETY: as above.
    if unsafe { sys::napi_fatal_exception(env, error) } == sys::Status::napi_ok {
        Report::Made
    } else {
        Report::Refused
    }
}
