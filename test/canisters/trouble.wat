;; Everything that a canister should not do.
(module
  (import "ic0" "stable64_grow" (func $stable_grow (param i64) (result i64)))
  (import "ic0" "stable64_write" (func $stable_write (param i64 i64 i64)))
  (import "ic0" "msg_reply_data_append" (func $reply_append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (memory 17)

  ;; Long in instructions, short in time: each round costs a million.
  (func $forever
    (loop $again
      (memory.fill (i32.const 65536) (i32.const 7) (i32.const 1048576))
      (br $again)))
  (func (export "canister_update loop") (call $forever))
  (func (export "canister_query loop_query") (call $forever))

  ;; As much heap as there is, without touching it, then an answer: the pages that it got.
  (func (export "canister_update heap_bomb")
    (block $full (loop $again
      (br_if $full (i32.eq (memory.grow (i32.const 1024)) (i32.const -1)))
      (br $again)))
    (i32.store (i32.const 0) (memory.size))
    (call $reply_append (i32.const 0) (i32.const 4))
    (call $reply))

  ;; As much stable memory as there is, touched at distances, then an answer: the pages that it got.
  (func (export "canister_update stable_bomb") (local $pages i64)
    (block $full (loop $again
      (br_if $full (i64.eq (call $stable_grow (i64.const 65536)) (i64.const -1)))
      (call $stable_write (i64.shl (local.get $pages) (i64.const 16)) (i64.const 0) (i64.const 8))
      (local.set $pages (i64.add (local.get $pages) (i64.const 65536)))
      (br $again)))
    (i64.store (i32.const 0) (local.get $pages))
    (call $reply_append (i32.const 0) (i32.const 8))
    (call $reply))

  ;; Touches 64 MiB and traps.
  (func (export "canister_update spoil")
    (drop (memory.grow (i32.const 1024)))
    (memory.fill (i32.const 0) (i32.const 255) (i32.const 67108864))
    unreachable)

  (func $deep (param $n i32) (result i32)
    (i32.add (i32.const 1) (call $deep (i32.add (local.get $n) (i32.const 1)))))
  (func (export "canister_update recursion") (drop (call $deep (i32.const 0))))
  (func (export "canister_query recursion_query") (drop (call $deep (i32.const 0))))

  ;; Whether memory is as it was in the beginning: the first byte, and the number of pages.
  (func (export "canister_query whole")
    (i32.store8 (i32.const 1024) (i32.load8_u (i32.const 2048)))
    (i32.store (i32.const 1025) (memory.size))
    (call $reply_append (i32.const 1024) (i32.const 5))
    (call $reply)))
