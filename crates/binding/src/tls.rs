//! TLS for `verbs`: contexts of Node's as values that JavaScript keeps, and the numbers that `lib/` has for facts.

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::ptr;

use ferronet_core::tls::{self, Capture, Context, Fact, News, Start};
use ferronet_core::{Reactor, errno};
use napi::sys;

use crate::call::{Answer, Value};
use crate::memory::Bytes;

// Flags of `tlsStart`.
const SERVER: u32 = 1;
const REQUEST_CERTIFICATE: u32 = 2;
const REQUIRE_CERTIFICATE: u32 = 4;
const KEYLOG: u32 = 8;

/// In the order of the numbers that `tlsInfo` takes.
const FACTS: [Fact; 16] = [
    Fact::Failure,
    Fact::Verdict,
    Fact::Protocol,
    Fact::Cipher,
    Fact::Servername,
    Fact::Alpn,
    Fact::PeerCertificates,
    Fact::Certificate,
    Fact::Session,
    Fact::Ticket,
    Fact::Finished,
    Fact::PeerFinished,
    Fact::Reused,
    Fact::CloseNotify,
    Fact::EphemeralKey,
    Fact::SharedSigalgs,
];

thread_local! {
    static CAPTURE: Cell<Option<Capture>> = const { Cell::new(None) };
}

/// Bytes for JavaScript to keep, or undefined.
pub(crate) type Copied = Option<Vec<u8>>;

impl Answer for Copied {
    unsafe fn give(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = ptr::null_mut();
        if let Some(bytes) = self {
            // SAFETY: the caller's promise; the bytes are copied. On failure the value stays null, which is undefined.
            unsafe {
                sys::napi_create_buffer_copy(
                    env,
                    bytes.len(),
                    bytes.as_ptr().cast(),
                    ptr::null_mut(),
                    &mut value,
                )
            };
        }
        value
    }

    fn panicked() -> Self {
        None
    }
}

/// Begins to notice contexts: an empty text, or why there is no TLS here.
pub(crate) fn capture() -> String {
    match Capture::begin() {
        Ok(capture) => {
            CAPTURE.set(Some(capture));
            String::new()
        }
        Err(reason) => reason.to_owned(),
    }
}

/// A context for JavaScript to keep, or undefined.
pub(crate) struct Captured(Option<Context>);

/// The one context that this thread has made since `capture`.
pub(crate) fn captured() -> Captured {
    Captured(CAPTURE.take().and_then(Capture::finish))
}

impl Answer for Captured {
    unsafe fn give(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = ptr::null_mut();
        let Some(context) = self.0 else {
            return value;
        };
        let context = Box::into_raw(Box::new(context));
        // SAFETY: the caller's promise; `release` frees what is behind the pointer, once.
        let status = unsafe {
            sys::napi_create_external(
                env,
                context.cast(),
                Some(release),
                ptr::null_mut(),
                &mut value,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: nobody has it.
            drop(unsafe { Box::from_raw(context) });
            return ptr::null_mut();
        }
        value
    }

    fn panicked() -> Self {
        Self(None)
    }
}

unsafe extern "C" fn release(_env: sys::napi_env, context: *mut c_void, _hint: *mut c_void) {
    // SAFETY: made in `give`, and JavaScript has no more references to it.
    drop(unsafe { Box::from_raw(context.cast::<Context>()) });
}

/// What `tlsStart` takes beside the slot.
pub(crate) struct Arguments {
    pub(crate) context: Value,
    pub(crate) flags: u32,
    pub(crate) servername: String,
    pub(crate) protocols: Bytes,
    pub(crate) session: Bytes,
    pub(crate) unread: Bytes,
}

/// # Safety
/// In a call from JavaScript on the thread of `env`, and `context` is what `captured` has given.
pub(crate) unsafe fn start(
    env: sys::napi_env,
    reactor: &mut Reactor,
    slot: u32,
    arguments: Arguments,
) -> io::Result<()> {
    let mut context = ptr::null_mut();
    // SAFETY: the caller's promise.
    let status = unsafe { sys::napi_get_value_external(env, arguments.context.0, &mut context) };
    if status != sys::Status::napi_ok {
        return Err(errno::error(errno::EINVAL));
    }
    // SAFETY: the caller's promise: JavaScript has a reference to it, and does not run during this call.
    let context = unsafe { &*context.cast_const().cast::<Context>() };
    let (protocols, session, unread) =
        (arguments.protocols?, arguments.session?, arguments.unread?);
    let servername = tls::name(&arguments.servername);
    let servername = servername.filter(|name| !name.is_empty());
    let has = |flag| arguments.flags & flag != 0;
    let start = Start {
        server: has(SERVER),
        request_certificate: has(REQUEST_CERTIFICATE),
        require_certificate: has(REQUIRE_CERTIFICATE),
        servername: servername.as_deref(),
        protocols: protocols.bytes(),
        session: session.bytes(),
        unread: unread.bytes(),
        keylog: has(KEYLOG),
    };
    reactor.tls_start(slot, context, &start)
}

/// The fact of this number; undefined for no bytes.
pub(crate) fn info(reactor: &mut Reactor, slot: u32, fact: u32) -> io::Result<Copied> {
    let Some(fact) = FACTS.get(fact as usize) else {
        return Ok(None);
    };
    let bytes = reactor.tls_fact(slot, *fact)?;
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// The next of the news: "s" and a session, or "k" and a line of a keylog.
pub(crate) fn news(reactor: &mut Reactor, slot: u32) -> io::Result<Copied> {
    let (kind, bytes) = match reactor.tls_news(slot)? {
        None => return Ok(None),
        Some(News::Session(bytes)) => (b's', bytes),
        Some(News::Keylog(bytes)) => (b'k', bytes),
    };
    Ok(Some([&[kind], bytes.as_slice()].concat()))
}
