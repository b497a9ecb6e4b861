"""An exchanged attention in the less usual passes of torch: what works as installed works exchanged, with the same numbers."""

from __future__ import annotations

import copy
import warnings

import pytest

pytestmark = pytest.mark.usefixtures("quiet_ultralytics")


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


@pytest.fixture
def block():
    from ultralytics.nn.modules import block

    return block


def attention(backend="sdpa-flash"):
    from attn_doctor.prescription.prescribe import prescribe

    return prescribe(backend, now=False, say=[].append)


def layer(block, kind="AAttn"):
    """Small, float64, in training; one image of a batch changes nothing in it, so any batch is right as installed."""
    import torch

    torch.manual_seed(0)
    return (block.AAttn(64, 2, 4) if kind == "AAttn" else block.Attention(64, 1)).double().train()


def same(torch, some, others):
    assert len(some) == len(others)
    for a, b in zip(some, others, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


class Operators:
    """Note which attention operators run."""

    def __init__(self):
        from torch.utils._python_dispatch import TorchDispatchMode

        seen = self.seen = []

        class Mode(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                name = str(function)
                seen.extend(kind for kind in ("flash", "softmax") if kind in name)
                return function(*args, **(kwargs or {}))

        self._mode = Mode()

    def __enter__(self):
        self._mode.__enter__()
        return self.seen

    def __exit__(self, *error):
        self._mode.__exit__(*error)


def penalty(torch, module, x):
    """The gradient of the input, and the gradients of its length: of a gradient penalty."""
    leaf = x.clone().requires_grad_()
    first = torch.autograd.grad(module(leaf).sin().sum(), leaf, create_graph=True)[0]
    second = torch.autograd.grad(first.square().sum(), [leaf, *module.parameters()])
    return [first.detach(), *second]


@pytest.mark.parametrize("kind", ["AAttn", "Attention"])
@pytest.mark.parametrize("backend", ["sdpa-flash", "sdpa"])
def test_a_second_derivative(torch, block, kind, backend):
    module, x = layer(block, kind), torch.rand(2, 64, 8, 4).double()
    expected = penalty(torch, module, x)
    with attention(backend) as active:
        same(torch, penalty(torch, module, x), expected)
        assert active.backend == backend


@pytest.mark.parametrize("at_once", [False, True])
def test_a_hessian_and_many_gradients_at_once(torch, block, at_once):
    module, x = layer(block), torch.rand(2, 64, 4, 4).double()

    def found():
        hessian = torch.autograd.functional.hessian(
            lambda s: module(x * (1 + s.sum()) + s[0] ** 2).sin().sum(), torch.zeros(2).double(), vectorize=at_once
        )
        leaf = x.clone().requires_grad_()
        rows = torch.eye(3).double() if at_once else torch.ones(3).double()
        return [hessian, *torch.autograd.grad(module(leaf).sum((2, 3))[0, :3], leaf, rows, is_grads_batched=at_once)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = found()
        with attention():
            same(torch, found(), expected)


def test_ordinary_training_runs_the_kernels_own_backward(torch, block):
    module, x = layer(block), torch.rand(2, 64, 8, 4).double()
    with attention():
        module(x)
        with Operators() as seen:
            module(x).sum().backward()
    assert seen == ["flash", "flash"]


def test_transforms_and_forward_mode(torch, block):
    module, x = layer(block).eval(), torch.rand(2, 64, 4, 4).double()
    weights = dict(module.named_parameters())
    tangents = {name: torch.ones_like(weight) for name, weight in weights.items()}

    def of_weights(weights):
        return torch.func.functional_call(module, weights, (x,))

    def found():
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            forward_mode = torch.autograd.forward_ad.unpack_dual(module(dual)).tangent
        return [
            forward_mode.detach(),
            torch.func.grad(lambda x: module(x).sin().sum())(x).detach(),
            torch.func.jvp(of_weights, (weights,), (tangents,))[1].detach(),
        ]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = found()
        with attention():
            same(torch, found(), expected)


REENTRANT = pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not reentrant"])


def through_checkpoint(torch, module, x, reentrant):
    leaf = x.clone().requires_grad_()
    out = torch.utils.checkpoint.checkpoint(module, leaf, use_reentrant=reentrant)
    return leaf, out


def gradients(torch, module, leaf, out):
    module.zero_grad()
    out.sin().sum().backward()
    return [leaf.grad, *(weight.grad.clone() for weight in module.parameters())]


@REENTRANT
@pytest.mark.parametrize("when", ["inside", "after the end", "under another", "before the exchange"])
def test_a_checkpoint_is_computed_again_as_the_first_time(torch, block, reentrant, when):
    module, x = layer(block), torch.rand(2, 64, 8, 4).double()
    before = block.AAttn.forward
    expected = gradients(torch, module, *through_checkpoint(torch, module, x, reentrant))
    if when == "before the exchange":
        first = through_checkpoint(torch, module, x, reentrant)
        with attention(), Operators() as seen:
            same(torch, gradients(torch, module, *first), expected)
        assert set(seen) == {"softmax"}
        return
    with attention() as active:
        first = through_checkpoint(torch, module, x, reentrant)
        if when == "inside":
            with Operators() as seen:
                same(torch, gradients(torch, module, *first), expected)
        elif when == "under another":
            with attention("sdpa-math"), Operators() as seen:
                module(x)
                assert set(seen) == {"softmax"}
                seen.clear()
                same(torch, gradients(torch, module, *first), expected)
    if when == "after the end":
        with Operators() as seen:
            module(x)
            assert set(seen) == {"softmax"}
            seen.clear()
            same(torch, gradients(torch, module, *first), expected)
    assert active.backend == "sdpa-flash"
    assert seen == ["flash", "flash"]
    del first
    module(x)
    assert block.AAttn.forward is before


def test_a_checkpoint_in_a_checkpoint(torch, block):
    module, x = layer(block), torch.rand(2, 64, 8, 4).double()

    def nested(x):
        return torch.utils.checkpoint.checkpoint(module, module(x), use_reentrant=False)

    def first():
        leaf = x.clone().requires_grad_()
        return leaf, torch.utils.checkpoint.checkpoint(nested, leaf, use_reentrant=False)

    expected = gradients(torch, module, *first())
    with attention():
        late = first()
    with Operators() as seen:
        same(torch, gradients(torch, module, *late), expected)
    assert set(seen) == {"flash"}


@REENTRANT
def test_a_checkpoint_under_autocast(torch, block, reentrant):
    module, x = layer(block).float(), torch.rand(2, 64, 8, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = gradients(torch, module, *through_checkpoint(torch, module, x, reentrant))
    with attention(), torch.autocast("cpu", dtype=torch.bfloat16):
        late = through_checkpoint(torch, module, x, reentrant)
    got = gradients(torch, module, *late)
    assert all(bool(tensor.isfinite().all()) for tensor in got)
    torch.testing.assert_close(got[0], expected[0], rtol=0.1, atol=0.1 * float(expected[0].abs().max()))


def test_tensors_that_are_kept_elsewhere(torch, block):
    module, x = layer(block), torch.rand(2, 64, 8, 4).double()

    def once():
        leaf = x.clone().requires_grad_()
        with torch.autograd.graph.save_on_cpu():
            return leaf, module(leaf)

    expected = gradients(torch, module, *once())
    with attention() as active:
        same(torch, gradients(torch, module, *once()), expected)
        assert active.backend == "sdpa-flash"


def replica_of(module):
    """As torch.nn.parallel.replicate makes it for each GPU: weights are plain attributes, which `parameters` does not list."""
    replica = module._replicate_for_data_parallel()
    for name, weight in module._parameters.items():
        setattr(replica, name, None if weight is None else weight.view_as(weight))
    replica._modules = {name: replica_of(child) for name, child in module._modules.items()}
    return replica


def test_a_replica_of_data_parallel_is_proven_with_gradients(torch, block, monkeypatch):
    """Behind frozen layers: its input has no gradients."""
    from attn_doctor.prescription import proof

    module, x, cases = layer(block), torch.rand(2, 64, 8, 4).double(), []
    monkeypatch.setattr(
        "attn_doctor.prescription.prescribe.prove",
        lambda name, kernel, case: (cases.append(case), proof.prove(name, kernel, case)),
    )
    monkeypatch.setattr("attn_doctor.prescription.stored_proofs.StoredProofs.find", lambda *_: None)

    def found():
        module.zero_grad()
        replica = replica_of(module)
        assert not list(replica.parameters())
        replica(x).sin().sum().backward()
        return [weight.grad for weight in module.parameters()]

    expected = found()
    with attention():
        same(torch, found(), expected)
    assert [case.gradients for case in cases] == [True]


def test_a_copy_and_an_average_of_a_model(torch, block):
    from ultralytics.utils.torch_utils import ModelEMA

    module, x = torch.nn.Sequential(layer(block)), torch.rand(2, 64, 8, 4).double()
    with attention():
        module(x).sum().backward()
        clone, average = copy.deepcopy(module), ModelEMA(module)
        average.update(module)
        same(torch, [clone.eval()(x)], [module.eval()(x)])
    same(torch, [clone(x)], [module(x)])
    assert list(average.ema.state_dict()) == list(module.state_dict())
