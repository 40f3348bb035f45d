// Sends a large file again and again once asked to: with sendFile() where there is one, else as a stream.

import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CHUNK, identity, listen, net } from './program.mjs'

const CHUNKS = 4096

// Its name is gone before the first connection, so nothing is left behind whatever happens.
const directory = await mkdtemp(join(tmpdir(), 'ferronet-bench-'))
const file = await open(join(directory, 'file'), 'w+')
await rm(directory, { recursive: true })
for (let chunk = 0; chunk < CHUNKS; chunk++) await file.write(CHUNK)

const server = net.createServer(identity, socket => {
  const again = socket.sendFile ? sendFile : pipe
  function sendFile() {
    socket.sendFile(file).then(again, () => {})
  }
  function pipe() {
    const stream = createReadStream('', { fd: file.fd, start: 0, autoClose: false })
    stream.pipe(socket, { end: false })
    stream.once('end', again)
    socket.once('close', () => stream.destroy())
  }
  socket.once('data', again)
  socket.on('error', () => socket.destroy())
})

listen(server)
