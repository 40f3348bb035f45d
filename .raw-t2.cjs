const { performance } = require('perf_hooks')
const M = require('module')
const step = (n, f) => { const t = performance.now(); f(); console.log(n, (performance.now() - t).toFixed(2)) }
step('instances', () => require('./dist/lib/instances.js'))
step('inherit', () => require('./dist/lib/register-inherit.js'))
step('redirect', () => require('./dist/lib/register-redirect.js'))
step('register', () => require('./dist/lib/register.js'))
step('inherit()', () => require('./dist/lib/register-inherit.js').inherit())
step('redirect()', () => require('./dist/lib/register-redirect.js').redirect())
