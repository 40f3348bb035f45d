// See darwin.mjs.

import { darwin } from './darwin.mjs'

await darwin('darwin-arm64')
