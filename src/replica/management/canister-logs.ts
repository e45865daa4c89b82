import { ErrorCode, type Principal } from '../../model/index.ts';
import type { LogRecord } from '../../state/index.ts';
import type { ManagementHost } from './contract.ts';
import { type Arguments, decode, encode, given, principalOf, type WireRange } from './interface.ts';
import * as refusal from './refusal.ts';
import { mayView } from './settings.ts';

/** `fetch_canister_logs`, a query. @throws Refusal IC0301, IC0406 for whom the logs are not visible to */
export function fetchCanisterLogs(host: ManagementHost, caller: Principal, arg: Uint8Array): Uint8Array {
  const args = decode('fetch_canister_logs', arg);
  const id = principalOf(args.canister_id);
  const canister = host.state.canisters.get(id.key);
  if (canister === undefined) throw refusal.canisterNotFoundAtTheDoor(id);
  if (!mayView(canister, canister.settings.logVisibility, caller)) throw refusal.logsNotAllowed(caller);
  const wanted = filterOf(given(args.filter));
  return encode('fetch_canister_logs', {
    canister_log_records: canister.logs
      .filter(wanted)
      .map(({ index, time, content }) => ({ idx: index, timestamp_nanos: time, content })),
  });
}

type Filter = Arguments['fetch_canister_logs']['filter'][0];

function filterOf(filter: Filter): (record: LogRecord) => boolean {
  if (filter === undefined) return () => true;
  if ('by_idx' in filter) {
    const { start, end } = ordered(filter.by_idx, 'index');
    return ({ index }) => start <= index && index <= end;
  }
  const { start, end } = ordered(filter.by_timestamp_nanos, 'timestamp');
  return ({ time }) => start <= time && time <= end;
}

function ordered(range: WireRange, what: string): WireRange {
  if (range.start > range.end)
    throw new refusal.Refusal(ErrorCode.CanisterContractViolation, `Invalid ${what} range: start is greater than end`);
  return range;
}
