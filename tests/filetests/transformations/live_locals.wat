;; test transformation live_locals wasm
;; A local that is set in the loop, but not read behind it or at its start.

(module (func $f (param i32 i32) (result i32) (local i32)
  (loop $again
    (local.set 2 (i32.mul (local.get 0) (local.get 1)))
    (local.set 0 (i32.sub (local.get 0) (local.get 2)))
    (br_if $again (local.get 0)))
  (local.get 0)))

;; off:
;; function f 0(i32, i32) -> i32 {
;; block0(v0: i32, v1: i32):
;;     v2 = iconst.i32 0
;;     jump block1(v0, v2)
;; block1(v3: i32, v4: i32):
;;     v5 = imul.i32 v1, v3
;;     v6 = isub.i32 v3, v5
;;     brif v6, block1(v6, v5), block2
;; block2:
;;     return v6
;; }
;; on:
;; function f 0(i32, i32) -> i32 {
;; block0(v0: i32, v1: i32):
;;     v2 = iconst.i32 0
;;     jump block1(v0)
;; block1(v3: i32):
;;     v4 = imul.i32 v1, v3
;;     v5 = isub.i32 v3, v4
;;     brif v5, block1(v5), block2
;; block2:
;;     return v5
;; }
