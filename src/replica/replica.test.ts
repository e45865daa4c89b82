import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textOf, toHex, utf8 } from '../codec/index.ts';
import { type Batch, canisterIdFromNumber, type Ingress, MANAGEMENT_CANISTER, type Response } from '../model/index.ts';
import { type Script, ScriptedSandbox } from './scripted-sandbox.ts';
import { addCanister, cyclesIn, newState, SECOND, TestSubnet, USER } from './test-subnet.ts';

const FIRST = canisterIdFromNumber(0n);
const SECOND_CANISTER = canisterIdFromNumber(1n);

function text(response: Response | undefined): string {
  if (response === undefined) return 'no answer';
  if (response.kind === 'reply') return textOf(response.data) ?? 'bytes';
  const { rejectCode, message, errorCode } = response.reject;
  return `${rejectCode} ${errorCode}: ${message}`;
}

function batchOf(subnet: TestSubnet): Batch {
  const { height, time } = subnet.state;
  return {
    height: height + 1,
    protocolVersion: 1,
    registryVersion: 1,
    time: time + SECOND,
    randomness: new Uint8Array(32),
    checkpoint: false,
    ingress: [],
    operatorDecisions: [],
  };
}

const forward: NonNullable<Script['callbacks']> = {
  ok: (api) => api.reply(`R:${textOf(api.arg)} refunded ${api.environment.cyclesRefunded}`),
  no: (api) => api.reply(`X:${api.rejectCode} ${api.rejectMessage} refunded ${api.environment.cyclesRefunded}`),
};

/** A subnet with one canister per script, and the check that no cycle is lost after each round. */
function subnetOf(scripts: readonly Script[], options: ConstructorParameters<typeof TestSubnet>[2] = {}): TestSubnet {
  const named = Object.fromEntries(scripts.map((script, i) => [`script ${i}`, script]));
  const state = newState();
  for (const name of Object.keys(named)) addCanister(state, name);
  const subnet = new TestSubnet(state, new ScriptedSandbox(named), options);
  const execute = subnet.round.bind(subnet);
  subnet.round = async (...args) => {
    const outcome = await execute(...args);
    assert.equal(cyclesIn(subnet.state), subnet.state.cyclesMinted - subnet.state.cyclesBurned, 'cycles are conserved');
    return outcome;
  };
  return subnet;
}

test('an update changes the state, a trap leaves nothing, both are paid for', async () => {
  const subnet = subnetOf([
    {
      update: {
        inc: (api) => {
          api.json = Number(api.json ?? 0) + 1;
          api.reply(String(api.json));
        },
        bad: (api) => {
          api.json = 99;
          api.trap('boom');
        },
        silent: () => undefined,
        refuse: (api) => api.reject('no, thank you'),
      },
      query: { get: (api) => api.reply(String(api.json)) },
    },
  ]);
  assert.equal(text(await subnet.call(subnet.message(FIRST, 'inc'))), '1');
  assert.equal(text(await subnet.call(subnet.message(FIRST, 'inc'))), '2');
  assert.match(
    text(await subnet.call(subnet.message(FIRST, 'bad'))),
    /^5 IC0503: Error from Canister rwlgt-iiaaa-aaaaa-aaaaa-cai: Canister called `ic0.trap` with message: 'boom'$/,
  );
  assert.match(
    text(await subnet.call(subnet.message(FIRST, 'silent'))),
    /^5 IC0506: Canister .* did not reply to the call$/,
  );
  assert.equal(text(await subnet.call(subnet.message(FIRST, 'refuse'))), '4 IC0406: no, thank you');
  assert.match(
    text(await subnet.call(subnet.message(FIRST, 'nothing'))),
    /^5 IC0536: .*Canister has no update method 'nothing'/,
  );
  assert.equal(text(await subnet.call(subnet.message(FIRST, 'get'))), '2', 'a query method called as an update');
  const query = await subnet.replica.query({
    sender: USER,
    canisterId: FIRST,
    effectiveCanisterId: FIRST,
    method: 'get',
    arg: new Uint8Array(0),
  });
  assert.equal(text(query.response), '2');
  assert.equal(query.height, subnet.state.height);
  assert.equal(textOf(subnet.state.canisters.get(FIRST.key)?.logs[0]?.content ?? utf8('')), '[TRAP]: boom');
});

