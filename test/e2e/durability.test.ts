/**
 * No reply leaves before its batch is durable, seen from outside: the system calls of the real process. (A killed process
 * loses nothing that it wrote, synced or not, so that kills cannot show this.)
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { deployed, EMPTY_ARGUMENT, TALLY } from '../canisters/index.ts';
import { NetworkProcess } from '../network-process/index.ts';
import { canTrace, parseTrace, type SystemCall, traced } from '../system-calls/index.ts';

const UPDATES = 30;
/** Header of a record, the fixed part of a batch and the id of its first message (docs/internals/data-layout.md, 3). */
const SHOWN_BYTES = 32 + 53 + 32;

/** What is wrong with the order of calls for these requests, sent one after the other; empty: nothing. */
function violations(calls: readonly SystemCall[], requestIds: readonly string[]): string[] {
  const logWrites = calls.filter(({ name, target }) => name === 'pwrite64' && /\/log\/\d+\.log$/.test(target));
  const syncs = calls.filter(({ name, result }) => (name === 'fdatasync' || name === 'fsync') && result === 0);
  const replies = calls.filter(({ data }) => data.subarray(0, 8).toString('latin1') === 'HTTP/1.1');
  const records = requestIds.map((id) => logWrites.find(({ data }) => data.toString('hex').includes(id)));
  return requestIds.flatMap((id, index) => {
    const record = records[index];
    if (record === undefined) return [`${id}: no record in the log`];
    const until = records[index + 1]?.begin ?? Number.POSITIVE_INFINITY;
    const [reply, ...more] = replies.filter(({ begin }) => begin > record.begin && begin < until);
    if (reply === undefined || more.length > 0) return [`${id}: not one reply between its record and the next one`];
    const covered = syncs.some(
      ({ target, begin, end }) => target === record.target && begin > record.end && end < reply.begin,
    );
    return covered ? [] : [`${id}: no sync of ${record.target} covers its record before the reply`];
  });
}

test('the judge of the order of system calls notices each way to be wrong', () => {
  const id = 'ab'.repeat(4);
  const write = `7  pwrite64(20</s/log/000000000001.log>, "${'\\xab'.repeat(4)}", 4, 64) = 4`;
  const begin = '8  fdatasync(20</s/log/000000000001.log> <unfinished ...>';
  const end = '8  <... fdatasync resumed>) = 0';
  const reply = '7  write(23<socket:[5]>, "\\x48\\x54\\x54\\x50\\x2f\\x31\\x2e\\x31\\x20"..., 400) = 400';
  const other = '8  fdatasync(21</s/log/000000000002.log>) = 0';
  const judge = (...lines: string[]): number => violations(parseTrace(lines.join('\n')), [id]).length;
  assert.equal(judge(write, begin, end, reply), 0);
  assert.equal(judge(write, begin, reply, end), 1, 'the sync was not over');
  assert.equal(judge(begin, write, end, reply), 1, 'the sync had begun before the record was written');
  assert.equal(judge(write, reply), 1, 'no sync at all');
  assert.equal(judge(write, other, reply), 1, 'a sync of another file');
  assert.equal(judge(write, '8  fdatasync(20</s/log/000000000001.log>) = -1 EIO (error)', reply), 1, 'it failed');
  assert.equal(judge(reply, write, begin, end), 1, 'the reply came first');
  assert.equal(judge(begin, end, reply), 1, 'no record');
});

test(`${UPDATES} of ${UPDATES} replies leave after a sync that covers their record`, async (t) => {
  if (!canTrace()) {
    // .ci/run installs strace and sets this, so that the gap cannot hide there.
    assert.equal(process.env['PERDURE_STRACE'], undefined, 'strace is missing');
    t.diagnostic(
      'NOT PROVEN HERE: strace is missing, or may not trace; install it to prove that syncs precede replies',
    );
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'perdure-strace-'));
  const trace = path.join(folder, 'trace');
  const requestIds: string[] = [];
  {
    const calls = ['pwrite64', 'pwritev', 'write', 'writev', 'sendto', 'sendmsg', 'fdatasync', 'fsync'];
    await using network = await NetworkProcess.start({ under: traced(calls, trace, SHOWN_BYTES) });
    const agent = network.agent();
    const tally = await deployed(agent, TALLY);
    for (let update = 0; update < UPDATES; update++) {
      const { requestId, response } = await agent.call(tally, { methodName: 'increment', arg: EMPTY_ARGUMENT });
      assert.equal(response.status, 200, 'answered at once, with a certificate');
      requestIds.push(Buffer.from(requestId).toString('hex'));
    }
    await network.stop();
  }
  assert.equal(new Set(requestIds).size, UPDATES);
  assert.deepEqual(violations(parseTrace(readFileSync(trace, 'latin1')), requestIds), []);
  rmSync(folder, { recursive: true });
});
