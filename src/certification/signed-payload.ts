import { concatBytes, type HashableMap, hashOfMap, utf8 } from '../codec/index.ts';
import type { Response, Time } from '../model/index.ts';

/** What is signed is never a bare hash: each purpose puts its own separator, length first, before the message. */
function separator(text: string): Uint8Array {
  return concatBytes(Uint8Array.of(text.length), utf8(text));
}

const STATE_ROOT = separator('ic-state-root');
const REQUEST = separator('ic-request');
const DELEGATION = separator('ic-request-auth-delegation');
const RESPONSE = separator('ic-response');
const SENDER_INFO = separator('ic-sender-info');

/** What a subnet signs to certify a state (interface spec, "Certificate"). */
export function stateRootPayload(rootHash: Uint8Array): Uint8Array {
  return concatBytes(STATE_ROOT, rootHash);
}

/** What `sender_sig` signs (interface spec, "Authentication"). */
export function requestPayload(requestId: Uint8Array): Uint8Array {
  return concatBytes(REQUEST, requestId);
}

/** What the signature of a delegation between keys signs: `delegation` is that map (interface spec, "Authentication"). */
export function delegationPayload(delegation: HashableMap): Uint8Array {
  return concatBytes(DELEGATION, hashOfMap(delegation));
}

/** What the `sig` of a `sender_info` signs. */
export function senderInfoPayload(info: Uint8Array): Uint8Array {
  return concatBytes(SENDER_INFO, info);
}

/** What a node signs under the answer to a query (interface spec, "Request: Query call"). */
export function queryResponsePayload(response: Response, timestamp: Time, requestId: Uint8Array): Uint8Array {
  const fields: HashableMap =
    response.kind === 'reply'
      ? { status: 'replied', reply: { arg: response.data }, timestamp, request_id: requestId }
      : {
          status: 'rejected',
          reject_code: response.reject.rejectCode,
          reject_message: response.reject.message,
          error_code: response.reject.errorCode,
          timestamp,
          request_id: requestId,
        };
  return concatBytes(RESPONSE, hashOfMap(fields));
}
