"""The decoder of Llama, Mistral and Qwen, top to bottom. Positions enter in one place: `Step.attend`.

Parameter names are those of Hugging Face checkpoints. Notation: b batch, t new tokens, h query heads, g key-value
heads, d head dimension.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lampe.attention import AttentionBackend
from lampe.attention.blocks import BLOCK, blocks
from lampe.config import Activation, ModelConfig
from lampe.models.cache import KVCache, Step
from lampe.models.product import Product

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}


class RMSNorm(nn.Module):
    """Root mean square norm, in fp32, times a weight."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cuda":
            return self._fused(x)
        if x.numel() <= BLOCK:
            return self._norm(x)
        return torch.cat([self._norm(x[..., part, :]) for part in blocks(x)], dim=-2)

    def _norm(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)

    def _fused(self, x: Tensor) -> Tensor:
        """The same, rounded where `_norm` rounds: fewer kernels on CUDA, up to twice slower on a CPU in bfloat16."""
        return self.weight * F.rms_norm(x, x.shape[-1:], eps=self.eps)


class Attention(nn.Module):
    """Projections around attention, added to the residual stream; q and k leave here without positions."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.layer = layer
        self.n_heads, self.n_kv_heads = config.n_heads, config.n_kv_heads
        hidden, d = config.hidden_size, config.head_dim
        self.q_proj = nn.Linear(hidden, config.n_heads * d, bias=config.attention_bias)
        self.k_proj = nn.Linear(hidden, config.n_kv_heads * d, bias=config.attention_bias)
        self.v_proj = nn.Linear(hidden, config.n_kv_heads * d, bias=config.attention_bias)
        self.o_proj = nn.Linear(config.n_heads * d, hidden, bias=config.output_bias)
        self._qkv, self._output = Product(self, "q_proj", "k_proj", "v_proj"), Product(self, "o_proj")
        self.qk_norm = config.qk_norm
        if self.qk_norm:
            self.q_norm = RMSNorm(d, config.rms_norm_eps)
            self.k_norm = RMSNorm(d, config.rms_norm_eps)

    def forward(self, x: Tensor, step: Step, residual: Tensor) -> Tensor:
        heads = self._qkv(x).view(*x.shape[:2], self.n_heads + 2 * self.n_kv_heads, -1).transpose(1, 2)
        q, k, v = torch.split(heads, [self.n_heads, self.n_kv_heads, self.n_kv_heads], dim=1)
        if self.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        out = step.attend(self.layer, q, k, v)
        return self._output(out.transpose(1, 2).flatten(2), plus=residual)


class MLP(nn.Module):
    """Gated feed-forward, added to the residual stream."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)
        self._gate, self._up, self._down = (Product(self, f"{name}_proj") for name in ("gate", "up", "down"))
        self.activation = config.activation

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        if self.activation == "silu":
            gate = self._gate(x, activation="silu")
        else:
            gate = ACTIVATIONS[self.activation](self._gate(x))
        return self._down(self._up(x, times=gate), plus=residual)


class DecoderLayer(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, step: Step) -> Tensor:
        x = self.self_attn(self.input_layernorm(x), step, residual=x)
        return self.mlp(self.post_attention_layernorm(x), residual=x)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Embedding, layers and the last norm; `Transformer.forward` puts them together."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        weight = torch.empty(config.vocab_size, config.hidden_size)
        if not weight.is_meta:  # there it would be idle, and import the half of torch that compiles
            nn.init.normal_(weight)
        self.embed_tokens = nn.Embedding.from_pretrained(weight, freeze=False)  # type: ignore[no-untyped-call]
        self.layers = nn.ModuleList(DecoderLayer(config, layer) for layer in range(config.n_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Transformer(nn.Module):
    """A causal language model.

    Args:
        config: the shape; built on the meta device it costs nothing until weights are loaded.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        if not config.tie_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self._head = Product(self.model, "embed_tokens") if config.tie_embeddings else Product(self, "lm_head")

    def pack(self, packed: bool = True) -> None:
        """Run on packed copies of the linear layers' weights from the next pass on, or no longer: see `Product`.

        On a CPU this feeds a decoded token at the speed of memory; it costs a second copy of the weights.
        """
        for module in self.modules():
            for product in vars(module).values():
                if isinstance(product, Product):
                    product.pack(packed)

    @torch.no_grad()
    def forward(self, ids: Tensor, cache: KVCache, backend: AttentionBackend, *, last: int | None = None) -> Tensor:
        """Append tokens to a cache and return logits of the last of them, without gradients.

        Args:
            ids: int64 [b, t], the same number of new tokens for every row of the cache.
            cache: what came before; it holds the new tokens afterwards.
            backend: computes attention over the rows' plans.
            last: for how many of the new tokens logits are computed, counted from the end; None for all.

        Returns:
            [b, last, vocab_size], of the weights' dtype.

        Raises:
            ValueError: the shape of ids does not fit the cache, or `last` exceeds t.
        """
        if ids.ndim != 2 or ids.shape[0] != len(cache.rows) or ids.shape[1] < 1:
            raise ValueError(
                f"ids {list(ids.shape)}: expected [{len(cache.rows)}, t], a row for every row of the cache"
            )
        n_tokens = ids.shape[1]
        last = n_tokens if last is None else last
        if not 0 <= last <= n_tokens:
            raise ValueError(f"last = {last}: logits exist for 0 to {n_tokens} new tokens")
        step = cache.step(n_tokens, backend)
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, step)
        step.finish()
        return self._head(self.model.norm(x[:, n_tokens - last :]))
