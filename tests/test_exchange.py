"""The exchange of attention inside the installed ultralytics, held against ultralytics' own code."""

from __future__ import annotations

import io
import pickle
import threading
import warnings

import pytest

pytestmark = pytest.mark.usefixtures("quiet_ultralytics")


@pytest.fixture(scope="module", autouse=True)
def _one_thread(quiet_ultralytics):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


@pytest.fixture
def layers():
    from attn_doctor.exchange import layers

    return layers


@pytest.fixture
def kernels():
    from attn_doctor.exchange import kernels

    return kernels


@pytest.fixture
def block():
    from ultralytics.nn.modules import block

    return block


def the_fork(torch):
    """Attention in the layout of sunsmarterjie's fork, as its attributes say: one convolution for q and k, one for v."""
    from ultralytics.nn.modules.conv import Conv

    class AAttn(torch.nn.Module):
        def __init__(self, dim, num_heads, area=1):
            super().__init__()
            self.area, self.num_heads, self.head_dim = area, num_heads, dim // num_heads
            self.qk = Conv(dim, 2 * dim, 1, act=False)
            self.v = Conv(dim, dim, 1, act=False)
            self.proj = Conv(dim, dim, 1, act=False)
            self.pe = Conv(dim, dim, 5, 1, 2, g=dim, act=False)

        def forward(self, x):
            b, c, h, w = x.shape
            shape = (b, self.num_heads, self.head_dim, self.area, h * w // self.area)
            image = self.v(x)
            q, k = self.qk(x).chunk(2, dim=1)
            q, k, v = (t.reshape(shape) for t in (q, k, image))
            weights = torch.einsum("bhdan,bhdam->bhanm", q, k).mul(self.head_dim**-0.5).softmax(dim=-1)
            out = torch.einsum("bhanm,bhdam->bhdan", weights, v)
            return self.proj(out.reshape(b, c, h, w) + self.pe(image))

    return AAttn


CASES = ("AAttn, areas", "AAttn, one area", "Attention", "fork, areas", "fork, one area")


def make(case, torch, block):
    fork = the_fork(torch)
    return {
        "AAttn, areas": lambda: block.AAttn(64, 2, 4),
        "AAttn, one area": lambda: block.AAttn(64, 2, 1),
        "Attention": lambda: block.Attention(128, 2),
        "fork, areas": lambda: fork(64, 2, 4),
        "fork, one area": lambda: fork(64, 2, 1),
    }[case]()


def run(torch, module, x, train):
    """Output, input gradient and parameter gradients for a fixed cotangent; the gradient of a batch norm made dense first.

    Torch misreads some layouts there, see the trial's reference check: what is compared here is the exchange.
    """
    from ultralytics.nn.modules.conv import Conv

    module.train(train)
    norms = [m.bn for m in module.modules() if isinstance(m, Conv)]
    state = {k: v.clone() for k, v in module.state_dict().items()}
    hooks = [
        n.register_forward_hook(lambda _m, _i, out: out.register_hook(lambda g: g.contiguous()) and None) for n in norms
    ]
    leaf = x.detach().requires_grad_()
    out = module(leaf)
    cotangent = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape).to(out.dtype)
    gradients = torch.autograd.grad((out * cotangent).sum(), [leaf, *module.parameters()])
    for hook in hooks:
        hook.remove()
    module.load_state_dict(state)
    return [out.detach(), *gradients]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kernel", ["eager", "sdpa", "sdpa-math", "sdpa-flash"])
