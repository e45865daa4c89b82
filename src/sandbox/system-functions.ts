import {
  callCost,
  creationFee,
  httpRequestFee,
  Principal,
  signatureFee,
  type UserError,
  vetkdFee,
  WASM_PAGE_BYTES,
} from '../model/index.ts';
import {
  calledTrap,
  certifiedDataTooLarge,
  contractViolation,
  environmentVariableIndexOutOfBounds,
  environmentVariableNotFound,
  invalidPrincipal,
  toolchainViolation,
  wrongMode,
} from './execution-error.ts';
import type { EnvironmentVariable, SystemApi } from './system-api.ts';
import { TRANSMISSION_FACTOR } from './system-api.ts';
import { type SystemFunction, systemFunction } from './system-function.ts';

/**
 * The System API of interface specification 0.66, function by function: type, contexts and behaviour. Charges are the
 * real replica's. Every body begins with `enter`, which charges and checks the context.
 */

const FIXED = 500;
const STABLE = 20;
const STABLE_32_LIMIT_PAGES = 65_536n;
const EMPTY = new Uint8Array(0);
const UTF8 = new TextEncoder();

/** `foo_size` and `foo_copy`. `what` names the blob in the message about a bad offset. */
function blob(
  name: string,
  contexts: string,
  what: string,
  value: (api: SystemApi, f: SystemFunction) => Uint8Array,
): SystemFunction[] {
  return [
    systemFunction(`${name}_size`, '->I', contexts, FIXED, (api, f) => {
      api.enter(f, 0);
      return value(api, f).length;
    }),
    systemFunction(`${name}_copy`, 'I I I->', contexts, FIXED, (api, f, target, offset, size) => {
      api.enter(f, size);
      api.copyOut(f, what, value(api, f), target, offset, size);
    }),
  ];
}

function dataCertificate(api: SystemApi, f: SystemFunction): Uint8Array {
  const certificate = api.environment.dataCertificate;
  return certificate ?? api.fail(wrongMode(f.name, api.context.title));
}

const QUERY_CONTEXTS = new Set(['NRQ', 'CQ']);

/** Which keys for threshold signatures a network of this kind would have; local networks use the test names. */
const KEY_NAMES = new Set(['key_1', 'test_key_1', 'dfx_test_key']);
const UNKNOWN_ALGORITHM = 1;
const UNKNOWN_KEY = 2;

function costOfKey(name: string, algorithms: number, fee: (api: SystemApi) => bigint): SystemFunction {
  return systemFunction(name, 'I I i32 I->i32', '* s', FIXED, (api, f, source, size, algorithm, target) => {
    api.enter(f, size);
    const key = api.heapText(`ic0.${name} heap`, source, size, () => toolchainViolation(`Failed to decode key name`));
    // The specification has the call trap on a bad `dst` whatever the answer is.
    api.checkHeap(`ic0.${name} heap`, target, 16);
    if (algorithm >= algorithms) return UNKNOWN_ALGORITHM;
    if (!KEY_NAMES.has(key)) return UNKNOWN_KEY;
    api.putCycles(f, fee(api), target);
    return 0;
  });
}

function variableAt(api: SystemApi, index: number): EnvironmentVariable {
  const variables = api.environmentVariables;
  return variables[index] ?? api.fail(environmentVariableIndexOutOfBounds(index, variables.length));
}

function variableName(api: SystemApi, f: SystemFunction, what: string, source: number, size: number): string {
  if (size > api.limits.environmentVariableBytes) {
    api.fail(contractViolation(`ic0.${f.name}: Variable name is too large.`));
  }
  return api.heapText(`ic0.${f.name} ${what}`, source, size, () => invalidVariableName(f));
}

function invalidVariableName(f: SystemFunction): UserError {
  const { code, message } = contractViolation(`ic0.${f.name}: Variable name is not a valid UTF-8 string.`);
  return {
    code,
    message: `${message}.\nProvide a valid UTF-8 string for the environment variable name. See documentation: `,
  };
}

