"""CUDA_VISIBLE_DEVICES: which GPUs a program sees."""

from __future__ import annotations

import pytest

from attn_doctor.model.facts import Unknown
from attn_doctor.probes.visible import Identity, visible

A, B = Identity("GPU-aaaa1111-x", model="A100"), Identity("GPU-aabb2222-x", model="A100")
OTHER = Identity("GPU-cccc3333-x", model="T400")
SLICED = Identity("GPU-dddd4444-x", ("MIG-11111111-x", "MIG-11222222-x"), model="A100")


@pytest.mark.parametrize(
    ("gpus", "setting", "expected"),
    [
        ([A, B], None, [True, True]),
        ([A, B], "", [False, False]),
        ([A, B], "-1", [False, False]),
        ([A, B], "NoDevFiles", [False, False]),
        ([A, B], "1", [False, True]),
        ([A, B], "1,0", [True, True]),
        ([A, B], "0, 1", [True, True]),
        ([A, B], "0,-1,1", [True, False]),  # cut at the first that is none
        ([A, B], "0,7,1", [True, False]),
        ([A, B], "0,GPU-aabb", [True, False]),
        ([A, B], "1gpu2,0x", [True, True]),  # numbers are read as far as they go
        ([A, B], "0,0", [False, False]),
        ([A, B], "GPU-aabb", [False, True]),
        ([A, B], "GPU-aa", [False, False]),  # fits two
        ([A, B], "GPU-aabb,GPU-zz,GPU-aaaa", [False, True]),
        ([A, B], "GPU-aabb,GPU-aabb2", [False, False]),
        ([A, SLICED], "MIG-112", [False, True]),
        ([A, SLICED], "MIG-11", [False, False]),
        ([A, SLICED], "MIG-GPU-dddd4444-x/1/0", [False, True]),
        ([SLICED, A], "MIG-112,GPU-aaaa", [True, False]),
    ],
)
def test_cuda_visible_devices(gpus, setting, expected):
    assert visible(gpus, setting, bus_order=False) == expected


def test_indexes_of_unlike_gpus_mean_something_only_in_bus_order():
    assert visible([OTHER, A], "0", bus_order=True) == [True, False]
    assert all(isinstance(flag, Unknown) for flag in visible([OTHER, A], "0", bus_order=False))
    assert visible([OTHER, A], "1,0", bus_order=False) == [True, True]
    assert visible([OTHER, A], "GPU-cccc", bus_order=False) == [True, False]
    assert all(isinstance(f, Unknown) for f in visible([A, Identity(None)], "GPU-aaaa", bus_order=False))
