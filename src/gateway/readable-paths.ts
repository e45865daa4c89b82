import { textOf, toHex } from '../codec/index.ts';
import { Principal } from '../model/index.ts';
import type { Replica } from '../replica/index.ts';
import { Refusal } from './refusal.ts';

/** Who reads, where, and what they may act for. */
export interface Reader {
  readonly sender: Principal;
  /** Whether the sender's delegations, if any, reach this canister. */
  readonly actsFor: (canisterId: Principal) => boolean;
  readonly scope: 'canister' | 'subnet';
  /** Version of the endpoint. */
  readonly version: 2 | 3;
  /** The principal of the URL. */
  readonly effectiveId: Principal;
  readonly rootSubnetId: Principal;
}

const REQUEST_STATUS_FIELDS: ReadonlySet<string> = new Set([
  'status',
  'reply',
  'reject_code',
  'reject_message',
  'error_code',
]);
const CANISTER_FIELDS: ReadonlySet<string> = new Set([
  'module_hash',
  'controllers',
  'canister_creation_timestamp',
  'last_install_timestamp',
]);
const BOUNDARY_NODE_FIELDS: ReadonlySet<string> = new Set(['domain', 'ipv4_address', 'ipv6_address']);

/**
 * Checks that all paths may be read (interface spec, "Request: Read state"; statuses and texts are the replica's:
 * 404 for a path of no known form, 403 for one that this sender may not read, 400 for what cannot be meant).
 *
 * @returns true when a permission rests on something being absent or public now, so that a certified state older than
 * `state` must not be revealed: it may still have what is gone.
 * @throws Refusal
 */
export function authorizePaths(
  paths: readonly (readonly Uint8Array[])[],
  reader: Reader,
  state: Replica['state'],
): boolean {
  let needsPresent = false;
  let requestId: string | undefined;
  let rangesOf: string | undefined;
  for (const path of paths) {
    const second = path[1];
    switch (text(path[0])) {
      case 'time':
        if (path.length !== 1) throw unknownPath();
        break;
      case 'api_boundary_nodes':
        if (path.length > 3 || (path.length === 3 && !BOUNDARY_NODE_FIELDS.has(text(path[2])))) throw unknownPath();
        break;
      case 'subnet':
        authorizeSubnetPath(path, reader);
        break;
      case 'canister_ranges': {
        if (second === undefined || path.length !== 2 || reader.scope !== 'subnet') throw unknownPath();
        const id = toHex(second);
        if (rangesOf !== undefined && rangesOf !== id)
          throw new Refusal(400, 'path', 'The canister_ranges paths name more than one subnet.');
        rangesOf = id;
        break;
      }
      case 'request_status': {
        if (second === undefined || path.length > 3) throw unknownPath();
        if (path.length === 3 && !REQUEST_STATUS_FIELDS.has(text(path[2]))) throw unknownPath();
        if (reader.scope === 'subnet' && reader.version < 3) throw unknownPath();
        const id = toHex(second);
        if (second.length !== 32)
          throw new Refusal(
            400,
            'path',
            'Invalid request id in paths. Maybe the request ID is not of 32 bytes in length?!',
          );
        if (requestId !== undefined && requestId !== id)
          throw new Refusal(
            400,
            'path',
            `More than one non-unique request ID exists in request_status paths: 0x${requestId} and 0x${id}.`,
          );
        requestId = id;
        if (!authorizeRequestStatus(id, reader, state)) needsPresent = true;
        break;
      }
      case 'canister':
        if (!authorizeCanisterPath(path, reader, state)) needsPresent = true;
        break;
      default:
        throw unknownPath();
    }
  }
  return needsPresent;
}

function authorizeSubnetPath(path: readonly Uint8Array[], reader: Reader): void {
  const [, subnet, field, node, nodeField] = path;
  if (subnet === undefined || field === undefined) return;
  switch (text(field)) {
    case 'public_key':
    case 'type':
      if (path.length === 3) return;
      break;
    case 'metrics':
      if (path.length !== 3 || reader.scope !== 'subnet') break;
      requireEffectiveId(principal(subnet), reader);
      return;
    case 'canister_ranges':
      if (path.length !== 3) break;
      if (reader.version === 2 || principal(subnet).key === reader.rootSubnetId.key) return;
      break;
    case 'node':
      if (node === undefined || nodeField === undefined) return;
      if (path.length === 5 && text(nodeField) === 'public_key') return;
      break;
  }
  throw unknownPath();
}

/** @returns whether the request is known, and so the permission does not rest on its absence. */
function authorizeRequestStatus(id: string, reader: Reader, state: Replica['state']): boolean {
  const record = state.ingressHistory.get(id);
  if (record === undefined) return false;
  if (record.sender.key !== reader.sender.key)
    throw new Refusal(403, 'path', 'The user tries to access Request ID not signed by the caller.');
  if (!reader.actsFor(record.canisterId))
    throw new Refusal(
      403,
      'path',
      'The user tries to access request IDs for canisters not belonging to sender delegation targets.',
    );
  const effective = reader.effectiveId.key;
  if (effective !== record.effectiveCanisterId.key && effective !== record.canisterId.key)
    throw new Refusal(
      403,
      'path',
      `The request ID belongs to the effective principal id ${record.effectiveCanisterId}, not to ${reader.effectiveId}.`,
    );
  return true;
}

/** @returns whether the permission holds whatever an older state says. */
function authorizeCanisterPath(path: readonly Uint8Array[], reader: Reader, state: Replica['state']): boolean {
  const [, canister, field, section] = path;
  if (canister === undefined || field === undefined || reader.scope !== 'canister') throw unknownPath();
  if (section === undefined) {
    if (!CANISTER_FIELDS.has(text(field))) throw unknownPath();
    requireEffectiveId(principal(canister), reader);
    return true;
  }
  if (path.length !== 4 || text(field) !== 'metadata') throw unknownPath();
  const name = textOf(section);
  if (name === undefined)
    throw new Refusal(400, 'path', 'Could not parse the custom section name: it is not valid UTF-8.');
  const id = principal(canister);
  requireEffectiveId(id, reader);
  const known = state.canisters.get(id.key);
  if (known?.settings.controllers.some((controller) => controller.key === reader.sender.key)) return true;
  const found = known?.code?.customSections.find((custom) => custom.name === name);
  if (found?.visibility === 'private')
    throw new Refusal(
      403,
      'path',
      `Custom section ${name.slice(0, 100)} can only be requested by the controllers of the canister.`,
    );
  return false;
}

function requireEffectiveId(id: Principal, reader: Reader): void {
  if (id.key !== reader.effectiveId.key)
    throw new Refusal(
      400,
      'effective_id',
      `Effective principal id in URL ${reader.effectiveId} does not match requested principal id: ${id}.`,
    );
}

function principal(label: Uint8Array): Principal {
  if (label.length > 29)
    throw new Refusal(400, 'path', `Could not parse principal ID: ${label.length} bytes are more than 29.`);
  return Principal.fromBytes(label);
}

/** A label that may be a word of the specification; others read as the empty text, which is none. */
function text(label: Uint8Array | undefined): string {
  if (label === undefined || label.length > 32) return '';
  return textOf(label) ?? '';
}

function unknownPath(): Refusal {
  return new Refusal(404, 'path', 'Invalid path requested.');
}
