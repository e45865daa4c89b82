import type { Command } from '../command.ts';

export const start: Command = {
  usage: '',
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  examples: ['perdure start'],
  async run() {},
};
