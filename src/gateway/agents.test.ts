/** Unmodified official agents against the gateway, over sockets. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Actor, AnonymousIdentity, CanisterStatus, HttpAgent, polling } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { DelegationChain, DelegationIdentity, ECDSAKeyIdentity, Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Principal as ClientPrincipal } from '@icp-sdk/core/principal';
import * as legacy from '../../test/legacy-agent/index.ts';
import { utf8 } from '../codec/index.ts';
import { ErrorCode, Principal } from '../model/index.ts';
import type { Gateway } from './gateway.ts';
import { testGateway } from './test-gateway.ts';
import { TestSubnet } from './test-subnet.ts';

let subnet: TestSubnet;
let gateway: Gateway;
let host: string;
let canister: Principal;
let canisterId: ClientPrincipal;
const controller = Ed25519KeyIdentity.generate();

before(async () => {
  subnet = await TestSubnet.create();
  canister = subnet.addCanister(1n, {
    controllers: [Principal.fromBytes(controller.getPrincipal().toUint8Array())],
    sections: [{ name: 'candid:service', visibility: 'public', content: utf8('service : {}') }],
  });
  canisterId = ClientPrincipal.fromUint8Array(canister.bytes);
  gateway = await testGateway(subnet, { http });
  const { port } = await gateway.listen({ host: '127.0.0.1', port: 0 });
  host = `http://127.0.0.1:${port}`;
  subnet.execute = (ingress) =>
    ingress.methodName === 'fail'
      ? { kind: 'reject', reject: { rejectCode: 4, message: 'no!', errorCode: ErrorCode.CanisterRejectedMessage } }
      : { kind: 'reply', data: ingress.arg };
});

after(() => gateway.close(100));

const service: IDL.InterfaceFactory = ({ IDL: idl }) =>
  idl.Service({
    greet: idl.Func([idl.Text], [idl.Text], []),
    fail: idl.Func([idl.Text], [idl.Text], []),
    look: idl.Func([idl.Text], [idl.Text], ['query']),
  });

describe('@icp-sdk/core', () => {
  const agentOf = (identity: HttpAgent['config']['identity']): Promise<HttpAgent> =>
    HttpAgent.create({ host, shouldFetchRootKey: true, ...(identity === undefined ? {} : { identity }) });

  test('updates and queries through an actor, with certificates and node signatures verified', async () => {
    for (const identity of [controller, await ECDSAKeyIdentity.generate(), new AnonymousIdentity()]) {
      const agent = await agentOf(identity);
      const actor = Actor.createActor(service, { agent, canisterId });
      assert.equal(await actor['greet']?.('hello'), 'hello');
      assert.equal(await actor['look']?.('world'), 'world');
      await assert.rejects(async () => actor['fail']?.('x'), /no!/);
      assert.equal(
        subnet.executed.at(-1)?.sender.key,
        Principal.fromBytes((await agent.getPrincipal()).toUint8Array()).key,
      );
    }
  });

  test('delegations', async () => {
    const session = Ed25519KeyIdentity.generate();
    const chain = await DelegationChain.create(controller, session.getPublicKey(), new Date(Date.now() + 600_000), {
      targets: [canisterId],
    });
    const agent = await agentOf(DelegationIdentity.fromDelegation(session, chain));
    const actor = Actor.createActor(service, { agent, canisterId });
    assert.equal(await actor['greet']?.('for another'), 'for another');
    assert.equal(await actor['look']?.('for another'), 'for another');
    assert.equal(subnet.executed.at(-1)?.sender.toText(), controller.getPrincipal().toText());
  });

  test('asynchronous calls are polled to their outcome', async () => {
    const agent = await agentOf(controller);
    const arg = IDL.encode([IDL.Text], ['later']);
    const { requestId, response } = await agent.call(canisterId, { methodName: 'greet', arg, callSync: false });
    assert.equal(response.status, 202);
    const { reply } = await polling.pollForResponse(agent, { canisterId }, requestId);
    assert.deepEqual(IDL.decode([IDL.Text], reply), ['later']);
  });

  test('a synchronous call that times out is polled', async () => {
    subnet.automatic = false;
    const impatient = await testGateway(subnet, { http, limits: { callWaitMs: 30 } });
    const { port } = await impatient.listen({ host: '127.0.0.1', port: 0 });
    const agent = await HttpAgent.create({
      host: `http://127.0.0.1:${port}`,
      shouldFetchRootKey: true,
      identity: controller,
    });
    const actor = Actor.createActor(service, { agent, canisterId });
    const timer = setTimeout(() => subnet.round(), 200);
    assert.equal(await actor['greet']?.('slow'), 'slow');
    clearTimeout(timer);
    subnet.automatic = true;
    await impatient.close(100);
  });

  test('canister status: controllers, module hash, metadata, time, subnet', async () => {
    const agent = await agentOf(controller);
    const paths: CanisterStatus.Path[] = ['controllers', 'module_hash', 'time', 'candid', 'subnet'];
    const status = await CanisterStatus.request({ agent, canisterId, paths });
    const controllers = status.get('controllers') as ClientPrincipal[];
    assert.deepEqual(controllers.map(String), [controller.getPrincipal().toText()]);
    assert.equal(status.get('module_hash'), '01'.repeat(32));
    assert.equal(status.get('candid'), 'service : {}');
    assert.ok(Math.abs((status.get('time') as Date).getTime() - Date.now()) < 60_000);
    const known = status.get('subnet') as CanisterStatus.SubnetStatus;
    assert.equal(known.subnetId, subnet.subnetId.toText());
    assert.equal(known.nodeKeys.size, 1);
  });

  test('a client whose clock is wrong corrects it by the refusal', async () => {
    const agent = await agentOf(controller);
    subnet.clockOffsetMs = 3_600_000;
    subnet.round();
    const actor = Actor.createActor(service, { agent, canisterId });
    assert.equal(await actor['greet']?.('an hour later'), 'an hour later');
    subnet.clockOffsetMs = 0;
    subnet.round();
  });

  test('a refused call is an error with the codes of the subnet', async () => {
    subnet.inspect = () => ({ code: ErrorCode.CanisterStopped, message: 'Canister is stopped' });
    const agent = await agentOf(controller);
    const actor = Actor.createActor(service, { agent, canisterId });
    await assert.rejects(async () => actor['greet']?.('x'), /IC0508/);
    subnet.inspect = () => undefined;
  });
});

describe('@dfinity/agent 3.4', () => {
  test('updates and queries through an actor, with certificates and node signatures verified', async () => {
    const identity = legacy.Ed25519KeyIdentity.generate();
    const agent = await legacy.HttpAgent.create({ host, shouldFetchRootKey: true, identity });
    const actor = legacy.Actor.createActor(service as never, {
      agent,
      canisterId: legacy.Principal.fromUint8Array(canister.bytes),
    });
    assert.equal(await actor['greet']?.('hello'), 'hello');
    assert.equal(await actor['look']?.('world'), 'world');
    await assert.rejects(async () => actor['fail']?.('x'), /no!/);
    assert.equal(subnet.executed.at(-1)?.sender.toText(), identity.getPrincipal().toText());
  });
});
