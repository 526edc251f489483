;; test wasm

;; Calls: a function of the module by index, which is not inlined since it has a loop; an imported one through its record; a table's after
;; checks of bounds and type.
(module
  (type $pair (func (param i32) (result i32 i64)))
  (import "" "host" (func $host (param i64)))
  (table 4 funcref)
  (func $two (type $pair) (loop) (local.get 0) (i64.const 2))
  (func $direct (result i64) (call $two (i32.const 1)) (call $host) (drop) (i64.const 0))
  (func $indirect (param i32) (result i64)
    (call_indirect (type $pair) (i32.const 5) (local.get 0))
    (return)))

;; function two 1(i32) -> i32, i64 {
;; block0(v0: i32):
;;     v1 = iconst.i64 2
;;     return v0, v1
;; }
;; function direct 2() -> i64 {
;;     sig0 = (i32) -> i32, i64
;;     sig1 = (i64)
;; block0:
;;     v0 = iconst.i32 1
;;     v1, v2 = call fn1 sig0(v0)
;;     v3 = ctx_load.i64 80 readonly
;;     v4 = ctx_load.i64 88 readonly
;;     call_ptr v3 v4 sig1(v2)
;;     v5 = iconst.i64 0
;;     return v5
;; }
;; function indirect 3(i32) -> i64 {
;;     sig0 = (i32) -> i32, i64
;; block0(v0: i32):
;;     v1 = iconst.i32 5
;;     v2 = ctx_load.i64 112 readonly
;;     v3 = ptr_load.i64 v2+8
;;     v4 = uextend.i64.i32 v0
;;     v5 = icmp.i64 ule v3, v4
;;     trapnz v5, icall_oob
;;     v6 = ptr_load.i64 v2+0
;;     v7 = iconst.i64 5
;;     v8 = ishl.i64 v4, v7
;;     v9 = iadd.i64 v6, v8
;;     v10 = ptr_load.i32 v9+16
;;     v11 = ctx_load.i32 64 readonly
;;     v12 = icmp.i32 ne v10, v11
;;     brif v12, block1, block2
;; block1 cold:
;;     v13 = ptr_load.i64 v9+24
;;     v14 = iconst.i64 0
;;     v15 = icmp.i64 eq v13, v14
;;     trapnz v15, icall_null
;;     trap bad_sig
;; block2:
;;     v16 = ptr_load.i64 v9+0
;;     v17 = ptr_load.i64 v9+8
;;     v18, v19 = call_ptr v16 v17 sig0(v1)
;;     return v19
;; }
