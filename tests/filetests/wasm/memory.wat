;; test wasm

;; Every width of access, with the static offset in the instruction.
(module
  (memory 1)
  (func $loads (param i32) (result i32 i32 i32 i32 i32 i64 i64 i64 i64 i64 i64 i64 f32 f64)
    (i32.load (local.get 0)) (i32.load8_s offset=1 (local.get 0)) (i32.load8_u offset=2 (local.get 0))
    (i32.load16_s offset=3 (local.get 0)) (i32.load16_u offset=4 (local.get 0))
    (i64.load offset=5 (local.get 0)) (i64.load8_s offset=6 (local.get 0)) (i64.load8_u offset=7 (local.get 0))
    (i64.load16_s offset=8 (local.get 0)) (i64.load16_u offset=9 (local.get 0)) (i64.load32_s offset=10 (local.get 0))
    (i64.load32_u offset=11 (local.get 0)) (f32.load offset=200 (local.get 0)) (f64.load offset=4294967295 (local.get 0)))
  (func $stores (param i32 i64 f32 f64)
    (i32.store (local.get 0) (local.get 0)) (i32.store8 offset=1 (local.get 0) (local.get 0))
    (i32.store16 offset=2 (local.get 0) (local.get 0)) (i64.store offset=3 (local.get 0) (local.get 1))
    (i64.store8 offset=4 (local.get 0) (local.get 1)) (i64.store16 offset=5 (local.get 0) (local.get 1))
    (i64.store32 offset=6 (local.get 0) (local.get 1)) (f32.store offset=7 (local.get 0) (local.get 2))
    (f64.store offset=8 (local.get 0) (local.get 3))))

;; function loads 0(i32) -> i32, i32, i32, i32, i32, i64, i64, i64, i64, i64, i64, i64, f32, f64 {
;; block0(v0: i32):
;;     v1 = load.i32 v0+0
;;     v2 = sload8.i32 v0+1
;;     v3 = uload8.i32 v0+2
;;     v4 = sload16.i32 v0+3
;;     v5 = uload16.i32 v0+4
;;     v6 = load.i64 v0+5
;;     v7 = sload8.i64 v0+6
;;     v8 = uload8.i64 v0+7
;;     v9 = sload16.i64 v0+8
;;     v10 = uload16.i64 v0+9
;;     v11 = sload32.i64 v0+10
;;     v12 = uload32.i64 v0+11
;;     v13 = load.f32 v0+200
;;     v14 = load.f64 v0+4294967295
;;     return v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14
;; }
;; function stores 1(i32, i64, f32, f64) {
;; block0(v0: i32, v1: i64, v2: f32, v3: f64):
;;     store.i32 v0+0, v0
;;     istore8.i32 v0+1, v0
;;     istore16.i32 v0+2, v0
;;     store.i64 v0+3, v1
;;     istore8.i64 v0+4, v1
;;     istore16.i64 v0+5, v1
;;     istore32.i64 v0+6, v1
;;     store.f32 v0+7, v2
;;     store.f64 v0+8, v3
;;     return
;; }
