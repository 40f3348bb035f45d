//! The loop of a host without libuv. A thread-safe function brings us back to the JavaScript thread, and one call of
//! it does everything that is due.
//!
//! Bun goes on calling such a function for as long as somebody rings, before it looks at timers and immediates. So
//! after many visits in a row we wait for an immediate, which says that the loop has been round.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr;

use napi::bindgen_prelude::{JsObjectValue, Unknown};
use napi::{Env, JsValue, ValueType, check_status, sys};

use super::Visitor;
use crate::call::Kept;

/// After so many visits we ask for an immediate. Mostly it comes long before as many again have been made, and costs
/// its share of so many visits.
const VISITS_BEFORE_ASKING: u32 = 16;

/// So many visits are made in one round of the loop.
const VISITS_IN_A_ROUND: u32 = 2 * VISITS_BEFORE_ASKING;

pub(crate) struct Function {
    env: sys::napi_env,
    /// `None` before `attach` and after `detach`.
    attached: Cell<Option<Attached>>,
    close_due: Cell<bool>,
    /// The visits since the loop is known to have been round.
    visits: Cell<u32>,
    /// Rung while no visit could be made.
    rung: Cell<bool>,
    rounds: RefCell<Option<Rounds>>,
}

/// How the loop tells us that it has been round.
struct Rounds {
    set_immediate: Kept,
    been_round: Kept,
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
            visits: Cell::new(0),
            rung: Cell::new(false),
            rounds: RefCell::new(None),
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
        // A host that cannot tell us is one in which we visit whenever somebody rings.
        self.rounds.replace(self.rounds());
        self.attached.set(Some(Attached { visitor, alarm }));
        Ok(alarm)
    }

    /// `None` in a host without `setImmediate`. In a call from JavaScript.
    fn rounds(&'static self) -> Option<Rounds> {
        let global = Env::from_raw(self.env).get_global().ok()?;
        let set_immediate: Unknown<'_> = global.get_named_property("setImmediate").ok()?;
        if set_immediate.get_type().ok()? != ValueType::Function {
            return None;
        }
        let mut been_round = ptr::null_mut();
        // SAFETY: `env` is alive and this its thread (`EventLoop::of`); the literal has the length given, and the data is
        // never freed.
        let status = unsafe {
            sys::napi_create_function(
                self.env,
                c"ferronet".as_ptr(),
                8,
                Some(on_round),
                ptr::from_ref(self).cast_mut().cast(),
                &mut been_round,
            )
        };
        if status != sys::Status::napi_ok {
            return None;
        }
        // SAFETY: as above; dropped by `detach`, or never.
        let set_immediate = unsafe { Kept::new(self.env, set_immediate.raw()) }.ok()?;
        // SAFETY: as above.
        let been_round = unsafe { Kept::new(self.env, been_round) }.ok()?;
        Some(Rounds {
            set_immediate,
            been_round,
        })
    }

    /// Counts a visit, and returns whether it may be made now. If not, we ring again when the loop has been round.
    fn may_visit(&self) -> bool {
        let visits = self.visits.get();
        if visits >= VISITS_IN_A_ROUND {
            self.rung.set(true);
            return false;
        }
        self.visits.set(visits + 1);
        if visits == VISITS_BEFORE_ASKING && !self.ask() {
            // We will not be told, so there is nothing to count.
            self.visits.set(0);
        }
        true
    }

    /// Asks to be told when the loop has been round, and returns whether we shall be.
    fn ask(&self) -> bool {
        let values =
            |rounds: &Rounds| Some((rounds.set_immediate.value()?, rounds.been_round.value()?));
        // Not borrowed during the call, which may run anything.
        let Some((set_immediate, been_round)) = self.rounds.borrow().as_ref().and_then(values)
        else {
            return false;
        };
        let mut receiver = ptr::null_mut();
        // SAFETY: called by `on_ring`, on the thread of `env` and in a handle scope.
        unsafe { sys::napi_get_undefined(self.env, &mut receiver) };
        // SAFETY: as above; the values were made in that scope.
        let status = unsafe {
            sys::napi_call_function(
                self.env,
                receiver,
                set_immediate,
                1,
                &been_round,
                ptr::null_mut(),
            )
        };
        if status == sys::Status::napi_pending_exception {
            // Somebody's own `setImmediate`, or a worker that ends. The visit is not about it.
            // SAFETY: as above.
            unsafe { sys::napi_get_and_clear_last_exception(self.env, &mut receiver) };
        }
        status == sys::Status::napi_ok
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
        self.rounds.take();
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
    if !function.may_visit() {
        return;
    }
    visitor.posted();
    visitor.ready();
    if function.close_due.take() {
        visitor.closed();
    }
}

extern "C" fn on_round(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut data = ptr::null_mut();
    // SAFETY: called by JavaScript with the information of this call; what we do not ask for may be null.
    let status = unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &mut data,
        )
    };
    if status == sys::Status::napi_ok {
        // SAFETY: `rounds` gave the function this data, which is never freed.
        let function = unsafe { &*data.cast::<Function>() };
        function.visits.set(0);
        // Not from here: a visit is made outside of JavaScript.
        if function.rung.take() {
            function.call_back();
        }
    }
    ptr::null_mut()
}
