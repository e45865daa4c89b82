/** Placeholder: the persistent labelled tree (contract in ../../docs and the certification author's hands). */
export interface LabelledTree {
  readonly rootHash: Uint8Array;
}
