;; test wasm

;; Of the locals that a construct sets, only those that are read later become parameters: here $a after the block, none of the
;; others. In the second arm of the if, $b is as it was before the first, although nothing reads it afterwards.
(module
  (func $dead_after (param $c i32) (result i32) (local $a i32) (local $b i32)
    (block $out
      (local.set $b (i32.const 5))
      (local.set $a (i32.add (local.get $b) (local.get $c)))
      (br_if $out (local.get $c))
      (local.set $a (i32.mul (local.get $a) (local.get $b))))
    (local.get $a))
  (func $restored (param $c i32) (param $b i32) (result i32)
    (if (result i32) (local.get $c)
      (then (local.set $b (i32.const 5)) (local.get $c))
      (else (local.get $b))))
  ;; Live only through the loop around: the next round reads $x before setting it.
  (func $around (param $c i32) (result i32) (local $x i32) (local $sum i32)
    (loop $top
      (local.set $sum (i32.add (local.get $sum) (local.get $x)))
      (block $out
        (br_if $out (i32.and (local.get $c) (i32.const 1)))
        (local.set $x (local.get $c)))
      (br_if $top (local.tee $c (i32.sub (local.get $c) (i32.const 1)))))
    (local.get $sum)))

;; function dead_after 0(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 0
;;     v2 = iconst.i32 5
;;     v3 = iadd.i32 v0, v2
;;     brif v0, block2(v3), block1
;; block1:
;;     v5 = imul.i32 v3, v2
;;     jump block2(v5)
;; block2(v4: i32):
;;     return v4
;; }
;; function restored 1(i32, i32) -> i32 {
;; block0(v0: i32, v1: i32):
;;     brif v0, block1, block2
;; block1:
;;     v2 = iconst.i32 5
;;     jump block3(v0)
;; block2:
;;     jump block3(v1)
;; block3(v3: i32):
;;     return v3
;; }
;; function around 2(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 0
;;     jump block1(v0, v1, v1)
;; block1(v2: i32, v3: i32, v4: i32):
;;     v5 = iadd.i32 v3, v4
;;     v6 = iconst.i32 1
;;     v7 = band.i32 v2, v6
;;     brif v7, block3(v3), block2
;; block2:
;;     jump block3(v2)
;; block3(v8: i32):
;;     v9 = iconst.i32 -1
;;     v10 = iadd.i32 v2, v9
;;     brif v10, block1(v10, v8, v5), block4
;; block4:
;;     return v5
;; }
