;; What the two arms left in $step was a parameter of an empty block in front of the loop. The block was removed, though the loop
;; uses its parameter.
(module
  (func (export "run") (param $x i32) (result i32) (local $step i32) (local $i i32)
    (local.set $i (i32.const 1))
    (if (local.get $x)
      (then (local.set $step (local.get $x)))
      (else (local.set $step (i32.const 1))))
    (loop $again
      (local.set $i (i32.add (local.get $i) (local.get $step)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
    (i32.add (local.get $step) (local.get $i))))
