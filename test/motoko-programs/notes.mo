import Map "mo:core/Map";
import Text "mo:core/Text";
import Debug "mo:core/Debug";
import Runtime "mo:core/Runtime";

/// Data structures of the library, kept over upgrades; hooks before and after; logs and traps.
persistent actor {
  let notes = Map.empty<Text, Text>();
  var upgrades : Nat = 0;
  public func put(key : Text, value : Text) : async () {
    Debug.print("put " # key);
    Map.add(notes, Text.compare, key, value);
  };
  public query func find(key : Text) : async ?Text { Map.get(notes, Text.compare, key) };
  public query func size() : async (Nat, Nat) { (Map.size(notes), upgrades) };
  public func fail(text : Text) : async () { Runtime.trap(text) };
  system func preupgrade() { Debug.print("before upgrade") };
  system func postupgrade() { upgrades += 1 };
};
