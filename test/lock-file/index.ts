/**
 * Keeps package-lock.json usable on every platform. npm writes down only those platform packages (native binaries as
 * optional dependencies) that the registry at hand offers to it, and then refuses, with `npm ci`, a lock that lacks any.
 * What is missing is added by its exact version, which its parent names, and the platform, which its own name tells.
 * `npm run lock` does it after every change of dependencies; a test sees to it that nobody forgets.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../source-tree/index.ts';

const FILE = path.join(ROOT, 'package-lock.json');

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  packages: Record<string, LockedPackage>;
}

/** Platform packages that a package of the lock asks for and the lock does not have. */
export function missingFromLock(): ReadonlyMap<string, LockedPackage> {
  const { packages } = JSON.parse(readFileSync(FILE, 'utf8')) as Lock;
  const missing = new Map<string, LockedPackage>();
  for (const [place, parent] of Object.entries(packages))
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {}))
      if (!isLocked(packages, place, name)) missing.set(`node_modules/${name}`, entryOf(name, version, parent));
  return missing;
}

/** Adds what is missing. */
export function completeLock(): void {
  const lock = JSON.parse(readFileSync(FILE, 'utf8')) as Lock;
  const [root, ...others] = Object.entries({ ...lock.packages, ...Object.fromEntries(missingFromLock()) });
  others.sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries(root === undefined ? others : [root, ...others]);
  writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);
}

/** Looks where Node would look: beside the parent, and in every folder above. */
function isLocked(packages: Readonly<Record<string, unknown>>, place: string, name: string): boolean {
  for (let folder = place; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/node_modules/'), 0))) {
    if (`${folder === '' ? '' : `${folder}/`}node_modules/${name}` in packages) return true;
    if (folder === '') return false;
  }
}

/** `@oxlint/binding-linux-arm64-musl` → linux, arm64, musl */
function entryOf(name: string, version: string, parent: LockedPackage): LockedPackage {
  const words = name.replace(/^@[^/]+\//, '').split('-');
  const os = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'].filter((word) => words.includes(word));
  const cpu = ['arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64'].filter((word) => words.includes(word));
  const libc = words.includes('musl') ? ['musl'] : words.includes('gnu') ? ['glibc'] : [];
  return {
    version,
    ...(cpu.length > 0 ? { cpu } : {}),
    ...(parent.dev === true ? { dev: true } : {}),
    ...(libc.length > 0 ? { libc } : {}),
    optional: true,
    ...(os.length > 0 ? { os } : {}),
  };
}
