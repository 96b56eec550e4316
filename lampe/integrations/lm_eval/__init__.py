"""lampe as a model of the lm-evaluation-harness: importing this registers it there as "lampe" (extra `lm-eval`).

The harness reads no entry points for models, so its own command does not know the name; `lampe-lm-eval` (or
`python -m lampe.integrations.lm_eval`) is the same command with it. A positional method is written as on lampe's
command line, where fields are parted by colons because commas part the model_args:

    lampe-lm-eval --model lampe --model_args pretrained=FOLDER,positional=lampe:head=512:span=4096 --tasks ...

The model_args may also be one JSON object. `lm_eval.simple_evaluate(model="lampe", ...)` knows the name after this
import, and takes a `LampeLM` too.
"""

from __future__ import annotations

from lampe.errors import MissingExtraError

try:
    # Names are looked up among the harness's own models only while nothing else is registered: they go first.
    import lm_eval.models  # noqa: F401
    from lm_eval.api.registry import register_model
except ImportError:
    raise MissingExtraError("lm_eval", "lm-eval", "the model of the lm-evaluation-harness") from None

from lampe.integrations.lm_eval.arguments import Arguments
from lampe.integrations.lm_eval.model import LampeLM

register_model("lampe")(LampeLM)

__all__ = ["Arguments", "LampeLM"]
