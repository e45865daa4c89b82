#!/usr/bin/env node
// Starts the command line on a Node that can run it. This file itself runs on any Node since 18, so that an older one
// meets an explanation and not a syntax error: a Node 24 installed beside us (devDependency `node`) takes over silently.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import nodeModule, { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED_MAJOR = 24;

if (Number(process.versions.node.split('.')[0]) >= NEEDED_MAJOR) {
  // Keeps what Node made of our modules (types stripped, code compiled): the second start is twice as fast. Not in the
  // folder for temporary files, where others could put something in its place; nothing happens if it cannot be written.
  const cache = compileCacheDirectory();
  if (cache !== undefined) nodeModule.enableCompileCache?.(cache);
  // A checkout has the sources (Node strips their types); the published package has only what was built from them.
  const source = new URL('../src/cli/main.ts', import.meta.url);
  const built = new URL('../dist/cli/main.js', import.meta.url);
  const { main } = await import((existsSync(source) ? source : built).href);
  await main(process.argv.slice(2));
} else {
  const other = newerNode();
  if (other === undefined) {
    console.error(`perdure needs Node ${NEEDED_MAJOR} or later; this is ${process.version} (${process.execPath}).
Why: canisters use WebAssembly features (64-bit memories, stack switching) that older versions do not have.
Fix: install Node ${NEEDED_MAJOR} (https://nodejs.org), or run "npm install --save-dev node@${NEEDED_MAJOR}" in your project.`);
    process.exit(69);
  }
  const child = spawn(other, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
}

/** Our folder among the user's caches, made; undefined where that cannot be. */
function compileCacheDirectory() {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  try {
    let folder = join(homedir(), '.cache');
    if (process.platform === 'darwin') folder = join(homedir(), 'Library', 'Caches');
    if (process.platform === 'win32' && LOCALAPPDATA) folder = LOCALAPPDATA;
    if (XDG_CACHE_HOME) folder = XDG_CACHE_HOME;
    // One by one: Node, asked for all at once, never comes back where a folder cannot be made at all.
    for (const name of ['.', 'perdure', 'compile-cache']) {
      folder = join(folder, name);
      if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
    }
    return folder;
  } catch {
    return undefined;
  }
}

/** The binary of the npm package `node`, when it is installed where this package or the caller can see it. */
function newerNode() {
  for (const from of [import.meta.url, `${process.cwd()}/package.json`]) {
    try {
      const require = createRequire(from);
      const binary = fileURLToPath(new URL('bin/node', `file://${require.resolve('node/package.json')}`));
      const major = Number(require('node/package.json').version.split('.')[0]);
      if (major >= NEEDED_MAJOR && existsSync(binary)) return binary;
    } catch {
      // Not installed there: try the next place.
    }
  }
  return undefined;
}
