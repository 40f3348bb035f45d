// Draws a run's results: one bar per peer and scenario, as a ratio to node:net, or in TLS to node:tls.
//
//   node bench/plot.mjs results.json plot.svg

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { DISTURBED, RATIOS } from './report.mjs'

/** Colours that colour-blind readers can tell apart too; the base itself is the line at 1. */
const COLOURS = {
  ferronet: '#d1495b',
  'ferronet:helper-thread': '#edae49',
  'ferronet:shared': '#8f2d56',
  'node:net+cork': '#7a9e9f',
  'node:tls+ferronet': '#7a9e9f',
  floor: '#30638e',
}
const OTHERS = ['#66a182', '#8d6a9f', '#a0a0a0']
const MEMORY = 'memory'
const BESIDE = 'beside'
/** A scenario with two kinds of work has one bar for each. */
const BOTH = { value: 'pings/s', upload: 'uploads’ MB/s', p50: 'p50 of the pings', p99: 'p99 of the pings' }

/** An SVG document, as text. */
export async function plot(report) {
  const { vega, vegaLite } = await libraries()
  // Without a canvas vega assumes 0.8 of the font size per letter, which makes the margins as wide as the plot.
  vega.textMetrics.width = (item, text) => `${text ?? item.text ?? ''}`.length * (item.fontSize ?? 11) * 0.58
  const { spec } = vegaLite.compile(chart(report))
  const view = new vega.View(vega.parse(spec), { renderer: 'none' })
  try {
    return await view.toSVG()
  } finally {
    view.finalize()
  }
}

export async function libraries() {
  try {
    const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')])
    return { vega, vegaLite }
  } catch (cause) {
    throw new Error('The plot is drawn by vega and vega-lite: run `npm install` first.', { cause })
  }
}

function chart({ machine, scenarios, rounds, seconds, date, oneCore }) {
  // Each scenario, or each side of it, is a row with its own bars and target.
  const rows = scenarios.flatMap(({ title, unit, base = 'node:net', peers, goals }) => {
    const others = peers.filter(({ peer }) => peer !== base)
    const row = (of, title) => ({ title, unit, of, peers: others, goal: goals.find(goal => goal.of === of) })
    if (unit !== BESIDE) return [row('value', title)]
    return Object.entries(BOTH).map(([of, what]) => row(of, `${title}: ${what}`))
  })
  const bars = rows.flatMap(({ title, unit, of, peers }) =>
    peers
      .map(({ peer, [RATIOS[of]]: ratio }) => ({ title, unit, of, peer, ratio }))
      .filter(({ ratio }) => ratio !== undefined)
      .map(bar => ({ ...bar, label: bar.ratio.toFixed(bar.ratio >= 10 ? 0 : 2) })),
  )
  const targets = rows
    .filter(({ title, goal }) => goal !== undefined && bars.some(bar => bar.title === title))
    .map(({ title, unit, of, goal: { target } }) => ({ title, unit, of, target }))
  const names = [...Object.keys(COLOURS), ...bars.map(({ peer }) => peer)].filter(
    (name, index, all) => all.indexOf(name) === index && bars.some(({ peer }) => peer === name),
  )
  const unknown = names.filter(name => !(name in COLOURS))
  const colours = names.map(name => COLOURS[name] ?? OTHERS[unknown.indexOf(name) % OTHERS.length])

  const bases = [...new Set(scenarios.map(({ base = 'node:net' }) => base))].join(' or ')

  // Two scales, because the gains from batching would make all other bars look the same.
  const far = new Set(bars.filter(({ ratio }) => ratio > 5).map(({ title }) => title))
  const alone = unit => unit !== MEMORY && unit !== BESIDE
  const timed = of => of === 'p50' || of === 'p99'
  const panels = [
    {
      keep: ({ title, unit }) => alone(unit) && !far.has(title),
      head: `Throughput ÷ throughput of ${bases}`,
    },
    {
      keep: ({ title, unit }) => alone(unit) && far.has(title),
      head: 'The same, where batching decides',
    },
    {
      keep: ({ unit, of }) => unit === BESIDE && !timed(of),
      head: `Small messages beside uploads: throughput of either ÷ that of ${bases}`,
    },
    {
      keep: ({ unit, of }) => unit === BESIDE && timed(of),
      head: `Small messages beside uploads: latency ÷ that of ${bases} (shorter is better)`,
    },
    { keep: ({ unit }) => unit === MEMORY, head: `Memory ÷ memory of ${bases} (shorter is better)` },
  ]
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    padding: 16,
    title: {
      text: `ferronet compared with ${bases} on Node ${machine.node}`,
      subtitle: [
        `Ratios within one run; ${bases} is the dashed line at 1. ${rounds === 1 ? 'One round' : `Medians of ${rounds} rounds`} of ${seconds} s, ${date}.`,
        `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}. Black marks: ferronet’s goals.`,
        ...(oneCore ? ['Both ends shared one core: the ratios are those of both together.'] : []),
        ...(scenarios.some(({ disturbed }) => disturbed > DISTURBED)
          ? ['Other work ran on this machine during the run: the ratios are rough.']
          : []),
      ],
      anchor: 'start',
      frame: 'bounds',
      fontSize: 18,
      subtitleFontSize: 12,
      subtitleColor: '#555',
      offset: 16,
    },
    vconcat: panels
      .map(({ keep, head }) => panel(head, bars.filter(keep), targets.filter(keep), names, colours))
      .filter(Boolean),
    spacing: 22,
    resolve: { scale: { color: 'shared', x: 'independent', y: 'independent', yOffset: 'independent' } },
    config: {
      font: 'Helvetica, Arial, sans-serif',
      view: { stroke: null },
      axis: { labelFontSize: 12, labelColor: '#222', grid: false },
    },
  }
}

