// What a program's handler throws, where something of ours is still to be done behind it.

/** Runs it; what it throws becomes an uncaught exception in the next tick, so that what follows here is done first. */
export function throwLater(run: () => void): void {
  try {
    run()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
