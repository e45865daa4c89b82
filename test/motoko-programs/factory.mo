import Principal "mo:core/Principal";
import Child "child";

/// Makes canisters of an actor class and gives them cycles.
persistent actor Factory {
  type Made = actor { add : Nat -> async Nat; name : query () -> async Text; cycles : query () -> async Nat };
  var children : [Principal] = [];
  public func spawn(name : Text) : async Principal {
    let child = await (with cycles = 10_000_000_000_000) Child.Child(name, 100);
    Principal.fromActor(child)
  };
  public func poke(id : Principal, n : Nat) : async Nat {
    let child : Made = actor (Principal.toText(id));
    await child.add(n)
  };
};
