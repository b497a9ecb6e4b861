"""Each kind of attention call is proven by itself, and what was proven is kept for the next program."""

from __future__ import annotations

import json
import os
import warnings

import pytest

pytestmark = pytest.mark.usefixtures("quiet_ultralytics")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "attn-doctor" / "proofs"


@pytest.fixture(autouse=True)
def _one_thread():
    """A race on one thread counts its own time of the processor, which other programs do not change."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def prescribe():
    from attn_doctor.prescription.prescribe import prescribe

    return prescribe


def layer(area=4):
    import torch
    from ultralytics.nn.modules import block

    torch.manual_seed(0)
    return block.AAttn(64, 2, area).eval()


# name: (when the planted kernel is wrong, by query and whether gradients are wanted; area; input that meets it; one that does not)
WRONG = {
    "1600 tokens": (lambda q, _: q.shape[2] == 1600, 4, (1, 64, 80, 80), (1, 64, 8, 8)),
    "one image": (lambda q, _: q.shape[0] == 1, 1, (1, 64, 8, 8), (2, 64, 8, 8)),
    "odd tokens": (lambda q, _: q.shape[2] % 2 == 1, 1, (2, 64, 9, 9), (2, 64, 8, 8)),
    "without gradients": (lambda _, grad: not grad, 4, (2, 64, 8, 8), None),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_kernel_that_is_wrong_for_some_calls_only_is_left_out_of_these(prescribe, monkeypatch, name):
    import torch

    from attn_doctor.exchange import kernels

    wrong, area, met, other = WRONG[name]

    def planted(query, key, value, scale):
        grad = torch.is_grad_enabled() and query.requires_grad
        return kernels.sdpa(query, key, value, scale * (1.002 if wrong(query, grad) else 1.0))

    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", lambda: planted)
    module, said = layer(area), []
    x = torch.rand(met)
    with torch.no_grad():
        expected = module(x)
        with prescribe("sdpa-flash", now=False, say=said.append) as attention:
            assert torch.equal(module(x), expected)
            assert attention.backend == "eager"
            assert len(said) == 1
            assert said[0].startswith("sdpa-flash gives wrong numbers on cpu (output error 0.0")
            assert said[0].endswith(": the attention was left as it is")
            if other:
                module(torch.rand(other))
                assert attention.backend == "sdpa-flash"
    if other is None:
        with prescribe("sdpa-flash", now=False, say=said.append) as attention:
            module(x)
            assert attention.backend == "sdpa-flash"


def work(seconds):
    """Take time of the processor: a race on one thread does not count sleep."""
    import time

    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def installed(monkeypatch, seconds):
    """Make the installed attention take so many seconds longer."""
    from ultralytics.nn.modules import block

    def slow(self, x, own=block.AAttn.forward):
        work(seconds)
        return own(self, x)

    monkeypatch.setattr(block.AAttn, "forward", slow)


def kernel_that_takes(with_gradients, without):
    from attn_doctor.exchange import kernels

    def planted(query, key, value, scale):
        work(with_gradients if query.requires_grad else without)
        return kernels.sdpa(query, key, value, scale)

    return lambda: planted


def test_auto_chooses_for_each_pass(prescribe, monkeypatch):
    """Planted: slow with gradients, quick without."""
    import torch

    from attn_doctor.exchange import kernels

    installed(monkeypatch, 0.05)
    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", kernel_that_takes(0.2, 0))
    module, x = layer(), torch.rand(2, 64, 8, 8)
    with prescribe("auto", now=False, say=[].append) as attention:
        module(x)
        assert attention.backend == "eager"
        with torch.no_grad():
            module(x)
        assert attention.backend == "sdpa-flash"


def test_auto_chooses_for_the_layer_and_in_16_bits_has_the_textbook_formula_too(prescribe, monkeypatch):
    """Installed slow: without any kernel that is quicker, the exchange's layout alone is worth it. In float32 it is no candidate."""
    import torch

    from attn_doctor.exchange import kernels

    installed(monkeypatch, 0.05)
    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", kernel_that_takes(0.2, 0.2))
    module, x, called = layer(), torch.rand(2, 64, 8, 8), []
    module.register_forward_hook(lambda *_: called.append(1))
    before = [tensor.clone() for tensor in module.state_dict().values()]
    with prescribe("auto", now=False, say=[].append) as attention:
        module(x)
        assert attention.backend == "eager"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            module(x).sum().backward()
            assert attention.backend == "textbook"
            with torch.inference_mode():  # an input in 16 bits, as from a convolution in front
                module(x.bfloat16())
            assert attention.backend == "textbook"
    assert called == [1, 1, 1]  # the race is in a copy, without the program's hooks
    assert all(torch.equal(a, b) for a, b in zip(before, module.state_dict().values(), strict=True))


