/**
 * Who decides the order of inputs. An engine collects messages, forms batches, makes each durable, has the replica
 * execute it, and has the result certified; `gateway` and `node` see it as a `Consensus`.
 *
 * `solo` is the engine of a node that is a subnet by itself: it orders by arrival. Engines for several nodes join it here.
 */
export * from './contract.ts';
export { openSolo, type SoloOptions } from './solo/index.ts';
