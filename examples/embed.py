"""Embedding: Python and wasm call each other and share a memory.

    python examples/embed.py
"""

from brolga import Engine, Func, FuncType, Instance, Module, Store, Trap, ValType

WAT = """
(module
  (import "host" "report" (func $report (param i32 i32)))
  (memory (export "memory") 1)

  ;; Calls report(position, length) for each word of the `length` bytes at address 0; returns how many there are.
  (func (export "split") (param $length i32) (result i32) (local $at i32) (local $start i32) (local $words i32)
    (block $done
      (loop $next
        (if (i32.or (i32.ge_u (local.get $at) (local.get $length))
                    (i32.eq (i32.load8_u (local.get $at)) (i32.const 32)))
          (then
            (if (i32.gt_u (local.get $at) (local.get $start))
              (then
                (call $report (local.get $start) (i32.sub (local.get $at) (local.get $start)))
                (local.set $words (i32.add (local.get $words) (i32.const 1)))))
            (local.set $start (i32.add (local.get $at) (i32.const 1)))))
        (br_if $done (i32.ge_u (local.get $at) (local.get $length)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $words))

  (func (export "divide") (param i64 i64) (result i64)
    (i64.div_s (local.get 0) (local.get 1))))
"""


def main() -> None:
    store = Store(Engine())
    module = Module(store.engine, WAT)

    def report(position: int, length: int) -> None:
        print("  wasm found:", memory.read(store, position, position + length).decode())

    host = Func(store, FuncType([ValType.i32(), ValType.i32()], []), report)
    instance = Instance(store, module, [host])
    exports = instance.exports(store)
    memory, split, divide = exports["memory"], exports["split"], exports["divide"]

    text = b"cranes lift  wasm into machine code"
    memory.write(store, text, 0)
    print(f"{split(store, len(text))} words")

    print("7 / -2 =", divide(store, 7, -2))
    try:
        divide(store, 1, 0)
    except Trap as trap:
        print("1 / 0 traps:", trap.message.splitlines()[-1].strip())


if __name__ == "__main__":
    main()
