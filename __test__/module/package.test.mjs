// The package as npm would publish it: packed, checked by tools that know how packages break, installed in an empty
// project and used from there.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as attw from '@arethetypeswrong/core'
import test from 'ava'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const root = fileURLToPath(new URL('../..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const directory = mkdtempSync(join(tmpdir(), 'ferronet-package-'))
test.after.always(() => rmSync(directory, { recursive: true, force: true }))

const tarball = pack(root)

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    shell: process.platform === 'win32' && command === 'npm',
  })
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`)
  return stdout
}

function pack(from) {
  const before = new Set(readdirSync(directory))
  run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', directory], from)
  return join(
    directory,
    readdirSync(directory).find(name => name.endsWith('.tgz') && !before.has(name)),
  )
}

test('publint has nothing to say', async t => {
  const { messages, pkg } = await publint({
    pack: { tarball: new Uint8Array(readFileSync(tarball)).buffer },
    strict: true,
  })
  t.deepEqual(
    messages.map(message => formatMessage(message, pkg, { color: false })),
    [],
  )
})

test('the types are not wrong for anybody who can load the package', async t => {
  const data = attw.createPackageFromTarballData(new Uint8Array(readFileSync(tarball)))
  const { types, problems } = await attw.checkPackage(data)
  t.is(types.kind, 'included')
  // `node10` is the module resolution of a Node that has no `exports`: older than any we run on.
  t.deepEqual(
    problems.filter(problem => problem.resolutionKind !== 'node10'),
    [],
  )
})

test('every entry is in the package, with its types', t => {
  const files = run('tar', ['-tzf', tarball], directory).split('\n')
  for (const entry of Object.values(manifest.exports)) {
    for (const file of typeof entry === 'string' ? [entry] : Object.values(entry)) {
      t.true(files.includes(file.replace('./', 'package/')), file)
    }
  }
})

// As a user gets it: the package and this platform's addon, both from a tarball, in a project of their own.
test('an empty project can require it, import it and register it', t => {
  const addon = readdirSync(join(root, 'native')).find(
    name => name.startsWith(`ferronet.${process.platform}-${process.arch}`) && name.endsWith('.node'),
  )
  const platform = addon.replace(/^ferronet\.|\.node$/g, '')
  const source = join(directory, platform)
  cpSync(join(root, 'npm', platform), source, { recursive: true })
  cpSync(join(root, 'native', addon), join(source, addon))
  const project = join(directory, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "private": true }\n')
  const install = ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--silent']
  run('npm', [...install, tarball, pack(source)], project)

  const echo = `
    const server = net.createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
      const client = net.connect(server.address().port, '127.0.0.1', () => client.end('hello'))
      client.on('data', data => console.log(String(data), net.Socket === client.constructor))
      client.on('close', () => server.close())
    })`
  const inherits = "console.log(Object.getPrototypeOf(net.Socket) === require('node:stream').Duplex)"
  const cases = [
    ['-e', `const net = require('ferronet'); ${inherits}; ${echo}`],
    ['--input-type=module', '-e', `import net from 'ferronet'; ${echo}`],
    [
      '--require',
      'ferronet/register',
      '-e',
      `const net = require('net'); ${echo}; console.log('detach' in net)`,
    ],
    [
      '--import',
      'ferronet/register',
      '-e',
      `const net = require('net'); ${echo}; console.log('detach' in net)`,
    ],
  ]
  for (const args of cases) {
    const output = run(process.execPath, args, project).trim().split('\n')
    t.true(output.includes('hello true'), args.join(' '))
    t.false(output.includes('false'), args.join(' '))
  }
})