@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("last", [False, True], ids=["NCHW", "channels_last"])
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
def test_same_values_and_gradients(torch, layers, kernels, block, case, kernel, batch, last, train):
    module = make(case, torch, block).double()
    x = torch.randn(
        batch, module.qk.conv.in_channels if "fork" in case else module.qkv.conv.in_channels, 8, 12
    ).double()
    if last:
        x, module = x.contiguous(memory_format=torch.channels_last), module.to(memory_format=torch.channels_last)
    expected = run(torch, module, x, train)
    with layers.Exchange(kernels.kernel(kernel), (type(module),)):
        assert type(module).forward is not None
        got = run(torch, module, x, train)
    for a, b in zip(expected, got, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_what_a_kernel_is_given(torch, layers, kernels, block, case):
    """[batch x areas, heads, tokens, width] with a last stride of 1, and not one of them copied."""
    module = make(case, torch, block)
    seen = []

    def recorder(query, key, value, scale):
        seen.append((query, key, value, scale))
        return kernels.sdpa(query, key, value, scale)

    convolution = module.qk if "fork" in case else module.qkv
    made = []
    convolution.register_forward_hook(lambda _m, _i, out: made.append(out))
    with layers.Exchange(recorder, (type(module),)):
        module(torch.randn(2, 128 if case == "Attention" else 64, 8, 8))
    (query, key, value, scale), out = seen[0], made[0]
    areas = 4 if "areas" in case else 1
    assert query.shape == (2 * areas, 2, 64 // areas, 32)
    assert value.shape == (2 * areas, 2, 64 // areas, 64 if case == "Attention" else 32)
    assert scale == pytest.approx(32**-0.5)
    for tensor in (query, key, value):
        assert tensor.stride(-1) == 1
    for tensor in (query, key) if "fork" in case else (query, key, value):
        assert tensor.untyped_storage().data_ptr() == out.untyped_storage().data_ptr()


def test_the_installed_classes_are_recognised(layers):
    assert [(cls.__name__, layers.recognise(cls).name) for cls in layers.classes()] == [
        ("AAttn", "area"),
        ("Attention", "narrow"),
    ]


def test_the_fork_is_recognised(torch, layers):
    assert layers.recognise(the_fork(torch)).name == "area, split"


def test_a_class_that_computes_something_else_is_refused_in_one_sentence(torch, layers, kernels, block):
    class AAttn(block.AAttn):
        def forward(self, x):
            return super().forward(x) * 1.001

    before = AAttn.__dict__["forward"]
    with pytest.raises(layers.Refused, match="AAttn is not an attention that attn-doctor knows: it was left as it is"):
        layers.Exchange(kernels.sdpa, (AAttn,))
    assert AAttn.__dict__["forward"] is before


def test_a_class_with_other_attributes_is_refused(torch, layers, kernels):
    class Attention(torch.nn.Module):
        def __init__(self, dim, num_heads=8):
            super().__init__()
            self.to_qkv = torch.nn.Linear(dim, 3 * dim)

    with pytest.raises(layers.Refused):
        layers.Exchange(kernels.sdpa, (Attention,))


def test_recognising_leaves_the_random_numbers_alone(torch, layers, block):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    layers.recognise(block.AAttn)
    assert torch.equal(torch.rand(3), expected)


def test_restored_at_the_end_and_after_an_exception(layers, kernels, block):
    before = block.AAttn.forward, block.Attention.forward
    with layers.Exchange(kernels.sdpa):
        assert block.AAttn.forward is not before[0]
        assert block.Attention.forward is not before[1]
    assert (block.AAttn.forward, block.Attention.forward) == before
    with pytest.raises(KeyError), layers.Exchange(kernels.sdpa):
        raise KeyError
    assert (block.AAttn.forward, block.Attention.forward) == before


def marker(kernels, name, seen):
    def kernel(query, key, value, scale):
        seen.append(name)
        return kernels.sdpa(query, key, value, scale)

    return kernel


def test_the_newest_holds_and_they_may_end_in_any_order(torch, layers, kernels, block):
    before = block.AAttn.forward
    seen = []
    module, x = block.AAttn(64, 2, 1).eval(), torch.randn(1, 64, 4, 4)
    first = layers.Exchange(marker(kernels, "first", seen))
    second = layers.Exchange(marker(kernels, "second", seen))
    module(x)
    first.restore()
    module(x)
    first.restore()
    third = layers.Exchange(marker(kernels, "third", seen))
    module(x)
    third.restore()
    module(x)
    second.restore()
    assert seen == ["second", "second", "third", "second"]
    assert block.AAttn.forward is before


def test_the_signature_is_that_of_a_forward(layers, kernels, block):
    """torch.onnx.export gives a model the defaults of its forward as inputs."""
    import inspect

    with layers.Exchange(kernels.sdpa):
        assert list(inspect.signature(block.AAttn(64, 2, 1).forward).parameters) == ["x"]


def test_a_forward_that_somebody_put_on_top_is_left(layers, kernels, block):
    before = block.AAttn.forward
    exchange = layers.Exchange(kernels.sdpa)
    ours = block.AAttn.forward

    def theirs(self, x):
        return ours(self, x)

    block.AAttn.forward = theirs
    exchange.restore()
    try:
        assert block.AAttn.forward is theirs
    finally:
        block.AAttn.forward = before


def test_each_thread_has_its_own(torch, layers, kernels, block):
    before = block.AAttn.forward
    module, x = block.AAttn(64, 2, 1).eval(), torch.randn(1, 64, 4, 4)
    seen: dict[str, list[str]] = {name: [] for name in "abcd"}
    ready, failures = threading.Barrier(4), []

    def work(name):
        try:
            for _ in range(20):
                with layers.Exchange(marker(kernels, name, seen[name])):
                    ready.wait(60)
                    for _ in range(5):
                        module(x)
                    ready.wait(60)
        except Exception as error:  # noqa: BLE001 - whatever it is, the main thread must hear of it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {name: len(calls) for name, calls in seen.items()} == dict.fromkeys("abcd", 100)
    assert block.AAttn.forward is before


def test_a_thread_without_its_own_has_that_of_the_process(torch, layers, kernels, block):
    module, x, seen = block.AAttn(64, 2, 1).eval(), torch.randn(1, 64, 4, 4), []
    with layers.Exchange(marker(kernels, "process", seen)):
        thread = threading.Thread(target=module, args=(x,))
        thread.start()
        thread.join()
    assert seen == ["process"]


def test_weights_and_checkpoints_know_nothing_of_it(torch, layers, kernels, block):
    module = block.AAttn(64, 2, 4)
    names = list(module.state_dict())
    plain = pickle.dumps(module)
    with layers.Exchange(kernels.kernel("sdpa-flash")):
        assert list(module.state_dict()) == names
        assert pickle.dumps(module) == plain
        file = io.BytesIO()
        torch.save(module, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    x = torch.randn(1, 64, 8, 8)
    assert torch.equal(loaded.eval()(x), module.eval()(x))
    assert b"attn_doctor" not in plain


def test_autocast(torch, layers, kernels, block):
    module, x = block.AAttn(64, 2, 4), torch.randn(2, 64, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = module(x)
        with layers.Exchange(kernels.kernel("sdpa-flash")):
            got = module(x)
    assert got.dtype == expected.dtype
    torch.testing.assert_close(got, expected, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize("kernel", ["sdpa", "sdpa-flash", "sdpa-math"])
def test_torch_compile_sees_one_graph(torch, layers, kernels, block, kernel):
    module, x = block.AAttn(64, 2, 4).eval(), torch.randn(2, 64, 8, 8)
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.no_grad():
            expected = module(x)
            with layers.Exchange(kernels.kernel(kernel)):
                torch._dynamo.reset()
                got = torch.compile(module, backend=backend, fullgraph=True)(x)
    assert len(graphs) == 1
    assert "scaled_dot_product_attention" in graphs[0].code
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_torchscript_holds_the_models_own_attention(torch, layers, kernels, block):
    module, x = block.AAttn(64, 2, 4).eval(), torch.randn(1, 64, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = torch.jit.trace(module, x)
        with layers.Exchange(kernels.kernel("sdpa-flash")):
            traced = torch.jit.trace(module, x)
    kinds, expected = ([node.kind() for node in graph.inlined_graph.nodes()] for graph in (traced, plain))
    assert kinds == expected
    assert "aten::softmax" in kinds
    torch.testing.assert_close(traced(x), module(x))


def test_torch_export_works(torch, layers, kernels, block):
    module, x = block.AAttn(64, 2, 4).eval(), torch.randn(1, 64, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with layers.Exchange(kernels.kernel("sdpa-flash")):
            exported = torch.export.export(module, (x,))
        torch.testing.assert_close(exported.module()(x), module(x), rtol=1e-4, atol=1e-5)


def test_coreml_has_its_own_way(torch, layers, kernels, block):
    module, x, seen = block.Attention(128, 2).eval(), torch.randn(1, 128, 4, 4), []
    with layers.Exchange(marker(kernels, "ours", seen)):
        module.format = "coreml"
        module(x)
        assert seen == []
        module.format = None
        module(x)
        assert seen == ["ours"]


def test_a_subclass_with_its_own_forward_is_not_touched(torch, layers, kernels, block):
    class Mine(block.AAttn):
        def forward(self, x):
            return x

    x = torch.randn(1, 64, 4, 4)
    with layers.Exchange(kernels.sdpa):
        assert Mine(64, 2, 1)(x) is x
