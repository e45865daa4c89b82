import Timer "mo:core/Timer";
import Time "mo:core/Time";

/// A timer that repeats, one that fires once, and one that is cancelled.
persistent actor {
  var ticks : Nat = 0;
  var firedAt : Int = 0;
  transient var repeating : ?Timer.TimerId = null;
  public func once(milliseconds : Nat) : async () {
    ignore Timer.setTimer<system>(#milliseconds milliseconds, func() : async () { firedAt := Time.now() });
  };
  public func every(milliseconds : Nat) : async () {
    repeating := ?Timer.recurringTimer<system>(#milliseconds milliseconds, func() : async () { ticks += 1 });
  };
  public func cancel() : async () {
    switch repeating { case (?id) Timer.cancelTimer(id); case null {} };
  };
  public query func state() : async (Nat, Int) { (ticks, firedAt) };
};
