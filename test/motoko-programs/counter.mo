persistent actor {
  var value : Nat = 0;
  transient var calls : Nat = 0;
  public func increment() : async Nat { value += 1; calls += 1; value };
  public query func get() : async (Nat, Nat) { (value, calls) };
  public func trapAfterChange() : async () { value += 1000; assert false };
  public shared query ({ caller }) func whoami() : async Principal { caller };
};
