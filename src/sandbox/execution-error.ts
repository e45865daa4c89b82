import { ErrorCode, type UserError } from '../model/index.ts';
import type { TrapKind } from '../wasm/index.ts';

/**
 * Why a message failed, worded as the real replica words it: clients and canisters match on these texts. The replica
 * puts `Error from Canister <id>: ` before each of them.
 *
 * A message is `<what happened>.\n<help>` when there is help, else only what happened. The full stop is added even
 * where the text ends in one; the real replica does so too.
 */

const REFERENCE = 'https://internetcomputer.org/docs/current/references/execution-errors#';
const TOOLCHAIN_HELP =
  'If you are running this canister in a test environment (e.g., dfx), make sure the test environment is up to date. ' +
  'Otherwise, this is likely an error with the compiler/CDK toolchain being used to build the canister. ' +
  'Please report the error to IC devs on the forum: https://forum.dfinity.org and include which language/CDK was used ' +
  'to create the canister.';
const TRAP_HELP =
  'Consider gracefully handling failures from this canister or altering the canister to handle exceptions.';

function withHelp(code: ErrorCode, text: string, suggestion: string, reference: string): UserError {
  return { code, message: `${text}.\n${suggestion} See documentation: ${REFERENCE}${reference}` };
}

/** What made the machine trap, as the real replica names it. */
export type TrapCause =
  | 'stack overflow'
  | 'heap out of bounds'
  | 'stable memory out of bounds'
  | '32 bit stable memory api used on a memory larger than 4GB'
  | 'integer division by 0'
  | 'unreachable'
  | 'table out of bounds'
  | 'cycles amount exceeds 64-bit representation'
  | 'unknown';

export function trapped(cause: TrapCause): UserError {
  return withHelp(ErrorCode.CanisterTrapped, `Canister trapped: ${cause}`, TRAP_HELP, 'trapped');
}

export function calledTrap(message: string): UserError {
  return withHelp(
    ErrorCode.CanisterCalledTrap,
    `Canister called \`ic0.trap\` with message: '${message}'`,
    TRAP_HELP,
    'trapped-explicitly',
  );
}

/** The canister used the System API in a way that no user of it can cause: a fault of its compiler or library. */
export function toolchainViolation(error: string): UserError {
  return {
    code: ErrorCode.CanisterContractViolation,
    message: `Canister violated contract: ${error}.\n${TOOLCHAIN_HELP}`,
  };
}

export function contractViolation(error: string): UserError {
  return { code: ErrorCode.CanisterContractViolation, message: `Canister violated contract: ${error}` };
}

export function wrongMode(functionName: string, mode: string): UserError {
  return withHelp(
    ErrorCode.CanisterContractViolation,
    `Canister violated contract: "ic0_${functionName}" cannot be executed in ${mode} mode`,
    'Check the ICP documentation to make sure APIs are being called in the correct message types.',
    'calling-a-system-api-from-the-wrong-mode',
  );
}

export function certifiedDataTooLarge(size: number, limit: number): UserError {
  return withHelp(
    ErrorCode.CanisterContractViolation,
    `Canister violated contract: ic0_certified_data_set failed because the passed data must be no larger than ${limit} bytes. Found ${size} bytes.`,
    'Try certifying just the hash of your data instead of the full contents.',
    'certified_data_set-payload-too-large',
  );
}

export function replyTooLarge(size: number, limit: number): UserError {
  return withHelp(
    ErrorCode.CanisterContractViolation,
    `Canister violated contract: ic0.msg_reply_data_append: application payload size (${size}) cannot be larger than ${limit}.`,
    'Consider checking the response size and returning an error if it is too long.',
    'msg_reply_data_append-payload-too-large',
  );
}

export function rejectTooLarge(size: number, limit: number): UserError {
  return withHelp(
    ErrorCode.CanisterContractViolation,
    `Canister violated contract: ic0.msg_reject: application payload size (${size}) cannot be larger than ${limit}.`,
    'Try truncating the error messages that are too long.',
    'msg_reject-payload-too-large',
  );
}

export function methodNameTooLarge(size: number, limit: number): UserError {
  return withHelp(
    ErrorCode.CanisterContractViolation,
    `Canister violated contract: Size of method_name ${size} exceeds the allowed limit of ${limit}.`,
    'Size of method_name {} exceeds the allowed limit of {}.',
    'canister-made-a-call-with-too-large-method-name',
  );
}

export function requestTooLarge(callee: string, method: string, size: number, limit: number): UserError {
  return withHelp(
    ErrorCode.CanisterContractViolation,
    `Canister violated contract: Request to ${callee}:${method} has a payload size of ${size}, which exceeds the allowed limit of ${limit}.`,
    'Check the canister for errors or redesign the target API to allow shorter messages',
    'canister-made-a-call-with-too-large-payload',
  );
}

export function invalidPrincipal(): UserError {
  return {
    code: ErrorCode.CanisterContractViolation,
    message: `Canister provided invalid principal id.\n${TOOLCHAIN_HELP}`,
  };
}

/** The name of the canister is part of this one: callers match on it. */
export function outOfCycles(canisterId: string): UserError {
  return { code: ErrorCode.CanisterContractViolation, message: `Canister ${canisterId} is out of cycles` };
}

