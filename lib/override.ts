// For a while an object does something else.

/** Puts functions in the place of an object's own; the result puts those back. */
export function override(object: object, functions: Record<PropertyKey, unknown>): () => void {
  const names = Reflect.ownKeys(functions)
  const before = names.map(name => Object.getOwnPropertyDescriptor(object, name))
  for (const name of names) {
    Object.defineProperty(object, name, { value: functions[name], configurable: true, writable: true })
  }
  return () => {
    for (const [at, name] of names.entries()) {
      if (before[at] === undefined) Reflect.deleteProperty(object, name)
      else Object.defineProperty(object, name, before[at])
    }
  }
}
