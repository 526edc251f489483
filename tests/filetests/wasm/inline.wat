;; test wasm

;; Calls of small functions without calls and loops are replaced by their bodies, and what the arguments are is known there. A
;; return leads to a block after the body, with a parameter for each result; one that always traps ends the block.
(module
  (import "" "host" (func $host (result i32)))
  (memory 1)
  (global $g (mut i32) (i32.const 0))
  (func $at (param i32) (result i32) (i32.load offset=8 (i32.shl (local.get 0) (i32.const 2))))
  (func $clamp (param i32 i32) (result i32) (local i32)
    (if (i32.gt_s (local.get 0) (local.get 1)) (then (return (local.get 1))))
    (local.set 2 (i32.or (local.get 2) (local.get 0)))
    (local.get 2))
  (func $two (param f64) (result f64 i32) (local.get 0) (global.get $g))
  (func $panic (param i32) (global.set $g (local.get 0)) (unreachable))
  (func $select (param i32) (block (br_table 0 1 (local.get 0))) (global.set $g (i32.const 1)))
  (func $straight (param i32) (result i32) (i32.add (call $at (local.get 0)) (call $at (i32.const 3))))
  (func $branches (param i32) (result i32) (call $clamp (local.get 0) (i32.const 100)))
  (func $known (result i32) (call $clamp (i32.const 5) (i32.const 100)))
  (func $pair (result f64) (call $two (f64.const 1)) (drop))
  (func $traps (param i32) (result i32)
    (if (local.get 0) (then (call $panic (i32.const 7)) (call $panic (i32.const 8))))
    (i32.const 1))
  (func $table (param i32) (call $select (local.get 0)) (call $select (local.get 0)))

  ;; Where it does not apply: imported functions, recursion, calls and loops in the function, too many operators or locals.
  (func $self (param i32) (result i32) (call $self (local.get 0)))
  (func $calls (result i32) (call $host))
  (func $loops (param i32) (loop))
  (func $locals (param i32) (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32))
  (func $refused (param i32)
    (drop (call $self (local.get 0)))
    (drop (call $calls))
    (drop (call $host))
    (call $loops (local.get 0))
    (call $locals (local.get 0))))
;; function at 1(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 2
;;     v2 = ishl.i32 v0, v1
;;     v3 = load.i32 v2+8
;;     return v3
;; }
;; function clamp 2(i32, i32) -> i32 {
;; block0(v0: i32, v1: i32):
;;     v2 = iconst.i32 0
;;     v3 = icmp.i32 sgt v0, v1
;;     brif v3, block1, block2
;; block1:
;;     return v1
;; block2:
;;     return v0
;; }
;; function two 3(f64) -> f64, i32 {
;; block0(v0: f64):
;;     v1 = ctx_load.i32 128
;;     return v0, v1
;; }
;; function panic 4(i32) {
;; block0(v0: i32):
;;     ctx_store.i32 128, v0
;;     trap unreachable
;; }
;; function select 5(i32) {
;; block0(v0: i32):
;;     v1 = iconst.i32 0
;;     v2 = icmp.i32 eq v0, v1
;;     brif v0, block2, block1
;; block2:
;;     return
;; block1:
;;     v3 = iconst.i32 1
;;     ctx_store.i32 128, v3
;;     return
;; }
;; function straight 6(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 2
;;     v2 = ishl.i32 v0, v1
;;     v3 = load.i32 v2+8
;;     v4 = iconst.i32 3
;;     v5 = iconst.i32 12
;;     v6 = load.i32 v5+8
;;     v7 = iadd.i32 v3, v6
;;     return v7
;; }
;; function branches 7(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 100
;;     v2 = iconst.i32 0
;;     v3 = icmp.i32 sgt v0, v1
;;     brif v3, block1, block2
;; block1:
;;     jump block3(v1)
;; block2:
;;     jump block3(v0)
;; block3(v4: i32):
;;     return v4
;; }
;; function known 8() -> i32 {
;; block0:
;;     v0 = iconst.i32 5
;;     v1 = iconst.i32 100
;;     v2 = iconst.i32 0
;;     jump block2
;; block2:
;;     return v0
;; }
;; function pair 9() -> f64 {
;; block0:
;;     v0 = fconst.f64 0x3ff0000000000000
;;     v1 = ctx_load.i32 128
;;     return v0
;; }
;; function traps 10(i32) -> i32 {
;; block0(v0: i32):
;;     brif v0, block1, block2
;; block1:
;;     v1 = iconst.i32 7
;;     ctx_store.i32 128, v1
;;     trap unreachable
;; block2:
;;     v2 = iconst.i32 1
;;     return v2
;; }
;; function table 11(i32) {
;; block0(v0: i32):
;;     v1 = iconst.i32 0
;;     v2 = icmp.i32 eq v0, v1
;;     brif v0, block2, block1
;; block1:
;;     v3 = iconst.i32 1
;;     ctx_store.i32 128, v3
;;     jump block2
;; block2:
;;     brif v0, block4, block3
;; block3:
;;     v4 = iconst.i32 1
;;     ctx_store.i32 128, v4
;;     jump block4
;; block4:
;;     return
;; }
;; function self 12(i32) -> i32 {
;;     sig1 = (i32) -> i32
;; block0(v0: i32):
;;     v1 = call fn12 sig1(v0)
;;     return v1
;; }
;; function calls 13() -> i32 {
;;     sig0 = () -> i32
;; block0:
;;     v0 = ctx_load.i64 88 readonly
;;     v1 = ctx_load.i64 96 readonly
;;     v2 = call_ptr v0 v1 sig0()
;;     return v2
;; }
;; function loops 14(i32) {
;; block0(v0: i32):
;;     return
;; }
;; function locals 15(i32) {
;; block0(v0: i32):
;;     v1 = iconst.i32 0
;;     return
;; }
;; function refused 16(i32) {
;;     sig0 = () -> i32
;;     sig1 = (i32) -> i32
;;     sig4 = (i32)
;; block0(v0: i32):
;;     v1 = call fn12 sig1(v0)
;;     v2 = call fn13 sig0()
;;     v3 = ctx_load.i64 88 readonly
;;     v4 = ctx_load.i64 96 readonly
;;     v5 = call_ptr v3 v4 sig0()
;;     call fn14 sig4(v0)
;;     call fn15 sig4(v0)
;;     return
;; }
