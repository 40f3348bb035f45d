//! The two ends that the benchmark trusts: a load generator (`ferronet-load`) and the fastest server
//! one epoll thread can be (`ferronet-floor`). Both share this crate; neither contains JavaScript.
//!
//! When both share a core, the CPU time the load generator uses is lost to the server under test. So
//! nothing here allocates, formats or locks between two system calls of a measured window.
#![cfg(target_os = "linux")]

pub mod beside;
pub mod churn;
pub mod endpoint;
pub mod exchange;
pub mod flood;
pub mod idle;
pub mod measure;
pub mod sys;
pub mod tls;
pub mod wire;

/// The byte that fills each 64-byte answer of the pipelined and the small-writes servers.
pub const ANSWER_BYTE: u8 = b'a';
/// The byte that fills uploads. No other request begins with it.
pub const UPLOAD_BYTE: u8 = b'Z';
/// Requests and answers of the pipelined and the small-writes servers, in bytes.
pub const FRAME: usize = 64;
/// Answers to one request of the small-writes server.
pub const SMALL_WRITES: usize = 16;
/// How much bulk senders pass to the kernel per call.
pub const CHUNK: usize = 64 * 1024;
