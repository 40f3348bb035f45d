// Which of the binaries is for this process, in the names that napi gives to platforms and npm's packages carry:
// `linux-x64-gnu`, `darwin-arm64`, `win32-x64-msvc`. Only addon.ts asks.

import { closeSync, openSync, readSync } from 'node:fs'

/** The platforms that have a binary on npm: `napi.targets` in package.json, as users know them. */
export const published: Record<string, string> = {
  'linux-x64-gnu': 'linux-x64-glibc',
  'linux-x64-musl': 'linux-x64-musl',
  'linux-arm64-gnu': 'linux-arm64-glibc',
  'linux-arm64-musl': 'linux-arm64-musl',
  'darwin-x64': 'darwin-x64',
  'darwin-arm64': 'darwin-arm64',
  'win32-x64-msvc': 'win32-x64',
  'win32-arm64-msvc': 'win32-arm64',
}

/** The oldest glibc that the binaries for it run on. It is what Node's own binaries ask for. */
export const oldestGlibc = '2.28'

export function platform(): string {
  const { platform, arch } = process
  if (platform === 'win32') return `win32-${arch}-msvc`
  if (platform !== 'linux') return `${platform}-${arch}`
  const libc = usesMusl() ? 'musl' : 'gnu'
  return `linux-${arch}-${libc}${arch === 'arm' ? 'eabihf' : ''}`
}

/** Node's report, which takes 0.1 s to make. */
export function glibcVersion(): string | undefined {
  return report()?.header.glibcVersionRuntime
}

// The libc of the process is that of Node's own executable, which names its dynamic linker. What the system has besides
// (an `ldd` of either kind) says nothing about it.
function usesMusl(): boolean {
  const linker = dynamicLinker()
  if (linker !== undefined) return linker.startsWith('ld-musl-')
  return report()?.sharedObjects?.some(path => path.includes('/ld-musl-')) ?? false
}

/** `ld-linux-x86-64.so.2`, `ld-musl-aarch64.so.1`: linkers put its path right behind the headers of the file. */
function dynamicLinker(): string | undefined {
  let file: number
  try {
    file = openSync(process.execPath, 'r')
  } catch {
    // Not allowed under --permission, for example.
    return undefined
  }
  try {
    const head = Buffer.alloc(4096)
    const length = readSync(file, head, 0, head.length, 0)
    return /\/(ld[\w.-]*\.so[\w.-]*)\0/.exec(head.toString('latin1', 0, length))?.[1]
  } catch {
    return undefined
  } finally {
    closeSync(file)
  }
}

interface Report {
  header: { glibcVersionRuntime?: string }
  sharedObjects?: string[]
}

function report(): Report | undefined {
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined
  if (typeof report?.getReport !== 'function') return undefined
  const { excludeNetwork } = report
  // Or it would look up the name of every address that this process is connected to. Node 20 does not know it.
  report.excludeNetwork = true
  try {
    return report.getReport() as unknown as Report
  } finally {
    report.excludeNetwork = excludeNetwork
  }
}
