// Servers of ferronet/tls in cluster workers that accept from the primary's listening socket themselves (SCHED_NONE).

import cluster from 'node:cluster'
import { declare } from '../fixtures/cluster/tls.mjs'

cluster.schedulingPolicy = cluster.SCHED_NONE
declare('shared')
