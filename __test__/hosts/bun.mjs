// What differs in Bun 1.4.5, and why, by test file and title (`*`: what follows). `sometimes`: not in each run.

const words = 'the error is made by Bun, with words, a class or properties of its own'
const noNodeHandles = "Bun's own net has no libuv handles"
const silent = "Bun's own net ignores the backlog, so no attempt stays without an answer"
const turns = 'Bun has no iterations of libuv, and several events may come in one callback'
const ticks = "Bun's function that drains the queues runs promise reactions before ticks"

export const differences = [
  {
    because: words,
    scenarios: {
      'address/bound-socket': ['a BoundSocket is made with new'],
      'connect/connect': [
        'arguments that cannot be meant throw at once',
        'constructor options of the wrong kind throw at once',
      ],
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
      'interop/streams': ['pipeline through async generators', 'an abort signal added to a socket'],
      'module/exports': ['isIP, isIPv4, isIPv6: what is no string is made one'],
      'module/promises': [
        'connect() is rejected for wrong arguments, and never throws',
        'connect() with a signal that has fired is rejected, and nobody hears of it',
      ],
      'module/prototypes': ['BlockList and SocketAddress can be redefined, and not assigned'],
      'relay/looks': ['a look while nothing is on its way: a helper of Readable'],
      'server/options': ['listen: { signal: { aborted } }', 'listening: can only be read'],
      'socket/constructor': ['signal: aborted between two attempts ends the series'],
      'socket/descriptors': ['listen() on an object without a handle, a port or a path throws'],
      'socket/destroy': [
        'a signal aborted before the socket is made',
        'a signal aborted while connecting',
        'asyncDispose destroys the socket',
      ],
      'socket/own-properties': [
        ...['bytesRead', 'bytesWritten', '_bytesDispatched', 'bufferSize', 'readyState', 'pending'],
        ...['_connecting', 'localAddress', 'localPort', 'localFamily'],
        ...['remoteAddress', 'remotePort', 'remoteFamily'],
      ].map(name => `${name}: can only be read`),
      'socket/stream': ['async iteration left early destroys the socket'],
    },
  },
  {
    because: "JavaScriptCore's stacks have other frames, and none with a limit of 0",
    scenarios: {
      'errors/codes': ['errors of the system: Error.stackTraceLimit and prepareStackTrace hold for them'],
      'errors/stacks': [
        'a wrong argument: the frames of the program',
        'Error.stackTraceLimit is what it was',
      ],
    },
  },
  {
    because: "the functions are those of Bun's own net",
    scenarios: {
      'address/block-list': ['BlockList: works as a class of ferronet'],
      'connect/autoselect': ['the defaults can be read and set'],
      'connect/options': ['an attempt timeout below 10: what the module says and what connect does'],
      'module/exports': [
        ...['isIP', 'isIPv4', 'isIPv6', 'getDefaultAutoSelectFamily', 'setDefaultAutoSelectFamily'],
        'getDefaultAutoSelectFamilyAttemptTimeout',
        'setDefaultAutoSelectFamilyAttemptTimeout',
      ].map(name => `${name}: a writable, enumerable, configurable function with its name and arity`),
      'module/prototypes': ['the exports are Node’s, descriptor by descriptor'],
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
      'server/backlog': [
        "listen(a handle of Node's) gives the system its backlog",
        "listen({ _handle } of Node's) gives the system its backlog",
        "listen({ handle } of Node's) gives the system its backlog",
        'listen({ fd }) gives the system its backlog',
        'listen({ handle, backlog }, which is no option here) gives the system its backlog',
      ],
      'socket/descriptors': [
        'a bound descriptor on listen({ fd }) listens',
        "a TCP handle of Node's *",
        "a Pipe handle of Node's *",
        "listen(handle) takes a bound handle of Node's",
        "listen({ handle }) takes a bound handle of Node's",
        "listen({ _handle }) takes a bound handle of Node's",
        "listen({ handle, port }) of which only the handle counts, takes a bound handle of Node's",
        "listen() on a Pipe handle of Node's leaves the name to whoever bound it",
      ],
      'socket/semi-private': ['_handle: what http, http2 and tools ask of it'],
    },
  },
  {
    because: "a client of Bun's own net reports a full backlog as a refusal",
    scenarios: {
      'server/backlog': [
        'listen(a handle of the module) gives the system its backlog',
        'listen({ _handle } of the module) gives the system its backlog',
        'listen(a path) gives the system its backlog',
      ],
    },
  },
  {
    because: silent,
    scenarios: {
      'connect/attempts': ['the state of a client whose attempt is given up'],
      'connect/autoselect': ['an attempt without an answer is given up for the next address'],
    },
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
      'events/order': ['an end called in a data listener has finished before setImmediate'],
      'events/turns': ['*'],
      'socket/write': ['a large write before connect returns false and drains after it'],
    },
  },
  {
    because: ticks,
    scenarios: {
      'events/async-context': ['the context of one socket does not leak into the next'],
      'events/order-on-paths': ['timing: connect, its callback and ready are one turn'],
      'events/order': [
        'close in a data listener follows the rest of the turn',
        'write callback, nextTick, microtask and setImmediate inside a data listener',
        'listeners of one event run before its ticks, and ticks before the next event',
        'ticks drain between the events of two sockets',
      ],
    },
  },
  {
    because: 'Bun has no async_hooks but AsyncLocalStorage and AsyncResource',
    // One scenario makes nothing that a hook could see.
    sometimes: true,
    scenarios: { 'events/diagnostics': ['async_hooks: *'] },
  },
  {
    because: "Bun's debuglog does not say whether it is enabled, and its dumps show classes differently",
    scenarios: {
      'events/debug': [
        'NODE_DEBUG=net tells *',
        'NODE_DEBUG=ferronet tells *',
        'NODE_DEBUG=http,Ferronet tells *',
        'NODE_DEBUG=net,ferronet tells *',
        'NODE_DEBUG=ferro* tells *',
        'the lines of a dump are those of Node, but for symbols and the handle',
      ],
    },
  },
  {
    because: "an unhandled rejection is no 'uncaughtException' in Bun, and 'exit' is told another code",
    scenarios: {
      'errors/exceptions': ['a rejection in a handler ends the process with code 1'],
      'module/promises': ['a rejection that nobody handles is an unhandled rejection'],
      'robustness/exit': ['an exception right after writes in a promise ends the process, not them'],
    },
  },
  {
    because: "Bun's HTTP server has sockets of Bun's own, and its node:tls does not end over those of others",
    scenarios: {
      'relay/begins': [
        'no relay begins with TLS of the source, by node:tls',
        'no relay begins with TLS of the destination, by node:tls',
      ],
      'relay/looks': ['a tunnel through an HTTP server'],
    },
  },
  {
    because: "Bun's TLS knows no shared keys (PSK)",
    scenarios: { 'legacy/legacy': ['a legacy conversation goes on in TLSSockets of node:tls'] },
  },
  {
    because: "what goes wrong in TLS is told in words and codes of Bun's TLS",
    scenarios: {
      'legacy/secure': [
        'a server without a certificate cannot turn secure, *',
        'wrong credentials throw at once, *',
      ],
      'tls/client': [
        'wrong options, *',
        'a server whose certificate is: self-signed, *',
        'a server whose certificate is: not trusted, *',
        'no data is delivered, and none sent, if the server is not believed, *',
        'a server that speaks no TLS, *',
        'a signal, *',
      ],
      'tls/server': [
        'wrong options, *',
        'a client that speaks no TLS, *',
        'a server without a certificate, *',
        'requestCert, rejectUnauthorized true, a certificate that is self-signed, *',
        'requestCert, rejectUnauthorized true, a certificate that is missing, *',
      ],
    },
  },
  {
    because: "Bun's TLS tells the keys of TLS 1.3 in another order",
    scenarios: { 'tls/server': ['a keylog of the server, TLSv1.3, *'] },
  },
  {
    because: "a connection of Bun's TLS ends in both directions at once",
    scenarios: {
      'legacy/secure': [
        'a conversation of 2010 turns secure where it stands, *',
        'a secure stream stays half-open until end, *',
      ],
      'tls/client': ['allowHalfOpen lets the answer come behind the end, *'],
    },
  },
  {
    because: "Bun's TLS has no renegotiation, and asks for localhost where the program has named no server",
    scenarios: {
      'legacy/secure': ['the host that a client connects to is asked for by its name, *'],
      'tls/client': [
        'lookup and the name that is asked for, *',
        'renegotiate, and its limits, *',
        'disableRenegotiation, *',
      ],
    },
  },
  {
    because: "JavaScriptCore's own threads come and go",
    sometimes: true,
    scenarios: { 'module/reload': ['loading ferronet again costs nothing: *'] },
  },
  {
    because: 'a child of Bun does not inherit what Bun itself has inherited',
    // Only if there is anything.
    sometimes: true,
    scenarios: { 'robustness/tricks': ['a child process inherits no descriptor'] },
  },
  {
    because: "Bun's getEventListeners does not see the listeners of a signal",
    scenarios: { 'socket/constructor': ['signal: its listeners, while the socket is open'] },
  },
]