test('a message is taken once, expired and unknown ones are not run', async () => {
  let runs = 0;
  const subnet = subnetOf([
    {
      update: {
        run: (api) => {
          runs += 1;
          api.reply();
        },
      },
    },
  ]);
  const message = subnet.message(FIRST, 'run');
  await subnet.round([message, message]);
  await subnet.round([message]);
  assert.equal(runs, 1);
  await subnet.round([{ ...subnet.message(FIRST, 'run'), ingressExpiry: subnet.state.time }]);
  assert.equal(runs, 1);
  const lost = subnet.message(canisterIdFromNumber(77n), 'run');
  assert.match(text(await subnet.call(lost)), /^3 IC0301: Canister .* not found$/);
  const before = subnet.state.ingressHistory.size;
  await subnet.round([], 1_000n * SECOND);
  await subnet.round([], SECOND);
  assert.equal(before, 2);
  assert.equal(subnet.state.ingressHistory.size, 0, 'answers are forgotten when their time is over');
});

test('when answers take too much room the oldest are reduced to done, after a restart too', async () => {
  const subnet = subnetOf([{ update: { big: (api) => api.reply(new Uint8Array(1_000)) } }], {
    limits: { ingressHistoryBytes: 3_700 },
  });
  const messages = Array.from({ length: 6 }, () => subnet.message(FIRST, 'big'));
  const statuses = (): string =>
    messages.map(({ requestId }) => subnet.state.ingressHistory.get(toHex(requestId))?.status.status).join();
  for (const message of messages.slice(0, 4)) await subnet.call(message);
  assert.equal(statuses(), 'done,replied,replied,replied,,');
  await subnet.restart();
  for (const message of messages.slice(4)) await subnet.call(message);
  assert.equal(statuses(), 'done,done,done,replied,replied,replied');
  await subnet.round(messages);
  assert.equal(statuses(), 'done,done,done,replied,replied,replied', 'what was done is not done again');
});

test('calls: reply, reject, trap, missing method, missing canister, self, management', async () => {
  const caller = (method: string, callee = SECOND_CANISTER): Script['update'] => ({
    [`go ${method}`]: (api) => {
      assert.equal(api.call({ callee, method, arg: utf8('hello'), cycles: 1_000n, onReply: 'ok', onReject: 'no' }), 0);
    },
  });
  const subnet = subnetOf([
    {
      update: {
        ...caller('echo'),
        ...caller('some'),
        ...caller('refuse'),
        ...caller('trap'),
        ...caller('absent'),
        ...caller('lost', canisterIdFromNumber(99n)),
        ...caller('own', FIRST),
        ...caller('raw_rand', MANAGEMENT_CANISTER),
        ...caller('composite'),
        own: (api) => api.reply('mine'),
      },
      callbacks: forward,
    },
    {
      update: {
        echo: (api) => api.reply(api.arg),
        some: (api) => {
          api.accept(400n);
          api.reply('took');
        },
        refuse: (api) => {
          api.accept(300n);
          api.reject('callee says no');
        },
        trap: (api) => {
          api.accept(300n);
          api.trap('callee trapped');
        },
      },
      compositeQuery: { composite: (api) => api.reply() },
    },
  ]);
  const go = async (method: string): Promise<string> => text(await subnet.call(subnet.message(FIRST, `go ${method}`)));
  assert.equal(await go('echo'), 'R:hello refunded 1000');
  assert.equal(await go('some'), 'R:took refunded 600');
  assert.equal(await go('refuse'), 'X:4 callee says no refunded 700');
  assert.match(await go('trap'), /^X:5 IC0503: Error from Canister .*'callee trapped' refunded 1000$/);
  assert.match(await go('absent'), /^X:5 IC0536: Error from Canister .*absent.*refunded 1000$/s);
  assert.match(await go('lost'), /^X:3 Canister .* not found refunded 1000$/);
  assert.match(await go('composite'), /^X:5 IC0527: Composite query cannot be called in replicated mode/);
  assert.equal(await go('own'), 'R:mine refunded 1000');
  assert.match(await go('raw_rand'), /^R:.* refunded 1000$/s);
  for (const canister of subnet.state.canisters.values()) {
    assert.equal(canister.callContexts.size, 0);
    assert.equal(canister.callbacks.size, 0);
    assert.equal(canister.outstanding.size, 0);
  }
});

