import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import type { Identity } from '@icp-sdk/core/agent';
import { CliError, ExitCode } from './cli-error.ts';

/**
 * The user's identities: Ed25519 keys as PKCS#8 PEM files, readable by the owner only.
 *
 *     $PERDURE_CONFIG_DIR, else $XDG_CONFIG_HOME/perdure, else ~/.config/perdure
 *     └── identity/
 *         ├── current         name of the identity that calls are made with
 *         ├── default.pem     0600
 *         └── alice.pem       0600
 *
 * `anonymous` always exists and has no file. `default` is made when it is first needed.
 */
export const ANONYMOUS_NAME = 'anonymous';
const DEFAULT_NAME = 'default';

export function identityNames(): string[] {
  const found = existsSync(folder())
    ? readdirSync(folder())
        .filter((file) => file.endsWith('.pem'))
        .map((file) => file.slice(0, -'.pem'.length))
    : [];
  return [...new Set([...found, ANONYMOUS_NAME])].sort();
}

export function currentIdentityName(): string {
  const file = path.join(folder(), 'current');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : DEFAULT_NAME;
}

/** @throws CliError when there is no such identity. */
export function useIdentity(name: string): void {
  if (name !== ANONYMOUS_NAME && !existsSync(keyFile(name))) throw unknownIdentity(name);
  mkdirSync(folder(), { recursive: true, mode: 0o700 });
  writeFileSync(path.join(folder(), 'current'), `${name}\n`);
}

/** Makes a key. @throws CliError when the name is taken or no name. */
export function createIdentity(name: string): void {
  checkName(name);
  mkdirSync(folder(), { recursive: true, mode: 0o700 });
  const { privateKey } = generateKeyPairSync('ed25519');
  try {
    writeFileSync(keyFile(name), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST')
      throw new CliError('identity_exists', ExitCode.Input, `the identity ${name} exists already`, {
        fix: `choose another name, or remove ${keyFile(name)} if nothing depends on it`,
      });
    throw error;
  }
}

/** Loads an identity for the client library; undefined stands for the current one. */
export async function loadIdentity(name: string | undefined): Promise<Identity> {
  const wanted = name ?? currentIdentityName();
  if (wanted === ANONYMOUS_NAME) {
    const { AnonymousIdentity } = await import('@icp-sdk/core/agent');
    return new AnonymousIdentity();
  }
  if (!existsSync(keyFile(wanted))) {
    if (wanted !== DEFAULT_NAME) throw unknownIdentity(wanted);
    createIdentity(DEFAULT_NAME);
  }
  const { Ed25519KeyIdentity } = await import('@icp-sdk/core/identity');
  return Ed25519KeyIdentity.fromSecretKey(secretKey(keyFile(wanted)));
}

function secretKey(file: string): Uint8Array<ArrayBuffer> {
  try {
    const key = createPrivateKey(readFileSync(file));
    // The public key's presence also proves that the file holds a usable Ed25519 key.
    const { d } = key.export({ format: 'jwk' });
    const { crv } = createPublicKey(key).export({ format: 'jwk' });
    if (d === undefined || crv !== 'Ed25519') throw new Error(`it holds a ${crv ?? 'key of another kind'}`);
    return Uint8Array.from(Buffer.from(d, 'base64url'));
  } catch (error) {
    throw new CliError('identity_unreadable', ExitCode.Input, `the identity file ${file} cannot be used`, {
      why: error instanceof Error ? error.message : String(error),
      fix: 'restore it from a copy, or make another identity with "perdure identity new NAME"',
      cause: error,
    });
  }
}

function checkName(name: string): void {
  if (name === ANONYMOUS_NAME || !/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(name))
    throw new CliError('identity_name', ExitCode.Usage, `"${name}" cannot name an identity`, {
      fix: 'use letters, digits, "-" and "_", at most 64',
    });
}

function unknownIdentity(name: string): CliError {
  return new CliError('identity_unknown', ExitCode.Input, `there is no identity ${name}`, {
    why: `there are ${identityNames().join(', ')}`,
    fix: `make it with "perdure identity new ${name}"`,
  });
}

function keyFile(name: string): string {
  checkName(name);
  return path.join(folder(), `${name}.pem`);
}

function folder(): string {
  const own = process.env['PERDURE_CONFIG_DIR'];
  const xdg = process.env['XDG_CONFIG_HOME'];
  const base =
    own !== undefined && own !== ''
      ? own
      : xdg !== undefined && xdg !== ''
        ? path.join(xdg, 'perdure')
        : path.join(homedir(), '.config', 'perdure');
  return path.join(base, 'identity');
}
