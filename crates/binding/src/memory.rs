//! The memory of JavaScript's typed arrays: where their bytes are, and for how long we may touch them.
//!
//! An array that a verb is given is valid until the verb returns, because JavaScript does not run before that. The
//! arrays of the batch protocol live as long as the engine. The slabs are looked up before each batch: programs hold
//! views of them, and can detach them by transferring a chunk's buffer.

use std::io;
use std::ptr;

use napi::{Result, check_status, sys};

use crate::call::Argument;

/// The bytes of one typed array.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    data: *mut u8,
    length: usize,
}

/// A typed array as an argument of a verb.
pub(crate) type Bytes = io::Result<Memory>;

/// An array of typed arrays as an argument of a verb: the first 1,024 of them.
pub(crate) type Chunks = io::Result<Vec<Memory>>;

impl Memory {
    pub(crate) const NONE: Self = Self {
        data: ptr::null_mut(),
        length: 0,
    };

    /// # Safety
    /// `data` must stay valid for `length` bytes for as long as the result is used, and nobody else may write there
    /// while a slice of it is alive.
    pub(crate) const unsafe fn new(data: *mut u8, length: usize) -> Self {
        Self { data, length }
    }

    /// Where the bytes of a typed array are now; [`Memory::NONE`] if it has been detached.
    ///
    /// # Safety
    /// `value` must belong to `env`, on whose thread we must be. The result must not be used once the array has been
    /// detached, resized or collected.
    pub(crate) unsafe fn of(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut kind = 0;
        let mut length = 0;
        let mut data = ptr::null_mut();
        // SAFETY: the caller's promise; outputs that we do not want may be null.
        check_status!(unsafe {
            sys::napi_get_typedarray_info(
                env,
                value,
                &mut kind,
                &mut length,
                &mut data,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        })?;
        // N-API counts elements. We are given arrays of bytes and of int32.
        let width = match kind {
            sys::TypedarrayType::int32_array => 4,
            _ => 1,
        };
        if data.is_null() {
            return Ok(Self::NONE);
        }
        // SAFETY: N-API says that so many bytes are there; the caller promises not to use them for too long.
        Ok(unsafe { Self::new(data.cast(), length * width) })
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the promise made to `new`.
        unsafe { std::slice::from_raw_parts(self.data, self.length) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        if self.length == 0 {
            return &mut [];
        }
        // SAFETY: the promise made to `new`; `&mut self` rules out a second slice at the same time.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.length) }
    }

    /// The memory of an Int32Array, which is aligned and a multiple of four bytes long.
    pub(crate) fn words(&self) -> &[i32] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: as in `bytes`; the callers hold the memory of an Int32Array.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.length / 4) }
    }

    /// As [`Memory::words`].
    pub(crate) fn words_mut(&mut self) -> &mut [i32] {
        if self.length == 0 {
            return &mut [];
        }
        // SAFETY: as in `bytes_mut`; the callers hold the memory of an Int32Array.
        unsafe { std::slice::from_raw_parts_mut(self.data.cast(), self.length / 4) }
    }
}

impl Argument for Bytes {
    unsafe fn take(env: sys::napi_env, value: sys::napi_value) -> Option<Self> {
        // SAFETY: the caller's promise; the verb that takes this does not run JavaScript.
        Some(unsafe { Memory::of(env, value) }.map_err(io::Error::other))
    }
}

impl Argument for Chunks {
    unsafe fn take(env: sys::napi_env, value: sys::napi_value) -> Option<Self> {
        // SAFETY: the caller's promise; the verb that takes this does not run JavaScript.
        Some(unsafe { memories(env, value) }.map_err(io::Error::other))
    }
}

/// Lets malloc keep up to 16 MiB that was freed at the end of its heap, instead of giving it back to the system.
///
/// Chunks die by the megabyte, when V8 collects. Of those glibc keeps 128 KiB, and the chunks that follow are faulted in
/// page by page again. It has learnt better once a program has freed a larger block: blocks of that size come from its
/// heap from then on, and of free memory it keeps twice as much. So we free one of 8 MiB, which nobody has touched. A
/// call of `mallopt` would end the learning, for everything else in the process. Whoever sets `MALLOC_TRIM_THRESHOLD_` or
/// one of its relatives has ended it already, and keeps what he has set.
pub(crate) fn keep_freed() {
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        const LESSON: usize = 8 << 20;
        // The compiler must not see that nobody uses it.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(LESSON)));
    }
}

/// Where the bytes of an array of typed arrays are now.
///
/// # Safety
/// As [`Memory::of`].
unsafe fn memories(env: sys::napi_env, array: sys::napi_value) -> Result<Vec<Memory>> {
    // The most that a writev(2) takes (IOV_MAX). JavaScript sends the rest with another call.
    const MOST: u32 = 1024;
    let mut count = 0;
    // SAFETY: the caller's promise.
    check_status!(unsafe { sys::napi_get_array_length(env, array, &mut count) })?;
    (0..count.min(MOST))
        .map(|index| {
            let mut chunk = ptr::null_mut();
            // SAFETY: the caller's promise.
            check_status!(unsafe { sys::napi_get_element(env, array, index, &mut chunk) })?;
            // SAFETY: the caller's promise.
            unsafe { Memory::of(env, chunk) }
        })
        .collect()
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn freed_megabytes_stay_with_the_process() {
        const CHUNK: usize = 64 * 1024;
        // 4 MiB of chunks, as V8 frees them: all at once, and nothing behind them.
        let faults_of_a_round = || {
            let before = faults();
            let chunks: Vec<Vec<u8>> = (0..64).map(|_| vec![1; CHUNK]).collect();
            drop(std::hint::black_box(chunks));
            faults() - before
        };
        keep_freed();
        faults_of_a_round();
        // A round that met fresh pages would have a thousand.
        assert!(faults_of_a_round() < 100);
    }

    /// How many pages this thread had to be given.
    fn faults() -> i64 {
        let mut usage = std::mem::MaybeUninit::uninit();
        // SAFETY: the system writes an rusage there, and nothing else.
        let status = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
        assert_eq!(status, 0);
        // SAFETY: it has been written.
        unsafe { usage.assume_init() }.ru_minflt
    }
}
