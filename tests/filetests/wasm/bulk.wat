;; test wasm

;; Memory size and the routines of the runtime: static indices come first, the memory's or table's before the segment's.
(module
  (memory 1)
  (table $t 1 funcref)
  (table $u 1 externref)
  (data $d0 "a") (data $d1 "b")
  (elem $e0 func) (elem $e1 func)
  (func (param i32) (result i32)
    (memory.init $d1 (i32.const 11) (i32.const 12) (local.get 0))
    (data.drop $d1)
    (memory.copy (i32.const 21) (i32.const 22) (local.get 0))
    (memory.fill (i32.const 31) (i32.const 32) (local.get 0))
    (table.init $t $e1 (i32.const 41) (i32.const 42) (local.get 0))
    (elem.drop $e1)
    (table.copy $t $t (i32.const 51) (i32.const 52) (local.get 0))
    (table.fill $u (i32.const 61) (ref.null extern) (local.get 0))
    (drop (table.grow $u (ref.null extern) (local.get 0)))
    (drop (memory.grow (local.get 0)))
    (memory.size)))

;; function "wasm-function[0]" 0(i32) -> i32 {
;;     sig1 = (i32, i32) -> i32
;;     sig2 = (i32, i32, i32, i32)
;;     sig3 = (i32, i32, i32, i32, i32)
;;     sig4 = (i32, i32, i32, i32, i32)
;;     sig5 = (i32)
;;     sig8 = (i32, i64, i32) -> i32
;;     sig9 = (i32, i32, i64, i32)
;;     sig10 = (i32, i32, i32, i32, i32)
;;     sig11 = (i32, i32, i32, i32, i32)
;;     sig12 = (i32)
;; block0(v0: i32):
;;     v1 = iconst.i32 11
;;     v2 = iconst.i32 12
;;     v3 = iconst.i32 0
;;     v4 = iconst.i32 1
;;     call_builtin fn3 sig4(v3, v4, v1, v2, v0)
;;     call_builtin fn4 sig5(v4)
;;     v5 = iconst.i32 21
;;     v6 = iconst.i32 22
;;     call_builtin fn2 sig3(v3, v3, v5, v6, v0)
;;     v7 = iconst.i32 31
;;     v8 = iconst.i32 32
;;     call_builtin fn1 sig2(v3, v7, v8, v0)
;;     v9 = iconst.i32 41
;;     v10 = iconst.i32 42
;;     call_builtin fn10 sig11(v3, v4, v9, v10, v0)
;;     call_builtin fn11 sig12(v4)
;;     v11 = iconst.i32 51
;;     v12 = iconst.i32 52
;;     call_builtin fn9 sig10(v3, v3, v11, v12, v0)
;;     v13 = iconst.i32 61
;;     v14 = iconst.i64 0
;;     call_builtin fn8 sig9(v4, v13, v14, v0)
;;     v15 = call_builtin fn7 sig8(v4, v14, v0)
;;     v16 = call_builtin fn0 sig1(v3, v0)
;;     v17 = ctx_load.i64 8 readonly
;;     v18 = ptr_load.i64 v17+8
;;     v19 = iconst.i64 16
;;     v20 = ushr.i64 v18, v19
;;     v21 = ireduce.i32.i64 v20
;;     return v21
;; }
