import { LabelledTree } from '../certification/index.ts';
import { encodeUleb128, utf8 } from '../codec/index.ts';
import type { SubnetState } from '../state/index.ts';

/** Stands in for the specification's state tree until `state` provides it. */
export class StateTree {
  readonly #state: SubnetState;
  tree: LabelledTree;

  constructor(state: SubnetState) {
    this.#state = state;
    this.tree = LabelledTree.empty.set([utf8('time')], encodeUleb128(state.time));
  }

  update(_changes: { readonly canisters: readonly string[]; readonly requests: readonly string[] }): void {
    this.tree = this.tree.set([utf8('time')], encodeUleb128(this.#state.time));
  }
}
