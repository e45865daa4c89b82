import { DEFAULT_LIMITS } from '../../model/index.ts';
import type { Command } from '../command.ts';
import { table } from '../terminal.ts';

export const limits: Command = {
  usage: '',
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  examples: ['perdure limits', 'perdure limits --json'],
  async run({ terminal }) {
    const entries = Object.entries(DEFAULT_LIMITS).map(([name, value]) => [name, String(value)] as const);
    const rows = entries.map(([name, value]) => [name, value.replace(/\B(?=(\d{3})+$)/g, '_')]);
    terminal.result(table(['LIMIT', 'VALUE'], rows), Object.fromEntries(entries));
  },
};
