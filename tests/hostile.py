"""Texts that break programs. What comes from platforms and files may be any of them."""

from __future__ import annotations

HOSTILE = {
    "empty": "",
    "blanks": " \t\r\n\u00a0\u2003\u3000",
    "one emoji": "😡",
    "one flag": "🇮🇸",
    "long": "It squeaks all day. " * 5_000,
    "one word of 50,000 letters": "a" * 50_000,
    "no blank in another script": "製" * 50_000,
    "control characters": "It \x00\x01\x07\x08\x1b[31msqueaks\x7f\x9b",
    "only NUL": "\x00" * 1_000,
    "right to left": "وصل الطرد متأخرا جدا וזה נורא",
    "bidi overrides": "\u202e" * 500 + "skaeuqs tI\u202c \u2066and\u2069 \u200fmore",
    "zero width": "It\u200b\u200c\u200d\u2060\ufeff squ\u00adeaks" + "\u200b" * 10_000,
    "lone surrogates": "It \ud800\udfff\udc00 squeaks \ud83d",
    "10,000 combining marks": "Z" + "\u0300\u0489" * 5_000 + "algo",
    "towers of joined emoji": "👨\u200d👩\u200d👧\u200d👦" * 2_000,
    "skin tones alone": "🏿🏻" * 500,
    "variation selectors": "❤\ufe0e\ufe0f\U000e0100" * 1_000,
    "tags block": "🏴" + "\U000e0067\U000e0062" * 500 + "\U000e007f",
    "private use and unassigned": "\ue000\U0010ffff\ufffe\u0378" * 100,
    "line ends of every sort": "one\rtwo\ntwo\x0bthree\x0cfour\x1cfive\x85six\u2028seven\u2029eight",
    "names of tokens": "[CLS] [SEP] [PAD] [MASK] <s> </s> <unk> ##ing ▁",
    "escapes": "\\ud83d\\ude21 \\u0000 \\ud800 \\x00 %00 &#0; &#xD800; &amp;amp; &#99999999999;",
    "at signs": "@" * 2_000 + "@a." * 5_000 + "u/" * 5_000,
    "links": "https://" * 5_000 + "www." * 5_000,
    "markup": "<script>alert(1)</script>" * 500 + "![x](https://evil.example/x.png)",
    "a formula": "=HYPERLINK(\"https://evil.example\",\"x\")\t+1-1@SUM(A1)",
    "SQL": "'; DROP TABLE mentions; --",
    "digits of every script": "٣۴५৬७８𝟗" * 500,
}  # fmt: skip
"""By what is wrong with each."""
