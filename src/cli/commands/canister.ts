import type { Principal } from '@icp-sdk/core/principal';
import { CanisterBook } from '../canister-book.ts';
import { usageError } from '../cli-error.ts';
import { type Command, type Invocation, NETWORK_OPTIONS } from '../command.ts';
import { NetworkClient } from '../network-client.ts';
import { table } from '../terminal.ts';

/** What `canister_status` replies (see management-canister.ts). */
interface StatusReply {
  readonly status: Readonly<Record<string, null>>;
  readonly version: bigint;
  readonly settings: {
    readonly controllers: readonly Principal[];
    readonly compute_allocation: bigint;
    readonly memory_allocation: bigint;
    readonly freezing_threshold: bigint;
  };
  readonly module_hash: readonly [] | readonly [Uint8Array];
  readonly memory_size: bigint;
  readonly cycles: bigint;
  readonly reserved_cycles: bigint;
  readonly idle_cycles_burned_per_day: bigint;
}

interface LogReply {
  readonly canister_log_records: readonly {
    readonly idx: bigint;
    readonly timestamp_nanos: bigint;
    readonly content: Uint8Array;
  }[];
}

export const list: Command = {
  usage: '',
  positionalsMin: 0,
  positionalsMax: 0,
  options: NETWORK_OPTIONS,
  examples: ['perdure canister list'],
  async run(invocation) {
    const network = await NetworkClient.connect(invocation);
    const entries = CanisterBook.open(network).entries();
    const canisters = await Promise.all(
      entries.map(async ([name, id]) => {
        const hash = await network.moduleHash(id);
        const state = hash !== undefined ? 'installed' : (await network.exists(id)) ? 'empty' : 'deleted';
        return { name, id: id.toText(), state, moduleHash: hash && hex(hash) };
      }),
    );
    const rows = canisters.map((each) => [each.name, each.id, each.state, each.moduleHash?.slice(0, 16) ?? '']);
    invocation.terminal.result(table(['NAME', 'ID', 'STATE', 'MODULE'], rows), canisters);
  },
};

export const status: Command = {
  ...one(),
  examples: ['perdure canister status counter'],
  async run(invocation) {
    const { network, id } = await target(invocation);
    const reply = (await network.manage('canister_status', id, { canister_id: id })) as StatusReply;
    const data = {
      id: id.toText(),
      status: Object.keys(reply.status)[0] ?? '',
      version: reply.version.toString(),
      controllers: reply.settings.controllers.map(String),
      moduleHash: reply.module_hash[0] && hex(reply.module_hash[0]),
      memoryBytes: reply.memory_size.toString(),
      cycles: reply.cycles.toString(),
      reservedCycles: reply.reserved_cycles.toString(),
      idleCyclesBurnedPerDay: reply.idle_cycles_burned_per_day.toString(),
      freezingThresholdSeconds: reply.settings.freezing_threshold.toString(),
      computeAllocation: reply.settings.compute_allocation.toString(),
      memoryAllocation: reply.settings.memory_allocation.toString(),
    };
    const rows = Object.entries(data).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(' ') : (value ?? 'none'),
    ]);
    invocation.terminal.result(table(['', ''], rows).trimStart(), data);
  },
};

export const logs: Command = {
  ...one(),
  examples: ['perdure canister logs counter'],
  async run(invocation) {
    const { network, id } = await target(invocation);
    const reply = (await network.manage('fetch_canister_logs', id, { canister_id: id })) as LogReply;
    const records = reply.canister_log_records.map((record) => ({
      index: record.idx.toString(),
      time: new Date(Number(record.timestamp_nanos / 1_000_000n)).toISOString(),
      text: Buffer.from(record.content).toString('utf8'),
    }));
    const lines = records.map((record) => `[${record.index}. ${record.time}] ${record.text}`);
    invocation.terminal.result(lines.join('\n'), records);
  },
};

export const stop: Command = simple('stop_canister', 'stopped', 'perdure canister stop counter');
export const restart: Command = simple('start_canister', 'running', 'perdure canister start counter');

export const remove: Command = {
  ...one(),
  options: { ...NETWORK_OPTIONS, yes: { type: 'boolean', short: 'y', help: 'yes, delete its state for good' } },
  examples: ['perdure canister stop counter && perdure canister delete counter --yes'],
  async run(invocation) {
    if (!invocation.flag('yes'))
      throw usageError('deleting a canister cannot be undone', 'add --yes if that is what you want');
    const { network, id, book } = await target(invocation);
    await network.manage('delete_canister', id, { canister_id: id });
    book.remove(id);
    invocation.terminal.result(`${id.toText()} is deleted`, { id: id.toText(), status: 'deleted' });
  },
};

function simple(method: string, after: string, example: string): Command {
  return {
    ...one(),
    examples: [example],
    async run(invocation) {
      const { network, id } = await target(invocation);
      await network.manage(method, id, { canister_id: id });
      invocation.terminal.result(`${id.toText()} is ${after}`, { id: id.toText(), status: after });
    },
  };
}

function one(): Pick<Command, 'usage' | 'positionalsMin' | 'positionalsMax' | 'options'> {
  return { usage: '<canister>', positionalsMin: 1, positionalsMax: 1, options: NETWORK_OPTIONS };
}

async function target(invocation: Invocation): Promise<{ network: NetworkClient; id: Principal; book: CanisterBook }> {
  const network = await NetworkClient.connect(invocation);
  const book = CanisterBook.open(network);
  return { network, book, id: book.resolve(invocation.positionals[0] ?? '') };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
