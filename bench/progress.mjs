// Shows the progress of a run: on a terminal as one line that is rewritten, elsewhere as one line per round.

export class Progress {
  #total
  #guess
  #finished = 0
  #began = Date.now()
  #what = ''

  /** `guess` is the assumed duration of a step in seconds, until the first ones are done. */
  constructor(total, guess) {
    this.#total = total
    this.#guess = guess
  }

  round(what) {
    this.#what = what
    if (!process.stderr.isTTY) process.stderr.write(`${this.#line(what)}\n`)
  }

  turn(peer) {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${this.#line(`${this.#what}, ${peer}`)}`)
  }

  step() {
    this.#finished++
  }

  clear() {
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  }

  #line(what) {
    const passed = (Date.now() - this.#began) / 1000
    const each = this.#finished > 0 ? passed / this.#finished : this.#guess
    const left = each * (this.#total - this.#finished)
    return `[${this.#finished}/${this.#total}] ${what}; ${clock(passed)} passed, about ${clock(left)} left`
  }
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`
}
