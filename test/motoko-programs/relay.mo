import Error "mo:core/Error";
import Principal "mo:core/Principal";

/// Calls other canisters, itself and the management canister; catches what they reject.
persistent actor Relay {
  type Counter = actor { increment : () -> async Nat; trapAfterChange : () -> async () };
  type Management = actor { raw_rand : () -> async Blob };
  var log : [Text] = [];
  public func twice(target : Principal) : async (Nat, Nat) {
    let counter : Counter = actor (Principal.toText(target));
    let first = counter.increment();
    let second = counter.increment();
    (await first, await second)
  };
  public func caught(target : Principal) : async Text {
    let counter : Counter = actor (Principal.toText(target));
    try { await counter.trapAfterChange(); "no error" } catch (error) { Error.message(error) };
  };
  public func random() : async Nat {
    let management : Management = actor "aaaaa-aa";
    (await management.raw_rand()).size()
  };
  public func depth(n : Nat) : async Nat { if (n == 0) 0 else 1 + (await depth(n - 1)) };
  public composite query func who(target : Principal) : async Principal {
    let other : actor { whoami : query () -> async Principal } = actor (Principal.toText(target));
    await other.whoami()
  };
};
