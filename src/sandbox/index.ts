/**
 * Runs one message of one canister: instance, System API `ic0`, limits, traps, commit and roll back.
 *
 * A module is prepared once (validated, rewritten, compiled). `execute` runs a replicated message on the canister's live
 * instance, which equals the committed image between messages; the message's effects come back as data. On success the
 * dirty pages are copied into the image's page stores, on failure they are copied back from there. A message that uses up
 * its slice is suspended with its stack, others run meanwhile on the same thread, and it goes on when it is resumed; a
 * message is first tried in one plain call, because nearly all are short. `openQuery` shows the image as it was when it was
 * opened: on the live instance, rolled back each time, or on one of its own once something else was committed.
 *
 *     sandbox ─▶ message ─▶ live instance ─▶ wasm           a message runs on an instance in a lane (one thread)
 *        │          │             └─ system API ─ stable memory
 *        └─ view ───┘                                      a view is an image for queries
 *
 * Everything that a canister can observe is in the environment, so that the same calls give the same results anywhere:
 * instructions, dirty pages, texts. Slices, the choice of instance, evictions change none of them. The sandbox keeps no
 * truth of its own: it may be thrown away between any two messages. What only the engine knows (backtraces) is set apart.
 *
 * Failures of a canister are data, in the words and codes of the real replica. A `HostFault` is thrown when the host fails
 * where it may not decide; it says nothing about the canister, and the node stops with it.
 *
 * Not here: the balance (the replica applies what a message did), queues, canister status. One message per canister at a
 * time. Limits: `Limits`; instances kept ready are bounded in number and in memory, the others wake from their stores.
 */
export * from './contract.ts';
export { createSandbox, type SandboxOptions } from './sandbox.ts';
