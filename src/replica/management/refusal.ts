import { type Cycles, ErrorCode, type Principal, type UserError } from '../../model/index.ts';

/**
 * Why the management canister refuses a call: code and text as the real replica gives them. Thrown within a call and
 * turned into its reject; each function below is one reason.
 */
export class Refusal extends Error {
  readonly userError: UserError;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.name = 'Refusal';
    this.userError = { code, message };
  }
}

const DOCS = 'http://internetcomputer.org/docs/current/references/execution-errors#';

function advice(suggestion: string, section: string): string {
  return `\n${suggestion} See documentation: ${DOCS}${section}`;
}

// --- who may ------------------------------------------------------------------------------------------------------

/** At the door: an ingress message by somebody who does not control the canister. */
export function onlyControllersCanCall(canisterId: Principal, method: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterInvalidController,
    `Only controllers of canister ${canisterId} can call ic00 method ${method}`,
  );
}

/** At execution. */
export function notAController(canisterId: Principal, controllers: readonly Principal[], sender: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterInvalidController,
    `Only the controllers of the canister ${canisterId} can control it.\n` +
      `Canister's controllers: ${controllers.join(' ')}\nSender's ID: ${sender}` +
      advice(
        'Execute this call from a controller of the target canister or add the current caller as a controller.',
        'invalid-controller',
      ),
  );
}

export function onlyCanistersCanCall(method: string): Refusal {
  return new Refusal(ErrorCode.CanisterRejectedMessage, `Only canisters can call ic00 method ${method}`);
}

/** The same as `onlyCanistersCanCall`, should such a message reach execution. */
export function cannotBeCalledByUser(method: string): Refusal {
  return new Refusal(ErrorCode.CanisterContractViolation, `${method} cannot be called by a user.`);
}

export function notAccessibleInReplicatedMode(method: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    `${method} API is not accessible via ingress in replicated mode`,
  );
}

export function notAllowedToCall(sender: Principal, method: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    `Caller ${sender} is not allowed to call ic00 method ${method}`,
  );
}

export function callerNotAuthorized(): Refusal {
  return new Refusal(ErrorCode.CanisterRejectedMessage, 'The caller is not authorized to call this method.');
}

export function logsNotAllowed(sender: Principal): Refusal {
  return new Refusal(ErrorCode.CanisterRejectedMessage, `Caller ${sender} is not allowed to access canister logs`);
}

// --- what there is ------------------------------------------------------------------------------------------------

export function noSuchMethod(method: string): Refusal {
  return new Refusal(ErrorCode.CanisterMethodNotFound, `Management canister has no method '${method}'`);
}

/** A method of the specification that this build does not serve. */
export function notAvailable(method: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    `${method} is not available: this network has no such service (threshold keys, HTTP outcalls and Bitcoin are not part of this release).`,
  );
}

/** At the door, without advice. */
export function canisterNotFoundAtTheDoor(canisterId: Principal): Refusal {
  return new Refusal(ErrorCode.CanisterNotFound, `Canister ${canisterId} not found`);
}

export function canisterNotFound(canisterId: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterNotFound,
    `Canister ${canisterId} not found.${advice('Check the ICP dashboard to ensure the canister exists.', 'canister-not-found')}`,
  );
}

export function payloadUndecodable(method: string): Refusal {
  return new Refusal(ErrorCode.InvalidManagementPayload, `Failed to decode payload for ic00 method: ${method}`);
}

export function wrongSubnet(subnetId: Principal, own: Principal): Refusal {
  return new Refusal(
    ErrorCode.SubnetNotFound,
    `Provided target subnet ID ${subnetId} does not match current subnet ID ${own}.`,
  );
}

// --- creation and settings ----------------------------------------------------------------------------------------

export function creationFeeMissing(required: Cycles, sent: Cycles): Refusal {
  return new Refusal(
    ErrorCode.InsufficientCyclesForCreateCanister,
    `Creating a canister requires a fee of ${required} that is deducted from the canister's initial balance but only ${sent} cycles were received with the create_canister request.` +
      advice('Try sending more cycles with the request.', 'create-canister-not-enough-cycles'),
  );
}

export function tooManyCanisters(subnetId: Principal, max: number): Refusal {
  return new Refusal(
    ErrorCode.MaxNumberOfCanistersReached,
    `Subnet ${subnetId} has reached the allowed canister limit of ${max} canisters. Retry creating the canister.` +
      advice('Try creating the canister on another subnet.', 'maximum-number-of-canisters-reached'),
  );
}

export function outOfCanisterIds(): Refusal {
  return new Refusal(
    ErrorCode.SubnetOversubscribed,
    'Could not create canister. Subnet has surpassed its canister ID allocation.',
  );
}

export function alreadyInstalled(canisterId: Principal): Refusal {
  return new Refusal(ErrorCode.CanisterAlreadyInstalled, `Canister ${canisterId} is already installed.`);
}

export function notHosted(canisterId: Principal, subnetId: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterNotHostedBySubnet,
    `Unsuccessful validation of specified ID: Specified CanisterId ${canisterId} is not hosted by subnet ${subnetId}.`,
  );
}

