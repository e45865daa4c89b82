/**
 * The engine of a node that is a subnet by itself.
 *
 *   submit ─▶ pool ─▶ batch ─┬─▶ log: append, fdatasync ──┐
 *                            └─▶ replica: execute ─▶ sign ─┴─▶ certified ─▶ who waits
 *
 * A round starts as soon as there is work and the one before was executed; what arrives meanwhile shares the next one.
 * The batch becomes durable while it is executed, and signing goes on beside the next rounds: one signature at a time,
 * always of the newest state. Without work there are no rounds; a timer watches the replica's next deadline.
 *
 * Opening loads the newest checkpoint and executes the logged batches above it again, comparing state hashes. Without a
 * state directory nothing is written and every batch counts as durable.
 *
 * When the disk fails, the replica reports a host fault or signing fails, the engine stops: it takes nothing more, and
 * everybody who waits gets the error. What was acknowledged is on disk.
 */
export { openSolo, type SoloOptions } from './open-solo.ts';
