;; Remembers every record of 8 bytes that it is given, in order, and dirties three more pages with each: for crash tests.
(module
  (import "ic0" "msg_arg_data_copy" (func $arg_copy (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $reply_append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "stable64_grow" (func $stable_grow (param i64) (result i64)))
  (import "ic0" "stable64_write" (func $stable_write (param i64 i64 i64)))
  (memory 40)
  (global $next (mut i32) (i32.const 65536))
  (global $count (mut i64) (i64.const 0))

  (func (export "canister_init")
    (drop (call $stable_grow (i64.const 4))))

  ;; append : 8 bytes -> the number of records, 8 bytes
  (func (export "canister_update append")
    (call $arg_copy (global.get $next) (i32.const 0) (i32.const 8))
    (memory.fill (i32.const 4096) (i32.load8_u (global.get $next)) (i32.const 12288))
    (call $stable_write
      (i64.mul (i64.rem_u (global.get $count) (i64.const 60)) (i64.const 4096))
      (i64.extend_i32_u (global.get $next))
      (i64.const 8))
    (global.set $next (i32.add (global.get $next) (i32.const 8)))
    (global.set $count (i64.add (global.get $count) (i64.const 1)))
    (i64.store (i32.const 0) (global.get $count))
    (call $reply_append (i32.const 0) (i32.const 8))
    (call $reply))

  ;; read : () -> all records
  (func (export "canister_query read")
    (call $reply_append (i32.const 65536) (i32.sub (global.get $next) (i32.const 65536)))
    (call $reply)))
