// What a scenario saw, as JSON that can be compared between two runs in two processes: one list of entries
// per track. Everything that may differ between runs (ports, temporary paths, object identities) is replaced
// by a name, only in this file. It never looks at the clock.

import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { positions } from './runtime.mjs'

const longest = 160

export class Trace {
  #tracks = new Map()
  #names = new Map()
  #fd

  // Every entry is also written to `fd` at once, so that a crash or a hang leaves its trace behind.
  constructor(fd) {
    this.#fd = fd
  }

  // From here on `value` (a port, a path) is recorded as `<name>`.
  alias(value, name) {
    this.#names.set(String(value), `<${name}>`)
    return value
  }

  record(track, event, args) {
    const kind = event.split(' ').at(-1) === 'data' && args.length === 1 ? chunkKind(args[0]) : undefined
    const entries = this.#entries(track)
    const last = entries.at(-1)
    if (kind !== undefined && last?.event === event && last.kind === kind) {
      // The kernel decides how bytes are split into chunks, so neighbouring chunks are one entry.
      last.chunks.push(args[0])
      this.#write(track, event, [{ more: this.spell(args[0]) }])
      return
    }
    if (kind !== undefined) {
      entries.push({ event, kind, chunks: [args[0]] })
      this.#write(track, event, [this.spell(args[0])])
      return
    }
    const spelled = args.map(argument => this.spell(argument))
    entries.push({ event, spelled })
    this.#write(track, event, spelled)
  }

  toJSON() {
    const tracks = {}
    for (const name of [...this.#tracks.keys()].sort()) {
      tracks[name] = this.#tracks.get(name).map(({ event, spelled, chunks }) => {
        if (chunks) {
          const whole = typeof chunks[0] === 'string' ? chunks.join('') : Buffer.concat(chunks)
          return [event, this.spell(whole)]
        }
        return spelled.length === 0 ? event : [event, ...spelled]
      })
    }
    return tracks
  }

  spell(value, key = '', depth = 0) {
    switch (typeof value) {
      case 'undefined':
        return '<undefined>'
      case 'string':
        return this.#spellString(value)
      case 'number':
        return this.#spellNumber(value, key)
      case 'boolean':
        return value
      case 'object':
        return value === null ? null : this.#spellObject(value, depth)
      case 'function':
        return '<function>'
      default:
        return `<${typeof value} ${String(value)}>`
    }
  }

  #spellString(text) {
    let spelled = text
    for (const [value, name] of this.#names) {
      if (!/^\d+$/.test(value)) spelled = spelled.replaceAll(value, name)
    }
    spelled = spelled.replace(
      /(\d\.\d{1,3}|::1?|\]|localhost):(\d{4,5})\b/g,
      (_, address, port) => `${address}:${this.#names.get(port) ?? '<some port>'}`,
    )
    return spelled.length <= longest ? spelled : `<string of ${text.length}, ${digest(text)}>`
  }

  #spellNumber(value, key) {
    if (!Number.isFinite(value)) return `<${value}>`
    if (value < 1024) return value
    return this.#names.get(String(value)) ?? (/port$/i.test(key) ? '<port>' : value)
  }

  #spellObject(value, depth) {
    if (value instanceof Error) return this.#spellError(value, depth)
    if (ArrayBuffer.isView(value)) {
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      const text = bytes.toString('latin1')
      const name = value.constructor.name
      if (bytes.length > longest) return `<${name} of ${bytes.length}, ${digest(bytes)}>`
      return /^[\x20-\x7e\r\n]*$/.test(text) ? `${name} "${text}"` : `${name} 0x${bytes.toString('hex')}`
    }
    if (depth > 4) return '<deep>'
    if (Array.isArray(value)) return value.map(item => this.spell(item, '', depth + 1))
    const prototype = Object.getPrototypeOf(value)
    if (prototype !== null && prototype !== Object.prototype) return `<${value.constructor?.name}>`
    return this.#spellKeys(value, depth)
  }

  #spellError(error, depth) {
    const { name, code, constructor: Class } = error
    const spelled = {
      name,
      // Deno has a class for each code.
      constructor: Class.name === code ? name : Class.name,
      message: this.spell(error.message),
      ...this.#spellKeys(error, depth),
    }
    // Of Deno's errors, and of some of Bun's.
    for (const key of ['toString', ...positions]) delete spelled[key]
    // Errors of Bun's own inherit it.
    if (typeof code === 'string') spelled.code = this.spell(code, 'code', depth + 1)
    if (error.errors) spelled.errors = error.errors.map(each => this.spell(each, '', depth + 1))
    if (error.cause !== undefined) spelled.cause = this.spell(error.cause, '', depth + 1)
    return spelled
  }

  #spellKeys(object, depth) {
    const spelled = {}
    for (const key of Object.keys(object).sort()) {
      // Node's stream code leaves `domain…` keys on errors if a domain was ever loaded.
      if (!key.startsWith('domain')) spelled[key] = this.spell(object[key], key, depth + 1)
    }
    return spelled
  }

  #entries(track) {
    let entries = this.#tracks.get(track)
    if (!entries) this.#tracks.set(track, (entries = []))
    return entries
  }

  #write(track, event, spelled) {
    if (this.#fd !== undefined) writeSync(this.#fd, `${JSON.stringify([track, event, ...spelled])}\n`)
  }
}

function chunkKind(chunk) {
  if (typeof chunk === 'string') return 'string'
  return Buffer.isBuffer(chunk) ? 'Buffer' : undefined
}

export function digest(data) {
  return createHash('sha1').update(data).digest('hex').slice(0, 12)
}
