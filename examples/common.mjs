// What the examples share: the command line, where to listen, and error messages of one line that a person can act on.
// The sockets themselves are in the examples.

import { once } from 'node:events'
import { lstatSync, unlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import net from 'ferronet'

const program = basename(process.argv[1], '.mjs')

/** Parses the command line. `--help` prints the usage; a mistake prints one line and exits with code 2. */
export function commandLine(usage, { options = {}, allowPositionals = false } = {}) {
  let parsed
  try {
    parsed = parseArgs({ allowPositionals, options: { ...options, help: { type: 'boolean', short: 'h' } } })
  } catch (err) {
    misuse(err.message.split('. ')[0])
  }
  if (parsed.values.help) {
    console.log(usage)
    process.exit(0)
  }
  return parsed
}

/** A whole number from the command line or the environment. Exits with one line if it is something else. */
export function wholeNumber(text, name, max = Number.MAX_SAFE_INTEGER) {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(value <= max)) misuse(`${name} must be a whole number from 0 to ${max}, not '${text}'`)
  return value
}

export const portNumber = (text, name = '--port') => wholeNumber(text, name, 65535)

/** Where a client should connect to, from its arguments: HOST PORT, PORT on localhost, or PATH. */
export function destination(args) {
  if (args.length === 2) return { host: args[0], port: portNumber(args[1], 'PORT') }
  if (args.length !== 1) misuse('expected HOST PORT, PORT or PATH')
  return /^\d+$/.test(args[0]) ? { host: 'localhost', port: portNumber(args[0], 'PORT') } : { path: args[0] }
}

/**
 * Listens on `{ host, port }` or `{ path }`, and returns the endpoint, with the port the system chose for port 0. If that
 * fails, prints one line that ends with the advice, and exits.
 */
export async function listen(server, endpoint, advice = '') {
  try {
    server.listen(endpoint)
    await once(server, 'listening')
  } catch (err) {
    if (err.code === 'EADDRINUSE' && (await isLeftOver(endpoint.path))) {
      unlinkSync(endpoint.path)
      return listen(server, endpoint, advice)
    }
    fail(`cannot listen on ${text(endpoint)}: ${explain(err)}${advice && `; ${advice}`}`)
  }
  return endpoint.path ? endpoint : { ...endpoint, port: server.address().port }
}

// A server that was killed leaves its socket file behind, and the next one finds the path in use. The file is left
// over if it is a socket that refuses connections.
async function isLeftOver(path) {
  if (!path || !lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return false
  const probe = net.connect(path)
  try {
    await once(probe, 'connect')
    return false
  } catch (err) {
    return err.code === 'ECONNREFUSED'
  } finally {
    probe.destroy()
  }
}

/** `127.0.0.1:8000`, `[::1]:8000` or `/tmp/room.sock`. */
export function text({ host, port, path }) {
  if (path) return path
  return `${net.isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** The common errors in words, the others in the system's. */
export function explain(err) {
  // A name with several addresses fails with one error for each. The first is enough to print.
  const { code, message } = err.errors?.[0] ?? err
  const words = {
    EACCES: 'permission denied',
    EADDRINUSE: 'it is in use by another program',
    EADDRNOTAVAIL: 'this machine has no such address',
    ECONNREFUSED: 'nothing is listening there',
    ECONNRESET: 'the other side broke the connection',
    EINVAL: 'the path is too long for a socket',
    ENOENT: 'no such path',
    ENOTFOUND: 'no such host',
  }
  return words[code] ? `${words[code]} (${code})` : message
}

export function fail(message, exitCode = 1) {
  console.error(`${program}: ${message}`)
  process.exit(exitCode)
}

export function misuse(message) {
  fail(`${message} (--help shows the usage)`, 2)
}
