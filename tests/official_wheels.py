"""The names of the official flash-attn wheels, written down a second time and in another way than the tables have them."""

from __future__ import annotations

import itertools

# The release workflows in words: releases; Pythons; torch minors; CUDA 11 and 12 as the names spell them.
MATRIX = """
2.3.6 2.4.0.post1 2.4.1 2.4.2 2.4.3.post1 2.5.0       | 3.7-3.11 | 1.12 1.13 2.0 2.1 2.2         | cu118 cu122
2.5.1.post1 2.5.2 2.5.3 2.5.4 2.5.5 2.5.6 2.5.7 2.5.8 | 3.7-3.11 | 1.12 1.13 2.0 2.1 2.2 2.3     | cu118 cu122
2.5.9.post1                                           | 3.7-3.12 | 1.12 1.13 2.0 2.1 2.2 2.3 2.4 | cu118 cu122
2.6.0.post1                                           | 3.8-3.12 | 2.0 2.1 2.2 2.3 2.4           | cu118 cu122
2.6.1 2.6.2 2.6.3                                     | 3.8-3.12 | 2.0 2.1 2.2 2.3 2.4           | cu118 cu123
2.7.0.post2                                           | 3.8-3.12 | 2.1 2.2 2.3 2.4 2.5           | cu11 cu12
2.7.1.post4 2.7.2.post1 2.7.3                         | 3.9-3.13 | 2.1 2.2 2.3 2.4 2.5 2.6       | cu11 cu12
2.7.4.post1                                           | 3.9-3.13 | 2.2 2.3 2.4 2.5 2.6           | cu12
2.8.0.post2 2.8.1 2.8.2                               | 3.9-3.13 | 2.4 2.5 2.6 2.7               | cu12
2.8.3 2.8.3.post1                                     | 3.9-3.13 | 2.4 2.5 2.6 2.7 2.8           | cu12
"""
# Newest and oldest Python minor of a torch: the workflows leave out what torch had no wheels for.
TORCH_PYTHONS = {
    "1.12": (7, 10), "1.13": (7, 11), "2.0": (8, 11), "2.1": (8, 11), "2.2": (8, 12), "2.3": (8, 12),
    "2.4": (8, 12), "2.5": (9, 13), "2.6": (9, 13), "2.7": (9, 13), "2.8": (9, 13),
}  # fmt: skip
BY_HAND = {
    "flash_attn-2.8.3+cu12torch2.9cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
    "flash_attn-2.8.3+cu13torch2.9cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
    "flash_attn-2.8.3+cu13torch2.10cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
}
REPORTED = {
    "flash_attn-2.8.3+cu12torch2.9cxx11abiTRUE-cp312-cp312-linux_aarch64.whl",
    "flash_attn-2.8.3+cu13torch2.10cxx11abiTRUE-cp312-cp312-linux_aarch64.whl",
}


def configured():
    for line in MATRIX.strip().splitlines():
        releases, pythons, torches, tags = (part.split() for part in line.split("|"))
        first, last = (int(text.partition(".")[2]) for text in pythons[0].split("-"))
        for release, torch, tag, minor in itertools.product(releases, torches, tags, range(first, last + 1)):
            oldest, newest = TORCH_PYTHONS[torch]
            before_cuda_12 = torch in {"1.12", "1.13", "2.0"}
            if oldest <= minor <= newest and not (tag.startswith("cu12") and before_cuda_12):
                for abi in ("TRUE", "FALSE"):
                    yield f"flash_attn-{release}+{tag}torch{torch}cxx11abi{abi}-cp3{minor}-cp3{minor}-linux_x86_64.whl"


CONFIGURED = list(configured())
