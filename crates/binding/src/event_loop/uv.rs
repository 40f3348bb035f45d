//! libuv's loop, and our handles in it. libuv's functions are looked up in the running process, so that a host without
//! them can load the addon too; the sizes of its structures are asked from it, so that no header's version matters.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use napi::sys;

use super::Visitor;

type Loop = *mut c_void;
type Handle = *mut c_void;
type Callback = extern "C" fn(Handle);
type PollCallback = extern "C" fn(Handle, c_int, c_int);

// Constants of uv.h, part of libuv's ABI since 1.0.
const UV_ASYNC: c_int = 1;
const UV_CHECK: c_int = 2;
const UV_IDLE: c_int = 6;
const UV_POLL: c_int = 8;
const UV_PREPARE: c_int = 9;
const UV_READABLE: c_int = 1;

macro_rules! functions {
    ($($name:ident($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        impl Functions {
            fn find() -> Option<Self> {
                Some(Self {
                    $($name: {
                        let found = lookup(
                            CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()).ok()?,
                        )?;
                        // SAFETY: the symbol is libuv's function of that name, whose signature has not changed since
                        // 1.0 (since 1.19, the first with accessors of a handle's data).
                        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(found) }
                    },)*
                })
            }
        }
    };
}

functions! {
    uv_handle_size(c_int) -> usize;
    uv_handle_set_data(Handle, *mut c_void);
    uv_handle_get_data(Handle) -> *mut c_void;
    uv_async_init(Loop, Handle, Option<Callback>) -> c_int;
    uv_async_send(Handle) -> c_int;
    uv_poll_init(Loop, Handle, c_int) -> c_int;
    uv_poll_start(Handle, c_int, PollCallback) -> c_int;
    uv_poll_stop(Handle) -> c_int;
    uv_idle_init(Loop, Handle) -> c_int;
    uv_idle_start(Handle, Callback) -> c_int;
    uv_idle_stop(Handle) -> c_int;
    uv_check_init(Loop, Handle) -> c_int;
    uv_check_start(Handle, Callback) -> c_int;
    uv_check_stop(Handle) -> c_int;
    uv_prepare_init(Loop, Handle) -> c_int;
    uv_prepare_start(Handle, Callback) -> c_int;
    uv_prepare_stop(Handle) -> c_int;
    uv_ref(Handle);
    uv_unref(Handle);
    uv_close(Handle, Option<Callback>);
}

impl Functions {
    /// Those of the running process; `None` if it has no libuv.
    fn get() -> Option<&'static Self> {
        static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
        FUNCTIONS.get_or_init(Self::find).as_ref()
    }
}

#[cfg(unix)]
fn lookup(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: `name` is NUL-terminated; the call only reads it.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// In the executable: node.exe exports libuv's functions, as addons need them.
#[cfg(windows)]
fn lookup(name: &CStr) -> Option<*mut c_void> {
    use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};

    // SAFETY: null asks for the executable's own module, which is never unloaded.
    let executable = unsafe { GetModuleHandleW(ptr::null()) };
    // SAFETY: `name` is NUL-terminated; the call only reads it.
    let found = unsafe { GetProcAddress(executable, name.as_ptr().cast()) };
    found.map(|function| function as *mut c_void)
}

/// The environment's loop. The data of our handles points here, so it must not be moved or freed after `attach`.
pub(crate) struct Libuv {
    env: sys::napi_env,
    uv: &'static Functions,
    uv_loop: Loop,
    /// `None` before `attach` and after `detach`.
    attached: RefCell<Option<Attached>>,
    /// Whether the handle of `close_soon` is closing.
    closing: Cell<bool>,
    /// How many handles libuv holds.
    held: Cell<usize>,
    /// Runs when libuv has let go of the last one.
    done: Cell<Option<Box<dyn FnOnce()>>>,
}

struct Attached {
    visitor: &'static dyn Visitor,
    /// Says that sockets may be ready: a uv_poll (in-loop driver) or a uv_async (helper thread). The one handle that
    /// ever keeps the loop alive.
    watcher: UvHandle,
    idle: UvHandle,
    check: UvHandle,
    prepare: UvHandle,
}

