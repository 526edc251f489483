;; test wasm

;; Nothing behind a branch, a return or a trap is built, constructs and all, until the end that something leads to.
(module
  (func $after_branch (param i32) (result i32)
    (block $out
      (br_if $out (local.get 0))
      (br $out)
      (block (loop (if (i32.const 1) (then (nop)) (else (br 1)))))
      (drop (i32.add (i32.const 1) (i32.const 2))))
    (local.get 0))
  (func $trap (result i32)
    (i32.div_s (i32.const 1) (i32.const 0))
    (i32.add (i32.const 1)))
  (func $endless
    (loop $top (br $top))
    (drop (i32.const 1)))
  (func $never_left (param i32)
    (block $out
      (block $in
        (br_if $in (local.get 0))
        (return))
      (unreachable))
    (drop (local.get 0))))

;; function after_branch 0(i32) -> i32 {
;; block0(v0: i32):
;;     brif v0, block2, block1
;; block1:
;;     jump block2
;; block2:
;;     return v0
;; }
;; function trap 1() -> i32 {
;; block0:
;;     v0 = iconst.i32 1
;;     v1 = iconst.i32 0
;;     trap int_divz
;; }
;; function endless 2() {
;; block0:
;;     jump block1
;; block1:
;;     jump block1
;; }
;; function never_left 3(i32) {
;; block0(v0: i32):
;;     brif v0, block2, block1
;; block1:
;;     return
;; block2:
;;     trap unreachable
;; }
