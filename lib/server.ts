// Server: a listener, in the order of its life. Accepted connections come up from its Handle and leave as Sockets;
// from then on the Server only counts them.

import { channel } from 'node:diagnostics_channel'
import * as dns from 'node:dns'
import { addAbortListener, EventEmitter } from 'node:events'
import type { BlockList } from 'node:net'
import { getDefaultHighWaterMark } from 'node:stream'
import { localEnd, remoteEnd } from './address.js'
import { type AnyOptions, normalizeArgs } from './arguments.js'
import { adoptBound, isBound } from './bound.js'
import { listenThroughPrimary } from './cluster.js'
import { adoptMethods, setDefaults } from './constructor.js'
import { debug, debugging } from './debug.js'
import { type Endpoint, Handle, type SocketHandle } from './engine/once.js'
import { alreadyListening, errnoException, fromLoop, listenException, notRunning } from './errors.js'
import { connectionsOf } from './iterate.js'
import {
  argumentsOf,
  type Bound,
  bind,
  type HostPlan,
  type Listener,
  openToAll,
  type Plan,
  planAddress,
  planHandle,
  planListen,
  targetOf,
} from './listen.js'
import { clusterOfWorker } from './node/cluster.js'
import { listenOnForeign } from './node/foreign-listener.js'
import { isInstance, standsFor } from './node/instances.js'
import { nodeNet } from './node/net.js'
import {
  AcceptedOptions,
  apply,
  forAccepted,
  kRemembered,
  nothingRemembered,
  type Remembered,
  seconds,
} from './options.js'
import { Socket } from './socket.js'
import { kNewSocket, kOnConnection } from './symbols.js'
import type { PipeOptions } from './types.js'
import {
  invalidArgType,
  validateAbortSignal,
  validateBlockList,
  validateInt32,
  validateKeepAliveDelay,
  validateNumber,
} from './validate.js'

export interface ServerOptions {
  allowHalfOpen?: boolean | undefined
  pauseOnConnect?: boolean | undefined
  noDelay?: boolean | undefined
  keepAlive?: boolean | undefined
  keepAliveInitialDelay?: number | undefined
  highWaterMark?: number | undefined
  sharedChunks?: boolean | undefined
  busyPoll?: number | undefined
  blockList?: BlockList | undefined
}

type ConnectionListener = (socket: Socket) => void

/** What Node's child_process module registers with a Server whose connections are shared with children. */
interface SocketList extends EventEmitter {
  getConnections(callback: (error: Error | null, count: number) => void): void
  close(callback: () => void): void
}

const socketChannel = channel('net.server.socket')
// The tracing channel `net.server.listen`, of which Node publishes these three.
const listenStart = channel('tracing:net.server.listen:asyncStart')
const listenEnd = channel('tracing:net.server.listen:asyncEnd')
const listenError = channel('tracing:net.server.listen:error')

/** What a server wants of its named pipe. */
const pipes = new WeakMap<ServerMethods, PipeOptions>()

const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for('nodejs.asyncDispose') as typeof Symbol.asyncDispose)

/** The methods of Server; never constructed, like those of Socket. */
export class ServerMethods extends EventEmitter {
  declare allowHalfOpen: boolean
  declare pauseOnConnect: boolean
  declare noDelay: boolean
  declare keepAlive: boolean
  /** Seconds, although the option of the same name is in milliseconds. */
  declare keepAliveInitialDelay: number
  declare highWaterMark: number
  /** The options of the connections accepted last. */
  declare [kRemembered]: Remembered
  declare blockList: BlockList | undefined
  /** With so many connections, further ones are closed at once, with `'drop'`. Undefined: no limit. */
  declare maxConnections: number | undefined
  declare _connections: number
  declare _handle: Listener | null
  declare _usingWorkers: boolean
  declare _workers: SocketList[]
  declare _unref: boolean
  declare _listeningId: number
  declare _connectionKey: string | undefined
  declare _pipeName: string | undefined

  // --- listen ---------------------------------------------------------------------------------------------------

