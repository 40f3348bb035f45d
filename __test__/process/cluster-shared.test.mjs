// Servers in cluster workers that share the primary's listening sockets, each accepting by itself (SCHED_NONE).

import cluster from 'node:cluster'
import { declare } from '../fixtures/cluster/scenarios.mjs'

cluster.schedulingPolicy = cluster.SCHED_NONE
declare('shared')