export function provisionalNotAllowed(): Refusal {
  return new Refusal(ErrorCode.CanisterMethodNotFound, 'Sender not authorized to use method.');
}

export function settingsInvalid(reason: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterContractViolation,
    `Could not validate the settings: ${reason} ` +
      advice('Apply the described changes to make the settings valid.', 'invalid-settings'),
  );
}

/** A number outside the range that the field's type has in the replica. */
export function settingOutOfRange(message: string): Refusal {
  return new Refusal(ErrorCode.CanisterContractViolation, message);
}

export function computeOversubscribed(requested: bigint, available: bigint): Refusal {
  return new Refusal(
    ErrorCode.SubnetOversubscribed,
    `Canister requested a compute allocation of ${requested}% which cannot be satisfied because the Subnet's remaining compute capacity is ${available}%.` +
      advice('Try moving to another subnet.', 'subnet-compute-capacity-oversubscribed'),
  );
}

export function memoryOversubscribed(requested: bigint, available: bigint): Refusal {
  return new Refusal(
    ErrorCode.SubnetOversubscribed,
    `Canister requested ${bytesText(requested)} of memory but only ${bytesText(available)} are available in the subnet.` +
      advice('Try moving to another subnet.', 'subnet-memory-capacity-oversubscribed'),
  );
}

export function noCyclesForCompute(allocation: bigint, missing: Cycles): Refusal {
  return new Refusal(
    ErrorCode.InsufficientCyclesInComputeAllocation,
    `Cannot increase compute allocation to ${allocation}% due to insufficient cycles. At least ${missing} additional cycles are required.` +
      advice('Top up the canister with more cycles.', 'insufficient-cycles-in-compute-allocation'),
  );
}

export function noCyclesForMemory(allocation: bigint, missing: Cycles): Refusal {
  return new Refusal(
    ErrorCode.InsufficientCyclesInMemoryAllocation,
    `Cannot increase memory allocation to ${bytesText(allocation)} due to insufficient cycles. At least ${missing} additional cycles are required.` +
      advice('Top up the canister with more cycles.', 'insufficient-cycles-in-memory-allocation'),
  );
}

export function noCyclesToGrow(bytes: bigint, missing: Cycles): Refusal {
  return new Refusal(
    ErrorCode.InsufficientCyclesInMemoryGrow,
    `Canister cannot grow memory by ${bytes} bytes due to insufficient cycles. At least ${missing} additional cycles are required.` +
      advice('Top up the canister with more cycles.', 'insufficient-cycles-in-memory-grow-1'),
  );
}

export function reservedLimitTooLow(limit: Cycles, reserved: Cycles): Refusal {
  return new Refusal(
    ErrorCode.ReservedCyclesLimitIsTooLow,
    `Cannot set the reserved cycles limit ${limit} below the reserved cycles balance of the canister ${reserved}.` +
      '\nSet the reserved cycles limit in the canister settings to a value that is at least the current reserved cycles balance. See documentation: reserved-cycles-limit-is-too-low',
  );
}

export function tooManyEnvironmentVariables(count: number, max: number): Refusal {
  return new Refusal(ErrorCode.InvalidManagementPayload, `Too many environment variables: ${count} (max: ${max})`);
}

export function environmentVariableTooLong(what: 'name' | 'value', text: string, max: number): Refusal {
  return new Refusal(
    ErrorCode.InvalidManagementPayload,
    `Environment variable ${what} "${text}" exceeds the maximum allowed length of ${max}.`,
  );
}

export function logMemoryLimitTooHigh(bytes: bigint, limit: bigint): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    `The canister log memory limit ${bytes} is too high. It must be at most ${limit}.`,
  );
}

// --- code ---------------------------------------------------------------------------------------------------------

export function notEmpty(canisterId: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterNonEmpty,
    `Canister ${canisterId} cannot be installed because the canister is not empty. Try installing with mode='reinstall' instead.` +
      advice("Check that you want to overwrite the canister and, if so, use mode='reinstall'.", 'canister-not-empty'),
  );
}

/** An upgrade of a canister without code; the message is what the sandbox of a message would say. */
export function noModule(canisterId: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterWasmModuleNotFound,
    `Error from Canister ${canisterId}: Attempted to execute a message, but the canister contains no Wasm module.` +
      advice('Please install code to this canister before calling it.', 'wasm-module-not-found'),
  );
}

export function installOutOfCycles(canisterId: Principal, missing: Cycles | undefined): Refusal {
  const top = missing === undefined ? '' : `: please top up the canister with at least ${missing} additional cycles`;
  return new Refusal(
    ErrorCode.CanisterOutOfCycles,
    `Canister installation failed with \`Canister ${canisterId} is out of cycles${top}\`.` +
      advice('Top up the canister with more cycles.', 'install-code-not-enough-cycles'),
  );
}

export function installRateLimited(canisterId: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterInstallCodeRateLimited,
    `Canister ${canisterId} is rate limited because it executed too many instructions in the previous install_code messages. Please retry installation after several minutes.` +
      advice('Retry the installation at a later time.', 'install-code-rate-limited'),
  );
}