  /**
   * `listen([port[, host[, backlog]]][, listener])`, `listen(path[, backlog][, listener])`,
   * `listen(options[, listener])`: without a host, all addresses; without a port, or with 0, any free one.
   * `backlog` is 511 by default. Wrong arguments throw, as does ERR_SERVER_ALREADY_LISTEN; everything else
   * comes as `'listening'` or `'error'`.
   */
  listen(...args: unknown[]): this {
    const [given, listener] = normalizeArgs(args)
    if (this._handle) throw alreadyListening()
    if (listenStart.hasSubscribers) listenStart.publish({ server: this, options: given })
    if (listener !== null) this.once('listening', listener)
    const bound = [given, given.handle].find(isBound)
    if (bound !== undefined) {
      const { handle, path } = adoptBound(bound)
      this._handle = handle
      if (path !== undefined) this._pipeName = path
      this._listeningId++
      listenHere(this, planHandle(args))
      return this
    }
    const options = (given._handle || given.handle || given) as AnyOptions
    // An earlier call whose host is still being looked up no longer counts.
    this._listeningId++
    const handle = options instanceof Handle ? options : listenOnForeign(options)
    if (handle !== undefined) {
      if (typeof handle === 'number') {
        process.nextTick(emitError, this, listenException(handle, null, -1))
        return this
      }
      this._handle = handle
      listenHere(this, planHandle(args))
      return this
    }
    closeOnAbort(this, options.signal)

    const plan = planListen(args, options)
    if (plan.kind === 'host') {
      lookupAndListen(this, plan)
      return this
    }
    if (plan.kind === 'path') this._pipeName = plan.path
    if (plan.pipe === undefined) pipes.delete(this)
    else pipes.set(this, plan.pipe)
    listenOrShare(this, plan)
    if (plan.kind === 'path' && this.listening && plan.mode !== 0) {
      const status = openToAll(this._handle!, plan.path, plan.mode)
      if (status !== 0) {
        closeListener(this)
        throw errnoException(status, 'uv_pipe_chmod')
      }
    }
    return this
  }

  /** Binds and listens, under the name that tools wrap. The outcome is emitted in the next tick. */
  _listen2(
    address: string | null,
    port: number | null,
    addressType: number | null,
    backlog: number,
    fd?: number,
    flags?: number,
  ): void {
    if (debugging) debug('listen: address %s, port %s, fd %s, backlog %d', address, port, fd, backlog)
    const bound: Bound = this._handle
      ? { handle: this._handle }
      : bind(targetOf(address, port, addressType, backlog, fd, flags), pipes.get(this))
    const { handle } = bound
    address = bound.address ?? address
    addressType = bound.family ?? addressType
    let status = 0
    if (typeof handle === 'number') {
      status = handle
    } else {
      handle.owner = this
      status = handle.listen((backlog || 511) | 0)
      if (status !== 0) handle.close()
    }
    if (status !== 0) {
      this._handle = null
      const error = listenException(status, address, port!)
      if (debugging) debug('listen: %s', error.message)
      if (listenError.hasSubscribers) listenError.publish({ server: this, error })
      process.nextTick(emitError, this, error)
      return
    }
    this._handle = handle as Listener
    if (listenEnd.hasSubscribers) listenEnd.publish({ server: this })
    this._connectionKey = `${addressType}:${address}:${port}`
    if (this._unref) this.unref()
    process.nextTick(emitListening, this)
  }

  /** Whether the server accepts connections. */
  get listening(): boolean {
    return Boolean(this._handle)
  }

  /** `{ address, family, port }`, the path, or null when not listening. Throws when the system cannot tell. */
  address(): Endpoint | string | null {
    if (this._handle?.kind === 'tcp') {
      const found = {} as Endpoint
      const status = this._handle.getsockname!(found)
      if (status) throw errnoException(status, 'address')
      return found
    }
    return this._pipeName || null
  }

  // --- accept ---------------------------------------------------------------------------------------------------

  [kOnConnection](status: number, client?: SocketHandle): void {
    if (debugging) debug('connection: status %d, %j', status, client?.peername())
    if (client === undefined) {
      this.emit(
        'error',
        fromLoop(() => errnoException(status, 'accept')),
      )
      return
    }
    if (this.maxConnections != null && this._connections >= this.maxConnections) {
      if (client.kind === 'tcp') this.emit('drop', endsOf(client))
      else this.emit('drop')
      client.close()
      return
    }
    if (this.blockList && blocks(this.blockList, client)) {
      client.close()
      return
    }
    const { allowHalfOpen, pauseOnConnect, highWaterMark } = this
    const wanted = forAccepted(this[kRemembered], this, client.kind)
    if (wanted !== this[kRemembered]) this[kRemembered] = wanted
    const options = new AcceptedOptions(
      client,
      Boolean(allowHalfOpen),
      Boolean(pauseOnConnect),
      highWaterMark,
      highWaterMark,
      wanted,
    )
    const access = client.kind === 'pipe' ? pipes.get(this)?.access : undefined
    if (access === 'inbound') options.writable = false
    if (access === 'outbound') options.readable = false
    const socket = this[kNewSocket](options)
    apply(client, wanted)
    this._connections++
    socket.server = this
    socket._server = this
    this.emit('connection', socket)
    if (socketChannel.hasSubscribers) socketChannel.publish({ socket })
  }

