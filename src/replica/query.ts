import type { Ingress, Limits, Principal, Response, SenderInfo, UserError } from '../model/index.ts';
import type {
  EntryPoint,
  ExecutionEnvironment,
  ExecutionResult,
  OutgoingCall,
  PreparedModule,
  QuerySession,
  Sandbox,
} from '../sandbox/index.ts';
import type { CanisterState, SubnetState } from '../state/index.ts';
import {
  CALL_GRAPH_OUT_OF_INSTRUCTIONS,
  CALL_GRAPH_TOO_DEEP,
  canisterNotFound,
  canisterStopped,
  canisterStopping,
  didNotReply,
  errorFromCanister,
  frozenForQueries,
  noMethod,
  notRunning,
  noWasmModule,
  queryOfStopped,
  rejectedByInspection,
} from './canister-error.ts';
import type { Query } from './contract.ts';
import { environmentOf, imageOf } from './environment.ts';
import { type Outcome, outcomeOf, responseForCanister } from './outcome.ts';
import { freezingThresholdOf, smallest } from './resources.ts';

/** What every call of a composite query costs besides its instructions, so that a graph has an end. */
const CALL_OVERHEAD = 50_000_000n;

/** Reads of the state as it stands: nothing in here changes it. */
export interface QueryParts {
  readonly state: SubnetState;
  readonly sandbox: Sandbox;
  readonly limits: Limits;
  moduleOf(canister: CanisterState): PreparedModule | undefined;
  /** Lets others go on between two slices of a long query. */
  rest(): Promise<void>;
  /** The answer of the management canister's query methods. */
  managementQuery(caller: Principal, callee: Principal, method: string, arg: Uint8Array): Response;
}

/** One canister's part of a query, and what it is told about its caller. */
interface Request {
  readonly canisterId: Principal;
  readonly caller: Principal;
  readonly method: string;
  readonly arg: Uint8Array;
  readonly depth: number;
  readonly dataCertificate?: Uint8Array | undefined;
  readonly senderInfo?: SenderInfo | undefined;
}

/** The instructions that a whole query may still use, over all canisters that it calls. */
class Budget {
  left: bigint;

  constructor(instructions: bigint) {
    this.left = instructions;
  }
}

/** Executes a query or composite query with all that it calls (interface spec, "Request: Query call"). */
export async function executeQuery(parts: QueryParts, query: Query): Promise<Outcome> {
  if (query.canisterId.isManagementCanister)
    return outcomeOf(parts.managementQuery(query.sender, query.effectiveCanisterId, query.method, query.arg));
  return executeCall(parts, new Budget(parts.limits.queryInstructions), {
    canisterId: query.canisterId,
    caller: query.sender,
    method: query.method,
    arg: query.arg,
    depth: 0,
    dataCertificate: query.dataCertificate,
    senderInfo: query.senderInfo,
  });
}

async function executeCall(parts: QueryParts, budget: Budget, request: Request): Promise<Outcome> {
  const { state } = parts;
  const canister = state.canisters.get(request.canisterId.key);
  if (canister === undefined) return failed(canisterNotFound(request.canisterId));
  const status = canister.status.kind;
  if (status === 'stopped') return failed(queryOfStopped(canister.id));
  if (status === 'stopping') return failed(notRunning(canister.id, status));
  const module = parts.moduleOf(canister);
  if (module === undefined) return failed(noWasmModule(canister.id));
  const composite = module.compositeQueryMethods.has(request.method);
  if (!composite && !module.queryMethods.has(request.method))
    return failed(noMethod(canister.id, 'query', request.method));
  const threshold = freezingThresholdOf(state, canister);
  if (canister.balance < threshold) return failed(frozenForQueries(canister.id));
  const session = parts.sandbox.openQuery(imageOf(canister, module));
  try {
    const run = new QueryRun(parts, budget, request, canister, session, threshold);
    return composite ? await run.composite() : await run.plain();
  } finally {
    session.close();
  }
}

/** One query on one canister: its entry point, and for a composite one the calls and callbacks that follow. */
class QueryRun {
  readonly #parts: QueryParts;
  readonly #budget: Budget;
  readonly #request: Request;
  readonly #canister: CanisterState;
  readonly #session: QuerySession;
  readonly #threshold: bigint;
  #instructions = 0n;

  constructor(
    parts: QueryParts,
    budget: Budget,
    request: Request,
    canister: CanisterState,
    session: QuerySession,
    threshold: bigint,
  ) {
    this.#parts = parts;
    this.#budget = budget;
    this.#request = request;
    this.#canister = canister;
    this.#session = session;
    this.#threshold = threshold;
  }

  async plain(): Promise<Outcome> {
    const { method, arg, dataCertificate } = this.#request;
    const result = await this.#execute({ kind: 'query', method, arg }, dataCertificate);
    return this.#outcomeOf(result) ?? failed(didNotReply(this.#canister.id));
  }

