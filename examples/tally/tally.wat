;; A counter written by hand: no language, no library, only the System API.
;; It shows what every canister does underneath: read the argument, work on its memory (which persists), reply with
;; Candid bytes. Over an upgrade main memory is lost, so the value is carried through stable memory.
(module
  (import "ic0" "msg_arg_data_size" (func $arg_size (result i32)))
  (import "ic0" "msg_arg_data_copy" (func $arg_copy (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $reply_append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "trap" (func $trap (param i32 i32)))
  (import "ic0" "debug_print" (func $print (param i32 i32)))
  (import "ic0" "stable64_grow" (func $stable_grow (param i64) (result i64)))
  (import "ic0" "stable64_size" (func $stable_size (result i64)))
  (import "ic0" "stable64_write" (func $stable_write (param i64 i64 i64)))
  (import "ic0" "stable64_read" (func $stable_read (param i64 i64 i64)))

  (memory 1)
  ;; 0: the value (nat64)   16: reply header "DIDL", no types, one nat64   32: "DIDL", nothing   64: argument   128: texts
  (data (i32.const 16) "DIDL\00\01\78")
  (data (i32.const 32) "DIDL\00\00")
  (data (i32.const 128) "set takes one nat64")
  (data (i32.const 160) "tally was upgraded")

  (func $reply_value
    (call $reply_append (i32.const 16) (i32.const 7))
    (call $reply_append (i32.const 0) (i32.const 8))
    (call $reply))

  ;; get : () -> (nat64) query
  (func (export "canister_query get")
    (call $reply_value))

  ;; increment : () -> (nat64)
  (func (export "canister_update increment")
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
    (call $reply_value))

  ;; set : (nat64) -> ()
  (func (export "canister_update set")
    (if (i32.ne (call $arg_size) (i32.const 15))
      (then (call $trap (i32.const 128) (i32.const 19))))
    (call $arg_copy (i32.const 64) (i32.const 0) (i32.const 15))
    (i64.store (i32.const 0) (i64.load (i32.const 71)))
    (call $reply_append (i32.const 32) (i32.const 6))
    (call $reply))

  (func (export "canister_pre_upgrade")
    (if (i64.eqz (call $stable_size))
      (then (drop (call $stable_grow (i64.const 1)))))
    (call $stable_write (i64.const 0) (i64.const 0) (i64.const 8)))

  (func (export "canister_post_upgrade")
    (call $stable_read (i64.const 0) (i64.const 0) (i64.const 8))
    (call $print (i32.const 160) (i32.const 18))))
