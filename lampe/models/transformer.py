"""The decoder of Llama, Mistral and Qwen, top to bottom. Positions enter in one place: `Step.attend`.

Parameter names are those of Hugging Face checkpoints. Notation: b batch, t new tokens, h query heads, g key-value
heads, d head dimension.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from lampe.attention import AttentionBackend
from lampe.config import Activation, ModelConfig
from lampe.models.cache import KVCache, Step

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
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class Attention(nn.Module):
    """Projections around attention; q and k leave here without positions."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.layer = layer
        self.n_heads, self.n_kv_heads = config.n_heads, config.n_kv_heads
        hidden, d = config.hidden_size, config.head_dim
        self.q_proj = nn.Linear(hidden, config.n_heads * d, bias=config.attention_bias)
        self.k_proj = nn.Linear(hidden, config.n_kv_heads * d, bias=config.attention_bias)
        self.v_proj = nn.Linear(hidden, config.n_kv_heads * d, bias=config.attention_bias)
        self.o_proj = nn.Linear(config.n_heads * d, hidden, bias=config.output_bias)
        self.qk_norm = config.qk_norm
        if self.qk_norm:
            self.q_norm = RMSNorm(d, config.rms_norm_eps)
            self.k_norm = RMSNorm(d, config.rms_norm_eps)

    def forward(self, x: Tensor, step: Step) -> Tensor:
        q = rearrange(self.q_proj(x), "b t (h d) -> b h t d", h=self.n_heads)
        k = rearrange(self.k_proj(x), "b t (g d) -> b g t d", g=self.n_kv_heads)
        v = rearrange(self.v_proj(x), "b t (g d) -> b g t d", g=self.n_kv_heads)
        if self.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        out = step.attend(self.layer, q, k, v)
        return self.o_proj(rearrange(out, "b h t d -> b t (h d)"))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """Gated feed-forward."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))  # type: ignore[no-any-return]


class DecoderLayer(nn.Module):
    """Pre-norm attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, step: Step) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), step)
        return x + self.mlp(self.post_attention_layernorm(x))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Embedding, layers and the last norm; `Transformer.forward` puts them together."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
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

    def forward(self, ids: Tensor, cache: KVCache, backend: AttentionBackend, *, last: int | None = None) -> Tensor:
        """Append tokens to a cache and return logits of the last of them.

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
        head = self.model.embed_tokens.weight if self.config.tie_embeddings else self.lm_head.weight
        return F.linear(self.model.norm(x[:, n_tokens - last :]), head)
