// A registry on the loopback interface that has ferronet's packages and no others, so that package managers can install
// them as users will, before they are published. It remembers which tarballs were fetched.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { integrity } from '../packages.mjs'

/**
 * @param {{ manifest: { name: string, version: string }, tarball?: string }[]} packages  without a tarball, only the
 *   manifest is there: for platforms whose package nobody should fetch here
 */
export async function registry(packages) {
  const fetched = []
  let url
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, url).pathname).slice(1)
    const wanted = packages.find(({ manifest }) => path === manifest.name || path === fileOf(manifest))
    if (wanted === undefined) {
      // A package manager that looks for a newer version of itself, for example.
      response.writeHead(404).end('{}')
    } else if (path !== wanted.manifest.name && wanted.tarball === undefined) {
      fetched.push(`${wanted.manifest.name}, of another platform`)
      response.writeHead(404).end('{}')
    } else if (path === wanted.manifest.name) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document(wanted)))
    } else {
      fetched.push(wanted.manifest.name)
      response
        .writeHead(200, { 'content-type': 'application/octet-stream' })
        .end(readFileSync(wanted.tarball))
    }
  })

  const document = ({ manifest, tarball }) => {
    const { name, version } = manifest
    const dist = {
      tarball: `${url}${fileOf(manifest)}`,
      // What nobody fetches is not checked either.
      integrity: tarball ? integrity(tarball) : `sha512-${'A'.repeat(86)}==`,
    }
    // Some package managers leave out what has been published today.
    const time = '2020-01-01T00:00:00.000Z'
    return {
      name,
      'dist-tags': { latest: version },
      versions: { [version]: { ...manifest, dist } },
      time: { created: time, modified: time, [version]: time },
    }
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${server.address().port}/`
  return {
    url,
    /** The names of the packages fetched since the last call. */
    fetched: () => fetched.splice(0).sort(),
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

const fileOf = ({ name, version }) => `${name}/-/${name.replace(/.*\//, '')}-${version}.tgz`