test('cleanup runs when a callback traps, and only then; its failure is told with the callback’s', async () => {
  const subnet = subnetOf([
    {
      update: {
        bad: (api) => {
          api.call({ callee: FIRST, method: 'own', onReply: 'trap', onReject: 'trap', onCleanup: 'clean' }, 5n);
        },
        worse: (api) => {
          api.call({ callee: FIRST, method: 'own', onReply: 'trap', onReject: 'trap', onCleanup: 'trap' });
        },
        good: (api) => {
          api.call({ callee: FIRST, method: 'own', onReply: 'ok', onReject: 'no', onCleanup: 'clean' });
        },
        own: (api) => api.reply('mine'),
      },
      callbacks: {
        ...forward,
        trap: (api) => {
          api.json = 'not kept';
          api.trap('in callback');
        },
        clean: (api) => {
          api.json = `cleaned ${api.callbackEnv}`;
        },
      },
      query: { get: (api) => api.reply(String(api.json)) },
    },
  ]);
  assert.match(text(await subnet.call(subnet.message(FIRST, 'good'))), /^R:mine/);
  assert.equal(text(await subnet.call(subnet.message(FIRST, 'get'))), 'undefined');
  assert.match(text(await subnet.call(subnet.message(FIRST, 'bad'))), /^5 IC0503: .*'in callback'$/);
  assert.equal(text(await subnet.call(subnet.message(FIRST, 'get'))), 'cleaned 5');
  assert.match(
    text(await subnet.call(subnet.message(FIRST, 'worse'))),
    /^5 IC0503: .*'in callback'\n\ncall_on_cleanup also failed:\n\n.*'in callback'$/,
  );
  assert.equal(subnet.state.canisters.get(FIRST.key)?.callContexts.size, 0);
});

test('a long message is paused, others run meanwhile, and a restart in the middle changes nothing', async () => {
  const scripts: Script[] = [
    {
      update: {
        long: (api) => {
          api.instructions = 95_000_000n;
          api.json = `${api.environment.time} ${api.environment.balance}`;
          api.reply(String(api.json));
        },
      },
    },
    { update: { quick: (api) => api.reply('quick') } },
  ];
  const hashes: string[][] = [];
  for (const restartAt of [undefined, 1, 3]) {
    const subnet = subnetOf(scripts);
    const long = subnet.message(FIRST, 'long');
    const seen: string[] = [];
    for (let i = 0; i < 6; i++) {
      if (i === restartAt) await subnet.restart();
      const quick = subnet.message(SECOND_CANISTER, 'quick');
      const outcome = await subnet.round(i === 0 ? [long, quick] : [quick]);
      assert.equal(text(subnet.response(quick)), 'quick');
      seen.push(Buffer.from(outcome.stateHash).toString('hex'));
      if (i < 3) assert.equal(subnet.response(long), undefined);
    }
    assert.match(text(subnet.response(long)), /^\d+ \d+$/);
    assert.equal((subnet.sandbox as ScriptedSandbox).livePauses, 0);
    hashes.push(seen);
  }
  assert.deepEqual(hashes[1], hashes[0]);
  assert.deepEqual(hashes[2], hashes[0]);
});

