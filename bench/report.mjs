// From rounds to a verdict: medians, ratios, tables. Ratios come first: an absolute figure says something
// about the machine, a ratio within one run says something about the peer.

export function median(values) {
  const sorted = values.filter(value => value !== undefined).sort((a, b) => a - b)
  if (sorted.length === 0) return undefined
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** `rounds[i]` maps a peer's name to what it showed in round i. */
export function summarize(scenario, names, rounds, failures) {
  const of = (name, key) => rounds.map(round => round[name]?.[key])
  // Each round compares neighbours in time; the median is taken of their ratios, not of their figures.
  const ratios = (name, base, key = 'value') =>
    rounds
      .filter(round => round[name]?.[key] !== undefined && round[base]?.[key] !== undefined)
      .map(round => round[name][key] / round[base][key])

  const peers = names.map(name => {
    const against = ratios(name, 'node:net')
    return {
      peer: name,
      ratio: median(against),
      ratioRange: against.length > 0 ? [Math.min(...against), Math.max(...against)] : undefined,
      floorRatio: median(ratios(name, 'floor')),
      cpuRatio: median(ratios(name, 'node:net', 'cpu')),
      value: median(of(name, 'value')),
      cpu: median(of(name, 'cpu')),
      p50: median(of(name, 'p50')),
      p99: median(of(name, 'p99')),
      p999: median(of(name, 'p999')),
      max: median(of(name, 'max')),
      bounded: of(name, 'bounded').some(Boolean),
      failure: failures.get(name),
      rounds: of(name, 'value'),
    }
  })
  const { name, title, unit, kind, target } = scenario
  const disturbed = Math.max(
    0,
    ...rounds.flatMap(round => Object.values(round).map(shown => shown.disturbed ?? 0)),
  )
  return { name, title, unit, kind, target, verdict: verdict(scenario, peers), disturbed, peers }
}

/** From this part of a round on, what else ran on the machine is worth a warning. */
export const DISTURBED = 0.05

function verdict({ unit, target }, peers) {
  const ratio = peers.find(({ peer }) => peer === 'ferronet')?.ratio
  if (target === undefined || ratio === undefined) return undefined
  return (unit === 'memory' ? ratio <= target : ratio >= target) ? 'met' : 'missed'
}

const UNITS = {
  ops: { value: 'requests/s', cpu: 'CPU µs/req' },
  bytes: { value: 'MB/s', cpu: 'CPU ms/GB' },
  memory: { value: 'bytes each' },
}

export function table(result) {
  const { title, unit, kind, target, verdict, disturbed, peers } = result
  const units = UNITS[unit]
  const timed = peers.some(({ p50 }) => p50 !== undefined)
  const columns = [
    ['', ({ peer }) => peer],
    ['× node:net', ({ ratio }) => times(ratio)],
    ['lowest–highest', ({ ratioRange }) => ratioRange?.map(times).join('–')],
    ...(peers.some(({ floorRatio }) => floorRatio !== undefined)
      ? [['× floor', ({ floorRatio }) => times(floorRatio)]]
      : []),
    [units.value, ({ value, bounded }) => value && `${bounded ? '≥ ' : ''}${grouped(value)}`],
    ...(units.cpu
      ? [
          ['CPU × node:net', ({ cpuRatio }) => times(cpuRatio)],
          [units.cpu, ({ cpu }) => digits(cpu)],
        ]
      : []),
    ...(timed
      ? [
          ['p50 µs', ({ p50 }) => digits(p50)],
          ['p99 µs', ({ p99 }) => digits(p99)],
          ['p99.9 µs', ({ p999 }) => digits(p999)],
          ['max µs', ({ max }) => digits(max)],
        ]
      : []),
  ]
  const rows = [
    columns.map(([head]) => head),
    ...peers.map(peer => columns.map(([, cell]) => cell(peer) || '–')),
  ]
  const widths = columns.map((_, column) => Math.max(...rows.map(row => row[column].length)))
  const goal =
    target === undefined
      ? ''
      : `   target ${unit === 'memory' ? '≤' : '≥'} ${target}${verdict ? `: ${verdict.toUpperCase()}${disturbed > DISTURBED ? ', roughly' : ''}` : ''}`
  const lines = [
    `${title}${kind === 'memory' ? ' (lower is better)' : ''}${goal}`,
    ...rows.map(row =>
      `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  ')}`.trimEnd(),
    ),
    ...peers
      .filter(({ bounded }) => bounded)
      .map(({ peer }) => `  ≥: the load generator's core was full before that of ${peer}`),
    ...(disturbed > DISTURBED
      ? [`  other processes took up to ${Math.round(disturbed * 100)} % of a core meanwhile: repeat this`]
      : []),
    ...peers.filter(({ failure }) => failure).map(({ peer, failure }) => `  ${peer} failed: ${failure}`),
  ]
  return lines.join('\n')
}

const times = ratio => (ratio === undefined ? '' : ratio.toFixed(ratio >= 10 ? 1 : 2))
const grouped = value => Math.round(value).toLocaleString('en').replaceAll(',', ' ')

function digits(value) {
  if (value === undefined) return ''
  return value >= 100 ? grouped(value) : value.toFixed(value >= 10 ? 1 : 2)
}
