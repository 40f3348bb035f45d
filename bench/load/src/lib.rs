//! The two ends that the benchmark trusts: a load generator (`ferronet-load`) and the fastest server
//! one epoll thread can be (`ferronet-floor`). Both share this crate; neither contains JavaScript.
//!
//! Rule: whatever the load generator spends is lost to the server under test as soon as both share a
//! core, so nothing here allocates, formats or locks between two system calls of a measured window.
#![cfg(target_os = "linux")]

pub mod beside;
pub mod churn;
pub mod endpoint;
pub mod exchange;
pub mod flood;
pub mod idle;
pub mod measure;
pub mod sys;

/// What every 64-byte answer of the pipelined and the small-writes servers consists of.
pub const ANSWER_BYTE: u8 = b'a';
/// What uploads consist of. No other request begins with it.
pub const UPLOAD_BYTE: u8 = b'Z';
/// Requests and answers of the pipelined and the small-writes servers, in bytes.
pub const FRAME: usize = 64;
/// Answers to one request of the small-writes server.
pub const SMALL_WRITES: usize = 16;
/// What bulk senders hand to the kernel per call.
pub const CHUNK: usize = 64 * 1024;