test('a timer fires once when it is due; the deadline says when', async () => {
  const subnet = subnetOf([
    {
      update: {
        set: (api) => {
          api.timer = api.environment.time + 5n * SECOND;
          api.reply();
        },
      },
      query: { get: (api) => api.reply(String(api.json ?? 0)) },
      hooks: {
        canister_global_timer: (api) => {
          api.json = Number(api.json ?? 0) + 1;
        },
      },
    },
  ]);
  const get = async (): Promise<string> => text(await subnet.call(subnet.message(FIRST, 'get')));
  assert.equal(subnet.replica.nextDeadline(), undefined);
  await subnet.call(subnet.message(FIRST, 'set'));
  const due = subnet.state.canisters.get(FIRST.key)?.globalTimer;
  assert.equal(subnet.replica.nextDeadline(), due);
  await subnet.round([], SECOND);
  assert.equal(await get(), '0');
  await subnet.round([], 5n * SECOND);
  assert.equal(await get(), '1');
  assert.equal(subnet.replica.nextDeadline(), undefined);
  await subnet.round([], 5n * SECOND);
  assert.equal(await get(), '1');
});

test('heartbeats come a second apart, do not survive a trap, and pause while the canister is stopped', async () => {
  const subnet = subnetOf([
    {
      query: { get: (api) => api.reply(String(api.json ?? 0)) },
      update: {
        arm: (api) => {
          api.json = -1;
          api.reply();
        },
      },
      hooks: {
        canister_heartbeat: (api) => {
          if (api.json === -1) api.trap();
          api.json = Number(api.json ?? 0) + 1;
        },
      },
    },
  ]);
  const management = (method: string) => ({
    ...subnet.message(MANAGEMENT_CANISTER, method, FIRST.bytes),
    effectiveCanisterId: FIRST,
  });
  const get = async (): Promise<string> => text(await subnet.call(subnet.message(FIRST, 'get')));
  await subnet.call(management('start'));
  await subnet.round([], 2n * SECOND);
  const first = Number(await get());
  assert.ok(first >= 1);
  assert.equal(subnet.replica.nextDeadline(), (subnet.state.canisters.get(FIRST.key)?.lastHeartbeat ?? 0n) + SECOND);
  for (let i = 0; i < 3; i++) await subnet.round([], SECOND);
  assert.equal(Number(await get()), first + 3);
  await subnet.restart();
  await subnet.round([], SECOND);
  assert.equal(Number(await get()), first + 4);
  await subnet.call(management('stop'));
  assert.equal(subnet.replica.nextDeadline(), undefined);
  for (let i = 0; i < 3; i++) await subnet.round([], SECOND);
  await subnet.call(management('start'));
  const resumed = Number(await get());
  assert.ok(resumed <= first + 5);
  await subnet.call(subnet.message(FIRST, 'arm'));
  await subnet.round([], SECOND);
  assert.equal(await get(), '-1');
});

test('a stopping canister finishes what it began, refuses the rest; then it is stopped', async () => {
  const subnet = subnetOf([
    {
      update: {
        wait: (api) => void api.call({ callee: SECOND_CANISTER, method: 'slow', onReply: 'ok', onReject: 'no' }),
        other: (api) => api.reply(),
      },
      callbacks: forward,
    },
    {
      update: {
        slow: (api) => {
          api.instructions = 60_000_000n;
          api.reply('done');
        },
      },
    },
  ]);
  const waiting = subnet.message(FIRST, 'wait');
  await subnet.round([waiting]);
  const stop = { ...subnet.message(MANAGEMENT_CANISTER, 'stop', FIRST.bytes), effectiveCanisterId: FIRST };
  await subnet.round([stop]);
  assert.equal(subnet.response(stop), undefined);
  const refused = subnet.message(FIRST, 'other');
  await subnet.round([refused]);
  assert.match(text(subnet.response(refused)), /^5 IC0509: Canister .* is stopping$/);
  while (subnet.replica.busy) await subnet.round();
  assert.match(text(subnet.response(waiting)), /^R:done/);
  assert.equal(subnet.response(stop)?.kind, 'reply');
  assert.equal(subnet.state.canisters.get(FIRST.key)?.status.kind, 'stopped');
  assert.match(text(await subnet.call(subnet.message(FIRST, 'other'))), /^5 IC0508: Canister .* is stopped$/);
});

