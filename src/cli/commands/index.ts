/**
 * The commands, one file for each noun (or for a verb that needs none). Entries are listed here by name and loaded when
 * they are called, because most of them need the client library and `start` must not wait for it.
 */
import type { CommandEntry } from '../command.ts';

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'start',
    summary: 'start a network on this machine',
    load: async () => (await import('./start.ts')).start,
  },
  {
    name: 'deploy',
    summary: 'compile if needed, create the canister if needed, install or upgrade',
    load: async () => (await import('./deploy.ts')).deploy,
  },
  {
    name: 'call',
    summary: 'call a method of a canister (update: changes are kept)',
    load: async () => (await import('./call.ts')).call,
  },
  {
    name: 'query',
    summary: 'query a method of a canister (changes are thrown away)',
    load: async () => (await import('./call.ts')).query,
  },
  {
    name: 'canister list',
    summary: 'the canisters deployed from this project',
    load: async () => (await import('./canister.ts')).list,
  },
  {
    name: 'canister status',
    summary: 'status, memory, cycles and settings of a canister',
    load: async () => (await import('./canister.ts')).status,
  },
  {
    name: 'canister logs',
    summary: 'what a canister printed, and its traps',
    load: async () => (await import('./canister.ts')).logs,
  },
  {
    name: 'canister stop',
    summary: 'let a canister finish its calls and take no more',
    load: async () => (await import('./canister.ts')).stop,
  },
  {
    name: 'canister start',
    summary: 'start a stopped canister again',
    load: async () => (await import('./canister.ts')).restart,
  },
  {
    name: 'canister delete',
    summary: 'delete a stopped canister and its state, for good',
    load: async () => (await import('./canister.ts')).remove,
  },
  {
    name: 'identity new',
    summary: 'make a key to call with',
    load: async () => (await import('./identity.ts')).create,
  },
  {
    name: 'identity list',
    summary: 'the identities on this machine',
    load: async () => (await import('./identity.ts')).list,
  },
  {
    name: 'identity use',
    summary: 'choose the identity that calls are made with',
    load: async () => (await import('./identity.ts')).use,
  },
  {
    name: 'limits',
    summary: 'every bound that the network enforces',
    load: async () => (await import('./limits.ts')).limits,
  },
];