impl Libuv {
    /// # Safety
    /// As [`super::EventLoop::of`].
    pub(super) unsafe fn find(env: sys::napi_env) -> Option<Self> {
        let uv = Functions::get()?;
        let mut uv_loop = ptr::null_mut();
        // SAFETY: the caller's promise.
        let status = unsafe { sys::napi_get_uv_event_loop(env, &mut uv_loop) };
        (status == sys::Status::napi_ok).then(|| Self {
            env,
            uv,
            uv_loop: uv_loop.cast(),
            attached: RefCell::new(None),
            closing: Cell::new(false),
            held: Cell::new(0),
            done: Cell::new(None),
        })
    }

    pub(super) fn attach(
        &'static self,
        visitor: &'static dyn Visitor,
        descriptor: Option<c_int>,
    ) -> napi::Result<Option<Alarm>> {
        // The watcher first: only its initialisation can fail, and then there is nothing to undo.
        let watcher = UvHandle::init(descriptor.map_or(Kind::Async, Kind::Poll), self)?;
        let [idle, check, prepare] = [Kind::Idle, Kind::Check, Kind::Prepare].map(|kind| {
            UvHandle::init(kind, self).expect("libuv initialises these kinds without fail")
        });
        watcher.start();
        prepare.start();
        let alarm = descriptor.is_none().then_some(Alarm {
            handle: watcher.handle,
            send: self.uv.uv_async_send,
        });
        *self.attached.borrow_mut() = Some(Attached {
            visitor,
            watcher,
            idle,
            check,
            prepare,
        });
        Ok(alarm)
    }

    pub(super) fn set_ref(&self, referenced: bool) {
        if let Some(attached) = &*self.attached.borrow() {
            attached.watcher.set_ref(referenced);
        }
    }

    /// The idle handle keeps the poll from waiting, and the check handle runs after it. Of several check handles libuv
    /// runs the one first that was started last: ours before Node's, which runs `setImmediate`.
    pub(super) fn call_back(&self) {
        if let Some(attached) = &*self.attached.borrow() {
            attached.idle.start();
            attached.check.start();
        }
    }

    /// A handle that is closed at once calls back in the closing phase, and keeps the loop alive until then.
    pub(super) fn close_soon(&'static self) {
        if self.attached.borrow().is_none() || self.closing.replace(true) {
            return;
        }
        UvHandle::init(Kind::Idle, self)
            .expect("libuv initialises this kind without fail")
            .close(on_closing_phase);
    }

    pub(super) fn unwatch(&self) {
        if let Some(attached) = &*self.attached.borrow() {
            attached.watcher.stop();
        }
    }

    pub(super) fn detach(&self, done: Box<dyn FnOnce()>) {
        if let Some(attached) = self.attached.take() {
            let Attached {
                watcher,
                idle,
                check,
                prepare,
                ..
            } = attached;
            for handle in [watcher, idle, check, prepare] {
                handle.close(on_closed);
            }
        }
        if self.held.get() == 0 {
            done();
        } else {
            self.done.set(Some(done));
        }
    }

