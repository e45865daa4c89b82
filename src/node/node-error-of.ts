import { ConsensusError } from '../consensus/index.ts';
import { DiskError } from '../platform/index.ts';
import { StateError } from '../state/index.ts';
import { NodeError } from './node-error.ts';

interface Context {
  readonly stateDir?: string;
  readonly listen?: { readonly host: string; readonly port: number };
}

/** What an operator is told about a failure of any part. Unknown errors are passed on: they are bugs. */
export function asNodeError(error: unknown, context: Context): Error {
  if (error instanceof NodeError) return error;
  if (error instanceof StateError) return stateError(error);
  if (error instanceof DiskError)
    return new NodeError('disk', `the disk refuses ${error.path}`, { why: error.message, fix: DISK_FIX, cause: error });
  const damage = stateErrorBehind(error);
  if (damage !== undefined) return stateError(damage);
  if (error instanceof ConsensusError && error.code === 'host_fault')
    return new NodeError('host_fault', error.message, {
      why: 'this machine could not do what every machine has to do alike, so it must not decide the outcome',
      fix: 'start it again; if it happens again, move the state directory to another machine and report it with the log',
      cause: error,
    });
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const { host = '', port = 0 } = context.listen ?? {};
  if (code === 'EADDRINUSE')
    return new NodeError('port_in_use', `port ${port} of ${host} is in use`, {
      why: 'another process listens on it, perhaps another perdure',
      fix: `stop that process, or choose another port with --port ${port + 1} (--port 0 takes any free one)`,
      cause: error,
    });
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EPERM')
    return new NodeError('address', `it is not possible to listen on ${host}, port ${port}`, {
      why: error instanceof Error ? error.message : String(error),
      fix: 'choose an address of this machine with --host and a port above 1023 with --port',
      cause: error,
    });
  return error instanceof Error ? error : new Error(String(error));
}

/** Pages are read when they are needed: what is wrong with their file shows as a failure of whoever needed them. */
function stateErrorBehind(error: unknown): StateError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof StateError) return cause;
  return undefined;
}

const DISK_FIX = 'free space, check the permissions, or choose another directory with --state-dir';

function stateError(error: StateError): NodeError {
  const { what, fix } = split(error.message);
  const more = { ...(fix === undefined ? {} : { fix }), cause: error };
  switch (error.code) {
    case 'in_use':
      return new NodeError('state_in_use', what, more);
    case 'wrong_version':
      return new NodeError('state_newer', what, more);
    case 'disk_failed':
      return new NodeError('disk', what, { fix: DISK_FIX, ...more });
    case 'not_a_state_directory':
    case 'corrupt_file':
    case 'diverged':
      return new NodeError('state_unreadable', what, more);
  }
}

/** The first sentence says what is wrong, the rest what to do. */
function split(message: string): { readonly what: string; readonly fix: string | undefined } {
  const end = message.indexOf('. ');
  return end < 0 ? { what: message, fix: undefined } : { what: message.slice(0, end), fix: message.slice(end + 2) };
}
