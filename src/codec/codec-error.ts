/** Why bytes or a value could not be decoded or encoded. The user's fault for all codes but `unsupported_value`. */
export type CodecErrorCode =
  /** The input ends within a value. */
  | 'truncated'
  /** Bytes follow the value. */
  | 'trailing_bytes'
  /** A map holds a key twice. */
  | 'duplicate_key'
  /** Nested deeper than allowed. */
  | 'too_deep'
  /** A floating-point number where only integers may stand. */
  | 'float'
  /** A text string that is not UTF-8. */
  | 'invalid_utf8'
  /** A number outside the range that its place allows. */
  | 'out_of_range'
  /** Anything else that the format forbids. */
  | 'malformed'
  /** A value of the caller that the format cannot express. */
  | 'unsupported_value';

/** The one error of this module: match on `code`, never on the text. */
export class CodecError extends Error {
  override readonly name = 'CodecError';
  readonly code: CodecErrorCode;

  constructor(code: CodecErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
