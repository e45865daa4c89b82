import { textOf } from '../codec/index.ts';
import type { CanisterState } from '../state/index.ts';
import type { Round } from './round.ts';

/** Bytes that a record takes besides its content. */
const RECORD_BYTES = 20;

/** Appends a line; the oldest go when the canister's limit is passed (management canister, `fetch_canister_logs`). */
export function appendLog(round: Round, canister: CanisterState, content: Uint8Array): void {
  const limit = Number(canister.settings.logMemoryLimit);
  const room = Math.max(0, limit - RECORD_BYTES);
  const kept = content.length > room ? content.slice(0, room) : content;
  canister.logs.push({ index: canister.nextLogIndex, time: round.state.time, content: kept });
  canister.nextLogIndex += 1n;
  let bytes = 0;
  for (const record of canister.logs) bytes += record.content.length + RECORD_BYTES;
  while (bytes > limit) {
    const oldest = canister.logs.shift();
    if (oldest === undefined) break;
    bytes -= oldest.content.length + RECORD_BYTES;
  }
  round.touch(canister.id.key);
  round.logs.push({ canister: canister.id, text: textOf(content) ?? `(${content.length} bytes that are not text)` });
}
