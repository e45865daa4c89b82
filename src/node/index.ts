/**
 * The process of a node: the one place where everything is put together, started and stopped in order.
 *
 * `openNode` takes plain options, opens the state directory (or none), runs what the input log asks for again, and wires
 * sandbox, replica, consensus and gateway; each of them gets what it needs handed in and knows nothing of the others.
 * What it adds of its own: keys, the genesis of a new network, the thread that signs state roots, the log on stderr, and
 * errors that say what to do.
 *
 * Limits: one subnet, one node, its own root. Several subnets and replicated ones join with `network` and
 * `consensus/cometbft`.
 */
export { Log, type LogLevel } from './log.ts';
export { NodeError, type NodeErrorCode } from './node-error.ts';
export { type NodeOptions, openNode, type PerdureNode } from './perdure-node.ts';
export type { SigningPlace } from './subnet-signer.ts';