  [kNewSocket](options: AcceptedOptions): Socket {
    return new Socket(options)
  }

  /** Calls back, in the next tick, with the number of open connections. */
  getConnections(callback: (error: Error | null, count: number) => void): this {
    if (!this._usingWorkers) {
      process.nextTick(callback, null, this._connections)
      return this
    }
    let left = this._workers.length
    let total = this._connections
    for (const worker of this._workers) {
      worker.getConnections((error, connections) => {
        if (error) {
          left = -1
          process.nextTick(callback, error, 0)
          return
        }
        total += connections
        if (--left === 0) process.nextTick(callback, null, total)
      })
    }
    return this
  }

  /**
   * `for await (const socket of server)`: each connection in turn. Ends when the server has closed, rejects with its
   * `'error'`; connections wait without bound while the loop is busy. After Node 26.10.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Socket, undefined> {
    return connectionsOf(this)
  }

  // --- close ----------------------------------------------------------------------------------------------------

  /**
   * Accepts no more; connections that exist stay open, and `'close'` is emitted after the last of them.
   * `callback` then gets ERR_SERVER_NOT_RUNNING if the server was not listening.
   */
  close(callback?: (error?: Error) => void): this {
    this._listeningId++
    if (typeof callback === 'function') {
      if (this._handle) this.once('close', callback)
      else this.once('close', () => callback(notRunning()))
    }
    closeListener(this)
    if (!this._usingWorkers) {
      this._emitCloseIfDrained()
      return this
    }
    let left = this._workers.length
    // One more than there are, so that 'close' waits for the answers.
    this._connections++
    for (const worker of this._workers) {
      worker.close(() => {
        if (--left !== 0) return
        this._connections = 0
        this._emitCloseIfDrained()
      })
    }
    return this
  }

  /** `close()` as a promise; nothing when not listening. Since Node 20.5. */
  async [asyncDispose](): Promise<void> {
    if (!this._handle) return
    await new Promise<void>((resolve, reject) => {
      this.close(error => (error ? reject(error) : resolve()))
    })
  }

  _emitCloseIfDrained(): void {
    if (this._handle || this._connections) return
    process.nextTick(emitClose, this)
  }

  override [EventEmitter.captureRejectionSymbol](error: Error, event: string, ...args: unknown[]): void {
    if (event === 'connection') (args[0] as Socket).destroy(error)
    else this.emit('error', error)
  }

  // --- keeping the process alive, and sharing -----------------------------------------------------------------------

  /** Lets the listening server keep the process alive (the default). */
  ref(): this {
    this._unref = false
    this._handle?.ref()
    return this
  }

  /** Lets the process end although this server listens; remembered for a later `listen()`. */
  unref(): this {
    this._unref = true
    this._handle?.unref()
    return this
  }

  _setupWorker(socketList: SocketList): void {
    this._usingWorkers = true
    this._workers.push(socketList)
    socketList.once('exit', () => {
      this._workers.splice(this._workers.indexOf(socketList), 1)
    })
  }
}

function closeListener(server: Server): void {
  server._handle?.close()
  server._handle = null
}

function closeOnAbort(server: Server, signal: unknown): void {
  if (signal === undefined) return
  validateAbortSignal(signal, 'options.signal')
  if (signal.aborted) {
    process.nextTick(() => server.close())
    return
  }
  const listener = addAbortListener(signal, () => server.close())
  server.once('close', () => listener[Symbol.dispose]())
}

function listenHere(server: Server, plan: Plan): void {
  server._listen2(...argumentsOf(plan))
}

/** Listens here, or in a cluster worker on what the primary gives, unless the plan is not to share. */
function listenOrShare(server: Server, plan: Plan): void {
  const cluster = plan.exclusive ? null : clusterOfWorker()
  if (cluster === null) {
    listenHere(server, plan)
    return
  }
  const id = server._listeningId
  const wanted = (): boolean => id === server._listeningId
  listenThroughPrimary(cluster, server, plan, wanted, (error, listener) => {
    if (error !== null) {
      server.emit('error', error)
      return
    }
    server._handle?.close()
    server._handle = listener
    listenHere(server, plan)
  })
}

