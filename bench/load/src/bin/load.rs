//! `ferronet-load`: one scenario against one server, for a bounded time; prints one JSON object.

#[cfg(not(target_os = "linux"))]
fn main() -> Result<(), &'static str> {
    Err("the load generator uses epoll and needs Linux")
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, Read, Write};
    use std::path::PathBuf;
    use std::time::Duration;

    use clap::{Parser, ValueEnum};
    use ferronet_load::endpoint::Place;
    use ferronet_load::exchange::{self, Content, Exchange, GET};
    use ferronet_load::measure::Schedule;
    use ferronet_load::sys::{self, CpuClock};
    use ferronet_load::tls::Client;
    use ferronet_load::{CHUNK, FRAME, SMALL_WRITES, beside, churn, flood, idle};

    /// Loads a server with one kind of traffic and prints what was measured as one JSON object.
    #[derive(Parser)]
    #[command(name = "ferronet-load")]
    struct Arguments {
        /// The kind of traffic
        mode: Mode,
        #[command(flatten)]
        place: Place,
        /// Connections open at the same time
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        connections: u32,
        /// Bytes of one ping-pong message
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
        size: u32,
        /// Requests in flight per connection (pipeline, echo)
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
        outstanding: u32,
        /// Connections that upload beside the others (beside)
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
        uploaders: u32,
        /// Connections that are open beside them and do nothing
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
        idle: u32,
        /// Look for answers without ever sleeping (pingpong, pipeline, small-writes, http, echo)
        #[arg(long)]
        busy_poll: bool,
        /// Speak TLS, and trust the `cert.pem` in this directory
        #[arg(long, value_name = "DIRECTORY")]
        tls: Option<PathBuf>,
        /// Connections go on with TLS sessions that were collected before the warm-up, in twice that time (churn)
        #[arg(long, requires = "tls")]
        resume: bool,
        /// Seconds before counting starts; contents are checked during this time
        #[arg(long, default_value_t = 1.0, value_parser = seconds)]
        warmup: f64,
        /// Seconds that are measured
        #[arg(long, default_value_t = 3.0, value_parser = seconds)]
        seconds: f64,
        /// Process whose CPU time is read at both ends of the measured window
        #[arg(long)]
        server_pid: Option<u32>,
    }

    #[derive(Clone, Copy, ValueEnum)]
    enum Mode {
        /// A message, its echo, the next message
        Pingpong,
        /// Several 64-byte requests in flight, each answered by 64 bytes
        Pipeline,
        /// A 64-byte request answered by 16 × 64 bytes
        SmallWrites,
        /// Sends without pause to a sink
        Upload,
        /// Receives whatever a source sends
        Download,
        /// A GET, its answer, the next GET
        Http,
        /// 64 KiB chunks and their echo, several in flight
        Echo,
        /// Ping-pong and, beside it on the same server, uploads without pause
        Beside,
        /// Connect, a 64-byte request, its answer, close
        Churn,
        /// Open and hold until standard input ends
        Idle,
    }

    fn seconds(text: &str) -> Result<f64, String> {
        match text.parse() {
            Ok(value) if (0.0..=600.0).contains(&value) => Ok(value),
            _ => Err("expected seconds between 0 and 600".into()),
        }
    }

    pub(super) fn main() -> io::Result<()> {
        let arguments = Arguments::parse();
        let endpoint = arguments.place.endpoint()?;
        let connections = arguments.connections as usize;
        let outstanding = arguments.outstanding as usize;
        let size = arguments.size as usize;
        let uploaders = match arguments.mode {
            Mode::Beside => arguments.uploaders,
            _ => 0,
        };
        let tls = arguments
            .tls
            .map(|directory| Client::new(&directory, arguments.resume))
            .transpose()?;
        let schedule = Schedule {
            warm_up: Duration::from_secs_f64(arguments.warmup),
            measured: Duration::from_secs_f64(arguments.seconds),
            server: arguments.server_pid.map(CpuClock::of).transpose()?,
        };
        sys::raise_descriptor_limit(u64::from(
            arguments.connections + uploaders + arguments.idle,
        ))?;
        sys::end_after((schedule.warm_up + schedule.measured) * 3 + Duration::from_secs(60));
        let _idle = idle::open(arguments.idle as usize, &endpoint, tls.as_ref())?;

        let exchange = |request, answer, outstanding, content| Exchange {
            connections,
            request,
            answer,
            outstanding,
            content,
            spins: arguments.busy_poll,
        };
        let talk = |request, answer, outstanding, content| {
            let exchange = exchange(request, answer, outstanding, content);
            exchange::run(&exchange, &endpoint, tls.as_ref(), schedule)
        };
        let window = match arguments.mode {
            Mode::Pingpong => talk(size, size, 1, Content::Echo)?,
            Mode::Pipeline => talk(FRAME, FRAME, outstanding, Content::Filled)?,
            Mode::SmallWrites => talk(FRAME, FRAME * SMALL_WRITES, 1, Content::Filled)?,
            Mode::Http => {
                let answer = exchange::http_answer(&endpoint, tls.as_ref())?;
                talk(GET.len(), answer, 1, Content::Http)?
            }
            Mode::Echo => talk(CHUNK, CHUNK, outstanding, Content::Echo)?,
            Mode::Upload => flood::upload(connections, &endpoint, tls.as_ref(), schedule)?,
            Mode::Download => flood::download(connections, &endpoint, tls.as_ref(), schedule)?,
            Mode::Beside if tls.is_some() => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "beside does not speak TLS",
                ));
            }
            Mode::Beside => {
                let pings = exchange(size, size, 1, Content::Echo);
                beside::run(&pings, uploaders as usize, &endpoint, schedule)?
            }
            Mode::Churn => churn::run(connections, &endpoint, tls.as_ref(), schedule)?,
            Mode::Idle => {
                let held = idle::open(connections, &endpoint, tls.as_ref())?;
                print(&serde_json::json!({ "connections": held.len() }))?;
                io::stdin().read_to_end(&mut Vec::new())?;
                return Ok(());
            }
        };
        print(&serde_json::to_value(window.report())?)
    }

    fn print(report: &serde_json::Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{report}")?;
        out.flush()
    }
}
