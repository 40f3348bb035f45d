// What the tests cannot show under Wine, each with what was seen. On Windows itself all of them run.

const NO_OPENSSL = 'the program openssl is not there'

/** Files that need what is not there at all. */
export const NOT_HERE = [
  {
    files: /^__test__\/clients\//,
    reason: 'the servers that the clients talk to (PostgreSQL, Redis and others) are not there',
  },
  { files: /^__test__\/tls\/(openssl|keys|key-updates)\.test\.mjs$/, reason: NO_OPENSSL },
]

const SECOND_SERVER =
  'Wine lets a second server have the name: it ignores FILE_FLAG_FIRST_PIPE_INSTANCE (no error came)'
const RESET =
  "a reset arrives as an end: Wine's server asks for the socket's error (SO_ERROR) when it polls, and the read after it finds none"
const NO_JUNCTIONS = 'Wine makes no junctions'
const KEEP_ALIVE = "Node's own connect fails with UNKNOWN once keepalive is set, without ferronet too"

/**
 * Tests that fail because of Wine: `seen` has to be in the text of the failure, so that another failure of the same test
 * counts.
 */
export const LACKING = [
  {
    file: 'pipes/listening.test.mjs',
    title: 'the name is in use',
    seen: /node:net: Error: not finished/,
    reason: SECOND_SERVER,
  },
  {
    file: 'pipes/options.test.mjs',
    title: 'the first instance is refused to a name that is in use',
    seen: /Error: not finished/,
    reason: SECOND_SERVER,
  },
  {
    file: 'pipes/options.test.mjs',
    title: 'a security descriptor keeps out whom it does not name',
    seen: /Error: not finished/,
    reason: 'Wine lets everybody open a pipe, whatever its security descriptor says (no error came)',
  },
  {
    file: 'programs/fuzz.test.mjs',
    title: 'three hundred random programs do on ferronet what they do on node:net',
    // These two seeds and no other.
    seen: /^(?!.*\(seeds (?!(62|206)\))).*\(seeds (62|206)\)/,
    reason: `${RESET}; with seed 206 it is Node's net that sees the end`,
  },
  {
    file: 'server/iterate.test.mjs',
    title: 'a connection that is reset while it waits ends nothing',
    seen: /- '<undefined>', \+ 'ECONNRESET'/,
    reason: RESET,
  },
  {
    file: 'interop/http-client.test.mjs',
    title: 'a server that resets without an answer',
    seen: /- 'socket hang up', \+ 'read ECONNRESET'/,
    reason: RESET,
  },
  {
    file: 'interop/streams.test.mjs',
    title: 'pipeline from a socket that is reset',
    seen: /- 'fulfilled', \+ 'rejected', .*code: 'ECONNRESET'/,
    reason: RESET,
  },
  {
    file: 'interop/streams.test.mjs',
    title: 'a web stream of a socket that is reset',
    seen: /- 'fulfilled', \+ 'rejected', - '<undefined>', \+ 'ECONNRESET'/,
    reason: RESET,
  },
  {
    file: 'interop/tls.test.mjs',
    title: 'a connection reset below an established session',
    seen: /client: \[ 'end', - \[ - 'error', - @Object \{ - code: 'ECONNRESET'/,
    reason: `${RESET}; node:net sees no more, ferronet meets the error when it answers`,
  },
  {
    file: 'interop/tls.test.mjs',
    title: 'the calls that clients make before the connection is there',
    seen: /node:net: Error: uncaughtException .*caused by Error: connect UNKNOWN 127\.0\.0\.1/,
    reason: KEEP_ALIVE,
  },
  {
    file: 'interop/http-server.test.mjs',
    title: 'thousands of small writes in an answer',
    seen: /node:net: Error: aborted/,
    reason: "Node's own server resets the connection before the answer has arrived",
  },
  {
    file: 'interop/http2.test.mjs',
    title: 'h2c: a connection reset below the session',
    seen: /ferronet, helper-thread: Error: not finished/,
    reason: RESET,
  },
  {
    file: 'robustness/soak.test.mjs',
    title: '2 000 connections in TLS leave nothing behind',
    seen: /The TLS scenarios need a certificate, and openssl/,
    reason: NO_OPENSSL,
  },
  {
    file: 'tls/options.test.mjs',
    title: 'pfx, ',
    seen: /spawnSync openssl ENOENT/,
    reason: NO_OPENSSL,
  },
  {
    file: 'tls/unsent.test.mjs',
    title: 'a peer resets the connection, and ',
    seen: /- 'Client network socket disconnected before secure TLS connection was established', \+ 'read ECONNRESET'/,
    reason: RESET,
  },
  {
    file: 'tls/wrong.test.mjs',
    title: 'the connection is reset behind a number of bytes of the ',
    seen: /- message: 'socket hang up', .*\+ message: 'read ECONNRESET'|helper-thread: Error: not finished/,
    reason: `${RESET}; or it is reset before it is accepted, and then not told of`,
  },
  {
    file: 'tls/ends.test.mjs',
    title: 'a reset, openssl',
    seen: /ferronet, helper-thread: Error: not finished/,
    reason: RESET,
  },
  {
    file: 'tls/ends.test.mjs',
    title: 'a reset, node',
    seen: /'ECONNRESET', \+ 'write' - 'read'|helper-thread: Error: not finished/,
    reason: `${RESET}; the error comes when it answers`,
  },
  {
    file: 'relay/relay.test.mjs',
    title: "the client's reset rejects it",
    seen: /ferronet, helper-thread: Error: not finished/,
    reason: RESET,
  },
  {
    file: 'relay/relay.test.mjs',
    title: "the peer's reset rejects it",
    seen: /ferronet, helper-thread: Error: not finished/,
    reason: RESET,
  },
  {
    file: 'relay/pipe.test.mjs',
    title: 'a pipeline whose destination is reset fails',
    seen: /ferronet, helper-thread: Error: not finished/,
    reason: RESET,
  },
  {
    file: 'relay/pipe.test.mjs',
    title: 'the client resets its connection',
    seen: /ferronet, helper-thread: Error: not finished .*"a reads": \[ "end" \]/,
    reason: RESET,
  },
  {
    file: 'relay/pipe.test.mjs',
    title: 'the peer resets its connection',
    seen: /ferronet, helper-thread: Error: not finished .*"b reads": \[ "end" \]/,
    reason: RESET,
  },
  {
    file: 'relay/pipe.test.mjs',
    title: 'a source that is reset behind many bytes has not ended',
    seen: /ferronet, helper-thread: Error: not finished .*"a reads": \[ "end" \]/,
    reason: RESET,
  },
  {
    file: 'relay/pipe.test.mjs',
    title: "nothing is lost when a full destination ends: the end of the peer's side",
    seen: /'all of it', - true, false, \+ false/,
    reason: "with Node's own net not all of it arrives",
  },
  ...['cluster', 'cluster-shared'].map(name => ({
    file: `process/${name}.test.mjs`,
    title: 'a connection that is reset while it is dealt out',
    seen: /- 'peer (error|close)', \+ 'peer (error|close)', .*code: 'ECONNRESET'/,
    reason: "a reset that comes before the first read arrives as an end, in Node's own net as well",
  })),
  {
    file: 'socket/options.test.mjs',
    title: 'setKeepAlive returns the socket at every stage',
    seen: /node:net: Error: uncaughtException .*caused by Error: connect UNKNOWN 127\.0\.0\.1/,
    reason: KEEP_ALIVE,
  },
  {
    file: 'socket/semi-private.test.mjs',
    title: 'patching Socket.prototype.',
    seen: /node:net: Error: uncaughtException .*caused by Error: connect UNKNOWN 127\.0\.0\.1/,
    reason: KEEP_ALIVE,
  },
  {
    file: 'socket/handles.test.mjs',
    title: 'setNoDelay and setKeepAlive check nothing',
    seen: /'setKeepAlive', Array \[ … \], - -4071, \+ -4094, \]/,
    reason: "Node's own setKeepAlive fails with UNKNOWN, whatever the delay",
  },
  {
    file: 'legacy/legacy.test.mjs',
    title: 'a reset is an error, and close says so',
    seen: /ferronet\/legacy, helper-thread: Error: not finished/,
    reason: RESET,
  },
  {
    file: 'platforms/scripts.test.mjs',
    title: 'a Rust that can build for this machine is found',
    seen: /Cannot read properties of null/,
    reason: 'there is no Rust for Windows',
  },
  ...['the binary that was built in the directory comes first', 'a built binary of another version'].map(
    title => ({
      file: 'module/addon.test.mjs',
      title,
      seen: /ENOTSUP: operation not supported on socket, symlink/,
      reason: NO_JUNCTIONS,
    }),
  ),
  ...[
    'packages get ferronet, CommonJS and modules',
    'a bundle in CommonJS gets ferronet',
    'its own files keep Node’s net',
    'of two copies of ferronet the first to register serves everybody',
    'a module that is required gets ferronet where Node’s hooks are synchronous',
  ].map(title => ({
    file: 'register/register.test.mjs',
    title,
    seen: /ENOTSUP: operation not supported on socket, symlink/,
    reason: NO_JUNCTIONS,
  })),
  {
    file: 'programs/examples.test.mjs',
    title: 'starttls-chat ',
    seen: /starttls-chat\.mjs --port 0 ended without \/\^listening on \/; its last words: '/,
    reason: 'the program openssl is not there, which makes its certificate',
  },
  {
    file: 'module/bundle.test.mjs',
    title: 'esbuild: ',
    seen: /You installed esbuild for another platform/,
    reason: 'esbuild is here for Linux only',
  },
]
