// Bytes in, lines out. TCP has no messages: a chunk may hold half a line, ten lines, or half a character. And telnet
// mixes its own commands into the text. This class sorts out both, wherever the chunks are cut.

import { StringDecoder } from 'node:string_decoder'

// RFC 854. A command starts with byte 255, which never occurs in UTF-8, so removing commands cannot harm text.
const IAC = 255
const WILL = 251 // WILL, WON'T, DO, DON'T (251–254) are followed by one byte, the option
const SB = 250 // opens a subnegotiation, which IAC SE closes
const SE = 240

export class TelnetLines {
  #decoder = new StringDecoder('utf8') // keeps the first bytes of a character until the others come
  #state = 'text'
  #rest = ''
  #limit

  /** @param {number} limit the longest line accepted, in characters */
  constructor(limit = 4096) {
    this.#limit = limit
  }

  /** The lines that this chunk completes, without `\r\n` or `\n`. Throws a RangeError if a line is too long. */
  push(chunk) {
    const lines = (this.#rest + this.#decoder.write(this.#withoutCommands(chunk))).split('\n')
    this.#rest = lines.pop()
    if (this.#rest.length > this.#limit || lines.some(line => line.length > this.#limit)) {
      throw new RangeError(`a line has more than ${this.#limit} characters`)
    }
    return lines.map(plain)
  }

  /** The rest after the last line end, if any. Call it at 'end'. */
  end() {
    const rest = plain(this.#rest + this.#decoder.end())
    this.#rest = ''
    return rest === '' ? [] : [rest]
  }

  #withoutCommands(chunk) {
    if (this.#state === 'text' && !chunk.includes(IAC)) return chunk
    const text = []
    for (const byte of chunk) {
      switch (this.#state) {
        case 'text':
          if (byte === IAC) this.#state = 'command'
          else text.push(byte)
          break
        case 'command':
          if (byte === SB) this.#state = 'subnegotiation'
          else if (byte >= WILL && byte < IAC) this.#state = 'option'
          else this.#state = 'text'
          break
        case 'option':
          this.#state = 'text'
          break
        case 'subnegotiation':
          if (byte === IAC) this.#state = 'subnegotiation command'
          break
        case 'subnegotiation command':
          this.#state = byte === SE ? 'text' : 'subnegotiation'
          break
      }
    }
    return Buffer.from(text)
  }
}

// Removes control characters: the '\r' before '\n', telnet's NUL after a bare '\r', and escape sequences that one client
// could send to the terminals of all the others.
const plain = line => line.replace(/\p{Cc}/gu, '')
