;; test transformation live_locals wasm
;; Each local that is set is read.

(module (func $f (param i32 i32) (result i32)
  (loop $again
    (local.set 1 (i32.mul (local.get 0) (local.get 1)))
    (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
    (br_if $again (local.get 0)))
  (local.get 1)))

;; the same
;; function f 0(i32, i32) -> i32 {
;; block0(v0: i32, v1: i32):
;;     jump block1(v0, v1)
;; block1(v2: i32, v3: i32):
;;     v4 = imul.i32 v2, v3
;;     v5 = iconst.i32 1
;;     v6 = iconst.i32 -1
;;     v7 = iadd.i32 v2, v6
;;     brif v7, block1(v7, v4), block2
;; block2:
;;     return v4
;; }
