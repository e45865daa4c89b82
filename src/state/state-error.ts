import type { Height } from '../model/index.ts';

export type StateErrorCode =
  /** Another process uses the directory. User. */
  | 'in_use'
  /** Written by a newer release, or under another protocol version. User. */
  | 'wrong_version'
  /** The directory holds something else, or parts of two networks. User. */
  | 'not_a_state_directory'
  /** A file is missing, cut short or altered. System. */
  | 'corrupt_file'
  /** Executing the log again gave another state than before. Bug, or the machine. */
  | 'diverged'
  /** The device failed, or is full. System. */
  | 'disk_failed';

/** What is wrong with a state directory: which file, and what to do about it, are in the text. */
export class StateError extends Error {
  override readonly name = 'StateError';
  readonly code: StateErrorCode;
  /** The file or folder concerned. */
  readonly path: string;
  readonly height: Height | undefined;

  constructor(code: StateErrorCode, path: string, message: string, options: ErrorOptions & { height?: Height } = {}) {
    super(message, options);
    this.code = code;
    this.path = path;
    this.height = options.height;
  }
}

/** The error for damage found in a file. */
export function corruptFile(path: string, what: string, advice: string = RESTORE): StateError {
  return new StateError('corrupt_file', path, `${path}: ${what}. ${advice}`);
}

const RESTORE =
  'The file was damaged after it was written (device, copying, or another program): restore the state directory from a copy';
