//! How a verb is called: plain N-API functions whose data is the engine. A method of a wrapped object would first be
//! asked for its object, which made each call twice as dear (2026-11: 0.15 µs more, on three or four calls an event).

use ferronet_core::errno;
use napi::sys;

/// A function of the engine's, as N-API knows it.
pub(crate) type Verb =
    unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

/// A value of JavaScript that a verb looks at itself.
#[derive(Clone, Copy)]
pub(crate) struct Value(pub(crate) sys::napi_value);

/// A string, or an error number.
pub(crate) type Text = Result<String, i32>;

/// What a verb can be given. handle.ts is the only caller: a wrong type is a bug there, and told as a TypeError.
pub(crate) trait Argument: Sized {
    /// # Safety
    /// `value` must be of `env`, on its thread.
    unsafe fn take(env: sys::napi_env, value: sys::napi_value) -> Option<Self>;
}

/// What a verb can return.
pub(crate) trait Answer {
    /// # Safety
    /// On the thread of `env`, in a handle scope.
    unsafe fn give(self, env: sys::napi_env) -> sys::napi_value;

    /// What a verb returns that met a bug of ours: an error where it can tell one.
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
                let mut value = std::ptr::null_mut();
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
// A count, of nothing.
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
        // SAFETY: the caller's promise; without a buffer only the length is told.
        let status = unsafe {
            sys::napi_get_value_string_utf8(env, value, std::ptr::null_mut(), 0, &mut length)
        };
        if status != sys::Status::napi_ok {
            return None;
        }
        // N-API ends what it writes with a NUL.
        let mut bytes = vec![0_u8; length + 1];
        // SAFETY: the buffer is as long as is said.
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

impl Answer for () {
    unsafe fn give(self, _env: sys::napi_env) -> sys::napi_value {
        std::ptr::null_mut()
    }

    fn panicked() -> Self {}
}

impl Answer for Text {
    unsafe fn give(self, env: sys::napi_env) -> sys::napi_value {
        match self {
            Ok(text) => {
                let mut value = std::ptr::null_mut();
                // SAFETY: the caller's promise; pointer and length are the string's own.
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

/// Tells JavaScript of a wrong argument.
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
    std::ptr::null_mut()
}

/// Defines `VERBS`: the functions of an engine under the names that handle.ts calls them by.
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
                    let $engine = unsafe { &*data.cast_const().cast::<Engine>() };
                    let _ = $engine;
                    let [$($argument),*] = values;
                    $(
                        // SAFETY: an argument of this call.
                        let taken = unsafe { <$type as $crate::call::Argument>::take(env, $argument) };
                        let Some($argument) = taken else {
                            // SAFETY: in a call from JavaScript.
                            return unsafe { $crate::call::wrong_argument(env) };
                        };
                    )*
                    // What can panic inside is a bug of ours; JavaScript hears of it as an error, not as an abort.
                    let answer = catch_unwind(AssertUnwindSafe(|| -> $answer { $body }))
                        .unwrap_or_else(|_panic| $crate::call::Answer::panicked());
                    // SAFETY: in a call from JavaScript.
                    unsafe { $crate::call::Answer::give(answer, env) }
                }
                call
            }),
        )*];
    };
}

pub(crate) use verbs;
