/**
 * Runs the benchmarks one after the other, or those that are named: `npm run bench`, `npm run bench -- network sandbox`.
 * Each prints its own table; options of one are given to it directly (`node bench/network/run.ts --quick`).
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const all = readdirSync(folder).filter((name) => existsSync(`${folder}${name}/run.ts`));
const named = process.argv.slice(2);
const unknown = named.find((name) => !all.includes(name));
if (unknown !== undefined) {
  console.error(`there is no benchmark ${unknown}; there are ${all.join(', ')}`);
  process.exit(2);
}
for (const name of named.length > 0 ? named : all) {
  console.log(`\n# ${name}`);
  const child = spawn(process.execPath, ['--expose-gc', `${folder}${name}/run.ts`], { stdio: 'inherit' });
  const code = await new Promise<number>((resolve) => child.on('exit', (status) => resolve(status ?? 1)));
  if (code !== 0) process.exitCode = 1;
}
