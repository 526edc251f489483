"""Modules go through Dask, to processes and threads, with the code that was compiled."""

from __future__ import annotations

import pytest

import brolga

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

FIB = """(module (func $fib (export "fib") (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0)) (else (i32.add
      (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2))))))))"""


def fib(module: brolga.Module, number: int) -> int:
    store = brolga.Store(brolga.Engine())
    result: int = brolga.Instance(store, module, []).exports(store)["fib"](store, number)
    return result


@pytest.mark.parametrize("scheduler", ["processes", "threads"])
def test_schedulers(scheduler: str) -> None:
    module = brolga.Module(brolga.Engine(), FIB)
    tasks = [dask.delayed(fib)(module, number) for number in range(6)]
    assert dask.compute(*tasks, scheduler=scheduler, num_workers=2) == (0, 1, 1, 2, 3, 5)


def test_cluster() -> None:
    module = brolga.Module(brolga.Engine(), FIB)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        futures = [client.submit(fib, module, number) for number in range(8)]
        assert client.gather(futures) == [0, 1, 1, 2, 3, 5, 8, 13]
        there = client.scatter(module, broadcast=True)
        assert client.submit(fib, there, 20).result() == 6765
