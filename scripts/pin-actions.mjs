// The workflows name actions by commit, because a tag can be moved: `uses: owner/name@<commit> # v1.2.3`. This asks
// GitHub which commit each tag is.
//
//   node scripts/pin-actions.mjs           writes the commits into the workflows
//   node scripts/pin-actions.mjs --check   says which are wrong, exit code 1
//   … --from URL                           asks another place than https://github.com
//
// To move to a newer version, write its tag in place of the commit, or in the comment, and run it. It needs git and the
// network; `npm run lint` checks without a network that each action has a commit and a tag.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    from: { type: 'string', default: 'https://github.com' },
  },
})
const folder = fileURLToPath(new URL('../.github/workflows/', import.meta.url))

process.on('uncaughtException', error => {
  console.error(error.message)
  process.exit(1)
})

const commits = new Map()
const wrong = []
for (const file of readdirSync(folder).filter(name => /\.ya?ml$/.test(name))) {
  const before = readFileSync(folder + file, 'utf8')
  const after = before.replace(
    /(uses: +)([\w.-]+\/[\w./-]+)@([^\s#]+)(?: *# *(\S+))?/g,
    (all, uses, action, ref, tag) => {
      const wanted = tag ?? ref
      if (/^[0-9a-f]{40}$/.test(wanted))
        throw new Error(`${file}: ${action}@${ref} does not say which tag it is`)
      const pinned = `${uses}${action}@${commitOf(action, wanted)} # ${wanted}`
      if (pinned !== all) wrong.push(`${file}: ${all.trim()} should be ${pinned.trim()}`)
      return pinned
    },
  )
  if (!values.check && after !== before) writeFileSync(folder + file, after)
}
for (const line of new Set(wrong)) console.log(values.check ? line : `changed: ${line}`)
console.log(`${commits.size} actions, ${wrong.length} pins ${values.check ? 'wrong' : 'changed'}`)
process.exitCode = values.check && wrong.length > 0 ? 1 : 0

function commitOf(action, tag) {
  const repository = action.split('/').slice(0, 2).join('/')
  const key = `${repository} ${tag}`
  if (!commits.has(key)) commits.set(key, lookUp(repository, tag))
  return commits.get(key)
}

function lookUp(repository, tag) {
  const refs = [`refs/tags/${tag}`, `refs/tags/${tag}^{}`]
  const { status, stdout, stderr, error } = spawnSync(
    'git',
    ['ls-remote', `${values.from}/${repository}`, ...refs],
    {
      encoding: 'utf8',
      env: { ...process.env, GIT_TERMINAL_PROMPT: '0' },
    },
  )
  if (error) throw error
  if (status !== 0) throw new Error(`git ls-remote ${values.from}/${repository} failed: ${stderr.trim()}`)
  // An annotated tag is an object of its own; the second line then has the commit.
  const found = new Map(stdout.split('\n').map(line => line.split('\t').reverse()))
  const commit = found.get(refs[1]) ?? found.get(refs[0])
  if (commit === undefined) throw new Error(`${repository} has no tag ${tag}`)
  return commit
}
