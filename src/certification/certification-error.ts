/** Why evidence was not accepted. All are the fault of whoever presented it, except `bad_key` for one's own keys. */
export type CertificationErrorCode =
  /** The bytes do not have the form of a certificate, tree, key or signature. */
  | 'malformed'
  /** A key of the wrong form or not on its curve. */
  | 'bad_key'
  /** The signature does not fit the key and the message. */
  | 'bad_signature'
  /** A delegation that is nested, or does not reveal the key of its subnet. */
  | 'bad_delegation'
  /** The subnet may not certify for the canister in question. */
  | 'out_of_range';

/** The error of this module: match on `code`, never on the text. */
export class CertificationError extends Error {
  override readonly name = 'CertificationError';
  readonly code: CertificationErrorCode;

  constructor(code: CertificationErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
