"""attn_doctor.attention: a backend in the YOLO attention of this process, proven before it is used."""

from __future__ import annotations

import os
import warnings

import pytest

pytestmark = pytest.mark.usefixtures("quiet_ultralytics")


@pytest.fixture
def block():
    from ultralytics.nn.modules import block

    return block


@pytest.fixture
def prescription():
    from attn_doctor.prescription import prescribe as prescription

    return prescription


def operators(block) -> list[str]:
    """What computes the attention of a layer now: "flash" or "softmax"."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    names = []

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            names.append(str(function))
            return function(*args, **(kwargs or {}))

    module, x = block.AAttn(64, 2, 4).eval(), torch.rand(1, 64, 8, 8)
    with torch.no_grad():
        module(x)  # the first call of this kind proves the backend
        with Seen():
            module(x)
    return [kind for kind in ("flash", "softmax") if any(kind in name for name in names)]


@pytest.mark.parametrize("backend", ["sdpa", "sdpa-flash", "sdpa-math"])
def test_as_a_context_manager_it_ends_with_the_block(prescription, block, backend):
    before = block.AAttn.forward
    with prescription.prescribe(backend) as attention:
        assert attention.backend == "none"  # nothing was computed yet
        operators(block)
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
        end = time.thread_time() + 0.05  # a race on one thread does not count sleep
        while time.thread_time() < end:
            pass
        return kernels.sdpa(query, key, value, scale)

    def wrong(query, key, value, scale):
        return value

    before = block.AAttn.forward
    for ill in (slow, wrong):
        monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda ill=ill: ill)
        with prescription.prescribe("auto", device="cpu") as attention:
            assert operators(block) == ["softmax"]
            assert attention.backend == "eager"
    assert block.AAttn.forward is before


def test_auto_on_this_machine(prescription, block):
    with prescription.prescribe("auto", device="cpu") as attention:
        operators(block)
        assert attention.backend in ("eager", "sdpa-flash")


@pytest.mark.parametrize("asked", ["auto", "sdpa-flash"])
def test_a_batch_of_one_is_not_left_to_an_attention_that_is_wrong_there(prescription, block, monkeypatch, asked):
    """sdpa-flash is slow (or, asked for by name, wrong), so larger batches stay as installed; a batch of one may not, where
    finite differences refute the gradients of the installed attention."""
    import time

    import torch

    from attn_doctor.exchange import kernels
    from attn_doctor.exchange.alone import is_wrong_alone

    def ill(query, key, value, scale):
        end = time.thread_time() + (0.05 if asked == "auto" else 0)  # a race on one thread does not count sleep
        while time.thread_time() < end:
            pass
        return kernels.sdpa(query, key, value, scale if asked == "auto" else 1.001 * scale)

    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda: ill)
    torch.manual_seed(0)
    module, said = block.AAttn(64, 2, 4).double().train(), []
    images = torch.randn(2, 64, 8, 4, dtype=torch.float64)
    weights = torch.randn(1, 64, 8, 4, dtype=torch.float64)

    def gradient(x):
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad((module(leaf) * weights).sum(), leaf)[0]

    with prescription.prescribe(asked, now=False, say=said.append) as attention:
        gradient(images)
        assert attention.backend == "eager"
        got = gradient(images[:1])
        assert (attention.backend == "eager") is not is_wrong_alone("cpu")
        with torch.no_grad():
            ahead, behind = (float((module(images[:1] + step * weights) * weights).sum()) for step in (1e-5, -1e-5))
    slope = float((got * weights).sum())
    assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)


def test_an_attention_whose_gradients_are_wrong_for_one_image_is_found_by_finite_differences(block, monkeypatch):
    """Planted in the class itself: only a batch of one, only backwards."""
    from attn_doctor.exchange import layers
    from attn_doctor.exchange.alone import is_wrong_alone

    def ill(self, x, well=block.Attention.forward):
        out = well(self, x)
        if x.shape[0] == 1 and out.requires_grad:
            out.register_hook(lambda gradient: 3 * gradient)
        return out

    monkeypatch.setattr(layers, "classes", lambda: (block.Attention,))
    monkeypatch.setattr("attn_doctor.exchange.alone.classes", lambda: (block.Attention,))
    assert not is_wrong_alone("cpu")
    layers.recognise(block.Attention)
    monkeypatch.setattr(block.Attention, "forward", ill)
    assert is_wrong_alone("cpu")


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
    with prescription.prescribe("eager") as attention:
        assert operators(block) == ["softmax"]
        assert attention.backend == "eager"


def test_nested_the_innermost_counts(prescription, block):
    with prescription.prescribe("sdpa-flash"):
        assert operators(block) == ["flash"]
        with prescription.prescribe("eager"):
            assert operators(block) == ["softmax"]
            with prescription.prescribe("sdpa-math"):
                assert operators(block) == ["softmax"]
        assert operators(block) == ["flash"]
    assert operators(block) == ["softmax"]


def test_the_function_of_the_package(block):
    import attn_doctor

    with attn_doctor.attention("sdpa-flash") as attention:
        assert operators(block) == ["flash"]
        assert attention.backend == "sdpa-flash"
    attention = attn_doctor.attention("auto")
    operators(block)
    assert attention.backend in ("eager", "sdpa-flash")
    attention.restore()
    assert operators(block) == ["softmax"]


class Counted:
    """A kernel that counts its calls, right or wrong."""

    def __init__(self, scale=1.0):
        self.scale, self.dtypes = scale, []

    def __call__(self, query, key, value, scale):
        from attn_doctor.exchange import kernels

        self.dtypes.append(query.dtype)
        return kernels.sdpa(query, key, value, self.scale * scale)


@pytest.mark.parametrize("inference", [False, True])
def test_later_it_proves_itself_where_it_is_first_used(prescription, block, monkeypatch, inference):
    import torch

    from attn_doctor.exchange import kernels

    kernel, said = Counted(), []
    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda: kernel)
    module, x = block.AAttn(64, 2, 4).eval(), torch.rand(2, 64, 8, 8)
    with prescription.prescribe("sdpa-flash", now=False, say=said.append) as attention:
        assert (kernel.dtypes, said) == ([], [])
        with torch.inference_mode(inference):
            module(x)
        assert attention.backend == "sdpa-flash"
        proofs = len(kernel.dtypes) - 1  # the last call is that of the layer
        assert set(kernel.dtypes) == {torch.float32}
        assert proofs >= 1
        with torch.inference_mode(inference), torch.autocast("cpu", dtype=torch.bfloat16):
            module(x)
        assert kernel.dtypes[proofs + 1 :] == [torch.bfloat16] * (proofs + 1)
        with torch.inference_mode(inference):
            module(x)  # proven already
    assert len(kernel.dtypes) == 2 * (proofs + 1) + 1
    assert said == [f"the attention is computed by sdpa-flash on cpu, {name}" for name in ("float32", "bfloat16")]


def test_later_a_wrong_one_is_left_out_and_the_program_goes_on(prescription, block, monkeypatch):
    import torch

    from attn_doctor.exchange import kernels

    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda: Counted(1.001))
    module, x = block.AAttn(64, 2, 4).eval(), torch.rand(2, 64, 8, 8)
    expected = module(x)
    with prescription.prescribe("sdpa-flash", now=False):
        with pytest.warns(RuntimeWarning, match="attn-doctor: sdpa-flash gives wrong numbers on cpu"):
            assert torch.equal(module(x), expected)
        assert torch.equal(module(x), expected)  # said once


def test_many_threads_at_once_prove_it_once(prescription, block, monkeypatch):
    import threading

    import torch

    from attn_doctor.exchange import kernels

    kernel, said = Counted(), []
    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda: kernel)
    module, x = block.AAttn(64, 2, 4).eval(), torch.rand(1, 64, 8, 8)
    with prescription.prescribe("sdpa-flash", now=False, say=said.append):
        threads = [threading.Thread(target=module, args=(x,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(said) == 1
    assert len(kernel.dtypes) == 1 + 8  # one proof


@pytest.mark.parametrize("backend", ["auto", "sdpa-flash"])
@pytest.mark.parametrize("now", [False, True])
def test_compiled_it_is_one_graph_with_the_kernel_in_it(prescription, block, backend, now):
    import torch

    module, x, graphs = block.AAttn(64, 2, 4).eval(), torch.rand(2, 64, 8, 8), []

    def compiler(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = module(x)
        with prescription.prescribe(backend, now=now) as attention:
            torch._dynamo.reset()
            got = torch.compile(module, backend=compiler, fullgraph=True)(x)
    assert len(graphs) == 1
    # "auto" may find, on a machine that is busy at that moment, that nothing is quicker than eager.
    wanted = "softmax" if attention.backend == "eager" else "scaled_dot_product_attention"
    assert wanted in graphs[0].code
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_looking_for_a_gpu_leaves_the_environment_and_cuda_alone(prescription, monkeypatch):
    import torch

    monkeypatch.delenv("PYTORCH_NVML_BASED_CUDA_CHECK", raising=False)
    assert prescription._default_device() in ("cpu", "mps", None)
    assert "PYTORCH_NVML_BASED_CUDA_CHECK" not in os.environ
    assert not torch.cuda.is_initialized()


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
