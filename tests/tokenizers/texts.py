"""Texts that tokenizers disagree on when they disagree at all."""

from __future__ import annotations

import inspect
import json.decoder
import pydoc_data.topics

from hypothesis import strategies as st

PROSE = "\n".join(pydoc_data.topics.topics.values())
TEXTS = {
    "prose": PROSE[:40_000],
    "code": inspect.getsource(json.decoder),
    "digits": "1 12 123 1234 12345 3.14159 1,000,000 0x1F 2024-07-26 ½ ² Ⅷ ٣٤ 一二三 १२३",
    "whitespace": "  a  b   c\n\n\n d\t\te \r\n x \u00a0y\u3000z\u2028 \n"
    + " " * 100
    + "\n" * 40
    + "\t" * 30
    + "end  ",
    "contractions": "I'm we'LL don'T 'ſ they'Ve rock'n'roll ''s 'D",
    "emoji": "😀👍🏽🇺🇸👩‍👩‍👧 ❤️ 🏴\U000e0067\U000e0062\U000e007f",
    "chinese": "你好,世界!这是一个测试。人工智能改变了我们的生活方式,例如机器翻译。",
    "hindi": "नमस्ते दुनिया, यह एक परीक्षण है। कृपया ध्यान दें कि क़ और क़ समान हैं।",
    "accents": "é e\u0301 ﬁ Å Å ñ n\u0303 \u1e9b\u0323 Ω Ω",
    "controls": "\x00\x04\x06a\x04b\x13\x14\x7f\x85\u200b\ufeff",
    "runs": "a" * 500 + "=-=" * 100 + "ab" * 200,
    "special": "<|im_start|>user\nhi<|im_end|> <|eot_id|>x<|begin_of_text|> <s>[INST] y [/INST]</s><unk><tool_call>",
    "byte names": "<0x0A> <0xE4> ▁ Ġ",
    "empty": "",
    "leading space": " lead",
    "two leading spaces": "  lead",
    "newline": "\n",
}

_WORDS = [
    "the",
    " the",
    "'s",
    "'LL",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "12",
    "345",
    "é",
    "你好",
    "नमस्",
    "😀",
    "<|im_end|>",
    "<s>",
    "▁",
]
RANDOM_TEXT = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=" \n\t\r'sStTrReEaA019.,!é\u0301你नमस्ते😀", max_size=60),
    st.lists(st.sampled_from(_WORDS), max_size=20).map("".join),
)
