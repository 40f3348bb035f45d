// Which modules the hook hands out ferronet's for: FERRONET_REGISTER names them (`net,tls`). Alone, `net`: a program whose
// own code asks for `tls` still gets Node's, for it may give a TLSSocket to modules of Node that know only their own.

/** The entry of ferronet for each module of Node's that can be replaced. */
const entries: Record<string, string> = { net: 'index.js', tls: 'tls.js' }

/** By module, the entries; null if the hook is switched off. Throws for a name that is none. */
export function chosen(
  wanted: string | undefined = process.env.FERRONET_REGISTER,
): Map<string, string> | null {
  if (wanted === '0' || wanted === 'off') return null
  const names =
    !wanted || wanted === '1' || wanted === 'on' ? ['net'] : wanted.split(',').map(name => name.trim())
  const all = new Map<string, string>()
  for (const name of names) {
    if (entries[name] === undefined) {
      throw new Error(`FERRONET_REGISTER names modules, 'net' and 'tls', or is 'off'; '${name}' is neither`)
    }
    all.set(name, entries[name]!)
  }
  return all
}
