//! What OpenSSL says as texts and bytes of our own: its strings, its DER, and the errors of its queue.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_void};
use std::io;
use std::ptr;
use std::slice;

use super::ffi::{OpenSsl, SslSession, X509};

/// The text that a function of OpenSSL returns.
macro_rules! text_of {
    ($call:expr) => {{
        // SAFETY: the callers ask an SSL that is alive, or OpenSSL's tables.
        let found = unsafe { $call };
        // SAFETY: null or NUL-terminated, and used before anything else happens to the SSL.
        unsafe { $crate::tls::words::text(found) }
    }};
}

pub(super) use text_of;

pub(super) fn parts(all: &[&[u8]]) -> Vec<u8> {
    all.join(&0)
}

/// Each part behind its length in four bytes (little-endian).
pub(super) fn counted(all: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in all {
        joined.extend_from_slice(&(part.len() as u32).to_le_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

/// # Safety
/// Null, or NUL-terminated.
pub(super) unsafe fn text(from: *const c_char) -> Vec<u8> {
    if from.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(from) }.to_bytes().to_vec()
}

/// # Safety
/// Null, or that many bytes are there.
pub(super) unsafe fn bytes(from: *const u8, length: usize) -> Vec<u8> {
    if from.is_null() || length == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(from, length) }.to_vec()
}

/// Asks twice: first how long it is.
pub(super) fn der(encode: impl Fn(*mut *mut c_uchar) -> c_int) -> Vec<u8> {
    let length = encode(ptr::null_mut());
    let Ok(length) = usize::try_from(length) else {
        return Vec::new();
    };
    let mut encoded = vec![0; length];
    let mut at = encoded.as_mut_ptr();
    encode(&mut at);
    encoded
}

pub(super) fn certificate(openssl: &OpenSsl, of: *mut X509) -> Vec<u8> {
    if of.is_null() {
        return Vec::new();
    }
    // SAFETY: the certificate is alive; as many bytes are written as the first call said.
    der(|place| unsafe { (openssl.i2d_X509)(of, place) })
}

pub(super) fn session_der(openssl: &OpenSsl, of: *mut SslSession) -> Vec<u8> {
    if of.is_null() {
        return Vec::new();
    }
    // SAFETY: the session is alive; as many bytes are written as the first call said.
    der(|place| unsafe { (openssl.i2d_SSL_SESSION)(of, place) })
}

// --- errors -----------------------------------------------------------------------------------------------------------

pub(super) fn refused() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidInput)
}

/// Whatever is left in the thread's queue OpenSSL takes for the outcome of its next call.
pub(super) fn clear_errors(openssl: &OpenSsl) {
    // SAFETY: the queue is the thread's own. Looking is cheaper than clearing, and mostly it is empty.
    if unsafe { (openssl.ERR_peek_error)() } != 0 {
        // SAFETY: as above.
        unsafe { (openssl.ERR_clear_error)() };
    }
}

/// Clears the thread's queue when it goes: what our calls leave there Node's crypto would take for its own.
pub(super) struct Tidy(pub(super) &'static OpenSsl);

impl Drop for Tidy {
    fn drop(&mut self) {
        clear_errors(self.0);
    }
}

/// Library, reason and text of the first error in OpenSSL's queue, which is empty afterwards. Of those behind it, which say
/// how the first one was passed on, Node says nothing.
pub(super) fn failure(openssl: &OpenSsl) -> Vec<u8> {
    // SAFETY: the queue is the thread's own.
    let first = unsafe { (openssl.ERR_peek_error)() };
    let library = text_of!((openssl.ERR_lib_error_string)(first));
    let reason = text_of!((openssl.ERR_reason_error_string)(first));
    let mut words: Vec<u8> = Vec::new();
    let place = (&raw mut words).cast();
    // SAFETY: the callback takes its last argument for the vector, which outlives the call.
    unsafe { (openssl.ERR_print_errors_cb)(print_error, place) };
    clear_errors(openssl);
    parts(&[&library, &reason, &words])
}

unsafe extern "C" fn print_error(line: *const c_char, length: usize, words: *mut c_void) -> c_int {
    // SAFETY: the vector that `failure` gave.
    let words = unsafe { &mut *words.cast::<Vec<u8>>() };
    // SAFETY: OpenSSL says that so many bytes are there.
    words.extend_from_slice(unsafe { slice::from_raw_parts(line.cast(), length) });
    // No other, please.
    0
}
