import type { Command } from '../command.ts';
import { createIdentity, currentIdentityName, identityNames, loadIdentity, useIdentity } from '../identity-store.ts';
import { table } from '../terminal.ts';

export const create: Command = {
  usage: '<name>',
  positionalsMin: 1,
  positionalsMax: 1,
  options: { use: { type: 'boolean', help: 'call with it from now on' } },
  examples: ['perdure identity new alice --use'],
  async run(invocation) {
    const name = invocation.positionals[0] ?? '';
    createIdentity(name);
    if (invocation.flag('use')) useIdentity(name);
    const principal = (await loadIdentity(name)).getPrincipal().toText();
    invocation.terminal.result(`${name} is ${principal}`, { name, principal, current: invocation.flag('use') });
  },
};

export const list: Command = {
  usage: '',
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  examples: ['perdure identity list'],
  async run({ terminal }) {
    const current = currentIdentityName();
    // The default identity comes into being when it is first looked at.
    await loadIdentity(current);
    const identities = await Promise.all(
      identityNames().map(async (name) => ({
        name,
        principal: (await loadIdentity(name)).getPrincipal().toText(),
        current: name === current,
      })),
    );
    const rows = identities.map((identity) => [identity.current ? '*' : '', identity.name, identity.principal]);
    terminal.result(table(['', 'NAME', 'PRINCIPAL'], rows), identities);
  },
};

export const use: Command = {
  usage: '<name>',
  positionalsMin: 1,
  positionalsMax: 1,
  options: {},
  examples: ['perdure identity use alice', 'perdure identity use anonymous'],
  async run(invocation) {
    const name = invocation.positionals[0] ?? '';
    useIdentity(name);
    const principal = (await loadIdentity(name)).getPrincipal().toText();
    invocation.terminal.result(`calls are made as ${name} (${principal})`, { name, principal });
  },
};
