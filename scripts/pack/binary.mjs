// Whether a file is the binary of a platform: artifacts of a dozen jobs are easily mixed up, and on npm a mistake is
// final.

import { readFileSync } from 'node:fs'

/** What Node's own binaries for Linux ask for. */
const oldestGlibc = 28 // 2.28

/** @returns {string[]} sentences that start after the name of the file */
export function whatIsWrongWith(path, platform, version) {
  const file = readFileSync(path)
  const machine = machineOf(file)
  const wanted = `${platform.os} ${platform.cpu}`
  if (machine !== wanted)
    return [`is a binary for ${machine ?? 'no platform that we know'}, not for ${wanted}`]
  const wrong = []
  const text = file.toString('latin1')
  if (platform.libc) {
    const glibc = [...text.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor))
    const libc = glibc.length > 0 ? 'glibc' : 'musl'
    if (libc !== platform.libc) wrong.push(`is linked with ${libc}, not with ${platform.libc}`)
    else if (Math.max(...glibc) > oldestGlibc) {
      wrong.push(`needs glibc 2.${Math.max(...glibc)}, newer than 2.${oldestGlibc}`)
    }
  }
  if (!text.includes('napi_register_module_v1')) wrong.push('is no addon')
  // The version has no neighbours that would tell it from other text; but a binary without it is of another one.
  if (!text.includes(version)) wrong.push(`is not of version ${version}`)
  return wrong
}

/** `linux x64`, `darwin arm64`: what the header says. */
function machineOf(file) {
  if (file.length < 64) return undefined
  const cpu = (names, number) => names[number] ?? `machine 0x${number.toString(16)}`
  if (file.readUInt32BE(0) === 0x7f454c46) {
    return `linux ${cpu({ 62: 'x64', 183: 'arm64' }, file.readUInt16LE(18))}`
  }
  if (file.readUInt32LE(0) === 0xfeedfacf) {
    return `darwin ${cpu({ 16777223: 'x64', 16777228: 'arm64' }, file.readUInt32LE(4))}`
  }
  if (file.toString('latin1', 0, 2) === 'MZ') {
    const at = file.readUInt32LE(0x3c)
    if (at + 6 > file.length || file.toString('latin1', at, at + 4) !== 'PE\0\0') return undefined
    return `win32 ${cpu({ 34404: 'x64', 43620: 'arm64' }, file.readUInt16LE(at + 4))}`
  }
}
