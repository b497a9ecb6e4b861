"""What files alone say of torch and of extensions, as rules take it: where nothing was imported they speak, else the import does."""

from __future__ import annotations

import pytest
from ailing_machines import static
from whole_machines import RTX_4090, changed, packages

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Binary, Facts, Shadow
from attn_doctor.model.findings import Certainty, Goal

NO_CUDNN = Binary(
    module="torch._C",
    path="/venv/torch/_C.so",
    verdict="fails",
    cause="library",
    because=("libcudnn.so.9, which libtorch_cuda.so needs, is in none of the folders that the loader searches",),
)
OLD_NVJITLINK = Binary(
    module="torch._C",
    path="/venv/torch/_C.so",
    verdict="fails",
    cause="library-version",
    because=("libcusparse.so.12 asks for __nvJitLinkComplete_12_4 of libnvJitLink.so.12, which nothing here exports",),
)
FOR_TORCH_2_5 = Binary(
    module="torchvision._C",
    path="/venv/torchvision/_C.so",
    verdict="fails",
    cause="torch-version",
    because=("it asks for c10::cuda::SetDevice(signed char), which nothing here exports",),
)


def met(facts: Facts, goal: Goal = Goal.TRAIN) -> dict[str, Certainty]:
    return {f.slug: f.certainty for f in diagnose(facts, goal).findings if f.severity.rank > 0}


@pytest.mark.parametrize(
    ("binary", "slugs"),
    [
        (NO_CUDNN, {"torch-install-broken"}),
        (OLD_NVJITLINK, {"torch-install-broken"}),
        (FOR_TORCH_2_5, {"torchvision-mismatch"}),
    ],
    ids=lambda value: value.cause if isinstance(value, Binary) else "",
)
def test_a_file_speaks_only_where_nothing_was_imported(binary, slugs):
    read = changed(RTX_4090, binaries=(binary,))
    assert met(read) == {}  # it was seen to import
    assert met(static(read)) == dict.fromkeys(slugs, Certainty.PREDICTED)


def test_an_older_library_in_front_is_why_torch_does_not_load():
    old = Shadow(folder="/usr/local/cuda-12.1/lib64", libraries=("libnvJitLink.so.12",))
    facts = static(changed(RTX_4090, binaries=(OLD_NVJITLINK,), toolchain__library_path=(old,)))
    findings = diagnose(facts, Goal.TRAIN).findings
    assert findings[0].slug == "ld-library-path-shadowing"
    assert next(f for f in findings if f.slug == "torch-install-broken").explained_by == findings[0].code


def test_a_cpu_torchvision_beside_a_cuda_torch_is_met_although_it_loads():
    cpu = packages(torch="2.15.0", torchvision="0.29.2+cpu", numpy="2.4.6", ultralytics="8.4.190")
    assert met(changed(RTX_4090, packages__distributions=cpu)) == {"torchvision-mismatch": Certainty.PREDICTED}
    on_cpu = changed(RTX_4090, packages__distributions=cpu, torch__version="2.15.0+cpu", torch__cuda=None)
    assert "torchvision-mismatch" not in met(on_cpu)


def test_a_table_that_does_not_list_a_release_is_no_doubt_under_the_goal_of_training():
    old = changed(RTX_4090, torch__version="2.8.0+cu128", torch__cuda="12.8", torch__header_cxx=17)
    assert "no-prebuilt-wheel" in {u.slug for u in diagnose(old, Goal.FLASH_ATTN).undetermined}
    assert diagnose(old, Goal.TRAIN).undetermined == ()
