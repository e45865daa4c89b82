/** Candid text that cannot be read. The message names the line, the column and what was expected. */
export class CandidSyntaxError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CandidSyntaxError';
  }
}
