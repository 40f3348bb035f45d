// Stands between a client and a server, and does to their records what a scheme says. It knows TLS as far as the header
// of a record: a type, a version, and a length.

import net from 'node:net'
import { inserted } from './scheme.mjs'

/** So long a record waits that is to change places with the next one, if there is none. */
const PATIENCE = 20

/** Listens; `port` is for the client, `to` the server's. `touch()` is called whenever something goes through. */
export async function proxy(to, changes, touch) {
  const sockets = new Set()
  const own = socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.setNoDelay(true)
    return socket
  }
  const server = net.createServer({ allowHalfOpen: true }, near => {
    own(near)
    const far = own(net.connect({ port: to, host: '127.0.0.1', allowHalfOpen: true }))
    pass(
      near,
      far,
      changes.filter(({ from }) => from === 'client'),
      touch,
    )
    pass(
      far,
      near,
      changes.filter(({ from }) => from === 'server'),
      touch,
    )
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { port: server.address().port, close }
}

function pass(source, sink, changes, touch) {
  let rest = Buffer.alloc(0)
  let count = 0
  /** Records that wait for the next one. */
  let held = []
  let timer
  // What is written in parts must arrive in parts: the rest waits until the system has had time to hand on the first.
  let queue = Promise.resolve()
  let over = false

  const later = run => {
    queue = queue.then(() => (over ? undefined : run()))
  }
  const write = bytes => {
    if (bytes.length > 0 && !sink.destroyed && !sink.writableEnded) sink.write(bytes)
    touch()
  }
  const crumbs = pieces => {
    for (const piece of pieces) {
      later(() => write(piece))
      later(() => new Promise(resolve => setImmediate(() => setImmediate(resolve))))
    }
  }
  const release = () => {
    clearTimeout(timer)
    const all = held
    held = []
    if (all.length > 0) later(() => write(Buffer.concat(all)))
  }
  const hold = bytes => {
    held.push(bytes)
    clearTimeout(timer)
    timer = setTimeout(release, PATIENCE)
  }
  const send = bytes => {
    if (held.length > 0) {
      held.unshift(bytes)
      release()
    } else later(() => write(bytes))
  }

  function record(bytes) {
    touch()
    let changed = bytes
    for (const change of changes.filter(each => each.record === count)) {
      const at = Math.min(bytes.length - 1, Math.floor(change.at * bytes.length))
      switch (change.kind) {
        case 'flip':
          changed = Buffer.from(changed)
          changed[at] ^= 1 << change.bit
          break
        case 'retype':
          changed = Buffer.from(changed)
          changed[0] = change.type
          break
        case 'reversion':
          changed = Buffer.from(changed)
          changed.writeUInt16BE(change.version, 1)
          break
        case 'lengthen':
        case 'shorten':
          // The header says more or less than there is.
          changed = Buffer.from(changed)
          changed.writeUInt16BE(
            Math.max(0, changed.readUInt16BE(3) + (change.kind === 'lengthen' ? 1 : -1) * (1 + (at % 40))),
            3,
          )
          break
        case 'oversize':
          // More than a record may hold, with all of it there.
          changed = Buffer.concat([changed, Buffer.alloc(0x4800, 7)])
          changed.writeUInt16BE(0x4200 + (at % 0x300), 3)
          break
        case 'insert':
          send(inserted(change.what))
          break
      }
    }
    const kinds = new Map(changes.filter(each => each.record === count).map(each => [each.kind, each]))
    count++
    if (kinds.has('drop')) return
    if (kinds.has('reorder') || kinds.has('merge')) {
      if (kinds.has('merge')) {
        // In front of the next one, in one piece with it.
        const before = held
        held = []
        hold(Buffer.concat([...before, changed]))
        mergeNext = true
      } else hold(changed)
    } else if (mergeNext) {
      mergeNext = false
      clearTimeout(timer)
      const before = held
      held = []
      later(() => write(Buffer.concat([...before, changed])))
    } else if (kinds.has('cut')) {
      const at = Math.floor(kinds.get('cut').at * changed.length)
      crumbs([changed.subarray(0, at), changed.subarray(at)])
    } else if (kinds.has('crumble')) {
      const size = Math.max(1, Math.floor(changed.length / 30))
      const pieces = []
      for (let at = 0; at < changed.length; at += size) pieces.push(changed.subarray(at, at + size))
      crumbs(pieces)
    } else send(changed)
    if (kinds.has('repeat')) send(changed)
    const end = kinds.get('finish') ?? kinds.get('reset')
    if (end !== undefined) later(() => finish(end))
  }
  let mergeNext = false

  function finish({ kind }) {
    over = true
    if (kind === 'reset') {
      source.destroy()
      if (!sink.destroyed) sink.resetAndDestroy()
    } else {
      sink.end()
      source.destroy()
    }
  }

  source.on('data', chunk => {
    if (over) return
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    for (;;) {
      if (rest.length < 5) return
      const length = 5 + rest.readUInt16BE(3)
      if (rest.length < length) return
      const bytes = Buffer.from(rest.subarray(0, length))
      rest = rest.subarray(length)
      const inside = changes.find(
        each => each.record === count && each.inside && (each.kind === 'finish' || each.kind === 'reset'),
      )
      if (inside) {
        release()
        const at = Math.floor(inside.at * length)
        later(() => write(bytes.subarray(0, at)))
        later(() => finish(inside))
        return
      }
      record(bytes)
    }
  })
  source.on('end', () => {
    release()
    later(() => write(rest))
    later(() => sink.end())
  })
  source.on('close', () => {
    touch()
    if (source.errored && !sink.destroyed) later(() => sink.resetAndDestroy())
    else later(() => sink.end())
  })
}
