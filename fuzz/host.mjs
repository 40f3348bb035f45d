// The process that runs programs for pool.mjs, one after the other, over IPC: `host.mjs <module>
// <directory>`. A program comes as plain data, and its views go back; with `log`, the log too.

import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { interpret, uncaught } from './interpret.mjs'
import { viewsOf } from './views.mjs'

// The parent may leave at any time, also while this was still loading.
process.on('disconnect', () => process.exit())
if (!process.connected) process.exit()

let net
try {
  net = await import(process.argv[2])
  net = net.default ?? net
} catch (error) {
  process.send({ loadError: String(error?.message ?? error) }, () => process.exit(1))
  await new Promise(() => {})
}

// Nothing else shows that bytes have passed JavaScript by.
const begun =
  process.argv[2] === 'ferronet' ? createRequire(import.meta.url)('../dist/lib/relay.js').begun : { count: 0 }

// The parent removes it when this process is killed, and this process when the parent is gone.
const directory = process.argv[3]
process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
process.on('uncaughtException', error => {
  if (!uncaught(error)) stray(error)
})
process.on('unhandledRejection', error => {
  if (!uncaught(error)) stray(error)
})
process.on('warning', () => {})

// From the program before, which had ended; we cannot tell what caused it.
function stray(error) {
  process.send({ stray: String(error?.stack ?? error) })
}

process.on('message', async ({ id, program, options, withLog }) => {
  const before = begun.count
  const result = await interpret(net, program, { ...options, directory })
  process.send({
    id,
    views: viewsOf(program, result),
    log: withLog ? result.log : undefined,
    tainted: result.lost.length > 0,
    libuv: process.versions.uv,
    relays: begun.count - before,
  })
})
process.send({ ready: true })
