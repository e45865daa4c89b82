import { sha256, utf8 } from '../../codec/index.ts';
import type { Principal } from '../../model/index.ts';
import type { Task } from './canister-record.ts';
import type { ManagementHost, ManagementOutcome } from './contract.ts';
import { decode, encode, principalOf, wireOf } from './interface.ts';
import { reply } from './outcome.ts';
import * as refusal from './refusal.ts';

/** What can be asked of the subnet itself. */

/** What a waiting `raw_rand` remembers: the round whose randomness was already known when it came. */
interface RandomProgress {
  readonly kind: 'raw_rand';
  readonly height: number;
}

/** 32 bytes that nobody knew when the call was made: from the seed of a later batch, another for each call. */
export function rawRand({ call, host }: Task): ManagementOutcome {
  const progress = call.progress as RandomProgress | undefined;
  if (progress === undefined) call.progress = { kind: 'raw_rand', height: host.state.height } satisfies RandomProgress;
  if (progress === undefined || progress.height >= host.state.height) return { kind: 'pending', wakeAt: 0n };
  const own = new Uint8Array(8);
  new DataView(own.buffer).setBigUint64(0, call.id);
  return reply(encode('raw_rand', sha256(utf8('perdure raw_rand'), host.state.randomness, own)));
}

/** One entry: what the nodes have done until now. A subnet of one node proposes every block itself. */
export function nodeMetricsHistory({ call, host }: Task): Uint8Array {
  const args = decode('node_metrics_history', call.arg);
  requireOwnSubnet(host, principalOf(args.subnet_id));
  const { state } = host;
  if (args.start_at_timestamp_nanos > state.time) return encode('node_metrics_history', []);
  const { nodes } = state.network;
  return encode('node_metrics_history', [
    {
      timestamp_nanos: state.time,
      node_metrics: nodes.map(({ nodeId }) => ({
        node_id: wireOf(nodeId),
        num_blocks_proposed_total: nodes.length === 1 ? BigInt(state.height) : 0n,
        num_block_failures_total: 0n,
      })),
    },
  ]);
}

export function subnetInfo({ call, host }: Task): Uint8Array {
  requireOwnSubnet(host, principalOf(decode('subnet', call.arg).subnet_id));
  return encode('subnet_info', {
    replica_version: `perdure-protocol-${host.state.protocolVersion}`,
    registry_version: BigInt(host.state.registryVersion),
  });
}

export function subnetMetrics({ call, host }: Task): Uint8Array {
  requireOwnSubnet(host, principalOf(decode('subnet', call.arg).subnet_id));
  const { state } = host;
  return encode('subnet_metrics', {
    block_height: BigInt(state.height),
    num_canisters: BigInt(state.canisters.size),
    canister_state_bytes: host.subnetMemoryUse(),
    consumed_cycles_total: state.cyclesBurned,
    update_transactions_total: state.executedMessages ?? 0n,
  });
}

function requireOwnSubnet(host: ManagementHost, subnetId: Principal): void {
  const own = host.state.network.subnetId;
  if (!subnetId.equals(own)) throw refusal.wrongSubnet(subnetId, own);
}
