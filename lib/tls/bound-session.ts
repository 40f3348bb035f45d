// A session that a client may go on with, as programs keep it: with the name of the server that it was made with. A
// server whose session goes on is not looked at again, so it has to be the same one. Node's tls has the same form since
// 22.23, 24.21 and 26.10, and takes sessions of ours as we take its.

const MARK = Buffer.from('\0nodejs:tls:session:1\0')
const LENGTH = 2
const MOST = 0xffff

const nothing = new Uint8Array(0)

/** `host`: whose certificate was looked at. */
export function bound(session: Buffer, host: string): Buffer {
  const name = nameOf(host)
  const length = Buffer.alloc(LENGTH)
  length.writeUInt16BE(name.length)
  return Buffer.concat([MARK, length, name, session])
}

/**
 * What OpenSSL goes on with for a server of this name: nothing if it is another's, or if nobody knows whose it is and that
 * matters.
 */
export function unbound(given: Uint8Array, host: string, verifies: boolean): Uint8Array {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
  if (!bytes.subarray(0, MARK.length).equals(MARK)) return verifies ? nothing : given
  const at = MARK.length + LENGTH
  if (bytes.length < at) return nothing
  const end = at + bytes.readUInt16BE(MARK.length)
  return bytes.subarray(at, end).equals(nameOf(host)) ? bytes.subarray(end) : nothing
}

function nameOf(host: string): Buffer {
  return Buffer.from(host).subarray(0, MOST)
}
