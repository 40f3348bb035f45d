// The scenarios, as data. There are three kinds:
//
//   server   the peer serves, ferronet-load loads it       higher is better
//   client   the peer is the client of ferronet-floor      higher is better
//   memory   the peer holds idle connections               lower is better
//
// `floor: false`: the floor has no such server. `behind`: the server of the floor that the peer connects to.
// `busyPoll`: peers that can poll do, for so many microseconds; `load` says whether the load generator polls with them.
//
// Those of the family `tls` are the same with TLS in between. They are chosen by name, or all of them as `tls`.
//
// `targets` are the ratios to the family's base that ferronet should reach, in the same run on the same Node:
//
//   value    requests/s, MB/s or bytes per connection, depending on the unit
//   upload   MB/s of the uploads beside requests           higher is better
//   p50 …    latency of a request                          lower is better

/** @typedef {'ops' | 'bytes' | 'beside' | 'memory'} Unit  requests/s, MB/s, both, bytes per connection */

const plainScenarios = [
  {
    name: 'ping-pong-1',
    title: 'ping-pong 64 B, 1 connection',
    kind: 'server',
    server: 'echo',
    load: ['pingpong', '--connections', '1', '--size', '64'],
    unit: 'ops',
    targets: { value: 1.0 },
  },
  busy('busy-poll-1', 'only the server polls', false, { p50: 0.7, p99: 1.0 }),
  busy('busy-poll-2', 'both ends poll', true, { p50: 0.45, p99: 1.0 }),
  {
    name: 'ping-pong-50',
    title: 'ping-pong 64 B, 50 connections',
    kind: 'server',
    server: 'echo',
    load: ['pingpong', '--connections', '50', '--size', '64'],
    unit: 'ops',
    targets: { value: 1.4 },
  },
  {
    name: 'ping-pong-500',
    title: 'ping-pong 64 B, 500 connections',
    kind: 'server',
    server: 'echo',
    load: ['pingpong', '--connections', '500', '--size', '64'],
    unit: 'ops',
    targets: { value: 1.3 },
  },
  {
    name: 'ping-pong-1k',
    title: 'ping-pong 1 KiB, 50 connections',
    kind: 'server',
    server: 'echo',
    load: ['pingpong', '--connections', '50', '--size', '1024'],
    unit: 'ops',
    targets: { value: 1.2 },
  },
  {
    name: 'ping-pong-4k',
    title: 'ping-pong 4 KiB, 50 connections',
    kind: 'server',
    server: 'echo',
    load: ['pingpong', '--connections', '50', '--size', '4096'],
    unit: 'ops',
    targets: { value: 1.12 },
  },
  {
    name: 'ping-pong-16k',
    title: 'ping-pong 16 KiB, 50 connections',
    kind: 'server',
    server: 'echo',
    load: ['pingpong', '--connections', '50', '--size', '16384'],
    unit: 'ops',
    targets: { value: 1.05 },
  },
  {
    name: 'unix-ping-pong-50',
    title: 'Unix socket ping-pong 64 B, 50 connections',
    kind: 'server',
    server: 'echo',
    unix: true,
    load: ['pingpong', '--connections', '50', '--size', '64'],
    unit: 'ops',
    targets: { value: 1.4 },
  },
  {
    name: 'pipelined',
    title: 'pipelined 64 B, 10 × 32 under way',
    kind: 'server',
    server: 'pipeline',
    load: ['pipeline', '--connections', '10', '--outstanding', '32'],
    unit: 'ops',
    targets: { value: 10 },
  },
  {
    name: 'small-writes',
    title: '16 small writes per request, 10 connections',
    kind: 'server',
    server: 'small-writes',
    load: ['small-writes', '--connections', '10'],
    unit: 'ops',
    targets: { value: 8 },
  },
  {
    name: 'upload',
    title: 'upload to a sink, 4 connections',
    kind: 'server',
    server: 'sink',
    load: ['upload', '--connections', '4'],
    unit: 'bytes',
    targets: { value: 1.8 },
  },
  {
    name: 'download',
    title: 'download of 64 KiB chunks, 4 connections',
    kind: 'server',
    server: 'source',
    load: ['download', '--connections', '4'],
    unit: 'bytes',
    targets: { value: 1.1 },
  },
  {
    name: 'send-file',
    title: 'a file of 256 MiB again and again, 4 connections',
    kind: 'server',
    server: 'file',
    load: ['download', '--connections', '4'],
    unit: 'bytes',
    floor: false,
    targets: { value: 2.5 },
  },
  {
    name: 'bulk-echo',
    title: 'echo of 64 KiB chunks, 4 connections',
    kind: 'server',
    server: 'echo',
    load: ['echo', '--connections', '4', '--outstanding', '4'],
    unit: 'bytes',
    targets: { value: 1.4 },
  },
  {
    name: 'pipe-echo',
    title: 'socket.pipe(socket): echo of 64 KiB chunks, 4 connections',
    kind: 'server',
    server: 'echo-pipe',
    load: ['echo', '--connections', '4', '--outstanding', '4'],
    unit: 'bytes',
    floor: false,
    targets: { value: 2.5 },
  },
  {
    name: 'proxy',
    title: 'proxy of 64 KiB chunks by pipe, 4 connections',
    kind: 'server',
    server: 'proxy',
    behind: 'echo',
    load: ['echo', '--connections', '4', '--outstanding', '4'],
    unit: 'bytes',
    floor: false,
    targets: { value: 2.2 },
  },
  {
    name: 'proxy-ping-pong-50',
    title: 'proxy of ping-pong 64 B by pipe, 50 connections',
    kind: 'server',
    server: 'proxy',
    behind: 'echo',
    load: ['pingpong', '--connections', '50', '--size', '64'],
    unit: 'ops',
    floor: false,
    targets: { value: 1.5 },
  },
  {
    name: 'garbage',
    title: 'ping-pong 64 B, 50 connections, with much garbage',
    kind: 'server',
    server: 'garbage',
    load: ['pingpong', '--connections', '50', '--size', '64'],
    unit: 'ops',
    floor: false,
    targets: { p99: 1.0, p999: 1.0 },
  },
  {
    name: 'hot-10-of-1000',
    title: 'ping-pong 64 B, 10 connections beside 990 idle ones',
    kind: 'server',
    server: 'echo',
    load: ['pingpong', '--connections', '10', '--idle', '990', '--size', '64'],
    unit: 'ops',
    targets: { p99: 1.0, p999: 1.0 },
  },
  beside(1, 1),
  beside(50, 1),
  beside(50, 4),
  beside(50, 16),
  {
    name: 'idle-10k',
    title: 'memory per idle connection, of 10 000',
    kind: 'memory',
    server: 'echo',
    connections: 10_000,
    unit: 'memory',
    targets: { value: 1.0 },
  },
  {
    name: 'client-ping-pong-50',
    title: 'as client: ping-pong 64 B, 50 connections',
    kind: 'client',
    client: 'ping-pong',
    connections: 50,
    load: 'pingpong',
    unit: 'ops',
    targets: { value: 1.3 },
  },
  // These come last, because their ports in TIME_WAIT keep the kernel busy for a minute.
  {
    name: 'churn',
    title: 'connect, 64 B there and back, close',
    kind: 'server',
    server: 'echo',
    load: ['churn', '--connections', '20'],
    unit: 'ops',
    targets: { value: 1.0 },
  },
  {
    name: 'client-churn',
    title: 'as client: connect, 64 B there and back, close',
    kind: 'client',
    client: 'churn',
    connections: 20,
    load: 'churn',
    unit: 'ops',
  },
]

