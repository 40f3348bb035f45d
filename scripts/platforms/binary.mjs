// Reads from a shared library what it asks of a system: which other libraries, which versions of them, and what it
// exports. ELF (Linux) and Mach-O (macOS), 64 bits, little-endian; no tool of either platform is needed.

import { readFileSync } from 'node:fs'

export function inspect(file) {
  const bytes = readFileSync(file)
  if (bytes.readUInt32BE(0) === 0x7f454c46) return elf(bytes)
  if (bytes.readUInt32LE(0) === 0xfeedfacf) return machO(bytes)
  throw new Error(`${file} is neither ELF nor Mach-O`)
}

/** The highest of the versions `GLIBC_2.5`, `GLIBC_2.17` …, as `2.17`; undefined if there is none. */
export function highest(versions, prefix = 'GLIBC_') {
  return versions
    .filter(version => /^\d+(\.\d+)*$/.test(version.replace(prefix, '')) && version.startsWith(prefix))
    .map(version => version.slice(prefix.length))
    .sort(byVersion)
    .at(-1)
}

export function byVersion(a, b) {
  return a.localeCompare(b, 'en', { numeric: true })
}

// The names and numbers below are those of the ELF specification and of its GNU extensions.
function elf(bytes) {
  const sections = []
  const [offset, size, count] = [
    Number(bytes.readBigUInt64LE(0x28)),
    bytes.readUInt16LE(0x3a),
    bytes.readUInt16LE(0x3c),
  ]
  for (let i = 0; i < count; i++) {
    const at = offset + i * size
    sections.push({
      type: bytes.readUInt32LE(at + 4),
      start: Number(bytes.readBigUInt64LE(at + 24)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
      link: bytes.readUInt32LE(at + 40),
    })
  }
  const ofType = type => sections.filter(section => section.type === type)
  const text = (section, at) => textAt(bytes, sections[section.link].start + at)

  const needed = []
  for (const section of ofType(6 /* SHT_DYNAMIC */)) {
    for (let at = section.start; at < section.start + section.size; at += 16)
      if (bytes.readBigInt64LE(at) === 1n /* DT_NEEDED */)
        needed.push(text(section, Number(bytes.readBigUInt64LE(at + 8))))
  }

  const versions = []
  for (const section of ofType(0x6ffffffe /* SHT_GNU_verneed */)) {
    for (let at = section.start, next = -1; next !== 0; at += next) {
      const [names, first] = [bytes.readUInt16LE(at + 2), bytes.readUInt32LE(at + 8)]
      for (let i = 0, entry = at + first; i < names; i++, entry += bytes.readUInt32LE(entry + 12))
        versions.push(text(section, bytes.readUInt32LE(entry + 8)))
      next = bytes.readUInt32LE(at + 12)
    }
  }

  const exports = []
  for (const section of ofType(11 /* SHT_DYNSYM */)) {
    for (let at = section.start; at < section.start + section.size; at += 24) {
      const [binding, home] = [bytes[at + 4] >> 4, bytes.readUInt16LE(at + 6)]
      if (binding !== 0 /* local */ && home !== 0 /* undefined */)
        exports.push(text(section, bytes.readUInt32LE(at)))
    }
  }
  const machine = bytes.readUInt16LE(18)
  return { format: 'elf', arch: { 62: 'x64', 183: 'arm64' }[machine] ?? machine, needed, versions, exports }
}

// The names and numbers are those of Apple's <mach-o/loader.h> and <mach-o/nlist.h>.
function machO(bytes) {
  const cpu = bytes.readUInt32LE(4)
  const found = {
    format: 'mach-o',
    arch: { 16777223: 'x64', 16777228: 'arm64' }[cpu] ?? cpu,
    kind: { 6: 'dylib', 8: 'bundle' }[bytes.readUInt32LE(12)],
    needed: [],
    exports: [],
    /** What the process that loads it has to bring. */
    fromHost: [],
  }
  let at = 32
  for (let i = 0; i < bytes.readUInt32LE(16); i++) {
    const command = bytes.readUInt32LE(at) & 0x7fffffff
    const word = index => bytes.readUInt32LE(at + 4 * index)
    if (command === 0x0c /* LC_LOAD_DYLIB */ || command === 0x18 /* LC_LOAD_WEAK_DYLIB */)
      found.needed.push(textAt(bytes, at + word(2)))
    if (command === 0x32 /* LC_BUILD_VERSION */) found.minimum = version(word(3))
    if (command === 0x24 /* LC_VERSION_MIN_MACOSX */) found.minimum = version(word(2))
    if (command === 0x1d /* LC_CODE_SIGNATURE */) found.signed = true
    if (command === 0x02 /* LC_SYMTAB */) {
      const [symbols, count, strings] = [word(2), word(3), word(4)]
      for (let symbol = symbols; symbol < symbols + 16 * count; symbol += 16) {
        const type = bytes[symbol + 4]
        if (type & 0xe0 /* for a debugger */ || !(type & 1) /* not external */) continue
        const name = textAt(bytes, strings + bytes.readUInt32LE(symbol)).replace(/^_/, '')
        const library = bytes[symbol + 7] // n_desc, its upper half
        if ((type & 0x0e) === 0) {
          if (library === 0xfe /* DYNAMIC_LOOKUP_ORDINAL; zig writes 0 */ || library === 0)
            found.fromHost.push(name)
        } else if (!(type & 0x10) /* not private */) found.exports.push(name)
      }
    }
    at += word(1)
  }
  return found
}

const version = packed => `${packed >>> 16}.${(packed >>> 8) & 0xff}`

function textAt(bytes, at) {
  return bytes.toString('utf8', at, bytes.indexOf(0, at))
}