test('a stop is answered in the round of the last open call, even when that uses up the round', async () => {
  const subnet = subnetOf(
    [
      {
        update: {
          wait: (api) => void api.call({ callee: SECOND_CANISTER, method: 'slow', onReply: 'late', onReject: 'no' }),
        },
        callbacks: {
          ...forward,
          late: (api) => {
            api.instructions = 9_000_000n;
            api.reply();
          },
        },
      },
      {
        update: {
          slow: (api) => {
            api.instructions = 9_000_000n;
            api.reply();
          },
        },
      },
    ],
    { limits: { roundInstructions: 9_000_000n } },
  );
  const stop = { ...subnet.message(MANAGEMENT_CANISTER, 'stop', FIRST.bytes), effectiveCanisterId: FIRST };
  const waiting = subnet.message(FIRST, 'wait');
  await subnet.round([waiting]);
  await subnet.round([stop]);
  while (subnet.replica.busy) await subnet.round();
  assert.equal(subnet.response(waiting)?.kind, 'reply');
  assert.equal(subnet.response(stop)?.kind, 'reply');
});

test('a management call comes between the long messages of a busy canister', async () => {
  const subnet = subnetOf([
    {
      update: {
        long: (api) => {
          api.instructions = 25_000_000n;
          api.reply();
        },
      },
    },
  ]);
  const queue = Array.from({ length: 10 }, () => subnet.message(FIRST, 'long'));
  await subnet.round(queue);
  const stop = { ...subnet.message(MANAGEMENT_CANISTER, 'stop', FIRST.bytes), effectiveCanisterId: FIRST };
  await subnet.round([stop]);
  for (let i = 0; i < 3; i++) await subnet.round();
  assert.equal(subnet.response(stop)?.kind, 'reply');
  while (subnet.replica.busy) await subnet.round();
  assert.match(text(subnet.response(queue[9] as Ingress)), /^5 IC0508: Canister .* is not running$/);
});

test('a host fault names height, canister and message, and ends the replica', async () => {
  const subnet = subnetOf([{ update: { run: (api) => api.reply() } }]);
  subnet.sandbox.execute = () => Promise.reject(new Error('out of address space'));
  const message = subnet.message(FIRST, 'run');
  await assert.rejects(subnet.replica.execute({ ...batchOf(subnet), ingress: [message] }), {
    name: 'HostFault',
    message: "height 1, canister rwlgt-iiaaa-aaaaa-aaaaa-cai, message 'run': out of address space",
  });
  await assert.rejects(subnet.round(), { name: 'HostFault' });
});

test('uninstalling rejects open calls at once and lets late responses pass without a callback', async () => {
  const subnet = subnetOf([
    {
      update: { go: (api) => void api.call({ callee: SECOND_CANISTER, method: 'mid', onReply: 'ok', onReject: 'no' }) },
      callbacks: forward,
    },
    {
      update: {
        mid: (api) =>
          void api.call({
            callee: canisterIdFromNumber(2n),
            method: 'slow',
            cycles: 9n,
            onReply: 'ok',
            onReject: 'no',
          }),
      },
      callbacks: forward,
    },
    {
      update: {
        slow: (api) => {
          api.instructions = 200_000_000n;
          api.reply();
        },
      },
    },
  ]);
  const going = subnet.message(FIRST, 'go');
  await subnet.round([going]);
  await subnet.round();
  await subnet.round([
    {
      ...subnet.message(MANAGEMENT_CANISTER, 'uninstall', SECOND_CANISTER.bytes),
      effectiveCanisterId: SECOND_CANISTER,
    },
  ]);
  assert.match(text(subnet.response(going)), /^X:4 Canister has been uninstalled/);
  while (subnet.replica.busy) await subnet.round();
  const middle = subnet.state.canisters.get(SECOND_CANISTER.key);
  assert.equal(middle?.callContexts.size, 0);
  assert.equal(middle?.callbacks.size, 0);
  assert.match(text(await subnet.call(subnet.message(SECOND_CANISTER, 'mid'))), /^5 IC0537: /);
});