export function persistenceOptionMissing(): Refusal {
  return new Refusal(
    ErrorCode.CanisterContractViolation,
    'Missing upgrade option: Enhanced orthogonal persistence requires the `wasm_memory_persistence` upgrade option.',
  );
}

export function persistenceNotSupported(): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    'Invalid upgrade option: The `wasm_memory_persistence: opt Keep` upgrade option requires that the new canister module supports enhanced orthogonal persistence.',
  );
}

export function chunkStore(message: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterContractViolation,
    `Error from Wasm chunk store: ${message}.` +
      advice(
        'Use the `stored_chunks` API to check which hashes are present or top up the canister if it is low on cycles.',
        'wasm-chunk-store-error',
      ),
  );
}

// --- life cycle ---------------------------------------------------------------------------------------------------

export function deleteNotStopped(canisterId: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterNotStopped,
    `Canister ${canisterId} must be stopped before it is deleted.` +
      advice('Stop the canister before deleting it.', 'delete-canister-not-stopped'),
  );
}

export function deleteQueueNotEmpty(canisterId: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterQueueNotEmpty,
    `Canister ${canisterId} has messages in its queues and cannot be deleted now. Please retry after some time.` +
      advice(
        'Wait until the queues have been cleared to delete the canister and in the meantime stop the canister.',
        'delete-canister-queue-not-empty',
      ),
  );
}

export function deleteSelf(canisterId: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterInvalidController,
    `Canister ${canisterId} cannot delete itself.` +
      advice('Delete the canister from one of its other controllers.', 'delete-canister-self'),
  );
}

export function stopCancelled(canisterId: Principal): Refusal {
  return new Refusal(ErrorCode.CanisterStoppingCancelled, `Canister ${canisterId}'s stop request was cancelled.`);
}

export function stopTimedOut(): Refusal {
  return new Refusal(ErrorCode.StopCanisterRequestTimeout, 'Stop canister request timed out');
}

export function uninstalled(): Refusal {
  return new Refusal(ErrorCode.CanisterRejectedMessage, 'Canister has been uninstalled.');
}

// --- metadata and snapshots ---------------------------------------------------------------------------------------

export function metadataNoModule(canisterId: Principal): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    `The canister ${canisterId} has no Wasm module and hence no metadata is available.`,
  );
}

export function metadataNotFound(canisterId: Principal, name: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    `The canister ${canisterId} has no metadata section with the name ${name}.`,
  );
}

export function snapshotNotFound(canisterId: Principal, snapshotId: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterSnapshotNotFound,
    `Could not find the snapshot ID ${snapshotId} for canister ${canisterId}.` +
      advice('Use the `list_canister_snapshot` API to see which snapshots are present.', 'canister-snapshot-not-found'),
  );
}

export function snapshotOfAnother(canisterId: Principal, snapshotId: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    `The snapshot ${snapshotId} does not belong to canister ${canisterId}.` +
      advice(
        'Use the `list_canister_snapshot` API to see which snapshots are present.',
        'canister-snapshot-invalid-ownership',
      ),
  );
}

export function snapshotOfEmpty(canisterId: Principal): Refusal {
  return new Refusal(ErrorCode.CanisterRejectedMessage, `Failed to create snapshot for empty canister ${canisterId}:`);
}

export function snapshotLimit(canisterId: Principal, limit: number): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    `Canister ${canisterId} has reached the maximum number of snapshots allowed: ${limit}.` +
      '\nConsider deleting an unnecessary snapshot of the specified canister before creating a new one. See documentation: canister-snapshot-limit-exceeded',
  );
}

export function snapshotNotController(sender: Principal, canisterId: Principal, snapshotId: string): Refusal {
  return new Refusal(
    ErrorCode.CanisterRejectedMessage,
    `Only a controller of the canister that snapshot ${snapshotId} belongs to can load it on canister ${canisterId}. Sender: ${sender}.` +
      '\nMake sure you are a controller of the canister that the snapshot belongs to. See documentation: canister-snapshot-not-controller',
  );
}

export function sliceInvalid(offset: bigint, size: bigint): Refusal {
  return new Refusal(
    ErrorCode.InvalidManagementPayload,
    `Invalid subslice into wasm module / main memory / stable memory: offset: ${offset}, size: ${size}`,
  );
}

export function sliceTooLarge(requested: bigint, allowed: bigint): Refusal {
  return new Refusal(ErrorCode.InvalidManagementPayload, `Requested slice too large: ${requested} > ${allowed}`);
}

/** A number of bytes as the replica prints it: `1.50 GiB`, whole numbers without a fraction. */
function bytesText(bytes: bigint): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let scale = 1n;
  while (unit < units.length - 1 && bytes >= scale * 1024n) {
    scale *= 1024n;
    unit++;
  }
  const hundredths = (bytes * 100n) / scale;
  const fraction = hundredths % 100n;
  const digits = fraction === 0n ? '' : `.${String(fraction).padStart(2, '0')}`;
  return `${hundredths / 100n}${digits} ${units[unit]}`;
}