function variableNamed(api: SystemApi, name: string): EnvironmentVariable {
  const found = api.environmentVariables.find((variable) => variable.name === name);
  return found ?? api.fail(environmentVariableNotFound(name));
}

function cycles128(high: bigint, low: bigint): bigint {
  return (high << 64n) | low;
}

/** Function indices larger than any table are kept as the largest 32-bit number. */
function tableIndex(fun: bigint): bigint {
  return fun > 0xffff_ffffn ? 0xffff_ffffn : fun;
}

const CALLS = 'U CQ Ry Rt CRy CRt T';
const RESPONDS = 'U RQ NRQ TQ CQ Ry Rt CRy CRt';
const CALLER_INFO = 'U RQ NRQ CQ Ry Rt CRy CRt C CC F';

export const SYSTEM_FUNCTIONS: readonly SystemFunction[] = [
  ...blob('msg_arg_data', 'I U RQ NRQ TQ CQ Ry CRy F', 'payload', (api) => api.argument),
  ...blob('msg_caller', '*', 'id', (api) => api.environment.caller.bytes),
  ...blob('msg_caller_info_data', CALLER_INFO, 'info', (api) => api.environment.senderInfo?.info ?? EMPTY),
  ...blob('msg_caller_info_signer', CALLER_INFO, 'signer', (api) => api.environment.senderInfo?.signer.bytes ?? EMPTY),
  systemFunction('msg_reject_code', '->i32', 'Ry Rt CRy CRt C', FIXED, (api, f) => {
    api.enter(f, 0);
    return api.rejectCode;
  }),
  ...blob('msg_reject_msg', 'Rt CRt', 'msg', (api) => api.rejectMessage),
  systemFunction('msg_deadline', '->i64', 'U Q CQ Ry Rt CRy CRt', FIXED, (api, f) => {
    api.enter(f, 0);
    return api.environment.deadline;
  }),

  systemFunction('msg_reply_data_append', 'I I->', RESPONDS, FIXED, (api, f, source, size) => {
    api.enter(f, TRANSMISSION_FACTOR * size);
    api.appendReply(source, size);
  }),
  systemFunction('msg_reply', '->', RESPONDS, FIXED, (api, f) => {
    api.enter(f, 0);
    api.reply();
  }),
  systemFunction('msg_reject', 'I I->', RESPONDS, FIXED, (api, f, source, size) => {
    api.enter(f, TRANSMISSION_FACTOR * size);
    api.reject(source, size);
  }),

  systemFunction('msg_cycles_available128', 'I->', 'U RQ Rt Ry', FIXED, (api, f, target) => {
    api.enter(f, 0);
    api.putCycles(f, api.cyclesAvailable, target);
  }),
  systemFunction('msg_cycles_refunded128', 'I->', 'Rt Ry', FIXED, (api, f, target) => {
    api.enter(f, 0);
    api.putCycles(f, api.environment.cyclesRefunded, target);
  }),
  systemFunction('msg_cycles_accept128', 'i64 i64 I->', 'U RQ Rt Ry', FIXED, (api, f, high, low, target) => {
    api.enter(f, 0);
    api.putCycles(f, api.acceptCycles(cycles128(high, low)), target);
  }),
  systemFunction('cycles_burn128', 'i64 i64 I->', 'I G U RQ Ry Rt C T', FIXED, (api, f, high, low, target) => {
    api.enter(f, 0);
    api.putCycles(f, api.burnCycles(cycles128(high, low)), target);
  }),

  ...blob('canister_self', '*', 'id', (api) => api.canisterId.bytes),
  systemFunction('canister_cycle_balance128', 'I->', '*', FIXED, (api, f, target) => {
    api.enter(f, 0);
    api.putCycles(f, api.balance, target);
  }),
  systemFunction('canister_liquid_cycle_balance128', 'I->', '*', FIXED, (api, f, target) => {
    api.enter(f, 0);
    api.putCycles(f, api.liquidBalance(), target);
  }),
  systemFunction('canister_status', '->i32', '*', FIXED, (api, f) => {
    api.enter(f, 0);
    return api.environment.canisterStatus;
  }),
  systemFunction('canister_version', '->i64', '*', FIXED, (api, f) => {
    api.enter(f, 0);
    return api.environment.canisterVersion;
  }),
  ...blob('subnet_self', '*', 'id', (api) => api.environment.subnetId.bytes),

  ...blob('msg_method_name', 'F', 'payload', (api) => api.methodName),
  systemFunction('accept_message', '->', 'F', FIXED, (api, f) => {
    api.enter(f, 0);
    api.acceptMessage();
  }),

  systemFunction('call_new', 'I I I I I I I I->', CALLS, 1_500, (api, f, given) => {
    const [calleeAt = 0n, calleeSize = 0n, nameAt = 0n, nameSize = 0n] = given;
    const [, , , , replyFun = 0n, replyEnv = 0n, rejectFun = 0n, rejectEnv = 0n] = given;
    api.enter(f, Number(calleeSize + nameSize));
    api.newCall(
      [Number(calleeAt), Number(calleeSize)],
      [Number(nameAt), Number(nameSize)],
      { fun: tableIndex(replyFun), env: replyEnv },
      { fun: tableIndex(rejectFun), env: rejectEnv },
    );
  }),
  systemFunction('call_on_cleanup', 'fun env->', CALLS, FIXED, (api, f, fun, env) => {
    api.enter(f, 0);
    const pending = api.pendingCall(f);
    if (pending.onCleanup !== undefined) {
      api.fail(
        toolchainViolation(
          'ic0.call_on_cleanup can be called at most once between `ic0.call_new` and `ic0.call_perform`',
        ),
      );
    }
    pending.onCleanup = { fun: tableIndex(fun), env };
  }),
  systemFunction('call_data_append', 'I I->', CALLS, FIXED, (api, f, source, size) => {
    api.enter(f, TRANSMISSION_FACTOR * size);
    api.appendCallData(f, source, size);
  }),
  systemFunction('call_with_best_effort_response', 'i32->', CALLS, FIXED, (api, f, seconds) => {
    api.enter(f, 0);
    const pending = api.pendingCall(f);
    if (pending.timeoutSeconds !== undefined) {
      api.fail(toolchainViolation('ic0_call_with_best_effort_response failed because a timeout is already set.'));
    }
    pending.timeoutSeconds = Math.min(seconds, api.limits.bestEffortTimeoutSeconds);
  }),
  systemFunction('call_cycles_add128', 'i64 i64->', 'U Ry Rt T', FIXED, (api, f, high, low) => {
    api.enter(f, 0);
    api.addCallCycles(f, cycles128(high, low));
  }),
  systemFunction('call_perform', '->i32', CALLS, 5_000, (api, f) => {
    api.enter(f, 0);
    return api.performCall(f);
  }),

  systemFunction('stable64_size', '->i64', '* s', 0, (api, f) => {
    api.enter(f, 0);
    return BigInt(api.stable.wasmPages);
  }),
  systemFunction('stable64_grow', 'i64->i64', '* s', 100, (api, f, pages) => {
    api.enter(f, 0);
    return api.growStable(pages, api.limits.stableMemoryBytes / BigInt(WASM_PAGE_BYTES));
  }),
  systemFunction('stable64_write', 'i64 i64 i64->', '* s', STABLE, (api, f, offset, source, size) => {
    api.enter(f, size);
    api.writeStable(offset, source, size);
  }),
  systemFunction('stable64_read', 'i64 i64 i64->', '* s', STABLE, (api, f, target, offset, size) => {
    api.enter(f, size);
    api.readStable(target, offset, size);
  }),

  ...blob('root_key', 'I G U RQ Ry Rt C T', 'bytes', (api) => api.environment.rootKey),
  systemFunction('certified_data_set', 'I I->', 'I G U Ry Rt T', FIXED, (api, f, source, size) => {
    api.enter(f, size);
    const limit = api.limits.certifiedDataBytes;
    if (size > limit) api.fail(certifiedDataTooLarge(size, limit));
    const available = api.machine.heap.length;
    if (source + size > available) {
      api.fail(
        toolchainViolation(
          `ic0_certified_data_set failed because src + size is out of bounds. Found src = ${BigInt(source)} and size = ${size} while src + size must be <= ${available}`,
        ),
      );
    }
    api.certifiedData = api.machine.heap.slice(source, source + size);
  }),
  systemFunction('data_certificate_present', '->i32', '*', FIXED, (api, f) => {
    api.enter(f, 0);
    return QUERY_CONTEXTS.has(api.context.letter) && api.environment.dataCertificate !== undefined ? 1 : 0;
  }),
  ...blob('data_certificate', 'NRQ CQ', 'certificate', dataCertificate),

  systemFunction('time', '->i64', '*', FIXED, (api, f) => {
    api.enter(f, 0);
    return api.environment.time;
  }),
  systemFunction('global_timer_set', 'i64->i64', 'I G U Ry Rt C T', FIXED, (api, f, time) => {
    api.enter(f, 0);
    const previous = api.timer ?? api.environment.globalTimer ?? 0n;
    api.timer = time;
    return previous;
  }),
  systemFunction('performance_counter', 'i32->i64', '* s', 200, (api, f, type) => {
    api.enter(f, 0);
    if (type > 1) api.fail(contractViolation(`Error getting performance counter type ${type}`));
    const executed = BigInt(api.machine.executed());
    return type === 0 ? executed : executed + api.environment.callContextInstructions;
  }),
  systemFunction('is_controller', 'I I->i32', '* s', 1_000, (api, f, source, size) => {
    api.enter(f, size);
    const bytes = api.heapBytes('ic0.is_controller', source, size);
    if (size > 29) api.fail(invalidPrincipal());
    const principal = Principal.fromBytes(bytes.slice());
    return api.environment.controllers.some((controller) => controller.equals(principal)) ? 1 : 0;
  }),
  systemFunction('in_replicated_execution', '->i32', '* s', FIXED, (api, f) => {
    api.enter(f, 0);
    return api.replicated ? 1 : 0;
  }),

  systemFunction('cost_call', 'i64 i64 I->', '* s', FIXED, (api, f, methodNameSize, payloadSize, target) => {
    api.enter(f, 0);
    const payload = Number(methodNameSize + payloadSize);
    api.putCycles(f, callCost(api.feeContext(), api.limits, payload, api.machine.memory64), target);
  }),
  systemFunction('cost_create_canister', 'I->', '* s', FIXED, (api, f, target) => {
    api.enter(f, 0);
    api.putCycles(f, creationFee(api.feeContext()), target);
  }),
  systemFunction('cost_http_request', 'i64 i64 I->', '* s', FIXED, (api, f, requestSize, maxResponse, target) => {
    api.enter(f, 0);
    api.putCycles(f, httpRequestFee(api.feeContext(), requestSize, maxResponse), target);
  }),
  costOfKey('cost_sign_with_ecdsa', 1, (api) => signatureFee(api.feeContext())),
  costOfKey('cost_sign_with_schnorr', 2, (api) => signatureFee(api.feeContext())),
  costOfKey('cost_vetkd_derive_key', 1, (api) => vetkdFee(api.feeContext())),

  systemFunction('env_var_count', '->I', '*', FIXED, (api, f) => {
    api.enter(f, 0);
    return api.environmentVariables.length;
  }),
  systemFunction('env_var_name_size', 'I->I', '*', FIXED, (api, f, index) => {
    api.enter(f, 0);
    return variableAt(api, index).nameBytes.length;
  }),
  systemFunction('env_var_name_copy', 'I I I I->', '*', FIXED, (api, f, index, target, offset, size) => {
    api.enter(f, size);
    api.copyOut(f, 'name', variableAt(api, index).nameBytes, target, offset, size);
  }),
  systemFunction('env_var_name_exists', 'I I->i32', '*', FIXED, (api, f, source, size) => {
    api.enter(f, 0);
    const name = variableName(api, f, 'heap', source, size);
    return api.environmentVariables.some((variable) => variable.name === name) ? 1 : 0;
  }),
  systemFunction('env_var_value_size', 'I I->I', '*', FIXED, (api, f, source, size) => {
    api.enter(f, 0);
    return variableNamed(api, variableName(api, f, 'heap', source, size)).valueBytes.length;
  }),
  systemFunction('env_var_value_copy', 'I I I I I->', '*', FIXED, (api, f, nameAt, nameSize, target, offset, size) => {
    api.enter(f, size);
    const variable = variableNamed(api, variableName(api, f, 'name', nameAt, nameSize));
    api.copyOut(f, 'value', variable.valueBytes, target, offset, size);
  }),

  systemFunction('debug_print', 'I I->', '* s', 100, (api, f, source, size) => {
    api.enter(f, api.logInstructions(size));
    api.print(source, size);
  }),
  systemFunction('trap', 'I I->', '* s', FIXED, (api, f, source, size) => {
    api.enter(f, size + api.logInstructions(size));
    const message = api.trapMessage(source, size);
    api.log(UTF8.encode(`[TRAP]: ${message === '' ? '(no message)' : message}`));
    api.fail(calledTrap(message));
  }),

  // Deprecated: amounts in 64 bits and stable memory up to 4 GiB, for modules with 32-bit pointers.
  systemFunction(
    'msg_cycles_available',
    '->i64',
    'U RQ Rt Ry',
    FIXED,
    (api, f) => {
      api.enter(f, 0);
      return api.narrow(api.cyclesAvailable);
    },
    true,
  ),
  systemFunction(
    'msg_cycles_refunded',
    '->i64',
    'Rt Ry',
    FIXED,
    (api, f) => {
      api.enter(f, 0);
      return api.narrow(api.environment.cyclesRefunded);
    },
    true,
  ),
  systemFunction(
    'msg_cycles_accept',
    'i64->i64',
    'U RQ Rt Ry',
    FIXED,
    (api, f, maximum) => {
      api.enter(f, 0);
      return api.acceptCycles(maximum);
    },
    true,
  ),
  systemFunction(
    'canister_cycle_balance',
    '->i64',
    '*',
    FIXED,
    (api, f) => {
      api.enter(f, 0);
      return api.narrow(api.balance);
    },
    true,
  ),
  systemFunction(
    'call_cycles_add',
    'i64->',
    'U Ry Rt T',
    FIXED,
    (api, f, amount) => {
      api.enter(f, 0);
      api.addCallCycles(f, amount);
    },
    true,
  ),
  systemFunction(
    'stable_size',
    '->i32',
    '* s',
    0,
    (api, f) => {
      api.enter(f, 0);
      return api.stableSize32();
    },
    true,
  ),
  systemFunction(
    'stable_grow',
    'i32->i32',
    '* s',
    100,
    (api, f, pages) => {
      api.enter(f, 0);
      api.stableSize32();
      return Number(api.growStable(BigInt(pages), STABLE_32_LIMIT_PAGES));
    },
    true,
  ),
  systemFunction(
    'stable_write',
    'i32 i32 i32->',
    '* s',
    STABLE,
    (api, f, offset, source, size) => {
      api.enter(f, size);
      api.stableSize32();
      api.writeStable(offset, source, size);
    },
    true,
  ),
  systemFunction(
    'stable_read',
    'i32 i32 i32->',
    '* s',
    STABLE,
    (api, f, target, offset, size) => {
      api.enter(f, size);
      api.stableSize32();
      api.readStable(target, offset, size);
    },
    true,
  ),
];

const BY_NAME: ReadonlyMap<string, SystemFunction> = new Map(SYSTEM_FUNCTIONS.map((f) => [f.name, f]));

/** The imports of module `ic0` for an instance: only the functions that its module asks for. */
export function systemImports(api: SystemApi, names: Iterable<string>): Record<string, WebAssembly.ImportValue> {
  const imports: Record<string, WebAssembly.ImportValue> = {};
  for (const name of names) {
    const found = BY_NAME.get(name);
    if (found !== undefined) imports[name] = found.bind(api);
  }
  return imports;
}
