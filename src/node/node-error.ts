/**
 * Why a node did not start or had to stop. `what`, `why` and `fix` are for the person at the terminal.
 *
 * - `port_in_use`, `address`: the HTTP port cannot be listened on.
 * - `state_in_use`: another process has the state directory.
 * - `state_newer`: a newer release wrote the state directory.
 * - `state_unreadable`: the state directory is damaged, or is something else.
 * - `disk`: the disk is full, read-only, or failed.
 * - `host_fault`: the machine failed where it may not decide a canister's fate (ARCHITECTURE section 2, 7).
 */
export type NodeErrorCode =
  | 'port_in_use'
  | 'address'
  | 'state_in_use'
  | 'state_newer'
  | 'state_unreadable'
  | 'disk'
  | 'host_fault';

export class NodeError extends Error {
  readonly code: NodeErrorCode;
  readonly why: string | undefined;
  readonly fix: string | undefined;

  constructor(code: NodeErrorCode, what: string, more: { why?: string; fix?: string; cause?: unknown } = {}) {
    super(what, { cause: more.cause });
    this.name = 'NodeError';
    this.code = code;
    this.why = more.why;
    this.fix = more.fix;
  }
}
