import { call, IDL, Principal, query, StableBTreeMap, update } from 'azle';

/** Notes that survive upgrades, and a call of the management canister. */
export default class {
  notes: StableBTreeMap<string, string> = new StableBTreeMap<string, string>(0);
  calls = 0;

  @update([IDL.Text, IDL.Text], IDL.Opt(IDL.Text))
  put(key: string, value: string): [string] | [] {
    this.calls += 1;
    const previous = this.notes.insert(key, value);
    return previous === undefined ? [] : [previous];
  }

  @query([IDL.Text], IDL.Opt(IDL.Text))
  find(key: string): [string] | [] {
    const value = this.notes.get(key);
    return value === undefined ? [] : [value];
  }

  @query([], IDL.Nat32)
  calledSinceUpgrade(): number {
    return this.calls;
  }

  @update([], IDL.Nat32)
  async random(): Promise<number> {
    const bytes = await call<undefined, Uint8Array>('aaaaa-aa', 'raw_rand', { returnIdlType: IDL.Vec(IDL.Nat8) });
    return bytes.length;
  }
}
