"""Packed weights: the same numbers as the layers give, for as long as the layers stay as they are."""

from __future__ import annotations

import copy
import io
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lampe import LLM
from lampe.models import product
from lampe.models.product import Product, packed_weight, packing_fits
from tests.checkpoints import VARIANTS, make
from tests.engines import assert_logits_equal, load

pytestmark = pytest.mark.skipif(
    packed_weight(torch.zeros(4, 4)) is None, reason="torch was built without oneDNN, so nothing is packed"
)


def layers(dtype: torch.dtype = torch.float32, *, bias: bool = False) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"q_proj": 48, "k_proj": 16, "v_proj": 16}
    return nn.ModuleDict({name: nn.Linear(32, out, bias=bias, dtype=dtype) for name, out in sizes.items()})


def packed(owner: nn.Module) -> Product:
    result = Product(owner, *owner)
    result.pack()
    return result


def expected(owner: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """In fp64, whatever the layers' dtype."""
    wide = copy.deepcopy(owner).double()
    return torch.cat([F.linear(x.double(), layer.weight, layer.bias) for layer in wide.values()], dim=-1)


def is_packed(product: Product) -> bool:
    return product._copy is not None and product._copy.weight is not None and product._copy.weight.is_mkldnn


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 64, 700])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@torch.inference_mode()
def test_a_packed_product_is_that_of_the_layers(dtype, error, rows, bias):
    owner = layers(dtype, bias=bias)
    x = torch.randn(2, rows, 32, dtype=dtype)
    out = packed(owner)(x)
    assert out.dtype == dtype
    assert (out - expected(owner, x)).abs().max() < error


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_what_follows_is_fused_in(dtype):
    """In bf16 the fused result is rounded once, and so no farther from fp64 than the plain one."""
    owner = nn.ModuleDict({"up_proj": nn.Linear(32, 24, dtype=dtype)})
    plain, fused = Product(owner, "up_proj"), packed(owner)
    x, other = torch.randn(1, 9, 32, dtype=dtype), torch.randn(1, 9, 24, dtype=dtype)
    exact = expected(owner, x)
    for options, wanted in (
        ({"activation": "silu"}, F.silu(exact)),
        ({"times": other}, exact * other),
        ({"plus": other}, exact + other),
    ):
        limit = 1e-5 if dtype == torch.float32 else 1.3 * float((plain(x, **options) - wanted).abs().max())
        assert (fused(x, **options) - wanted).abs().max() <= limit
        assert is_packed(fused)
        assert not is_packed(plain)


def test_the_packed_copy_follows_the_layers():
    owner = layers(bias=True)
    run = packed(owner)
    x = torch.randn(1, 5, 32)

    def check() -> None:
        with torch.inference_mode():
            assert (run(x) - expected(owner, x)).abs().max() < 1e-5
        assert is_packed(run)

    check()
    with torch.no_grad():
        owner["k_proj"].weight.mul_(2)
    check()
    with torch.no_grad():
        owner["q_proj"].bias.add_(1)
    check()
    owner["v_proj"].weight = nn.Parameter(torch.randn(16, 32))
    check()
    owner["v_proj"] = nn.Linear(32, 20)
    check()
    owner.load_state_dict({name: torch.randn_like(value) for name, value in owner.state_dict().items()})
    check()
    owner["k_proj"].weight.data = torch.randn(16, 32)
    check()
    owner["q_proj"].weight.data.zero_()
    run.pack()
    check()


@torch.inference_mode()
def test_a_model_that_changes_its_dtype_is_packed_anew(tmp_path):
    make("llama3", tmp_path)
    engine = load(tmp_path)
    engine.model.pack()
    ids = torch.randint(3, 256, (1, 20), generator=torch.Generator().manual_seed(1))
    whole = engine.forward(ids, engine.cache([20]))
    for dtype in (torch.bfloat16, torch.float32):
        engine.model.to(dtype)
        out = engine.forward(ids, engine.cache([20]))
        assert (out - whole).abs().max() < 0.1 * whole.abs().max()
        assert engine.model._head._copy.weight.dtype == dtype


