const M = require('module'); const { performance } = require('perf_hooks')
const t = performance.now(); require('./dist/register.js'); const d = performance.now() - t
console.log(d.toFixed(2))
