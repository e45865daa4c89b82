/// A counter. `persistent actor` means: its variables simply survive, restarts and upgrades included.
persistent actor Counter {
  var value : Nat = 0;

  /// Adds one and returns the new value.
  public func increment() : async Nat {
    value += 1;
    value
  };

  public func add(amount : Nat) : async Nat {
    value += amount;
    value
  };

  /// A query: fast, changes nothing.
  public query func get() : async Nat { value };

  /// Who is asking?
  public shared query ({ caller }) func whoami() : async Principal { caller };
};
