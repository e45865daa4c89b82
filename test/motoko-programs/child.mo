import Cycles "mo:core/Cycles";

persistent actor class Child(title : Text, start : Nat) {
  var sum = start;
  public func add(n : Nat) : async Nat { sum += n; sum };
  public query func name() : async Text { title };
  public query func cycles() : async Nat { Cycles.balance() };
};
