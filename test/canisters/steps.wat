;; Does what its argument says, step by step: for random histories. The argument is the principal of a peer (its length, then
;; 15 bytes), then steps of 8 bytes: operation u8, b u8, c u16, d u32.
(module
  (import "ic0" "msg_arg_data_size" (func $arg_size (result i32)))
  (import "ic0" "msg_arg_data_copy" (func $arg_copy (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $reply_append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reject" (func $reject (param i32 i32)))
  (import "ic0" "stable64_size" (func $stable_size (result i64)))
  (import "ic0" "stable64_grow" (func $stable_grow (param i64) (result i64)))
  (import "ic0" "stable64_write" (func $stable_write (param i64 i64 i64)))
  (import "ic0" "stable64_read" (func $stable_read (param i64 i64 i64)))
  (import "ic0" "time" (func $time (result i64)))
  (import "ic0" "global_timer_set" (func $timer_set (param i64) (result i64)))
  (import "ic0" "canister_self_size" (func $self_size (result i32)))
  (import "ic0" "canister_self_copy" (func $self_copy (param i32 i32 i32)))
  (import "ic0" "call_new" (func $call_new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_data_append" (func $call_data (param i32 i32)))
  (import "ic0" "call_perform" (func $call_perform (result i32)))
  (import "ic0" "certified_data_set" (func $certify (param i32 i32)))
  (import "ic0" "debug_print" (func $print (param i32 i32)))
  (import "ic0" "performance_counter" (func $counter (param i32) (result i64)))
  (type $operator (func (param i64 i64) (result i64)))
  (memory 8)
  (table 6 funcref)
  (global $rolling (mut i64) (i64.const 88172645463325252))
  (global $messages (mut i32) (i32.const 0))
  (global $dropped (mut i32) (i32.const 0))
  (global $answer_later (mut i32) (i32.const 0))
  (elem (i32.const 0) $add $xor $multiply $add $on_reply $on_reject)
  (elem $spare func $multiply $xor)
  (data (i32.const 256) "run")
  (data (i32.const 272) "refused")
  (data $spare_data "some bytes that are copied now and then")

  (func $add (type $operator) (i64.add (local.get 0) (local.get 1)))
  (func $xor (type $operator) (i64.xor (local.get 0) (local.get 1)))
  (func $multiply (type $operator) (i64.mul (local.get 0) (local.get 1)))

  ;; A place in the heap, above the argument, with room for 64 KiB behind it.
  (func $place (param $d i32) (result i32)
    (i32.add
      (i32.const 131072)
      (i32.rem_u (local.get $d) (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 196608)))))

  (func $stable_place (param $d i32) (result i64)
    (i64.rem_u
      (i64.extend_i32_u (local.get $d))
      (i64.sub (i64.shl (call $stable_size) (i64.const 16)) (i64.const 65535))))

  (func $mix (param $x i64) (param $which i32)
    (global.set $rolling
      (call_indirect (type $operator)
        (global.get $rolling) (local.get $x) (i32.and (local.get $which) (i32.const 3)))))

  (func $long (param $rounds i32)
    (local $x i64)
    (local.set $x (i64.or (global.get $rolling) (i64.const 1)))
    (loop $again
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (i64.store offset=131072 (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 0x1fff8)) (local.get $x))
      (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
      (br_if $again (i32.gt_s (local.get $rounds) (i32.const 0))))
    (global.set $rolling (local.get $x)))

  (func $floats (param $place i32)
    (local $x f64)
    (local.set $x (f64.load (local.get $place)))
    (f64.store (local.get $place) (f64.sqrt (f64.neg (f64.abs (local.get $x)))))
    (f32.store offset=8 (local.get $place) (f32.demote_f64 (f64.div (local.get $x) (f64.const 0))))
    (i64.store offset=16 (local.get $place)
      (i64.reinterpret_f64 (f64.sub (local.get $x) (f64.mul (local.get $x) (f64.const inf)))))
    (f64.store offset=24 (local.get $place) (local.get $x)))

  (func $call (param $peer i32) (param $at i32) (param $bytes i32)
    (if (local.get $peer)
      (then (call $call_new
        (i32.const 65537) (i32.load8_u (i32.const 65536)) (i32.const 256) (i32.const 3)
        (i32.const 4) (i32.eqz (global.get $answer_later)) (i32.const 5) (i32.eqz (global.get $answer_later))))
      (else
        (call $self_copy (i32.const 512) (i32.const 0) (call $self_size))
        (call $call_new
          (i32.const 512) (call $self_size) (i32.const 256) (i32.const 3)
          (i32.const 4) (i32.eqz (global.get $answer_later)) (i32.const 5) (i32.eqz (global.get $answer_later)))))
    (call $call_data (i32.const 65536) (i32.const 16))
    (call $call_data (local.get $at) (local.get $bytes))
    (if (i32.eqz (call $call_perform)) (then (global.set $answer_later (i32.const 1)))))

  (func $step (param $at i32) (result i32)
    (local $b i32) (local $c i32) (local $d i32) (local $next i32)
    (local.set $b (i32.load8_u offset=1 (local.get $at)))
    (local.set $c (i32.load16_u offset=2 (local.get $at)))
    (local.set $d (i32.load offset=4 (local.get $at)))
    (local.set $next (i32.add (local.get $at) (i32.const 8)))
    (block $done
      (block $count (block $print_it (block $certify_it (block $spares (block $table_it (block $floats_it
      (block $read_it (block $copy_it (block $call_it (block $timer_it (block $long_it (block $trap_it
      (block $write_it (block $stable_it (block $grow_it (block $fill_it
        (br_table $fill_it $grow_it $stable_it $write_it $trap_it $long_it $timer_it $call_it $copy_it $read_it
          $floats_it $table_it $spares $certify_it $print_it $count (i32.load8_u (local.get $at))))
        ;; fill
        (memory.fill (call $place (local.get $d)) (local.get $b) (local.get $c)) (br $done))
        ;; grow
        (call $mix (i64.extend_i32_s (memory.grow (local.get $b))) (local.get $c)) (br $done))
        ;; stable_it
        (call $mix (call $stable_grow (i64.extend_i32_u (local.get $b))) (local.get $c)) (br $done))
        ;; write
        (if (i64.ne (call $stable_size) (i64.const 0)) (then
          (call $stable_write (call $stable_place (local.get $d))
            (i64.extend_i32_u (call $place (local.get $d))) (i64.extend_i32_u (local.get $c)))))
        (br $done))
        unreachable)
        ;; long
        (call $long (local.get $d)) (br $done))
        ;; timer, in milliseconds
        (drop (call $timer_set
          (i64.add (call $time) (i64.mul (i64.extend_i32_u (local.get $d)) (i64.const 1000000)))))
        (br $done))
        ;; call with the next b steps
        (local.set $b (i32.mul (local.get $b) (i32.const 8)))
        (call $call (local.get $d) (local.get $next) (local.get $b))
        (local.set $next (i32.add (local.get $next) (local.get $b))) (br $done))
        ;; copy
        (memory.copy (call $place (local.get $d)) (call $place (i32.mul (local.get $d) (i32.const 7919))) (local.get $c))
        (br $done))
        ;; read
        (if (i64.ne (call $stable_size) (i64.const 0)) (then
          (call $stable_read (i64.extend_i32_u (call $place (local.get $d)))
            (call $stable_place (local.get $d)) (i64.extend_i32_u (local.get $c)))))
        (br $done))
        (call $floats (call $place (local.get $d))) (br $done))
        ;; table
        (table.copy (i32.const 0) (i32.const 1) (i32.const 2))
        (if (i32.eqz (global.get $dropped)) (then
          (table.init $spare (i32.and (local.get $b) (i32.const 3)) (i32.const 0) (i32.const 1))))
        (br $done))
        ;; spares
        (if (i32.eqz (global.get $dropped)) (then
          (memory.init $spare_data (call $place (local.get $d)) (i32.const 0) (i32.const 39))
          (if (i32.eqz (local.get $b)) (then
            (data.drop $spare_data) (elem.drop $spare) (global.set $dropped (i32.const 1))))))
        (br $done))
        (call $certify (call $place (local.get $d)) (i32.const 32)) (br $done))
        (call $print (call $place (local.get $d)) (i32.and (local.get $c) (i32.const 63))) (br $done))
        ;; count
        (call $mix (call $counter (i32.and (local.get $b) (i32.const 1))) (local.get $c)))
    (local.get $next))

  (func $run
    (local $at i32) (local $end i32)
    (global.set $answer_later (i32.const 0))
    (global.set $messages (i32.add (global.get $messages) (i32.const 1)))
    (call $arg_copy (i32.const 65536) (i32.const 0) (call $arg_size))
    (local.set $at (i32.const 65552))
    (local.set $end (i32.add (i32.const 65536) (call $arg_size)))
    (block $out (loop $again
      (br_if $out (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $at (call $step (local.get $at)))
      (br $again))))

  (func $answer
    (i64.store (i32.const 0) (global.get $rolling))
    (call $reply_append (i32.const 0) (i32.const 8))
    (call $reply))

  (func $on_reply (param $answers i32)
    (local $size i32)
    (local.set $size (call $arg_size))
    (call $arg_copy (i32.const 1024) (i32.const 0) (local.get $size))
    (call $mix (i64.load (i32.const 1024)) (i32.const 1))
    (if (local.get $answers) (then (call $answer))))

  (func $on_reject (param $answers i32)
    (call $mix (i64.const 4711) (i32.const 1))
    (if (local.get $answers) (then (call $reject (i32.const 272) (i32.const 7)))))

  (func (export "canister_init") (call $mix (call $time) (i32.const 1)))
  (func (export "canister_pre_upgrade") (local $i i32)
    (if (i64.eqz (call $stable_size)) (then (drop (call $stable_grow (i64.const 2)))))
    (i64.store (i32.const 0) (global.get $rolling))
    (call $stable_write (i64.const 0) (i64.const 0) (i64.const 8)))
  (func (export "canister_post_upgrade")
    (call $stable_read (i64.const 0) (i64.const 0) (i64.const 8))
    (global.set $rolling (i64.load (i32.const 0))))
  (func (export "canister_global_timer")
    (global.set $messages (i32.add (global.get $messages) (i32.const 100)))
    (call $mix (call $time) (i32.const 0))
    (call $long (i32.const 1000)))
  (func (export "canister_update run")
    (call $run)
    (if (i32.eqz (global.get $answer_later)) (then (call $answer))))
  (func (export "canister_query look")
    (call $run)
    (call $answer)))
