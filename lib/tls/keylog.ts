// Node's flag --tls-keylog: the keys of all sessions go to a file, for tools that look into what was sent.

import type { EventEmitter } from 'node:events'
import { appendFileSync } from 'node:fs'

const file = fileOf([...split(process.env.NODE_OPTIONS ?? ''), ...process.execArgv])
let warned = false

/** Before the handshake. Sessions that are Node's log theirs by themselves. */
export function logKeys(socket: EventEmitter): void {
  if (file === undefined || socket.listeners('keylog').includes(log)) return
  if (!warned) {
    warned = true
    process.emitWarning(
      `Using --tls-keylog makes TLS connections insecure by writing secret key material to file ${file}`,
    )
  }
  socket.on('keylog', log)
}

function log(line: Buffer): void {
  appendFileSync(file!, line, { mode: 0o600 })
}

/** The last one counts. */
function fileOf(args: string[]): string | undefined {
  let found: string | undefined
  for (const [at, arg] of args.entries()) {
    const [name, ...value] = arg.split('=')
    if (name?.replaceAll('_', '-') !== '--tls-keylog') continue
    found = value.length > 0 ? value.join('=') : args[at + 1]
  }
  return found
}

/** As Node reads it: spaces are between two, unless there are quotes around them or a backslash in front, in quotes. */
function split(options: string): string[] {
  const all = options.match(/(?:"(?:\\.|[^"\\])*"|[^\s"])+/g) ?? []
  return all.map(each =>
    each.replaceAll(/"((?:\\.|[^"\\])*)"/g, (_, quoted) => quoted.replaceAll(/\\(.)/g, '$1')),
  )
}