@pytest.mark.parametrize(("slower", "kept"), [(0.004, False), (0.12, True)])
def test_that_nothing_is_faster_is_kept_only_where_it_is_clear(prescribe, monkeypatch, cache, slower, kept):
    import torch

    from attn_doctor.exchange import kernels

    installed(monkeypatch, 0.08)
    monkeypatch.setitem(kernels._MAKERS, "sdpa-flash", kernel_that_takes(0.08 + slower, 0.08 + slower))
    monkeypatch.setattr("attn_doctor.prescription.stored_proofs._is_ours", lambda _: True)
    with torch.no_grad(), prescribe("auto", now=False, say=[].append) as attention:
        layer()(torch.rand(2, 64, 8, 8))
        assert attention.backend == "eager"
    entries = [json.loads(file.read_text()) for file in cache.glob("*.json")]
    assert any(name.startswith("auto ") for made in entries for name in made) is kept


def test_another_attention_is_named_where_nothing_was_exchanged(prescribe):
    import torch
    from ultralytics.nn.modules import block, transformer

    before = transformer.AIFI.forward, block.MaxSigmoidAttnBlock.forward
    image = torch.rand(1, 32, 4, 4)
    attention = prescribe("sdpa-flash", now=False)
    transformer.AIFI(32, 64, 2)(image)
    block.MaxSigmoidAttnBlock(32, 32, ec=32, gc=16)(image, torch.rand(1, 3, 16))
    assert attention.backend == "none"
    with pytest.warns(RuntimeWarning, match="nothing was exchanged: the attention of ") as told:
        attention.restore()
    assert [str(line.message) for line in told] == [
        "attn-doctor: nothing was exchanged: the attention of RT-DETR and YOLO-World (AIFI, MaxSigmoidAttnBlock) stays as installed"
    ]
    assert (transformer.AIFI.forward, block.MaxSigmoidAttnBlock.forward) == before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attention.restore()
        with prescribe("sdpa-flash", now=False) as attention:  # a model that has both
            transformer.AIFI(32, 64, 2)(image)
            block.AAttn(32, 1, 1).eval()(image)
        assert attention.nothing is None
        with prescribe("eager"):
            transformer.AIFI(32, 64, 2)(image)


def test_an_empty_batch_and_vmap_are_computed_as_installed(prescribe):
    import torch

    module, x = layer(), torch.rand(3, 2, 64, 8, 8)
    with torch.no_grad():
        expected = torch.func.vmap(module)(x)
        with prescribe("sdpa-flash"):
            assert module(torch.rand(0, 64, 8, 8)).shape == (0, 64, 8, 8)
            assert torch.equal(torch.func.vmap(module)(x), expected)