    /// The loop that one of our handles is in.
    fn of(handle: Handle) -> &'static Self {
        let uv = Functions::get().expect("found when the handle was initialised");
        // SAFETY: libuv calls back with a handle that `UvHandle::init` has initialised.
        let data = unsafe { (uv.uv_handle_get_data)(handle) };
        // SAFETY: `UvHandle::init` has set the data to a `Libuv` that is never freed.
        unsafe { &*data.cast_const().cast::<Self>() }
    }

    /// Copied out of its cell, because a visitor may run the loop or end the environment.
    fn visitor(&self) -> Option<&'static dyn Visitor> {
        self.attached
            .borrow()
            .as_ref()
            .map(|attached| attached.visitor)
    }

    /// Calls the visitor in a handle scope, if it is still there.
    fn visit(&self, visit: impl FnOnce(&dyn Visitor)) {
        let Some(visitor) = self.visitor() else {
            return;
        };
        let mut scope = ptr::null_mut();
        // SAFETY: the environment is alive while a visitor is attached; libuv calls on its thread.
        if unsafe { sys::napi_open_handle_scope(self.env, &mut scope) } != sys::Status::napi_ok {
            return;
        }
        visit(visitor);
        // SAFETY: opened above, on the same thread, and closed once.
        unsafe { sys::napi_close_handle_scope(self.env, scope) };
    }

    /// libuv has called back for the last time with this handle.
    fn let_go(&self, handle: Handle) {
        // SAFETY: `UvHandle::init` allocated it, `UvHandle::close` gave it away, and libuv is done with it.
        unsafe { libc::free(handle) };
        self.held.set(self.held.get() - 1);
        if self.held.get() == 0
            && let Some(done) = self.done.take()
        {
            done();
        }
    }
}

/// The loop's uv_async, for another thread to ring.
pub(super) struct Alarm {
    handle: Handle,
    send: unsafe extern "C" fn(Handle) -> c_int,
}

// SAFETY: other threads do nothing with the handle but send to it, which libuv allows to any thread.
unsafe impl Send for Alarm {}
// SAFETY: as above; several threads may send at once.
unsafe impl Sync for Alarm {}

impl Alarm {
    pub(super) fn ring(&self) {
        // SAFETY: the handle is closed by `detach` only, after which nobody rings.
        unsafe { (self.send)(self.handle) };
    }
}

#[derive(Clone, Copy)]
enum Kind {
    /// Calls when another thread has sent to it.
    Async,
    /// Calls after the poll phase.
    Check,
    /// Calls in each iteration, and keeps the poll from waiting.
    Idle,
    /// Calls when the descriptor is readable.
    Poll(c_int),
    /// Calls before the poll phase.
    Prepare,
}

/// One handle of ours in the loop: initialised, and not closed. It owns its memory until `close` gives that to libuv.
struct UvHandle {
    uv: &'static Functions,
    kind: Kind,
    handle: Handle,
}

impl UvHandle {
    /// A handle of `owner`'s loop that does not keep it alive: JavaScript counts what does, and calls `set_ref`.
    fn init(kind: Kind, owner: &'static Libuv) -> napi::Result<Self> {
        let (uv, uv_loop) = (owner.uv, owner.uv_loop);
        let (number, name) = match kind {
            Kind::Async => (UV_ASYNC, "uv_async_init"),
            Kind::Check => (UV_CHECK, "uv_check_init"),
            Kind::Idle => (UV_IDLE, "uv_idle_init"),
            Kind::Poll(_) => (UV_POLL, "uv_poll_init"),
            Kind::Prepare => (UV_PREPARE, "uv_prepare_init"),
        };
        // SAFETY: the function has no precondition.
        let size = unsafe { (uv.uv_handle_size)(number) };
        // SAFETY: any size will do. The memory is aligned for anything in C.
        let handle = unsafe { libc::calloc(1, size) };
        assert!(!handle.is_null(), "no memory for a handle of libuv's");
        let phase = |init: unsafe extern "C" fn(Loop, Handle) -> c_int| {
            // SAFETY: fresh memory of the size that libuv asked for; the loop lives as long as its environment.
            unsafe { init(uv_loop, handle) }
        };
        let status = match kind {
            Kind::Check => phase(uv.uv_check_init),
            Kind::Idle => phase(uv.uv_idle_init),
            Kind::Prepare => phase(uv.uv_prepare_init),
            // SAFETY: as above; the callback does not unwind.
            Kind::Async => unsafe { (uv.uv_async_init)(uv_loop, handle, Some(on_async)) },
            // SAFETY: as above; the descriptor stays open until it is no longer watched.
            Kind::Poll(descriptor) => unsafe { (uv.uv_poll_init)(uv_loop, handle, descriptor) },
        };
        if status != 0 {
            // SAFETY: allocated above; libuv keeps no handle that it refused to initialise.
            unsafe { libc::free(handle) };
            return Err(napi::Error::from_reason(format!(
                "{name} failed with {status}"
            )));
        }
        owner.held.set(owner.held.get() + 1);
        let data = ptr::from_ref(owner).cast_mut().cast();
        // SAFETY: initialised above.
        unsafe { (uv.uv_handle_set_data)(handle, data) };
        let handle = Self { uv, kind, handle };
        handle.set_ref(false);
        Ok(handle)
    }