test('a best-effort call is answered with SYS_UNKNOWN at its deadline, its late response only refunds', async () => {
  const subnet = subnetOf([
    {
      update: {
        go: (api) =>
          void api.call({
            callee: SECOND_CANISTER,
            method: 'slow',
            cycles: 50n,
            timeoutSeconds: 2,
            onReply: 'ok',
            onReject: 'no',
          }),
      },
      callbacks: forward,
    },
    {
      update: {
        slow: (api) => {
          api.instructions = 150_000_000n;
          api.reply('late');
        },
      },
    },
  ]);
  const going = subnet.message(FIRST, 'go');
  await subnet.round([going]);
  await subnet.round();
  assert.equal(subnet.response(going), undefined);
  const deadline = subnet.replica.nextDeadline();
  assert.ok(deadline !== undefined && deadline <= subnet.state.time + 2n * SECOND);
  await subnet.round([], 3n * SECOND);
  assert.equal(text(subnet.response(going)), 'X:6 Call deadline has expired. refunded 0');
  while (subnet.replica.busy) await subnet.round();
  assert.equal(subnet.state.canisters.get(FIRST.key)?.callbacks.size, 0);
});

test('composite queries call across canisters, see their own changes, and end at the depth limit', async () => {
  const subnet = subnetOf([
    {
      compositeQuery: {
        go: (api) => {
          api.json = 'changed';
          api.call({ callee: SECOND_CANISTER, method: 'echo', arg: utf8('x'), onReply: 'state', onReject: 'no' });
        },
        deep: (api) => void api.call({ callee: FIRST, method: 'deep', onReply: 'ok', onReject: 'no' }),
        bad: (api) => void api.call({ callee: SECOND_CANISTER, method: 'trap', onReply: 'ok', onReject: 'no' }),
        all: (api) => {
          for (let i = 0; i < 3; i++)
            api.call({
              callee: SECOND_CANISTER,
              method: 'echo',
              arg: utf8(String(i)),
              onReply: 'gather',
              onReject: 'no',
            });
        },
      },
      callbacks: {
        ...forward,
        state: (api) => api.reply(`${api.json} ${textOf(api.arg)}`),
        gather: (api) => {
          api.json = `${api.json ?? ''}${textOf(api.arg)}`;
          if (String(api.json).length === 3) api.reply(String(api.json));
        },
      },
      query: { get: (api) => api.reply(String(api.json)) },
    },
    { query: { echo: (api) => api.reply(api.arg), trap: (api) => api.trap('q') } },
  ]);
  const ask = async (method: string): Promise<string> => {
    const query = { sender: USER, canisterId: FIRST, effectiveCanisterId: FIRST, method, arg: new Uint8Array(0) };
    return text((await subnet.replica.query(query)).response);
  };
  assert.equal(await ask('go'), 'changed x');
  assert.equal(await ask('get'), 'undefined');
  assert.equal(await ask('all'), '012');
  assert.match(await ask('bad'), /^X:5 IC0503/);
  assert.match(await ask('deep'), /IC0525/);
  assert.match(await ask('absent'), /^5 IC0536: .*no query method 'absent'/);
});

test('rounds go on between the slices of a long query, which keeps what it saw', async () => {
  const answers: string[] = [];
  const subnet: TestSubnet = subnetOf(
    [
      {
        update: {
          inc: (api) => {
            api.json = Number(api.json ?? 0) + 1;
            api.reply();
          },
        },
        query: {
          long: (api) => {
            api.instructions = 35_000_000n;
            api.reply(String(api.json));
          },
          endless: (api) => {
            api.instructions = 1_000_000_000_000n;
          },
        },
      },
    ],
    {
      limits: { queryInstructions: 45_000_000n },
      letOthersRun: async () => {
        const message = subnet.message(FIRST, 'inc');
        await subnet.round([message]);
        answers.push(text(subnet.response(message)));
      },
    },
  );
  await subnet.call(subnet.message(FIRST, 'inc'));
  const { height } = subnet.state;
  const ask = (method: string) =>
    subnet.replica.query({
      sender: USER,
      canisterId: FIRST,
      effectiveCanisterId: FIRST,
      method,
      arg: new Uint8Array(0),
    });
  const outcome = await ask('long');
  assert.equal(text(outcome.response), '1');
  assert.equal(outcome.height, height + 3);
  assert.deepEqual(answers, ['', '', '']);
  assert.match(text((await ask('endless')).response), /^5 IC0522/);
  assert.equal((subnet.sandbox as ScriptedSandbox).livePauses, 0);
});