def test_what_was_proven_is_kept_for_the_next_program(prescribe, cache, monkeypatch):
    import torch

    module, x = layer(), torch.rand(2, 64, 8, 8)
    with prescribe("sdpa-flash"):
        module(x)
    (file,) = cache.glob("*.json")
    assert (cache.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)

    def never(*_):
        raise RuntimeError("proven again")

    monkeypatch.setattr("attn_doctor.prescription.prescribe.prove", never)
    monkeypatch.setattr("attn_doctor.exchange.layers.recognise", never)
    monkeypatch.setattr("attn_doctor.exchange.layers._layouts", {})
    with prescribe("sdpa-flash") as attention:
        module(x)
        assert attention.backend == "sdpa-flash"
        with pytest.warns(RuntimeWarning, match="proven again"), torch.autocast("cpu", dtype=torch.bfloat16):
            pass_ = module(x)
        assert pass_.shape == x.shape


@pytest.mark.parametrize("ill", ["numbers", "backend", "no json", "another owner may write", "not a folder", "threads"])
def test_what_was_kept_is_not_believed(prescribe, cache, monkeypatch, ill):
    import torch

    with prescribe("sdpa-flash"):
        pass
    (file,) = cache.glob("*.json")
    entries = json.loads(file.read_text())
    for entry in entries.values():
        if isinstance(entry, dict) and ill == "numbers":
            entry["numbers"][3] += 0.01
        elif isinstance(entry, dict) and ill == "backend":
            entry["backend"] = "flash-attn-9"
    file.write_text("{" if ill == "no json" else json.dumps(entries))
    if ill == "another owner may write":
        cache.chmod(0o777)
    elif ill == "not a folder":
        cache.rename(cache.with_name("moved"))
        cache.symlink_to(cache.with_name("moved"))
    from attn_doctor.prescription.proof import prove

    proven, threads = [], torch.get_num_threads()

    def counted(name, kernel, case):
        proven.append(case)
        prove(name, kernel, case)

    monkeypatch.setattr("attn_doctor.prescription.prescribe.prove", counted)
    try:
        if ill == "threads":
            torch.set_num_threads(threads + 1)
        with prescribe("sdpa-flash"):
            pass
    finally:
        torch.set_num_threads(threads)
    assert len(proven) == 4  # two shapes, with and without gradients


def test_a_patched_torch_keeps_nothing(prescribe, cache, monkeypatch):
    import torch
    from torch.nn import functional

    well = functional.scaled_dot_product_attention

    def patched(*arguments, **options):
        return well(*arguments, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", patched)
    with prescribe("sdpa-flash"):
        layer()(torch.rand(2, 64, 8, 8))
    assert not list(cache.glob("*.json"))


def test_the_files_are_few_and_forgotten_on_demand(prescribe, cache):
    from attn_doctor.prescription import proof_files

    with prescribe("sdpa-flash"):
        pass
    for number in range(40):
        (cache / f"{number}.json").write_text("{}")
        os.utime(cache / f"{number}.json", (number, number))
    with prescribe("sdpa-math"):
        pass
    assert len(proof_files.stored()) == proof_files.MOST_FILES
    assert proof_files.forget() == proof_files.MOST_FILES
    assert not cache.exists()
    assert proof_files.forget() == 0


def test_check_says_where_they_are_kept(cache, monkeypatch):
    from attn_doctor import examination
    from attn_doctor.examination import trying
    from attn_doctor.model.facts import Facts, Interpreter
    from attn_doctor.model.trials import TrialOptions, Trials
    from attn_doctor.trials.plan import TrialPlan

    monkeypatch.setattr("attn_doctor.trials.run.run", lambda *_, **__: Trials(attempted=True))
    facts = Facts(interpreter=Interpreter(python="/no/such/python"))

    def notes():
        return trying.prove(TrialPlan(options=TrialOptions()), facts, examination.Options(), [].append).run.notes

    assert notes() == ()
    cache.mkdir(parents=True, mode=0o700)
    (cache / "one.json").write_text("{}")
    assert notes() == (
        f"what `attn-doctor run` has proven here is kept in {cache}: `attn-doctor run --forget` removes it",
    )
