//! How a verb is called: a plain N-API function whose data is the engine. A method of a wrapped object would have to
//! look up its object first, which made a call twice as expensive (0.15 µs more, on three or four calls an event;
//! 2026-11).

use std::ptr;

use ferronet_core::errno;
use napi::{JsError, Result, check_status, sys};

/// A function of the engine as N-API knows it.
pub(crate) type Verb =
    unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

/// A value of JavaScript that a verb looks at itself.
#[derive(Clone, Copy)]
pub(crate) struct Value(pub(crate) sys::napi_value);

/// A string, or an error number.
pub(crate) type Text = std::result::Result<String, i32>;

/// What a verb can take. Only our own TypeScript calls verbs: an argument of a wrong type is a bug there, and it is
/// told with a TypeError.
pub(crate) trait Argument: Sized {
    /// # Safety
    /// `value` must belong to `env`, on whose thread we must be. The result is for the verb that is being called.
    unsafe fn take(env: sys::napi_env, value: sys::napi_value) -> Option<Self>;
}

/// What a verb can return.
pub(crate) trait Answer {
    /// # Safety
    /// On the thread of `env`, in a call from JavaScript.
    unsafe fn give(self, env: sys::napi_env) -> sys::napi_value;

    /// What a verb returns that panicked: an error, if it can return one.
    fn panicked() -> Self;
}

macro_rules! primitive {
    ($type:ty, $get:ident, $create:ident, $panicked:expr) => {
        impl Argument for $type {
            unsafe fn take(env: sys::napi_env, value: sys::napi_value) -> Option<Self> {
                let mut taken = Self::default();
                // SAFETY: the caller's promise.
                let status = unsafe { sys::$get(env, value, &mut taken) };
                (status == sys::Status::napi_ok).then_some(taken)
            }
        }

        impl Answer for $type {
            unsafe fn give(self, env: sys::napi_env) -> sys::napi_value {
                let mut value = ptr::null_mut();
                // SAFETY: the caller's promise; on failure the value stays null, which is undefined.
                unsafe { sys::$create(env, self, &mut value) };
                value
            }

            fn panicked() -> Self {
                $panicked
            }
        }
    };
}

primitive!(i32, napi_get_value_int32, napi_create_int32, errno::UNKNOWN);
// As an answer it is a count.
primitive!(u32, napi_get_value_uint32, napi_create_uint32, 0);
// Offsets and tickets: a Buffer may be longer than 4 GiB.
primitive!(
    i64,
    napi_get_value_int64,
    napi_create_int64,
    i64::from(errno::UNKNOWN)
);
primitive!(bool, napi_get_value_bool, napi_get_boolean, false);

impl Argument for Value {
    unsafe fn take(_env: sys::napi_env, value: sys::napi_value) -> Option<Self> {
        Some(Self(value))
    }
}

impl Argument for String {
    unsafe fn take(env: sys::napi_env, value: sys::napi_value) -> Option<Self> {
        let mut length = 0;
        // SAFETY: the caller's promise; without a buffer N-API only tells the length.
        let status =
            unsafe { sys::napi_get_value_string_utf8(env, value, ptr::null_mut(), 0, &mut length) };
        if status != sys::Status::napi_ok {
            return None;
        }
        // N-API puts a NUL behind what it writes.
        let mut bytes = vec![0_u8; length + 1];
        // SAFETY: the caller's promise; the buffer has the length given.
        let status = unsafe {
            sys::napi_get_value_string_utf8(
                env,
                value,
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                &mut length,
            )
        };
        if status != sys::Status::napi_ok {
            return None;
        }
        bytes.truncate(length);
        Self::from_utf8(bytes).ok()
    }
}

/// An object, or undefined.
impl Argument for Option<Kept> {
    unsafe fn take(env: sys::napi_env, value: sys::napi_value) -> Option<Self> {
        let mut kind = 0;
        // SAFETY: the caller's promise.
        let status = unsafe { sys::napi_typeof(env, value, &mut kind) };
        match kind {
            _ if status != sys::Status::napi_ok => None,
            sys::ValueType::napi_undefined => Some(None),
            // SAFETY: the caller's promise; what a verb keeps it keeps in the engine, on this thread.
            sys::ValueType::napi_object => unsafe { Kept::new(env, value) }.ok().map(Some),
            _ => None,
        }
    }
}

impl Answer for () {
    unsafe fn give(self, _env: sys::napi_env) -> sys::napi_value {
        ptr::null_mut()
    }

    fn panicked() -> Self {}
}

