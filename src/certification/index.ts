/**
 * What a subnet vouches for and how anybody checks it, without I/O and safe in a browser.
 *
 * - `LabelledTree`: the persistent tree that holds what is certified; its `witness` is the part that answers given
 *   paths, as a `HashTree`, which is what travels.
 *
 * Failures are `CertificationError`s with a code.
 */
export { CertificationError, type CertificationErrorCode } from './certification-error.ts';
export {
  flattenForks,
  type HashTree,
  hashTreeFromCbor,
  isWellFormed,
  type Lookup,
  lookupAll,
  lookupPath,
  lookupSubtree,
  type Path,
  pathOf,
  reconstruct,
  type SubtreeLookup,
} from './hash-tree.ts';
export { LabelledTree } from './labelled-tree.ts';
