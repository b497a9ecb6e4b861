"""attn_doctor.attention: a backend in the YOLO attention of this process, proven before it is used."""

from __future__ import annotations

import importlib
import os
import warnings

import pytest

os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")


@pytest.fixture(scope="module", autouse=True)
def _quiet(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("yolo")))
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("mpl")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("ultralytics.nn.tasks")
        yield


@pytest.fixture
def block():
    from ultralytics.nn.modules import block

    return block


@pytest.fixture
def prescription():
    from attn_doctor import prescription

    return prescription


@pytest.mark.parametrize("backend", ["sdpa", "sdpa-flash", "sdpa-math"])
def test_as_a_context_manager_it_ends_with_the_block(prescription, block, backend):
    before = block.AAttn.forward
    with prescription.prescribe(backend) as attention:
        assert attention.backend == backend
        assert block.AAttn.forward is not before
    assert block.AAttn.forward is before


def test_as_a_plain_call_it_holds_until_restored(prescription, block):
    before = block.AAttn.forward
    attention = prescription.prescribe("sdpa-flash")
    assert block.AAttn.forward is not before
    attention.restore()
    attention.restore()
    assert block.AAttn.forward is before


def test_auto_takes_what_is_quickest_and_right(prescription, block, monkeypatch):
    """Which of the two it is depends on the machine; with a slow one and a wrong one there is no doubt."""
    import time

    from attn_doctor.exchange import kernels

    def slow(query, key, value, scale):
        time.sleep(0.2)
        return kernels.sdpa(query, key, value, scale)

    def wrong(query, key, value, scale):
        return value

    before = block.AAttn.forward
    for ill in (slow, wrong):
        monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda ill=ill: ill)
        with prescription.prescribe("auto", device="cpu") as attention:
            assert attention.backend == "eager"
            assert block.AAttn.forward is before


def test_auto_on_this_machine(prescription):
    with prescription.prescribe("auto", device="cpu") as attention:
        assert attention.backend in ("eager", "sdpa-flash")


def test_a_kernel_that_is_wrong_is_not_used(prescription, block, monkeypatch):
    from attn_doctor.exchange import kernels

    before = block.AAttn.forward
    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda: lambda q, k, v, s: kernels.sdpa(q, k, v, 1.001 * s))
    with pytest.raises(prescription.NotProven, match=r"sdpa-flash gives wrong numbers on cpu .* left as it is"):
        prescription.prescribe("sdpa-flash", device="cpu")
    assert block.AAttn.forward is before


def test_a_kernel_whose_gradients_are_wrong_is_not_used(prescription, block, monkeypatch):
    from attn_doctor.exchange import kernels

    def without_gradient(query, key, value, scale):
        return kernels.sdpa(query, key.detach() + 0 * key, value, scale)

    before = block.AAttn.forward
    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda: without_gradient)
    with pytest.raises(prescription.NotProven, match="gradient error"):
        prescription.prescribe("sdpa-flash", device="cpu")
    assert block.AAttn.forward is before


def test_a_kernel_that_does_not_run_is_not_used(prescription, block, monkeypatch):
    from attn_doctor.exchange import kernels

    def broken(query, key, value, scale):
        raise RuntimeError("no kernel image is available")

    before = block.AAttn.forward
    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda: broken)
    with pytest.raises(prescription.NotProven, match=r"does not run on cpu here.*no kernel image"):
        prescription.prescribe("sdpa-flash", device="cpu")
    assert block.AAttn.forward is before


def test_eager_is_what_is_installed(prescription, block):
    before = block.AAttn.forward
    with prescription.prescribe("eager"):
        assert block.AAttn.forward is before


def test_names_that_are_none(prescription):
    with pytest.raises(ValueError, match="'flash' is no attention to exchange: use auto, eager, sdpa,"):
        prescription.prescribe("flash")
    with pytest.raises(ValueError, match=r"compile the model instead: YOLO\(...\).train\(compile=True\)"):
        prescription.prescribe("compile")


def test_a_package_that_is_not_there_is_an_import_error(prescription, block):
    before = block.AAttn.forward
    with pytest.raises(ImportError, match="flash-attn-2 cannot be had here: flash_attn: No module named 'flash_attn'"):
        prescription.prescribe("flash-attn-2")
    assert block.AAttn.forward is before


def test_a_model_trained_with_it_is_loaded_without_it(prescription, block, tmp_path):
    import torch
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model, x = DetectionModel("yolo12n.yaml", ch=3, nc=2, verbose=False), torch.rand(2, 3, 64, 64)
    with prescription.prescribe("sdpa-flash"):
        model.train()
        outputs = model(x)
        outputs["scores"].sum().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.01 * parameter.grad)
        torch.save(model, tmp_path / "trained.pt")
        expected = model.eval()(x)[0].detach()
    loaded = torch.load(tmp_path / "trained.pt", weights_only=False).eval()
    torch.testing.assert_close(loaded(x)[0], expected, rtol=1e-3, atol=1e-3)