const tlsScenarios = [
  tls('ping-pong-1', { targets: { value: 1.0, p99: 1.0 } }),
  tls('ping-pong-50', { targets: { value: 1.8, p99: 1.0 } }),
  tls('ping-pong-16k', { targets: { value: 1.4, p99: 1.0 } }),
  tls('small-writes', { targets: { value: 3, p99: 1.0 } }),
  tls('upload', { targets: { value: 1.3 } }),
  tls('download', { targets: { value: 1.2 } }),
  {
    name: 'tls-https',
    title: 'HTTPS: a GET and 64 B, 50 connections',
    kind: 'server',
    server: 'http',
    load: ['http', '--connections', '50'],
    unit: 'ops',
    floor: false,
  },
  tls('idle-10k', {
    name: 'tls-idle-2k',
    title: 'memory per idle connection, of 2 000',
    connections: 2000,
    targets: { value: 0.55 },
  }),
  tls('churn', {
    name: 'tls-handshake-full',
    title: 'connect, full handshake, 64 B there and back, close',
    resumed: false,
    targets: { value: 1.2, p99: 1.0 },
  }),
  tls('churn', {
    name: 'tls-handshake-resumed',
    title: 'connect, resumed handshake, 64 B there and back, close',
    load: ['churn', '--connections', '20', '--resume'],
    resumed: true,
    targets: { value: 1.2, p99: 1.0 },
  }),
  tls('client-churn', {
    name: 'tls-client-reconnect',
    title: 'as client: tls.connect() without options, 64 B there and back, close',
    client: 'tls-reconnect',
    targets: { value: 1.3, p99: 1.0 },
  }),
]