def test_a_packed_model_can_be_copied_and_pickled(tmp_path):
    make("llama3", tmp_path)
    engine = load(tmp_path)
    engine.model.pack()
    ids = torch.randint(3, 256, (1, 20), generator=torch.Generator().manual_seed(1))
    whole = engine.forward(ids, engine.cache([20]))
    stream = io.BytesIO()
    torch.save(engine.model, stream)
    stream.seek(0)
    for model in (copy.deepcopy(engine.model), torch.load(stream, weights_only=False)):
        again = replace(engine, model=model)
        assert torch.equal(again.forward(ids, again.cache([20])), whole)
        assert model._head._copy is not engine.model._head._copy
        assert is_packed(model._head)


@torch.inference_mode()
def test_a_thread_that_comes_while_weights_are_packed_never_sees_half_of_them(monkeypatch):
    owner, x = layers(bias=True), torch.randn(1, 5, 32)
    run, found, join = packed(owner), [], torch.cat

    def cat(tensors, *args, **kwargs):
        # The moment between the packed weight and the bias that belongs to it.
        if all(isinstance(tensor, nn.Parameter) and tensor.ndim == 1 for tensor in tensors) and not found:
            found.append(None)
            found[0] = run(x)
        return join(tensors, *args, **kwargs)

    monkeypatch.setattr(torch, "cat", cat)
    whole = run(x)
    assert (found[0] - expected(owner, x)).abs().max() < 1e-5
    assert torch.equal(whole, run(x))


def test_other_layers_hooks_and_gradients_take_the_plain_way():
    owner = layers()
    run = packed(owner)
    x = torch.randn(1, 5, 32)
    seen: list[torch.Size] = []
    hook = owner["k_proj"].register_forward_hook(lambda layer, args, out: seen.append(out.shape))
    with torch.inference_mode():
        run(x)
        assert seen == [torch.Size([1, 5, 16])]
        hook.remove()
        run(x)
    assert len(seen) == 1
    run(x).sum().backward()
    assert owner["k_proj"].weight.grad is not None

    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    before = owner["q_proj"]
    owner["q_proj"] = Doubled(32, 48, bias=False)
    owner["q_proj"].weight = before.weight
    with torch.inference_mode():
        assert torch.allclose(run(x)[..., :48], 2 * F.linear(x, before.weight), atol=1e-5)


@torch.inference_mode()
def test_some_layers_with_a_bias_and_some_without():
    owner = layers(bias=True)
    owner["k_proj"] = nn.Linear(32, 16, bias=False)
    x = torch.randn(1, 5, 32)
    run = packed(owner)
    assert (run(x) - expected(owner, x)).abs().max() < 1e-5
    assert not is_packed(run)


def test_dtypes_that_onednn_does_not_compute_stay_plain():
    assert packed_weight(torch.zeros(4, 4, dtype=torch.float16)) is None
    assert packed_weight(torch.zeros(4, 4, dtype=torch.float64)) is None


@pytest.mark.parametrize("name", VARIANTS)
def test_a_packed_model_is_the_same_model(name, tmp_path):
    """Families with and without biases, norms of q and k, and tied embeddings; names and weights stay as they were."""
    make(name, tmp_path)
    plain, fast = load(tmp_path), load(tmp_path)
    fast.model.pack()
    ids = torch.randint(3, 256, (2, 40), generator=torch.Generator().manual_seed(1))
    assert_logits_equal(fast.forward(ids, fast.cache([40, 40])), plain.forward(ids, plain.cache([40, 40])))
    assert is_packed(fast.model.model.layers[0].self_attn._qkv)
    assert is_packed(fast.model._head)
    before, after = plain.model.state_dict(), fast.model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    fast.model.pack(False)
    assert torch.equal(fast.forward(ids, fast.cache([40, 40])), plain.forward(ids, plain.cache([40, 40])))


def test_loading_packs_where_the_copy_is_small_beside_the_memory(tmp_path, monkeypatch):
    make("llama3", tmp_path)

    def packs(**options: object) -> bool:
        llm = LLM.load(tmp_path, tokenizer=False, device="cpu", **options)
        llm.logits([[1, 2, 3]])
        return is_packed(llm.model._head)

    assert packs() == packing_fits([torch.zeros(4)])
    assert packs(pack=True)
    assert not packs(pack=False)
    monkeypatch.setattr(product, "MEMORY_SHARE", 2**60)
    assert not packs()
    assert packs(pack=True)