function panel(head, bars, targets, names, colours) {
  if (bars.length === 0) return undefined
  const present = names.filter(name => bars.some(({ peer }) => peer === name))
  const edge = Math.max(1.1, ...bars.map(({ ratio }) => ratio), ...targets.map(({ target }) => target))
  const y = {
    field: 'title',
    type: 'nominal',
    sort: bars.map(({ title }) => title),
    title: null,
    axis: { ticks: false, domain: false, labelPadding: 10, labelLimit: 500 },
    scale: { paddingInner: 0.3, paddingOuter: 0.15 },
  }
  const yOffset = { field: 'peer', type: 'nominal', sort: present, scale: { domain: present } }
  const x = field => ({
    field,
    type: 'quantitative',
    title: null,
    scale: { domain: [0, edge * 1.06], nice: false },
    axis: { grid: true, gridColor: '#eee', tickCount: 8, domain: false },
  })
  const color = {
    field: 'peer',
    scale: { domain: names, range: colours },
    legend: {
      title: null,
      orient: 'top',
      labelFontSize: 13,
      labelLimit: 300,
      symbolType: 'square',
      offset: 8,
    },
  }
  return {
    width: 560,
    height: new Set(y.sort).size * (present.length * 14 + 16),
    title: { text: head, anchor: 'start', frame: 'group', fontSize: 13, offset: 8 },
    layer: [
      {
        data: { values: bars },
        mark: { type: 'bar', height: { band: 0.88 } },
        encoding: { y, yOffset, x: x('ratio'), color },
      },
      {
        data: { values: bars },
        mark: { type: 'text', align: 'left', baseline: 'middle', dx: 4, fontSize: 10.5, color: '#333' },
        encoding: { y, yOffset: { ...yOffset, bandPosition: 0.5 }, x: x('ratio'), text: { field: 'label' } },
      },
      {
        data: { values: [{ one: 1 }] },
        mark: { type: 'rule', color: '#777', strokeWidth: 1.2, strokeDash: [4, 3] },
        encoding: { x: x('one') },
      },
      {
        data: { values: targets },
        mark: { type: 'tick', orient: 'vertical', color: 'black', thickness: 2, height: { band: 1.1 } },
        encoding: { y, x: x('target') },
      },
    ],
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [from, to] = process.argv.slice(2)
  if (to === undefined) {
    console.error('usage: node bench/plot.mjs RESULTS.json PLOT.svg')
    process.exit(2)
  }
  writeFileSync(to, await plot(JSON.parse(readFileSync(from, 'utf8'))))
}