impl Answer for Text {
    unsafe fn give(self, env: sys::napi_env) -> sys::napi_value {
        match self {
            Ok(text) => {
                let mut value = ptr::null_mut();
                // SAFETY: the caller's promise; pointer and length are those of the string.
                unsafe {
                    sys::napi_create_string_utf8(
                        env,
                        text.as_ptr().cast(),
                        text.len() as isize,
                        &mut value,
                    )
                };
                value
            }
            // SAFETY: the caller's promise.
            Err(code) => unsafe { code.give(env) },
        }
    }

    fn panicked() -> Self {
        Err(errno::UNKNOWN)
    }
}

/// Undefined, or an exception.
impl Answer for Result<()> {
    unsafe fn give(self, env: sys::napi_env) -> sys::napi_value {
        if let Err(error) = self {
            // SAFETY: the caller's promise.
            unsafe { JsError::from(error).throw_into(env) };
        }
        ptr::null_mut()
    }

    fn panicked() -> Self {
        Err(napi::Error::from_reason("the engine panicked"))
    }
}

/// A value of JavaScript that is not collected for as long as this is kept.
pub(crate) struct Kept {
    env: sys::napi_env,
    reference: sys::napi_ref,
}

impl Kept {
    /// # Safety
    /// `value` must be an object or a function of `env`, on whose thread we must be. The result must be used, and if at
    /// all dropped, on this thread before the environment has ended.
    pub(crate) unsafe fn new(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut reference = ptr::null_mut();
        // SAFETY: the caller's promise.
        check_status!(unsafe { sys::napi_create_reference(env, value, 1, &mut reference) })?;
        Ok(Self { env, reference })
    }

    /// The value, in the handle scope that is open.
    pub(crate) fn value(&self) -> Option<sys::napi_value> {
        let mut value = ptr::null_mut();
        // SAFETY: the promise made to `new`; the reference is strong, so its value is there.
        let status = unsafe { sys::napi_get_reference_value(self.env, self.reference, &mut value) };
        (status == sys::Status::napi_ok).then_some(value)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: the promise made to `new`; deleted once.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}

/// Throws a TypeError for a wrong argument.
///
/// # Safety
/// As [`Answer::give`].
pub(crate) unsafe fn wrong_argument(env: sys::napi_env) -> sys::napi_value {
    // SAFETY: the caller's promise; both strings are NUL-terminated.
    unsafe {
        sys::napi_throw_type_error(
            env,
            c"ERR_INVALID_ARG_TYPE".as_ptr(),
            c"a verb of the engine was called with a wrong argument".as_ptr(),
        )
    };
    ptr::null_mut()
}

/// Defines `VERBS`: the functions of an engine, under the names that JavaScript calls them by.
macro_rules! verbs {
    ($engine:ident: $( fn $name:literal($($argument:ident: $type:ty),*) -> $answer:ty $body:block )*) => {
        const VERBS: &[(&std::ffi::CStr, $crate::call::Verb)] = &[$(
            ($name, {
                unsafe extern "C" fn call(
                    env: sys::napi_env,
                    info: sys::napi_callback_info,
                ) -> sys::napi_value {
                    const COUNT: usize = <[&str]>::len(&[$(stringify!($argument)),*]);
                    let mut values = [ptr::null_mut(); COUNT];
                    let mut count = COUNT;
                    let mut data = ptr::null_mut();
                    // SAFETY: N-API calls with its own `env` and `info`; the array has room for `count` values, and
                    // missing ones become undefined.
                    unsafe {
                        sys::napi_get_cb_info(
                            env,
                            info,
                            &mut count,
                            values.as_mut_ptr(),
                            ptr::null_mut(),
                            &mut data,
                        )
                    };
                    // SAFETY: the functions were made with an engine as their data, which is never freed.
                    let $engine: &'static Engine = unsafe { &*data.cast_const().cast::<Engine>() };
                    let _ = $engine;
                    let [$($argument),*] = values;
                    // A panic in here is a bug of ours; JavaScript gets an error, and the process goes on.
                    let answer = catch_unwind(AssertUnwindSafe(|| -> Option<$answer> {
                        $(
                            // SAFETY: an argument of this call.
                            let $argument = unsafe { <$type as $crate::call::Argument>::take(env, $argument) }?;
                        )*
                        let body = || -> $answer { $body };
                        Some(body())
                    }));
                    let answer = match answer {
                        Ok(Some(answer)) => answer,
                        // SAFETY: in a call from JavaScript.
                        Ok(None) => return unsafe { $crate::call::wrong_argument(env) },
                        Err(_panic) => $crate::call::Answer::panicked(),
                    };
                    // SAFETY: in a call from JavaScript.
                    unsafe { $crate::call::Answer::give(answer, env) }
                }
                call
            }),
        )*];
    };
}

pub(crate) use verbs;
