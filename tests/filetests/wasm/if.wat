;; test wasm

;; The second arm sees the locals as they were before the first; what follows sees those of the arm that ran.
(module
  (func $both (param $c i32) (param $x i32) (param $y i32) (result i32)
    (if (local.get $c)
      (then (local.set $x (i32.const 1)) (local.set $y (i32.const 2)))
      (else (local.set $x (i32.add (local.get $y) (i32.const 3)))))
    (i32.sub (local.get $x) (local.get $y)))
  (func $without_else (param $c i32) (param $x i32) (result i32)
    (if (local.get $c) (then (local.set $x (i32.const 1))))
    (local.get $x))
  (func $results (param $c i32) (result i32 i64)
    (if (result i32 i64) (local.get $c)
      (then (i32.const 1) (i64.const 2))
      (else (i32.const 3) (i64.const 4))))
  ;; Only the arm that a constant condition leaves is built.
  (func $constant (param $x i32) (result i32)
    (if (result i32) (i32.const 0)
      (then (i32.add (local.get $x) (i32.const 1)))
      (else (i32.sub (local.get $x) (i32.const 1)))))
  (func $one_arm_left (param $x i32) (result i32)
    (if (i32.eqz (local.get $x)) (then (unreachable)) (else (return (i32.const 5))))
    (i32.const 6)))

;; function both 0(i32, i32, i32) -> i32 {
;; block0(v0: i32, v1: i32, v2: i32):
;;     brif v0, block1, block2
;; block1:
;;     v3 = iconst.i32 1
;;     v4 = iconst.i32 2
;;     jump block3(v3, v4)
;; block2:
;;     v7 = iconst.i32 3
;;     v8 = iadd.i32 v2, v7
;;     jump block3(v8, v2)
;; block3(v5: i32, v6: i32):
;;     v9 = isub.i32 v5, v6
;;     return v9
;; }
;; function without_else 1(i32, i32) -> i32 {
;; block0(v0: i32, v1: i32):
;;     brif v0, block1, block2(v1)
;; block1:
;;     v3 = iconst.i32 1
;;     jump block2(v3)
;; block2(v2: i32):
;;     return v2
;; }
;; function results 2(i32) -> i32, i64 {
;; block0(v0: i32):
;;     brif v0, block1, block2
;; block1:
;;     v1 = iconst.i32 1
;;     v2 = iconst.i64 2
;;     jump block3(v1, v2)
;; block2:
;;     v5 = iconst.i32 3
;;     v6 = iconst.i64 4
;;     jump block3(v5, v6)
;; block3(v3: i32, v4: i64):
;;     return v3, v4
;; }
;; function constant 3(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 0
;;     jump block2
;; block2:
;;     v2 = iconst.i32 1
;;     v3 = iconst.i32 -1
;;     v4 = iadd.i32 v0, v3
;;     return v4
;; }
;; function one_arm_left 4(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 0
;;     v2 = icmp.i32 eq v0, v1
;;     brif v0, block2, block1
;; block1:
;;     trap unreachable
;; block2:
;;     v3 = iconst.i32 5
;;     return v3
;; }