    /// Nothing happens if it has been started already. (A uv_async is, from the beginning.)
    fn start(&self) {
        let uv = self.uv;
        let (start, callback): (unsafe extern "C" fn(_, _) -> _, Callback) = match self.kind {
            Kind::Check => (uv.uv_check_start, on_check),
            Kind::Idle => (uv.uv_idle_start, on_idle),
            Kind::Prepare => (uv.uv_prepare_start, on_prepare),
            Kind::Poll(_) => {
                // SAFETY: initialised and not closed; the callback does not unwind.
                unsafe { (uv.uv_poll_start)(self.handle, UV_READABLE, on_poll) };
                return;
            }
            Kind::Async => return,
        };
        // SAFETY: initialised and not closed; the callbacks do not unwind.
        unsafe { start(self.handle, callback) };
    }

    /// Nothing happens if it has been stopped already. (A uv_async cannot be.)
    fn stop(&self) {
        let stop = match self.kind {
            Kind::Check => self.uv.uv_check_stop,
            Kind::Idle => self.uv.uv_idle_stop,
            Kind::Prepare => self.uv.uv_prepare_stop,
            Kind::Poll(_) => self.uv.uv_poll_stop,
            Kind::Async => return,
        };
        // SAFETY: initialised and not closed.
        unsafe { stop(self.handle) };
    }

    fn set_ref(&self, referenced: bool) {
        let change = if referenced {
            self.uv.uv_ref
        } else {
            self.uv.uv_unref
        };
        // SAFETY: initialised and not closed.
        unsafe { change(self.handle) };
    }

    /// `closed` has to let go of the handle.
    fn close(self, closed: Callback) {
        // SAFETY: initialised, and closed once, because it is consumed here; the callback does not unwind.
        unsafe { (self.uv.uv_close)(self.handle, Some(closed)) };
    }
}

// What libuv calls. Visitors do not unwind.

extern "C" fn on_poll(handle: Handle, _status: c_int, _events: c_int) {
    Libuv::of(handle).visit(|visitor| visitor.ready());
}

extern "C" fn on_async(handle: Handle) {
    Libuv::of(handle).visit(|visitor| visitor.ready());
}

extern "C" fn on_idle(handle: Handle) {
    let uv = Libuv::of(handle);
    uv.visit(|visitor| visitor.posted());
    // As long as this handle is active the poll does not wait, which keeps nobody from what is due after it.
    if let Some(attached) = &*uv.attached.borrow()
        && !attached.visitor.is_due()
        && !attached.visitor.stays_awake()
    {
        attached.idle.stop();
    }
}

extern "C" fn on_prepare(handle: Handle) {
    let uv = Libuv::of(handle);
    if uv.visitor().is_some_and(|visitor| visitor.prepare()) {
        uv.visit(|visitor| visitor.go_on());
    }
}

extern "C" fn on_check(handle: Handle) {
    let uv = Libuv::of(handle);
    if let Some(attached) = &*uv.attached.borrow()
        && !attached.visitor.is_awake()
    {
        attached.check.stop();
        attached.idle.stop();
    }
    uv.visit(|visitor| {
        visitor.again();
        visitor.posted();
    });
}

extern "C" fn on_closing_phase(handle: Handle) {
    let uv = Libuv::of(handle);
    uv.closing.set(false);
    uv.visit(|visitor| visitor.closed());
    uv.let_go(handle);
}

extern "C" fn on_closed(handle: Handle) {
    Libuv::of(handle).let_go(handle);
}
