import Prim "mo:prim";

/// Work for a benchmark: fills an array with pseudo-random numbers, sorts it by merging, and hashes some text.
persistent actor {
  func next(seed : Nat32) : Nat32 { seed *% 1664525 +% 1013904223 };

  public func work() : async Nat32 {
    let n = 20_000;
    var seed : Nat32 = 42;
    var from : [var Nat32] = Prim.Array_init<Nat32>(n, 0);
    var to : [var Nat32] = Prim.Array_init<Nat32>(n, 0);
    var i = 0;
    while (i < n) { seed := next(seed); from[i] := seed; i += 1 };
    var width = 1;
    while (width < n) {
      var start = 0;
      while (start < n) {
        let middle = if (start + width < n) { start + width } else { n };
        let end = if (start + 2 * width < n) { start + 2 * width } else { n };
        var left = start;
        var right = middle;
        var out = start;
        while (out < end) {
          if (left < middle and (right >= end or from[left] <= from[right])) {
            to[out] := from[left];
            left += 1;
          } else {
            to[out] := from[right];
            right += 1;
          };
          out += 1;
        };
        start += 2 * width;
      };
      let swap = from;
      from := to;
      to := swap;
      width *= 2;
    };
    var hash : Nat32 = 5381;
    i := 0;
    while (i < n) { hash := hash *% 33 +% from[i]; i += 1 };
    hash;
  };
};
