;; test wasm

;; Labels that take values are reached through a block that passes them, so that the table does not repeat them.
(module
  (func $values (param $i i32) (param $x i64) (result i64)
    (block $a (result i64)
      (block $b (result i64)
        (br_table $a $b $a $b (local.get $x) (local.get $i)))
      (i64.add (i64.const 1))))
  (func $plain (param $i i32) (result i32)
    (block $a
      (block $b
        (br_table $a $b $a (local.get $i)))
      (return (i32.const 1)))
    (i32.const 2))
  ;; The function's own label is a return.
  (func $return (param $i i32) (result i32)
    (block $a (result i32)
      (br_table $a 1 $a (i32.const 9) (local.get $i)))
    (i32.add (i32.const 10)))
  (func $constant (result i32)
    (block $a
      (block $b
        (br_table $a $b $a (i32.const 1)))
      (return (i32.const 1)))
    (i32.const 2)))

;; function values 0(i32, i64) -> i64 {
;; block0(v0: i32, v1: i64):
;;     br_table v0, block1, block2, block1, default block2
;; block1:
;;     jump block3(v1)
;; block2:
;;     jump block4(v1)
;; block4(v3: i64):
;;     v4 = iconst.i64 1
;;     v5 = iadd.i64 v3, v4
;;     jump block3(v5)
;; block3(v2: i64):
;;     return v2
;; }
;; function plain 1(i32) -> i32 {
;; block0(v0: i32):
;;     br_table v0, block1, block2, default block1
;; block2:
;;     v1 = iconst.i32 1
;;     return v1
;; block1:
;;     v2 = iconst.i32 2
;;     return v2
;; }
;; function return 2(i32) -> i32 {
;; block0(v0: i32):
;;     v1 = iconst.i32 9
;;     br_table v0, block1, block2, default block1
;; block1:
;;     jump block3(v1)
;; block2:
;;     return v1
;; block3(v2: i32):
;;     v3 = iconst.i32 10
;;     v4 = iadd.i32 v2, v3
;;     return v4
;; }
;; function constant 3() -> i32 {
;; block0:
;;     v0 = iconst.i32 1
;;     jump block2
;; block2:
;;     return v0
;; }
