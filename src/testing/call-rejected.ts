import type { Reject } from '../model/index.ts';

/** A call that was not answered with a reply: the network or the canister refused, or the canister failed. */
export class CallRejected extends Error {
  /** 1 to 6 (interface spec, "Reject codes"). */
  readonly rejectCode: number;
  /** `IC0503` and the like; undefined when there is none. */
  readonly errorCode: string | undefined;

  constructor(reject: Reject) {
    super(reject.message);
    this.name = 'CallRejected';
    this.rejectCode = reject.rejectCode;
    this.errorCode = reject.errorCode;
  }
}
