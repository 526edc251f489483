;; test transformation inlining wasm
;; Not functions with calls, as all that are recursive, nor with loops, large ones, and imported ones.

(module
  (import "" "host" (func $host (param i32) (result i32)))
  (func $f (param i32) (result i32)
    (call $host (call $large (call $loops (call $calls (call $recursive (local.get 0)))))))
  (func $recursive (param i32) (result i32) (call $recursive (local.get 0)))
  (func $calls (param i32) (result i32) (call $host (local.get 0)))
  (func $loops (param i32) (result i32) (loop) (local.get 0))
  (func $large (param i32) (result i32)
    (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add
    (i32.add (i32.add (i32.add (local.get 0) (local.get 0)) (local.get 0)) (local.get 0)) (local.get 0)) (local.get 0))
    (local.get 0)) (local.get 0)) (local.get 0)) (local.get 0)) (local.get 0)) (local.get 0)) (local.get 0)) (local.get 0))
    (local.get 0)) (local.get 0)) (local.get 0)) (local.get 0))))

;; the same
;; function f 1(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = call fn2 sig0(v0)
;;     v2 = call fn3 sig0(v1)
;;     v3 = call fn4 sig0(v2)
;;     v4 = call fn5 sig0(v3)
;;     v5 = ctx_load.i64 72 readonly
;;     v6 = ctx_load.i64 80 readonly
;;     v7 = call_ptr v5 v6 sig0(v4)
;;     return v7
;; }
