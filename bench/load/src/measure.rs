//! The measured window: what is counted, when counting starts and ends, and the object printed at the end.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::sys::{self, CpuClock};

/// How long to warm up and to measure, and which process's CPU time to read at both ends of the window.
#[derive(Clone, Copy)]
pub struct Schedule {
    pub warm_up: Duration,
    pub measured: Duration,
    pub server: Option<CpuClock>,
}

/// Counts what happens; forgets the warm-up.
pub struct Window {
    schedule: Schedule,
    /// When the current phase ends.
    until: Instant,
    phase: Phase,
    began: Mark,
    ended: Mark,
    ops: u64,
    bytes: u64,
    /// Bytes of the finished warm-up, so that a server's own count can be compared with all of them.
    warm_up_bytes: u64,
    /// Uploaded bytes beside the answers that came in, and the same for the warm-up.
    uploaded: u64,
    warm_up_uploaded: u64,
    /// Connections that went on with an earlier session.
    resumed: u64,
    latencies: Histogram<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    WarmUp,
    Measured,
    Over,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    server: Option<Duration>,
    load: Duration,
    waited: Duration,
}

impl Mark {
    fn now(at: Instant, server: Option<CpuClock>) -> io::Result<Self> {
        let server = server.map(CpuClock::read).transpose()?;
        Ok(Self {
            at,
            server,
            load: CpuClock::OWN.read()?,
            waited: sys::waited_for_a_core(),
        })
    }
}

impl Window {
    /// The warm-up begins now.
    pub fn open(schedule: Schedule) -> io::Result<Self> {
        let now = Instant::now();
        let mark = Mark::now(now, schedule.server)?;
        Ok(Self {
            schedule,
            until: now + schedule.warm_up,
            phase: Phase::WarmUp,
            began: mark,
            ended: mark,
            ops: 0,
            bytes: 0,
            warm_up_bytes: 0,
            uploaded: 0,
            warm_up_uploaded: 0,
            resumed: 0,
            // Up to a minute in nanoseconds at three digits: fixed in size, so recording never allocates.
            latencies: Histogram::new_with_max(60_000_000_000, 3)
                .expect("constants within hdrhistogram's bounds"),
        })
    }

    /// Contents are only compared during the warm-up, because the comparison costs CPU time.
    pub fn verifies(&self) -> bool {
        self.phase == Phase::WarmUp
    }

    /// One answered request.
    pub fn answered(&mut self, latency: Duration) {
        self.ops += 1;
        self.latencies.saturating_record(latency.as_nanos() as u64);
    }

    /// Bytes that came in (or, for an upload, went out).
    pub fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Bytes of an upload beside requests and answers: those count for themselves.
    pub fn uploaded(&mut self, bytes: usize) {
        self.uploaded += bytes as u64;
    }

    /// Whether a connection that is done went on with an earlier session.
    pub fn resumed(&mut self, resumed: bool) {
        self.resumed += u64::from(resumed);
    }

    /// To be called before each batch of events: how long epoll may wait at most, `None` once the
    /// window is over.
    pub fn left(&mut self) -> io::Result<Option<Duration>> {
        let now = Instant::now();
        if now < self.until {
            return Ok(Some(self.until - now));
        }
        let mark = Mark::now(now, self.schedule.server)?;
        if self.phase == Phase::WarmUp {
            self.phase = Phase::Measured;
            self.until = now + self.schedule.measured;
            self.began = mark;
            self.ops = 0;
            self.warm_up_bytes = self.bytes;
            self.bytes = 0;
            self.warm_up_uploaded = self.uploaded;
            self.uploaded = 0;
            self.resumed = 0;
            self.latencies.reset();
            return Ok(Some(self.schedule.measured));
        }
        self.phase = Phase::Over;
        self.ended = mark;
        Ok(None)
    }

    /// Ends the measuring here: there is nothing more to measure with. A warm-up goes on.
    pub fn cut_short(&mut self) {
        if self.phase == Phase::Measured {
            self.until = Instant::now();
        }
    }

    pub fn report(&self) -> Report {
        let at = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Report {
            ops: self.ops,
            bytes: self.bytes,
            total_bytes: self.warm_up_bytes + self.bytes,
            uploaded_bytes: self.uploaded,
            total_uploaded_bytes: self.warm_up_uploaded + self.uploaded,
            resumed: self.resumed,
            seconds: (self.ended.at - self.began.at).as_secs_f64(),
            server_cpu_seconds: self
                .ended
                .server
                .zip(self.began.server)
                .map(|(end, start)| (end - start).as_secs_f64()),
            load_cpu_seconds: (self.ended.load - self.began.load).as_secs_f64(),
            load_waited_seconds: (self.ended.waited - self.began.waited).as_secs_f64(),
            latency_us: (!self.latencies.is_empty()).then(|| Latency {
                p50: at(0.5),
                p99: at(0.99),
                p999: at(0.999),
                max: self.latencies.max() as f64 / 1000.0,
            }),
        }
    }
}

/// What is printed: one JSON object.
#[derive(Serialize)]
pub struct Report {
    /// Answered requests, echoed chunks or closed connections within the window; 0 for one-way floods.
    pub ops: u64,
    /// Received bytes within the window (sent ones for an upload).
    pub bytes: u64,
    /// The same including the warm-up.
    pub total_bytes: u64,
    /// Bytes sent within the window by uploads beside requests; 0 where there are none.
    pub uploaded_bytes: u64,
    /// The same including the warm-up.
    pub total_uploaded_bytes: u64,
    /// Closed connections that went on with an earlier TLS session.
    pub resumed: u64,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_seconds: Option<f64>,
    /// Close to `seconds`: the load generator was the bottleneck.
    pub load_cpu_seconds: f64,
    /// Well above 0: something else ran on the load generator's core.
    pub load_waited_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<Latency>,
}

/// Microseconds.
#[derive(Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::{Schedule, Window};
    use std::time::Duration;

    #[test]
    fn a_window_that_is_cut_short_is_over() {
        let schedule = Schedule {
            warm_up: Duration::ZERO,
            measured: Duration::from_secs(3600),
            server: None,
        };
        let mut window = Window::open(schedule).expect("clocks");
        window.cut_short();
        assert!(window.left().expect("clocks").is_some(), "measuring begins");
        window.answered(Duration::from_micros(5));
        window.cut_short();
        assert!(window.left().expect("clocks").is_none(), "and ends");
        let report = window.report();
        assert_eq!(report.ops, 1);
        assert!(report.seconds < 3600.0);
    }
}
