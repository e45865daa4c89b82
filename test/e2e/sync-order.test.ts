/**
 * An answer leaves after the disk has it: in 30 of 30 updates an fdatasync of the input log that began after the batch
 * was written ends before the answer is written to the socket. Seen from outside with strace; where that is not
 * installed, by the node's own count of syncs.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { deployed, EMPTY_ARGUMENT, TALLY } from '../canisters/index.ts';
import { NetworkProcess } from '../network-process/index.ts';

const UPDATES = 30;
const trusting = (): Promise<boolean> => Promise.resolve(true);

/** A system call that has ended: when it began and ended, in seconds. */
interface SystemCall {
  readonly name: string;
  readonly text: string;
  readonly begin: number;
  readonly end: number;
}

test('an answer leaves after the disk has it', async (t) => {
  if (spawnSync('strace', ['-V']).status !== 0) {
    t.diagnostic('strace is not installed: the syncs are counted by the node itself');
    await countedByTheNode();
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'perdure-strace-'));
  const trace = path.join(folder, 'trace');
  const calls = 'trace=pwrite64,write,writev,fdatasync,fsync';
  try {
    const under = ['strace', '-f', '-ttt', '-T', '-y', '-s', '64', '-e', calls, '-o', trace];
    const network = await NetworkProcess.start({ under, stateDir: path.join(folder, 'state') });
    try {
      const agent = network.agent();
      const tally = await deployed(agent, TALLY);
      for (let n = 0; n < UPDATES; n++)
        await agent.update(tally, { methodName: 'increment', arg: EMPTY_ARGUMENT }, { blsVerify: trusting });
      await network.stop();
    } finally {
      await network[Symbol.asyncDispose]();
    }
    const events = systemCalls(readFileSync(trace, 'utf8'));
    const answers = events.filter(
      (each) => /^writev?$/.test(each.name) && /<(TCP|socket)/.test(each.text) && each.text.includes('HTTP/1.1 200'),
    );
    const updates = answers.slice(-UPDATES);
    assert.equal(updates.length, UPDATES);
    for (const [index, answer] of updates.entries()) {
      const before = answers[answers.length - UPDATES + index - 1];
      const since = before?.end ?? 0;
      const written = events.find(
        (each) =>
          each.name === 'pwrite64' && each.text.includes('/log/') && each.begin >= since && each.end <= answer.begin,
      );
      assert.ok(written !== undefined, `no batch was written for update ${index}`);
      const synced = events.find(
        (each) =>
          each.name === 'fdatasync' &&
          each.text.includes('/log/') &&
          each.begin >= written.end &&
          each.end <= answer.begin,
      );
      assert.ok(synced !== undefined, `update ${index} was answered before its batch was on disk`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

async function countedByTheNode(): Promise<void> {
  await using network = await NetworkProcess.start();
  const agent = network.agent();
  const tally = await deployed(agent, TALLY);
  const syncs = async (): Promise<number> => {
    const metrics = await (await fetch(`${network.url}/metrics`)).text();
    return Number(/^perdure_log_syncs_total (\d+)/m.exec(metrics)?.[1]);
  };
  for (let n = 0; n < UPDATES; n++) {
    const before = await syncs();
    await agent.update(tally, { methodName: 'increment', arg: EMPTY_ARGUMENT }, { blsVerify: trusting });
    assert.ok((await syncs()) > before);
  }
}

/** Puts the halves of interrupted lines together: `… <unfinished ...>` and `<... name resumed>`. */
function systemCalls(trace: string): SystemCall[] {
  const open = new Map<string, { readonly begin: number; readonly text: string }>();
  const calls: SystemCall[] = [];
  for (const line of trace.split('\n')) {
    const match = /^(\d+) +([\d.]+) (?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$/.exec(line);
    if (match === null) continue;
    const [, thread = '', time = '', resumed, started, rest = ''] = match;
    const name = resumed ?? started ?? '';
    const key = `${thread} ${name}`;
    if (rest.endsWith('<unfinished ...>')) {
      open.set(key, { begin: Number(time), text: rest });
      continue;
    }
    const duration = Number(/<([\d.]+)>$/.exec(rest)?.[1] ?? 0);
    const first = resumed === undefined ? undefined : open.get(key);
    const begin = first?.begin ?? Number(time);
    // A resumed line carries the time of its end; a whole line that of its beginning.
    const end = first === undefined ? begin + duration : Number(time);
    calls.push({ name, text: `${first?.text ?? ''}${rest}`, begin, end });
  }
  return calls.sort((a, b) => a.begin - b.begin);
}
