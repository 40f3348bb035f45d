// What differs in Deno 2.9.6, and why, by test file and title (`*`: what follows). `sometimes`: not in each run.

const words = 'the error is made by Deno, with words, a class or properties of its own'
const noNodeHandles = "the handles of Deno's own net have no descriptor"
const silent = "Deno's own net ignores the backlog, so no attempt stays without an answer"
const turns = 'Deno has no iterations of libuv, and several events may come in one callback'
const table = "Deno's fs and spawn() know no descriptors but those that Deno has opened"

export const differences = [
  {
    because: words,
    scenarios: {
      'errors/codes': [
        'ERR_INVALID_ARG_TYPE: what is no data',
        'ERR_INVALID_ARG_TYPE: the default of autoSelectFamily',
        'ERR_INVALID_ARG_VALUE: a high-water mark',
        'ERR_OUT_OF_RANGE: the default of the attempt time-out',
        'ERR_OUT_OF_RANGE: one too large',
        'ERR_UNKNOWN_ENCODING: *',
        'ENOTFOUND: from dns.lookup, *',
        'ERR_STREAM_*',
        'ABORT_ERR: *',
      ],
      'errors/errors': [
        'an abort, as printed',
        'errors that are thrown, as printed',
        'errors given to callbacks, as printed',
      ],
      'events/order-on-paths': ['a signal, on a path'],
      'events/order': ['an aborted signal: error, close'],
      'module/promises': ['connect() with a signal that has fired is rejected, and nobody hears of it'],
      'server/options': ['listen: { signal: { aborted } }'],
      'socket/constructor': ['signal: aborted between two attempts ends the series'],
      'socket/destroy': ['a signal aborted before the socket is made'],
    },
  },
  {
    because: "the functions are those of Deno's own net, stream and dns",
    scenarios: {
      'address/block-list': ['BlockList: works as a class of ferronet'],
      'connect/connect': [
        'lookup is called with the host and its options',
        'lookup sees autoSelectFamily false',
        'lookup sees localAddress',
      ],
      'connect/options': [
        'lookup: without one dns.lookup is asked, whoever has replaced it',
        'lookup: hints of zero become ADDRCONFIG unless a family is asked for',
      ],
      'handover/threads': ['options of a server go along'],
      'module/prototypes': ['the exports are Node’s, descriptor by descriptor'],
      'socket/own-properties': ['for..in: what a loop over a socket and a server meets'],
    },
  },
  {
    because: "Node's flags are none of Deno's",
    scenarios: {
      'connect/options': [
        '--network-family-autoselection: what the module says and what connect does',
        '--no-network-family-autoselection: what the module says and what connect does',
        '--network-family-autoselection-attempt-timeout: what the module says and what connect does',
        'an attempt timeout below 10: what the module says and what connect does',
      ],
      'errors/stacks': ['errors under --frozen-intrinsics', 'errors under --enable-source-maps'],
      'events/debug': ['NODE_DEBUG*'],
      'socket/type-of-service': ['the system has what was set, not what is remembered'],
    },
  },
  {
    because: noNodeHandles,
    scenarios: {
      'address/bound-socket': [
        "a server listens on a BoundSocket of Node's, in each way",
        "a client connects from a BoundSocket of Node's",
        "a path of Node's cannot be adopted, and stays Node's",
      ],
      'handover/threads': ["the path of a server of Node's that was taken over goes with its thread"],
      'socket/descriptors': [
        'a bound descriptor on listen({ fd }) listens',
        "a TCP handle of Node's *",
        "a Pipe handle of Node's *",
        "listen(handle) takes a bound handle of Node's",
        "listen({ handle }) takes a bound handle of Node's",
        "listen({ _handle }) takes a bound handle of Node's",
        "listen({ handle, port }) of which only the handle counts, takes a bound handle of Node's",
        "listen() takes what one of Node's servers listens on",
      ],
    },
  },
  {
    because: table,
    // Not all that begin with these words need the descriptor.
    sometimes: true,
    scenarios: {
      'address/bound-socket': [
        'fd() is the open descriptor, closed by close()',
        'a BoundSocket that nobody adopts keeps its address when it is collected',
      ],
      'robustness/tricks': ['a child process inherits no descriptor'],
      'socket/descriptors': [
        'a FIFO is written, ended and closed',
        'reading the write end of a FIFO is ENOTCONN',
        'a socketpair on fd with writable: false refuses to write',
        'listen on a socketpair is EINVAL, and the server can try again',
        'an inherited TCP connection on fd *',
        'a Socket that was on an inherited TCP connection connects again',
        'listen on an inherited TCP connection is EINVAL, and the server can try again',
        'an inherited IPv4 listener on listen({ fd }) *',
        'an inherited IPv6 listener on listen({ fd }) *',
        'an inherited Unix listener on listen({ fd }) accepts',
        'an inherited Unix listener on listen({ fd }) is closed by close()',
      ],
    },
  },
  {
    because: silent,
    // On a busy machine 50 ms may be over before the connection is there.
    sometimes: true,
    scenarios: { 'connect/attempts': ['the state of a client whose attempt is given up'] },
  },
  {
    because: turns,
    sometimes: true,
    scenarios: {
      'address/bound-socket': ['connect() twice is EALREADY'],
      'connect/options': ['connect: again in the close listener'],
      'events/diagnostics': ['AsyncLocalStorage: on a path, too'],
      'events/order-on-paths': [
        'allowHalfOpen: our side closes right after its finish, before the peer has closed',
      ],
      'events/order': [
        'close in a data listener follows the rest of the turn',
        'an end called in a data listener has finished before setImmediate',
      ],
      'events/turns': ['*'],
      'socket/write': ['a large write before connect returns false and drains after it'],
    },
  },
  {
    because: "Deno's async_hooks tell other resources",
    // Some scenarios make nothing that differs.
    sometimes: true,
    scenarios: { 'events/diagnostics': ['async_hooks: *'] },
  },
  {
    because: "Deno does not emit 'exit' when an exception ends the process",
    scenarios: {
      'errors/exceptions': [
        'an uncaught exception in *',
        'an error nobody listens to ends the process with code 1',
        'an error of listen nobody listens to ends the process with code 1',
        'a rejection in a handler ends the process with code 1',
        'uncaughtExceptionMonitor sees the exception of a handler',
      ],
      'process/exit': ['an uncaught exception right after write delivers what was written'],
      'robustness/exit': ['an exception right after writes in *'],
      'socket/large-writes': ['an exception behind large writes in a handler loses none'],
    },
  },
  {
    because: "Deno's terminate() does not wait until the thread has ended",
    sometimes: true,
    scenarios: {
      'handover/threads': ['a path goes when the thread of its server is terminated'],
      'process/workers': ['terminate ends a worker with a server, and frees its port'],
    },
  },
  {
    because: "Deno's terminate() does not stop a worker that computes, wherever that is (a timer will do)",
    scenarios: { 'process/exit': ['a worker that is terminated in the tick of a write has delivered it'] },
  },
  {
    because: "Deno's HTTP server has sockets of Deno's own",
    scenarios: { 'relay/looks': ['a tunnel through an HTTP server'] },
  },
  {
    because: "Deno's TLS knows no shared keys (PSK)",
    scenarios: { 'legacy/legacy': ['a legacy conversation goes on in TLSSockets of node:tls'] },
  },
  {
    because: "what goes wrong in TLS is told in words and codes of Deno's TLS",
    scenarios: {
      'legacy/secure': ['a server without a certificate cannot turn secure, *'],
      'tls/client': [
        'a server whose certificate is: expired, *',
        'a server whose certificate is: self-signed, *',
        'a server whose certificate is: not trusted, *',
        'no data is delivered, and none sent, if the server is not believed, *',
        'a server that speaks no TLS, *',
        'a signal, *',
      ],
      'tls/server': [
        'a client that speaks no TLS, *',
        'a client that hangs in the handshake, *',
        'requestCert, rejectUnauthorized true, a certificate that is missing, *',
        'requestCert, rejectUnauthorized false, a certificate that is self-signed, *',
      ],
    },
  },
  {
    because: "Deno's TLS looks at keys and certificates when they are used, and not when they are given",
    scenarios: {
      'legacy/secure': ['wrong credentials throw at once, *'],
      'tls/client': ['wrong options, *'],
      'tls/server': ['wrong options, *'],
    },
  },
  {
    because:
      "Deno's TLS has no key log, no keying material, no renegotiation, no sessions of TLS 1.3 to show, and asks for localhost where the program has named no server",
    scenarios: {
      'legacy/secure': ['the host that a client connects to is asked for by its name, *'],
      'tls/client': [
        "destroy() in 'session', TLSv1.3, *",
        "destroy() in 'keylog', *",
        'lookup and the name that is asked for, *',
        'methods that come too late, and facts before and after, *',
        'renegotiate, and its limits, *',
        'disableRenegotiation, *',
      ],
      'tls/server': ['a keylog of the server, *'],
    },
  },
  {
    because: "a server of Deno's TLS over a stream destroys it without the alert that tells the client why",
    scenarios: {
      'tls/client': ['a server that knows none of our ciphers, *'],
      'tls/server': ['a server without a certificate, *'],
    },
  },
]