export function instructionLimitExceeded(limit: number): UserError {
  return withHelp(
    ErrorCode.CanisterInstructionLimitExceeded,
    `Canister exceeded the limit of ${limit} instructions for single message execution.`,
    'Try optimizing this method to consume fewer instructions or split the work across multiple messages.',
    'instruction-limit-exceeded',
  );
}

export function outOfMemory(): UserError {
  return withHelp(
    ErrorCode.CanisterOutOfMemory,
    'Canister cannot grow its memory usage.',
    "Check the canister's memory usage against its allocation and the system wide limits to determine why more memory cannot be allocated.",
    'out-of-memory',
  );
}

export function wasmMemoryLimitExceeded(bytes: bigint, limit: bigint): UserError {
  return withHelp(
    ErrorCode.CanisterWasmMemoryLimitExceeded,
    `Canister exceeded its current Wasm memory limit of ${limit} bytes. The peak Wasm memory usage was ${bytes} bytes. ` +
      'If the canister reaches 4GiB, then it may stop functioning and may become unrecoverable. ' +
      'Please reach out to the canister owner to investigate the reason for the increased memory usage. ' +
      'It might be necessary to move data from the Wasm memory to the stable memory. ' +
      'If such high Wasm memory usage is expected and safe, then the developer can increase the Wasm memory limit in the canister settings.',
    'Try checking the canister for a possible memory leak or modifying it to use more stable memory instead of Wasm memory.',
    'wasm-memory-limit-exceeded',
  );
}

const KB = 1024n;

export function stableWriteLimitExceeded(message: bigint, upgrade: bigint, query: bigint): UserError {
  return memoryAccessLimitExceeded(
    `Exceeded the limit for the number of modified pages in the stable memory in a single execution: limit ${message / KB} KB for regular messages, ${upgrade / KB} KB for upgrade messages and ${query / KB} KB for queries.`,
  );
}

export function stableReadLimitExceeded(message: bigint, query: bigint): UserError {
  return memoryAccessLimitExceeded(
    `Exceeded the limit for the number of accessed pages in the stable memory in a single message execution: limit ${message / KB} KB for regular messages and ${query / KB} KB for queries.`,
  );
}

function memoryAccessLimitExceeded(text: string): UserError {
  return withHelp(
    ErrorCode.CanisterMemoryAccessLimitExceeded,
    `Canister exceeded memory access limits: ${text}`,
    "Try optimizing the use of stable memory so that individual messages don't need to access as much stable memory.",
    'memory-access-limit-exceeded',
  );
}

export function methodNotFound(kind: 'update' | 'query' | 'composite_query' | 'system', name: string): UserError {
  return withHelp(
    ErrorCode.CanisterMethodNotFound,
    `Canister has no ${kind} method '${name}'.`,
    'Check that the method being called is exported by the target canister.',
    'method-not-found',
  );
}

export function functionNotFound(index: bigint): UserError {
  return {
    code: ErrorCode.CanisterFunctionNotFound,
    message: `Canister requested to invoke a non-existent Wasm function ${index} from table 0.\n${TOOLCHAIN_HELP}`,
  };
}

export function badSignature(): UserError {
  return toolchainViolation('function invocation does not match its signature');
}

export function environmentVariableIndexOutOfBounds(index: number, length: number): UserError {
  return {
    code: ErrorCode.CanisterContractViolation,
    message: `Environment variable index ${index} is out of bounds. The number of environment variables is ${length}.`,
  };
}

export function environmentVariableNotFound(name: string): UserError {
  return { code: ErrorCode.CanisterContractViolation, message: `Environment variable ${name} not found.` };
}

/** The failure that a trap of the machine means. */
export function failureOfTrap(kind: TrapKind): UserError {
  switch (kind) {
    case 'unreachable':
      return trapped('unreachable');
    case 'heap_out_of_bounds':
      return trapped('heap out of bounds');
    case 'division_by_zero':
      return trapped('integer division by 0');
    case 'table_out_of_bounds':
    case 'segment_out_of_bounds':
      return trapped('table out of bounds');
    case 'bad_signature':
      return badSignature();
    default:
      return trapped('unknown');
  }
}

/** The error with a backtrace where the real replica has it: between what happened and the help. */
export function withBacktrace(error: UserError, backtrace: readonly string[]): UserError {
  const end = error.message.indexOf(`.\n${TRAP_HELP}`);
  if (end < 0) return error;
  const lines = backtrace.map((name) => `${name}\n`).join('');
  const message = `${error.message.slice(0, end)}\nCanister Backtrace:\n${lines}${error.message.slice(end)}`;
  return { code: error.code, message };
}

/** The line that a trap leaves in the canister's log; what `ic0.trap` said is logged when it is called. */
export function trappedLog(error: UserError): Uint8Array | undefined {
  if (error.code !== ErrorCode.CanisterTrapped) return undefined;
  const cause = /^Canister trapped: (.*)\.$/m.exec(error.message)?.[1] ?? '';
  return new TextEncoder().encode(`[TRAP]: ${cause}`);
}
