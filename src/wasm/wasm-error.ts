/**
 * Why bytes cannot become a running module. Match on the code, the text is for people.
 *
 * - `malformed`            user: the bytes do not follow the binary format, or end too early
 * - `invalid`              user: well formed, but V8's validator refuses it
 * - `unsupported_feature`  user: a proposal that canisters may not use (gc, exceptions, threads, relaxed SIMD, multi-memory)
 * - `limit`                user: a bound of the format's implementation limits is exceeded
 * - `reserved_name`        user: the module exports a name that the rewriter needs
 * - `frame_too_large`      user: one frame of a function would not fit the stack limit
 * - `uncapturable`         user: live state that cannot be written down (a host reference)
 * - `state_mismatch`       bug: a captured state does not belong to this module
 */
export type WasmErrorCode =
  | 'malformed'
  | 'invalid'
  | 'unsupported_feature'
  | 'limit'
  | 'reserved_name'
  | 'frame_too_large'
  | 'uncapturable'
  | 'state_mismatch';

/** Thrown by everything that reads, rewrites or restores; `offset` is a position in the module's bytes, if there is one. */
export class WasmError extends Error {
  readonly code: WasmErrorCode;
  readonly offset: number | undefined;

  constructor(code: WasmErrorCode, message: string, offset?: number) {
    super(offset === undefined ? message : `${message} (at offset 0x${offset.toString(16)})`);
    this.name = 'WasmError';
    this.code = code;
    this.offset = offset;
  }
}
