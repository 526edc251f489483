;; test transformation inlining wasm
;; The arguments are known in the body: the bound is a constant, and the value is at most that.

(module
  (memory 1)
  (func $f (param i32) (result i32) (i32.load8_u (call $clamp (local.get 0) (i32.const 100))))
  (func $clamp (param i32 i32) (result i32)
    (if (i32.gt_u (local.get 0) (local.get 1)) (then (return (local.get 1))))
    (local.get 0)))

;; off:
;; function f 0(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 100
;;     v2 = call fn1 sig1(v0, v1)
;;     v3 = uload8.i32 v2+0
;;     return v3
;; }
;; on:
;; function f 0(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 100
;;     v2 = icmp.i32 ugt v0, v1
;;     brif v2, block1, block2
;; block1:
;;     jump block3(v1)
;; block2:
;;     jump block3(v0)
;; block3(v3: i32):
;;     v4 = uload8.i32 v3+0
;;     return v4
;; }
