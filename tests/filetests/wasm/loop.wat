;; test wasm

;; The header takes the locals that the loop sets and that are live there: the sum and the counter, not the limit (not set)
;; and not the scratch local (set before it is read in each round).
(module
  (func $sum (param $limit i32) (result i32) (local $sum i32) (local $i i32) (local $scratch i32)
    (loop $top
      (local.set $scratch (i32.mul (local.get $i) (local.get $i)))
      (local.set $sum (i32.add (local.get $sum) (local.get $scratch)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $top (i32.lt_u (local.get $i) (local.get $limit))))
    (local.get $sum))
  ;; A loop without a branch back has no header of its own.
  (func $once (param i32) (result i32)
    (loop (result i32) (local.tee 0 (i32.add (local.get 0) (i32.const 1)))))
  ;; Parameters of the loop itself.
  (func $parameter (param i32) (result i32)
    (i32.const 1)
    (loop $top (param i32) (result i32)
      (i32.mul (local.get 0))
      (br_if $top (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))

;; function sum 0(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 0
;;     jump block1(v1, v1)
;; block1(v2: i32, v3: i32):
;;     v4 = imul.i32 v3, v3
;;     v5 = iadd.i32 v2, v4
;;     v6 = iconst.i32 1
;;     v7 = iadd.i32 v3, v6
;;     v8 = icmp.i32 ugt v0, v7
;;     brif v8, block1(v5, v7), block2
;; block2:
;;     return v5
;; }
;; function once 1(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 1
;;     v2 = iadd.i32 v0, v1
;;     return v2
;; }
;; function parameter 2(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 1
;;     jump block1(v0, v1)
;; block1(v2: i32, v3: i32):
;;     v4 = imul.i32 v2, v3
;;     v5 = iconst.i32 -1
;;     v6 = iadd.i32 v2, v5
;;     brif v6, block1(v6, v4), block2
;; block2:
;;     return v4
;; }