export const scenarios = [
  ...plainScenarios.map(scenario => ({ ...scenario, family: 'net' })),
  ...tlsScenarios.map(scenario => ({ ...scenario, family: 'tls' })),
]

/** Small messages to a server that receives uploads at full speed. Neither may hold up the other. */
function beside(pingers, uploaders) {
  return {
    name: `beside-${pingers}-${uploaders}`,
    title: `ping-pong 64 B, ${pingers} beside ${uploaders} upload${uploaders === 1 ? '' : 's'}`,
    kind: 'server',
    server: 'beside',
    load: ['beside', '--connections', `${pingers}`, '--uploaders', `${uploaders}`, '--size', '64'],
    unit: 'beside',
    // Both share one core, so one kind may gain at the other's expense. For the uploads it is enough not to lose.
    targets: { p50: 1.0, p99: 1.0, p999: 1.0, upload: 0.95 },
  }
}

/**
 * Ping-pong on one connection with a ferronet that polls (`setBusyPoll`), and perhaps a client that does. node:net cannot
 * poll, and is measured with a client that sleeps.
 */
function busy(name, who, load, targets) {
  const plain = { kind: 'server', server: 'echo', load: ['pingpong', '--connections', '1', '--size', '64'] }
  const title = `ping-pong 64 B, 1 connection, ${who}`
  return { name, title, ...plain, busyPoll: { server: 200, load }, unit: 'ops', floor: false, targets }
}

/** A scenario of `net`'s with TLS in between. */
function tls(name, changes) {
  const plain = plainScenarios.find(scenario => scenario.name === name)
  const title = changes.title ?? plain.title
  return { ...plain, name: `tls-${name}`, ...changes, title: `TLS: ${title}` }
}

/**
 * The peers. `only` lists the scenarios whose programs exist in that variant. `polls`: it knows FERRONET_BUSY_POLL. `native` has no heap worth
 * comparing, so the memory scenario leaves it out.
 */
const peers = {
  'node:net': { module: 'node:net' },
  ferronet: { module: 'ferronet', env: { FERRONET_DRIVER: 'in-loop' }, polls: true },
  'ferronet:helper-thread': {
    module: 'ferronet',
    env: { FERRONET_DRIVER: 'helper-thread' },
    polls: true,
  },
  'ferronet:shared': {
    module: 'ferronet',
    env: { FERRONET_DRIVER: 'in-loop', BENCH_SHARED_CHUNKS: '1' },
    only: [
      'ping-pong-1',
      'ping-pong-50',
      'ping-pong-500',
      'ping-pong-1k',
      'ping-pong-4k',
      'ping-pong-16k',
      'unix-ping-pong-50',
      'upload',
      'bulk-echo',
      'client-ping-pong-50',
    ],
  },
  'node:net+cork': { module: 'node:net', variant: '-cork', only: ['pipelined', 'small-writes'] },
  floor: { native: true },
}

/** The same for TLS: modules with `tls`'s interface. */
const tlsPeers = {
  'node:tls': { module: 'node:tls' },
  ferronet: { module: 'ferronet/tls', env: { FERRONET_DRIVER: 'in-loop' } },
  'ferronet:helper-thread': { module: 'ferronet/tls', env: { FERRONET_DRIVER: 'helper-thread' } },
  'node:tls+ferronet': {
    module: new URL('tls-over-ferronet.mjs', import.meta.url).href,
    env: { FERRONET_DRIVER: 'in-loop' },
  },
  floor: { native: true },
}

/** What scenarios without TLS, and with it, are compared with, and their peers. */
export const families = {
  net: { base: 'node:net', peers },
  tls: { base: 'node:tls', peers: tlsPeers },
}
