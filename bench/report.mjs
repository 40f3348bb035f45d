// Turns rounds into a verdict: medians, ratios, tables. Ratios come first, because an absolute figure mostly
// describes the machine and a ratio within one run describes the peer.

export function median(values) {
  const sorted = values.filter(value => value !== undefined).sort((a, b) => a - b)
  if (sorted.length === 0) return undefined
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * `rounds[i]` maps a peer's name to its result in round i; `base` is the one that the others are compared with.
 * `oneCore`: both ends shared one core.
 */
export function summarize(scenario, base, names, rounds, failures, oneCore = false) {
  const of = (name, key) => rounds.map(round => round[name]?.[key])
  // A round compares runs that are close in time, so we take the median of their ratios, not of their figures.
  const ratios = (name, other, key = 'value') =>
    rounds
      .filter(round => round[name]?.[key] !== undefined && round[other]?.[key] !== undefined)
      .map(round => round[name][key] / round[other][key])

  const peers = names.map(name => {
    const against = ratios(name, base)
    return {
      peer: name,
      ratio: median(against),
      ratioRange: against.length > 0 ? [Math.min(...against), Math.max(...against)] : undefined,
      floorRatio: median(ratios(name, 'floor')),
      cpuRatio: median(ratios(name, base, 'cpu')),
      uploadRatio: median(ratios(name, base, 'upload')),
      p50Ratio: median(ratios(name, base, 'p50')),
      p99Ratio: median(ratios(name, base, 'p99')),
      p999Ratio: median(ratios(name, base, 'p999')),
      value: median(of(name, 'value')),
      upload: median(of(name, 'upload')),
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
  const { name, title, unit, kind } = scenario
  const goals = judge(scenario, peers, oneCore)
  const disturbed = Math.max(
    0,
    ...rounds.flatMap(round => Object.values(round).map(shown => shown.disturbed ?? 0)),
  )
  return { name, title, unit, kind, base, goals, disturbed, peers }
}

/** We warn if other processes used more than this share of a round. */
export const DISTURBED = 0.05

/** The scenario's targets, and whether ferronet's default driver met them. */
function judge({ unit, targets = {} }, peers, oneCore) {
  const ferronet = peers.find(({ peer }) => peer === 'ferronet')
  return goals(unit, targets, oneCore).map(goal => {
    const ratio = ferronet?.[RATIOS[goal.of]]
    if (ratio === undefined) return goal
    const met = goal.lower ? ratio <= goal.target : ratio >= goal.target
    return { ...goal, verdict: met ? 'met' : 'missed' }
  })
}

/**
 * On a shared core, throughput and latency describe both ends together. So we judge the peer's own CPU time
 * per MB, against the reciprocal of the target for throughput.
 */
function goals(unit, targets, oneCore) {
  if (oneCore && unit !== 'memory') {
    return unit === 'bytes' && targets.value ? [{ of: 'cpu', target: 1 / targets.value, lower: true }] : []
  }
  return Object.entries(targets).map(([of, target]) => ({
    of,
    target,
    lower: of === 'value' ? unit === 'memory' : of !== 'upload',
  }))
}

/** The ratio in a peer's summary that a target applies to. */
export const RATIOS = {
  value: 'ratio',
  upload: 'uploadRatio',
  cpu: 'cpuRatio',
  p50: 'p50Ratio',
  p99: 'p99Ratio',
  p999: 'p999Ratio',
}

const LABELS = { value: '', upload: 'upload', cpu: 'CPU', p50: 'p50', p99: 'p99', p999: 'p99.9' }

/** The name of a target in a list of targets. */
export const label = ({ of }) => LABELS[of]

const UNITS = {
  ops: { value: 'requests/s', cpu: 'CPU µs/req' },
  bytes: { value: 'MB/s', cpu: 'CPU µs/MB' },
  beside: { value: 'pings/s', cpu: 'CPU %' },
  memory: { value: 'bytes each' },
}

export function table(result) {
  const { title, unit, kind, base, goals, disturbed, peers } = result
  const units = UNITS[unit]
  const timed = peers.some(({ p50 }) => p50 !== undefined)
  const uploads = unit === 'beside'
  const columns = [
    ['', ({ peer }) => peer],
    [`× ${base}`, ({ ratio }) => times(ratio)],
    ['lowest–highest', ({ ratioRange }) => ratioRange?.map(times).join('–')],
    ...(uploads ? [['upload ×', ({ uploadRatio }) => times(uploadRatio)]] : []),
    ...(timed
      ? [
          ['p50 ×', ({ p50Ratio }) => times(p50Ratio)],
          ['p99 ×', ({ p99Ratio }) => times(p99Ratio)],
          ['p99.9 ×', ({ p999Ratio }) => times(p999Ratio)],
        ]
      : []),
    ...(units.cpu ? [['CPU ×', ({ cpuRatio }) => times(cpuRatio)]] : []),
    ...(peers.some(({ floorRatio }) => floorRatio !== undefined)
      ? [['× floor', ({ floorRatio }) => times(floorRatio)]]
      : []),
    [units.value, ({ value, bounded }) => value && `${bounded ? '≥ ' : ''}${grouped(value)}`],
    ...(uploads ? [['upload MB/s', ({ upload }) => digits(upload)]] : []),
    ...(units.cpu ? [[units.cpu, ({ cpu }) => digits(cpu)]] : []),
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
  const wanted = goals.map(goal => {
    const name = label(goal)
    const verdict = goal.verdict && `: ${goal.verdict.toUpperCase()}`
    return `${name && `${name} `}${goal.lower ? '≤' : '≥'} ${Number(goal.target.toFixed(2))}${verdict ?? ''}`
  })
  const rough = disturbed > DISTURBED && goals.some(({ verdict }) => verdict) ? ', roughly' : ''
  const lines = [
    `${title}${kind === 'memory' ? ' (lower is better)' : ''}${wanted.length > 0 ? `   target ${wanted.join(', ')}${rough}` : ''}`,
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
