// The recipes of docs/bundlers.md, as the files that they are: the first line of each names it.

import { readFileSync } from 'node:fs'

/** @returns {Record<string, string>} the code by the name of its file */
export function recipes() {
  const markdown = readFileSync(new URL('../../docs/bundlers.md', import.meta.url), 'utf8')
  const blocks = markdown.matchAll(/^```js\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)
  return Object.fromEntries([...blocks].map(([, name, code]) => [name, code]))
}

/** What is bundled: it prints `hello` once that has been to a server and back. */
export const app = `
import { once } from 'node:events'
import net from 'ferronet'

async function main() {
  const server = net.createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect(server.address().port, '127.0.0.1')
  client.end('hello')
  for await (const chunk of client) console.log(String(chunk))
  server.close()
}

main()
`
