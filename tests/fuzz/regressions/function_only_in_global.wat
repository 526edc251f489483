;; A function that nothing but a global refers to, of a type that no other function has.
(module
  (global (export "g") funcref (ref.func $f))
  (func $f (param f32 i64 f32 f64) (result f64 f32 i32) f64.const 1 f32.const 2 i32.const 3))
