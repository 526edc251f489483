;; test wasm

;; A block that nothing branches to makes no block of the IR; one that is branched to takes its result as a parameter.
(module
  (func $plain (param i32) (result i32)
    (block (result i32) (i32.add (local.get 0) (i32.const 1))))
  (func $branch (param i32) (result i32)
    (block (result i32)
      (br_if 0 (i32.const 7) (local.get 0))
      (drop)
      (i32.const 8))))

;; function plain 0(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 1
;;     v2 = iadd.i32 v0, v1
;;     return v2
;; }
;; function branch 1(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 7
;;     brif v0, block2(v1), block1
;; block1:
;;     v3 = iconst.i32 8
;;     jump block2(v3)
;; block2(v2: i32):
;;     return v2
;; }