test('inspection decides what may enter', async () => {
  const subnet = subnetOf([
    {
      update: { yes: (api) => api.reply(), no: (api) => api.reply(), trap: (api) => api.reply() },
      hooks: {
        canister_inspect_message: (api) => {
          if (api.environment.caller.equals(USER)) api.messageAccepted = true;
        },
      },
    },
  ]);
  const message = subnet.message(FIRST, 'yes');
  assert.equal(await subnet.replica.inspectIngress(message), undefined);
  const stranger = { ...message, sender: MANAGEMENT_CANISTER };
  assert.equal((await subnet.replica.inspectIngress(stranger))?.code, 'IC0406');
  const lost = subnet.message(canisterIdFromNumber(50n), 'yes');
  assert.equal((await subnet.replica.inspectIngress(lost))?.code, 'IC0301');
});

test('a canister that cannot pay for its memory loses its code', async () => {
  const state = newState();
  const poor = addCanister(state, 'grow', 2_000_000n);
  poor.heap.resize(40_000);
  const subnet = new TestSubnet(state, new ScriptedSandbox({ grow: { update: { run: (api) => api.reply() } } }));
  assert.match(
    text(await subnet.call(subnet.message(poor.id, 'run'))),
    /^2 IC0207: Canister .* is out of cycles: please top up/,
  );
  const end = subnet.replica.nextDeadline();
  assert.ok(end !== undefined && end > state.time && end < state.time + 60n * SECOND, 'a round is asked for');
  await subnet.round([], 9n * SECOND);
  assert.notEqual(poor.code, undefined);
  await subnet.round([], end - state.time);
  assert.equal(subnet.replica.nextDeadline(), undefined);
  assert.equal(poor.code, undefined);
  assert.equal(poor.balance, 0n);
  assert.equal(cyclesIn(state), state.cyclesMinted - state.cyclesBurned);
});

test('an operator’s decision passes over a paused message', async () => {
  const subnet = subnetOf([
    {
      update: {
        long: (api) => {
          api.instructions = 900_000_000n;
          api.reply();
        },
        quick: (api) => api.reply('quick'),
      },
    },
  ]);
  const long = subnet.message(FIRST, 'long');
  await subnet.round([long]);
  await subnet.round([], SECOND, [{ kind: 'skip_message', canisterKey: FIRST.key, reason: 'the host cannot' }]);
  assert.match(text(subnet.response(long)), /^5 IC0521: .*the host cannot/);
  assert.equal(text(await subnet.call(subnet.message(FIRST, 'quick'))), 'quick');
});

test('the low-memory hook runs once when the remaining memory falls below the threshold', async () => {
  const state = newState();
  const canister = addCanister(state, 'watcher');
  canister.settings.wasmMemoryLimit = 100n * 65536n;
  canister.settings.wasmMemoryThreshold = 20n * 65536n;
  const subnet = new TestSubnet(
    state,
    new ScriptedSandbox({
      watcher: {
        update: {
          grow: (api) => {
            api.wasmPages = 90;
            api.reply();
          },
        },
        query: { get: (api) => api.reply(String(api.json ?? 0)) },
        hooks: {
          canister_on_low_wasm_memory: (api) => {
            api.json = Number(api.json ?? 0) + 1;
          },
        },
      },
    }),
  );
  assert.equal(text(await subnet.call(subnet.message(FIRST, 'get'))), '0');
  await subnet.call(subnet.message(FIRST, 'grow'));
  await subnet.call(subnet.message(FIRST, 'grow'));
  assert.equal(text(await subnet.call(subnet.message(FIRST, 'get'))), '1');
});
