;; test wasm

;; select takes its first operand if the condition is not zero.
(module
  (func $untyped (param f64 f64 i32) (result f64) (select (local.get 0) (local.get 1) (local.get 2)))
  (func $typed (param funcref funcref i32) (result funcref)
    (select (result funcref) (local.get 0) (local.get 1) (local.get 2))))

;; function untyped 0(f64, f64, i32) -> f64 {
;; block0(v0: f64, v1: f64, v2: i32):
;;     v3 = select.f64 v2, v0, v1
;;     return v3
;; }
;; function typed 1(i64, i64, i32) -> i64 {
;; block0(v0: i64, v1: i64, v2: i32):
;;     v3 = select.i64 v2, v0, v1
;;     return v3
;; }
