// Decides for release.yml whether there is something to release:
//
//   node scripts/release-due.mjs COMMIT    prints `version=1.2.3` if package.json has another version than at COMMIT
//   node scripts/release-due.mjs           prints the version as it is
//   node scripts/release-due.mjs --notes   prints what CHANGELOG.md says about it

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'))
const [argument] = process.argv.slice(2)

if (argument === '--notes') {
  const changelog = readFileSync(`${root}/CHANGELOG.md`, 'utf8')
  const [, ...sections] = changelog.split(/^## /m)
  const section = sections.find(text => /^\S+/.exec(text)[0] === version)
  if (section === undefined) stop(`CHANGELOG.md has no section about ${version}`)
  console.log(section.slice(section.indexOf('\n')).trim())
} else if (!argument) {
  console.log(`version=${version}`)
} else {
  const before = versionAt(argument)
  if (before === version) console.error(`The version is ${version} as before: nothing to release`)
  else console.log(`version=${version}`)
}

/** The version in package.json at that commit; undefined where there was none yet. */
function versionAt(commit) {
  // What GitHub gives for a branch that is new.
  if (/^0+$/.test(commit)) return undefined
  const known = spawnSync('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: root, encoding: 'utf8' })
  if (known.status !== 0) stop(`there is no commit ${commit}: ${known.stderr.trim()}`)
  const { status, stdout } = spawnSync('git', ['show', `${commit}:package.json`], {
    cwd: root,
    encoding: 'utf8',
  })
  return status === 0 ? JSON.parse(stdout).version : undefined
}

function stop(message) {
  console.error(message)
  process.exit(1)
}
