;; test wasm

;; References: records of functions, elements of tables. Tables of funcref hold whole records, so setting one is a call.
(module
  (import "" "f" (func $imported))
  (table $f 2 funcref)
  (table $e 2 externref)
  (func $own (export "own"))
  (elem declare func $imported)
  (func $references (result i32 funcref funcref)
    (ref.is_null (ref.null extern)) (ref.func $imported) (ref.func $own))
  (func $get (param i32) (result externref funcref)
    (table.get $e (local.get 0)) (table.get $f (local.get 0)))
  (func $set (param i32 externref funcref)
    (table.set $e (local.get 0) (local.get 1))
    (table.set $f (local.get 0) (local.get 2)))
  (func $size (result i32) (table.size $e)))

;; function own 1() {
;; block0:
;;     return
;; }
;; function references 2() -> i32, i64, i64 {
;; block0:
;;     v0 = iconst.i64 0
;;     v1 = iconst.i32 1
;;     v2 = ctx_load.i64 112 readonly
;;     v3 = iconst.i64 136
;;     v4 = context.i64
;;     v5 = iadd.i64 v4, v3
;;     return v1, v2, v5
;; }
;; function get 3(i32) -> i64, i64 {
;; block0(v0: i32):
;;     v1 = ctx_load.i64 128 readonly
;;     v2 = ptr_load.i64 v1+8
;;     v3 = uextend.i64.i32 v0
;;     v4 = icmp.i64 ule v2, v3
;;     trapnz v4, table_oob
;;     v5 = ptr_load.i64 v1+0
;;     v6 = iconst.i64 3
;;     v7 = ishl.i64 v3, v6
;;     v8 = iadd.i64 v5, v7
;;     v9 = ptr_load.i64 v8+0
;;     v10 = ctx_load.i64 120 readonly
;;     v11 = ptr_load.i64 v10+8
;;     v12 = icmp.i64 uge v3, v11
;;     trapnz v12, table_oob
;;     v13 = ptr_load.i64 v10+0
;;     v14 = iconst.i64 5
;;     v15 = ishl.i64 v3, v14
;;     v16 = iadd.i64 v13, v15
;;     v17 = ptr_load.i64 v16+24
;;     return v9, v17
;; }
;; function set 4(i32, i64, i64) {
;;     sig11 = (i32, i32, i64)
;; block0(v0: i32, v1: i64, v2: i64):
;;     v3 = ctx_load.i64 128 readonly
;;     v4 = ptr_load.i64 v3+8
;;     v5 = uextend.i64.i32 v0
;;     v6 = icmp.i64 ule v4, v5
;;     trapnz v6, table_oob
;;     v7 = ptr_load.i64 v3+0
;;     v8 = iconst.i64 3
;;     v9 = ishl.i64 v5, v8
;;     v10 = iadd.i64 v7, v9
;;     ptr_store.i64 v10+0, v1
;;     v11 = iconst.i32 0
;;     call_builtin fn6 sig11(v11, v0, v2)
;;     return
;; }
;; function size 5() -> i32 {
;; block0:
;;     v0 = ctx_load.i64 128 readonly
;;     v1 = ptr_load.i64 v0+8
;;     v2 = ireduce.i32.i64 v1
;;     return v2
;; }
