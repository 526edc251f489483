;; test wasm

;; Own globals are fields of the context, imported ones cells elsewhere. Immutable ones are read once.
(module
  (import "" "i" (global $imported i64))
  (import "" "m" (global $shared (mut f32)))
  (global $own (mut i32) (i32.const 1))
  (global $fixed i32 (i32.const 2))
  (func (param i32) (result i64)
    (global.set $own (i32.add (global.get $own) (local.get 0)))
    (global.set $own (i32.add (global.get $own) (global.get $fixed)))
    (global.set $own (i32.add (global.get $own) (global.get $fixed)))
    (global.set $shared (f32.neg (global.get $shared)))
    (i64.add (global.get $imported) (global.get $imported))))

;; function "wasm-function[0]" 0(i32) -> i64 {
;; block0(v0: i32):
;;     v1 = ctx_load.i32 88
;;     v2 = iadd.i32 v0, v1
;;     ctx_store.i32 88, v2
;;     v3 = ctx_load.i32 88
;;     v4 = ctx_load.i32 96 readonly
;;     v5 = iadd.i32 v3, v4
;;     ctx_store.i32 88, v5
;;     v6 = ctx_load.i32 88
;;     v7 = iadd.i32 v4, v6
;;     ctx_store.i32 88, v7
;;     v8 = ctx_load.i64 80 readonly
;;     v9 = ptr_load.f32 v8+0
;;     v10 = fneg.f32 v9
;;     ptr_store.f32 v8+0, v10
;;     v11 = ctx_load.i64 72 readonly
;;     v12 = ptr_load.i64 v11+0 readonly
;;     v13 = iadd.i64 v12, v12
;;     return v13
;; }