  async composite(): Promise<Outcome> {
    const { method, arg, dataCertificate, depth } = this.#request;
    const { limits } = this.#parts;
    let result = await this.#execute({ kind: 'composite_query', method, arg }, dataCertificate);
    let calls: readonly OutgoingCall[] = [];
    for (;;) {
      const outcome = this.#outcomeOf(result);
      if (outcome !== undefined) return outcome;
      calls = [...result.calls, ...calls];
      const [call, ...others] = calls;
      if (call === undefined) return failed(didNotReply(this.#canister.id));
      if (depth >= limits.compositeQueryDepth && !call.callee.isManagementCanister) return failed(CALL_GRAPH_TOO_DEEP);
      calls = others;
      this.#budget.left -= CALL_OVERHEAD;
      if (this.#budget.left <= 0n) return failed(CALL_GRAPH_OUT_OF_INSTRUCTIONS);
      const response = responseForCanister(await this.#call(call));
      if (this.#budget.left <= 0n) return failed(CALL_GRAPH_OUT_OF_INSTRUCTIONS);
      result = await this.#execute(
        response.kind === 'reply'
          ? { kind: 'reply_callback', callback: call.onReply, data: response.data, composite: true }
          : { kind: 'reject_callback', callback: call.onReject, reject: response.reject, composite: true },
        undefined,
      );
      if (result.error !== undefined && call.onCleanup !== undefined)
        await this.#execute(
          {
            kind: 'cleanup_callback',
            callback: call.onCleanup,
            rejectCode: response.kind === 'reply' ? 0 : response.reject.rejectCode,
            composite: true,
          },
          undefined,
        );
    }
  }

  async #call(call: OutgoingCall): Promise<Outcome> {
    const canister = this.#canister;
    const parts = this.#parts;
    if (call.callee.isManagementCanister)
      return outcomeOf(parts.managementQuery(canister.id, call.callee, call.method, call.arg));
    return executeCall(parts, this.#budget, {
      canisterId: call.callee,
      caller: canister.id,
      method: call.method,
      arg: call.arg,
      depth: this.#request.depth + 1,
    });
  }

  async #execute(entry: EntryPoint, dataCertificate: Uint8Array | undefined): Promise<ExecutionResult> {
    const { state, limits } = this.#parts;
    const canister = this.#canister;
    const total = smallest(this.#budget.left, limits.queryInstructions);
    const environment: ExecutionEnvironment = {
      ...environmentOf(state, canister),
      time: state.time,
      caller: this.#request.caller,
      senderInfo: this.#request.senderInfo,
      deadline: 0n,
      canisterVersion: canister.version,
      dataCertificate,
      replicated: false,
      balance: canister.balance,
      freezingThresholdCycles: this.#threshold,
      cyclesAvailable: 0n,
      cyclesRefunded: 0n,
      responded: false,
      wasmMemoryLimitBytes: 0n,
      growableBytes: limits.subnetMemoryBytes,
      queueCapacity: () => limits.queueCapacity,
      totalInstructions: total,
      callContextInstructions: this.#instructions,
    };
    const result = await runToEnd(this.#parts, this.#session, entry, environment);
    this.#instructions += result.instructions;
    this.#budget.left -= result.instructions;
    return result;
  }

  /** The query's outcome when this execution decides it. */
  #outcomeOf(result: ExecutionResult): Outcome | undefined {
    if (result.error !== undefined) return failed(errorFromCanister(this.#canister.id, result.error));
    return result.response;
  }
}

/** Runs slice by slice, so that a long query holds up nobody for longer than one. */
async function runToEnd(
  parts: QueryParts,
  session: QuerySession,
  entry: EntryPoint,
  environment: ExecutionEnvironment,
): Promise<ExecutionResult> {
  const slice = parts.limits.sliceInstructions;
  let step = await session.execute(entry, environment, slice);
  while (!step.done) {
    await parts.rest();
    step = await step.paused.resume(slice);
  }
  return step.result;
}

function failed(error: UserError): Outcome {
  return { kind: 'error', error };
}

/** `canister_inspect_message` of a message that wants to enter. @returns why it may not. */
export async function inspectMessage(parts: QueryParts, ingress: Ingress): Promise<UserError | undefined> {
  const { state, limits } = parts;
  const canister = state.canisters.get(ingress.canisterId.key);
  if (canister === undefined) return canisterNotFound(ingress.canisterId);
  const status = canister.status.kind;
  if (status === 'stopped') return canisterStopped(canister.id);
  if (status === 'stopping') return canisterStopping(canister.id);
  const module = parts.moduleOf(canister);
  if (module === undefined) return noWasmModule(canister.id);
  if (!module.entryPoints.has('canister_inspect_message')) return undefined;
  const session = parts.sandbox.openQuery(imageOf(canister, module));
  try {
    const result = await runToEnd(
      parts,
      session,
      { kind: 'inspect_message', method: ingress.methodName, arg: ingress.arg },
      {
        ...environmentOf(state, canister),
        time: state.time,
        caller: ingress.sender,
        senderInfo: ingress.senderInfo,
        deadline: 0n,
        canisterVersion: canister.version,
        replicated: false,
        balance: canister.balance,
        freezingThresholdCycles: freezingThresholdOf(state, canister),
        cyclesAvailable: 0n,
        cyclesRefunded: 0n,
        responded: false,
        wasmMemoryLimitBytes: 0n,
        growableBytes: limits.subnetMemoryBytes,
        queueCapacity: () => 0,
        totalInstructions: limits.inspectInstructions,
        callContextInstructions: 0n,
      },
    );
    if (result.error !== undefined) return errorFromCanister(canister.id, result.error);
    return result.messageAccepted ? undefined : rejectedByInspection(canister.id);
  } finally {
    session.close();
  }
}