function lookupAndListen(server: Server, plan: HostPlan): void {
  const id = server._listeningId
  dns.lookup(plan.host, { all: true }, (error, addresses) => {
    if (id !== server._listeningId) return
    if (error) server.emit('error', error)
    else listenOrShare(server, planAddress(plan, addresses))
  })
}

function endsOf(client: SocketHandle): object {
  const local = localEnd(client)
  const remote = remoteEnd(client)
  return Object.assign(Object.create(null), {
    localAddress: local.address,
    localPort: local.port,
    localFamily: local.family,
    remoteAddress: remote?.address,
    remotePort: remote?.port,
    remoteFamily: remote?.family,
  })
}

function blocks(list: BlockList, client: SocketHandle): boolean {
  const address = remoteEnd(client)?.address
  if (address === undefined) return false
  const family = nodeNet.isIP(address)
  return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

function emitError(server: Server, error: Error): void {
  server.emit('error', error)
}

function emitListening(server: Server): void {
  if (server._handle) server.emit('listening')
}

function emitClose(server: Server): void {
  server.emit('close')
}

// --- the constructor ------------------------------------------------------------------------------------------------

/** Server as the files above this one see it. */
export type Server = ServerMethods

interface ServerFunction {
  new (options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener): Server
  (options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener): Server
  prototype: Server
}

/**
 * `new Server([options][, connectionListener])`. Options for accepted sockets: `allowHalfOpen`,
 * `pauseOnConnect`, `noDelay`, `keepAlive` (all false), `keepAliveInitialDelay` (ms, 0), `highWaterMark` (bytes,
 * the stream's default); and `blockList`, whose addresses are closed as soon as accepted.
 */
export const Server = function Server(
  this: Server,
  given?: ServerOptions | ConnectionListener | null,
  listener?: ConnectionListener,
): Server | undefined {
  if (!isInstance(Server, this)) return new (Server as ServerFunction)(given, listener)
  ;(EventEmitter as unknown as (this: Server) => void).call(this)
  if (given != null && typeof given !== 'object' && typeof given !== 'function') {
    throw invalidArgType('options', 'of type object', given)
  }
  const options: ServerOptions = typeof given === 'function' ? {} : { ...given }
  const onConnection = typeof given === 'function' ? given : listener
  if (typeof onConnection === 'function') this.on('connection', onConnection)
  validateKeepAliveDelay(options)
  if (options.highWaterMark !== undefined) {
    validateNumber(options.highWaterMark, 'options.highWaterMark')
    if (options.highWaterMark < 0) options.highWaterMark = getDefaultHighWaterMark(false)
  }

  this._connections = 0
  this._handle = null
  this._usingWorkers = false
  this._workers = []
  this._unref = false
  this._listeningId = 1
  this.allowHalfOpen = options.allowHalfOpen || false
  this.pauseOnConnect = Boolean(options.pauseOnConnect)
  this.noDelay = Boolean(options.noDelay)
  this.keepAlive = Boolean(options.keepAlive)
  this.keepAliveInitialDelay = seconds(options.keepAliveInitialDelay)
  this.highWaterMark = options.highWaterMark ?? getDefaultHighWaterMark(false)
  if (options.sharedChunks) this[kRemembered] = { ...nothingRemembered, sharedChunks: true }
  if (options.busyPoll !== undefined) {
    validateInt32(options.busyPoll, 'options.busyPoll', 0)
    this[kRemembered] = { ...this[kRemembered], busyPoll: options.busyPoll }
  }
  if (options.blockList) {
    validateBlockList(options.blockList, 'options.blockList')
    this.blockList = options.blockList
  }
  return undefined
} as unknown as ServerFunction

adoptMethods(Server, ServerMethods, {
  shown: ['listening', asyncDispose, EventEmitter.captureRejectionSymbol],
})
setDefaults(Server.prototype, { [kRemembered]: nothingRemembered })
standsFor(Server, nodeNet.Server)

/** `new Server(…)` */
export function createServer(
  options?: ServerOptions | ConnectionListener | null,
  listener?: ConnectionListener,
): Server {
  return new Server(options, listener)
}
