// Which modules the hook hands out ferronet's for: FERRONET_REGISTER names them (`net,tls`). Alone, `net`: a program whose
// own code asks for `tls` still gets Node's, for it may give a TLSSocket to modules of Node that know only their own.

/** The entry of ferronet for each module of Node's that can be replaced. */
const entries: Record<string, string> = { net: 'index.js', tls: 'tls.js' }

/** By module, the entries; null if the hook is switched off. What is no name of a module leaves it as it is without. */
export function chosen(
  wanted: string | undefined = process.env.FERRONET_REGISTER,
): Map<string, string> | null {
  if (wanted === '0' || wanted === 'off') return null
  const all = new Map<string, string>()
  for (const part of (wanted ?? '').split(',')) {
    const name = part.trim()
    if (entries[name] !== undefined) all.set(name, entries[name]!)
  }
  if (all.size === 0) all.set('net', entries.net!)
  return all
}
