/** Unmodified official agents, present and older, against the real process. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Actor, AnonymousIdentity, Certificate, HttpAgent, lookupResultToBuffer } from '@icp-sdk/core/agent';
import type { IDL } from '@icp-sdk/core/candid';
import { DelegationChain, DelegationIdentity, ECDSAKeyIdentity, Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Secp256k1KeyIdentity } from '@icp-sdk/core/identity/secp256k1';
import type { Principal } from '@icp-sdk/core/principal';
import { decodedNumber, deployed, EMPTY_ARGUMENT, query, TALLY, update } from '../canisters/index.ts';
import { NetworkProcess } from '../network-process/index.ts';

let network: NetworkProcess;
let tally: Principal;
before(async () => {
  network = await NetworkProcess.start();
  tally = await deployed(network.agent(), TALLY);
});
after(async () => network[Symbol.asyncDispose]());

interface Tally {
  get(): Promise<bigint>;
  increment(): Promise<bigint>;
  set(value: bigint): Promise<void>;
}

const tallyInterface: IDL.InterfaceFactory = ({ IDL: idl }) =>
  idl.Service({
    get: idl.Func([], [idl.Nat64], ['query']),
    increment: idl.Func([], [idl.Nat64], []),
    set: idl.Func([idl.Nat64], [], []),
  });

test('an actor: updates with verified certificates, queries with verified signatures', async () => {
  const agent = await HttpAgent.create({ host: network.url, shouldFetchRootKey: true });
  const actor = Actor.createActor<Tally>(tallyInterface, { agent, canisterId: tally });
  await actor.set(41n);
  assert.equal(await actor.increment(), 42n);
  assert.equal(await actor.get(), 42n);
  await assert.rejects(actor.set(2n ** 64n), /Invalid nat64/);
});

test('every kind of key signs, and is who it says', async () => {
  const identities = [
    new AnonymousIdentity(),
    Ed25519KeyIdentity.generate(),
    await ECDSAKeyIdentity.generate(),
    Secp256k1KeyIdentity.generate(),
  ];
  for (const identity of identities) {
    const before = decodedNumber(await query(network.agent(identity), tally, 'get'));
    assert.equal(decodedNumber(await update(network.agent(identity), tally, 'increment')), before + 1n);
  }
});

test('delegations: within their targets and time, and not otherwise', async () => {
  const root = Ed25519KeyIdentity.generate();
  const middle = await ECDSAKeyIdentity.generate();
  const session = Ed25519KeyIdentity.generate();
  const soon = new Date(Date.now() + 3_600_000);
  const first = await DelegationChain.create(root, middle.getPublicKey(), soon);
  const chain = await DelegationChain.create(middle, session.getPublicKey(), soon, {
    previous: first,
    targets: [tally],
  });
  const agent = network.agent(DelegationIdentity.fromDelegation(session, chain));
  assert.equal((await agent.getPrincipal()).toText(), root.getPrincipal().toText());
  await update(agent, tally, 'increment');
  await query(agent, tally, 'get');

  const other = await deployed(network.agent(), TALLY);
  await assert.rejects(update(agent, other, 'increment'), /400/);
  const past = await DelegationChain.create(root, session.getPublicKey(), new Date(Date.now() - 1_000));
  await assert.rejects(update(network.agent(DelegationIdentity.fromDelegation(session, past)), tally, 'increment'));
});

test('an asynchronous call is polled to its certified reply', async () => {
  const agent = network.agent();
  const before = decodedNumber(await query(agent, tally, 'get'));
  const submitted = await agent.call(tally, { methodName: 'increment', arg: EMPTY_ARGUMENT, callSync: false });
  assert.equal(submitted.response.status, 202);
  const { pollForResponse } = await import('@icp-sdk/core/agent').then((module) => module.polling);
  const { reply } = await pollForResponse(agent, { canisterId: tally }, submitted.requestId);
  assert.equal(decodedNumber(reply), before + 1n);
});

test('read_state: a certificate with what was asked for, pruned of the rest', async () => {
  const agent = network.agent();
  const path = ['canister', tally.toUint8Array(), 'module_hash'].map((label) =>
    typeof label === 'string' ? new TextEncoder().encode(label) : label,
  );
  const { certificate } = await agent.readState({ canisterId: tally }, { paths: [path] });
  const verified = await Certificate.create({
    certificate,
    rootKey: Uint8Array.from(Buffer.from(network.ready.rootKey, 'hex')),
    principal: { canisterId: tally },
  });
  const found = lookupResultToBuffer(verified.lookup_path(path));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', TALLY));
  assert.deepEqual(found && Uint8Array.from(found), digest);
  // The client compares labels byte by byte and takes any greater byte for a greater label, which makes it misjudge
  // some neighbours; this is the label that its own end-to-end tests ask for.
  assert.equal(verified.lookup_path([new TextEncoder().encode('Time')]).status, 'Unknown');
  const time = verified.lookup_path([new TextEncoder().encode('time')]);
  assert.equal(time.status, 'Found');
});

test('rejects carry their codes: unknown method, trap, unknown canister', async () => {
  const agent = network.agent();
  await assert.rejects(update(agent, tally, 'missing'), /IC0536/);
  await assert.rejects(
    update(agent, tally, 'set', EMPTY_ARGUMENT),
    /IC0503[\s\S]*set takes one nat64|set takes one nat64[\s\S]*IC0503/,
  );
  await assert.rejects(query(agent, tally, 'missing'), /IC0536/);
});

test('the older official agent works too', async () => {
  // Its packages live in a workspace of their own, beside other versions of their own dependencies.
  const legacy = new URL('../legacy-agent/', import.meta.url);
  const load = async (name: string): Promise<Record<string, never>> => {
    const { createRequire } = await import('node:module');
    return createRequire(legacy).call(undefined, name) as Record<string, never>;
  };
  const agents = (await load('@dfinity/agent')) as unknown as typeof import('@icp-sdk/core/agent');
  const identities = (await load('@dfinity/identity')) as unknown as typeof import('@icp-sdk/core/identity');
  const agent = await agents.HttpAgent.create({
    host: network.url,
    shouldFetchRootKey: true,
    identity: identities.Ed25519KeyIdentity.generate(),
  });
  const { IDL: idl } = (await load('@dfinity/candid')) as unknown as typeof import('@icp-sdk/core/candid');
  const factory: IDL.InterfaceFactory = () =>
    idl.Service({
      get: idl.Func([], [idl.Nat64], ['query']),
      increment: idl.Func([], [idl.Nat64], []),
    }) as unknown as IDL.ServiceClass;
  const actor = agents.Actor.createActor<Tally>(factory, { agent, canisterId: tally.toText() });
  const before = await actor.get();
  assert.equal(await actor.increment(), before + 1n);
  assert.equal(await actor.get(), before + 1n);
});
