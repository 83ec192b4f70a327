"""Which language a text is in, or that it cannot be told."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Protocol, cast

UNKNOWN = "und"
"""BCP 47's code for a language that cannot be told."""

CONFIDENCE = 0.5
"""Below this probability the answer is "und". See docs/model.md for what that gains and costs."""

READ_CHARACTERS = 160
"""More makes the answer hardly surer, and the identifier's time grows with every byte."""

# Those with a two-letter code that people write on the platforms Samtal reads. Each language left out is one less to
# be mistaken for: Latin or Faroese are far rarer in mentions than texts that merely resemble them.
LANGUAGES = (
    "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "ga", "gl",
    "gu", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "ka", "kk", "km", "kn", "ko", "lt", "lv", "mk", "ml",
    "mn", "mr", "ms", "my", "ne", "nl", "no", "pa", "pl", "ps", "pt", "ro", "ru", "si", "sk", "sl", "sq", "sr", "sv",
    "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "uz", "vi", "zh",
)  # fmt: skip


class _Identifier(Protocol):
    def classify(self, instance: str) -> tuple[str, float]: ...


_loading = Lock()


@lru_cache(maxsize=1)
def _load() -> _Identifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)
    return cast(_Identifier, identifier)


def language_of(text: str) -> str:
    """The ISO 639-1 code of the language that a cleaned and masked text is in, or "und".

    The first call loads the identifier, which takes a second or two.
    """
    words = [word for word in text[: 2 * READ_CHARACTERS].split() if word not in {"@user", "http"}]
    read = " ".join(words)[:READ_CHARACTERS]
    if not any(character.isalpha() for character in read):
        return UNKNOWN
    with _loading:  # two threads that both find it unloaded would both load it
        identifier = _load()
    code, probability = identifier.classify(read)
    return code if probability >= CONFIDENCE else UNKNOWN
