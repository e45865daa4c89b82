import { ErrorCode, type Principal, type UserError } from '../model/index.ts';

/** Failures that the round finds by itself, with the real replica's codes and wording: clients match on both. */

const REFERENCE = 'https://internetcomputer.org/docs/current/references/execution-errors#';

/** A failure inside a canister as its callers see it. */
export function errorFromCanister(canister: Principal, error: UserError): UserError {
  return { code: error.code, message: `Error from Canister ${canister.toText()}: ${error.message}` };
}

/** A callback failed and its cleanup too: one text of both, without the help that each comes with. */
export function failureOfCleanup(callback: UserError, cleanup: UserError): UserError {
  return {
    code: callback.code,
    message: `${withoutHelp(callback.message)}\n\ncall_on_cleanup also failed:\n\n${withoutHelp(cleanup.message)}`,
  };
}

function withoutHelp(message: string): string {
  const help = message.lastIndexOf('.\n');
  return help < 0 ? message : message.slice(0, help);
}

export function canisterNotFound(canister: Principal): UserError {
  return { code: ErrorCode.CanisterNotFound, message: `Canister ${canister.toText()} not found` };
}

export function canisterStopped(canister: Principal): UserError {
  return { code: ErrorCode.CanisterStopped, message: `Canister ${canister.toText()} is stopped` };
}

export function canisterStopping(canister: Principal): UserError {
  return { code: ErrorCode.CanisterStopping, message: `Canister ${canister.toText()} is stopping` };
}

/** A query sent to a stopped canister is told so in other words than an update. */
export function queryOfStopped(canister: Principal): UserError {
  return {
    code: ErrorCode.CanisterStopped,
    message: `Canister ${canister.toText()} is stopped and therefore does not have a CallContextManager`,
  };
}

export function notRunning(canister: Principal, status: 'stopping' | 'stopped'): UserError {
  return {
    code: status === 'stopping' ? ErrorCode.CanisterStopping : ErrorCode.CanisterStopped,
    message: `Canister ${canister.toText()} is not running`,
  };
}

export function noWasmModule(canister: Principal): UserError {
  return errorFromCanister(canister, {
    code: ErrorCode.CanisterWasmModuleNotFound,
    message:
      'Attempted to execute a message, but the canister contains no Wasm module..\n' +
      `Please install code to this canister before calling it. See documentation: ${REFERENCE}wasm-module-not-found`,
  });
}

export function noMethod(canister: Principal, kind: 'update' | 'query' | 'composite_query', name: string): UserError {
  return errorFromCanister(canister, {
    code: ErrorCode.CanisterMethodNotFound,
    message:
      `Canister has no ${kind} method '${name}'.\n` +
      `Check that the method being called is exported by the target canister. See documentation: ${REFERENCE}method-not-found`,
  });
}

export const COMPOSITE_QUERY_IN_REPLICATED_MODE: UserError = {
  code: ErrorCode.CompositeQueryCalledInReplicatedMode,
  message: 'Composite query cannot be called in replicated mode',
};

export function didNotReply(canister: Principal): UserError {
  return {
    code: ErrorCode.CanisterDidNotReply,
    message: `Canister ${canister.toText()} did not reply to the call`,
  };
}

/** @param missing cycles to top up, told to controllers only. */
export function outOfCycles(canister: Principal, missing?: bigint): UserError {
  const text = `Canister ${canister.toText()} is out of cycles`;
  return {
    code: ErrorCode.CanisterOutOfCycles,
    message:
      missing === undefined ? text : `${text}: please top up the canister with at least ${missing} additional cycles`,
  };
}

/** The callee's `minimum_incoming_canister_call_cycles`. */
export function tooFewCycles(canister: Principal, least: bigint, attached: bigint): UserError {
  return {
    code: ErrorCode.InsufficientCyclesInCall,
    message: `Canister ${canister.toText()} takes calls of other canisters with at least ${least} cycles, not ${attached}`,
  };
}

export function frozenForQueries(canister: Principal): UserError {
  return {
    code: ErrorCode.CanisterOutOfCycles,
    message: `Canister ${canister.toText()} is unable to process query calls because it's frozen. Please top up the canister with cycles and try again.`,
  };
}

/** Without its canister's name: it is reported through the sandbox. */
export function cannotGrowMemory(bytes: bigint): UserError {
  return {
    code: ErrorCode.InsufficientCyclesInMemoryGrow,
    message:
      `Canister cannot grow memory by ${bytes} bytes due to insufficient cycles..\n` +
      `Try topping up the canister. See documentation: ${REFERENCE}insufficient-cycles-in-memory-grow`,
  };
}

/** An operator decided to pass over a message that this host cannot execute. Without its canister's name. */
export function skippedByOperator(reason: string): UserError {
  return {
    code: ErrorCode.CanisterWasmEngineError,
    message: `Canister encountered a Wasm engine error: ${reason}`,
  };
}

export function rejectedByInspection(canister: Principal): UserError {
  return errorFromCanister(canister, {
    code: ErrorCode.CanisterRejectedMessage,
    message: 'Canister rejected the message',
  });
}

export function ingressTimedOut(requestIdHex: string): UserError {
  return {
    code: ErrorCode.IngressMessageTimeout,
    message: `Ingress message ${requestIdHex} timed out waiting to start executing.`,
  };
}

export function ingressHistoryFull(capacity: number): UserError {
  return { code: ErrorCode.IngressHistoryFull, message: `Maximum ingress history capacity ${capacity} reached` };
}

export const DEADLINE_EXPIRED: UserError = { code: ErrorCode.DeadlineExpired, message: 'Call deadline has expired.' };

export const CALL_GRAPH_TOO_DEEP: UserError = {
  code: ErrorCode.QueryCallGraphTooDeep,
  message: 'Composite query calls exceeded the maximum call depth.',
};

export const CALL_GRAPH_OUT_OF_INSTRUCTIONS: UserError = {
  code: ErrorCode.QueryCallGraphTotalInstructionLimitExceeded,
  message: 'Composite query calls exceeded the instruction limit.',
};
