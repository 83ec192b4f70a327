"""Two encoders, one analyser: who reads what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from analysis import Sentiment, default_topics
from analysis.bundled import Bundled
from analysis.encoder import MULTILINGUAL
from analysis.tagger import Tagger

ENGLISH_TEXT = "The parcel came two weeks late and nobody answers my mails"
IN_OTHER_WORDS = {
    "de": "Das Paket kam zwei Wochen zu spät und niemand beantwortet meine Mails, furchtbar",
    "es": "El paquete llegó dos semanas tarde y nadie contesta a mis correos, fatal",
    "fr": "Le colis est arrivé avec deux semaines de retard et personne ne répond, c'est nul",
    "pt": "A encomenda chegou com duas semanas de atraso e ninguém responde, péssimo",
}
HAPPY = {
    "de": "Ich liebe diesen neuen Rucksack, einfach großartig, vielen Dank!",
    "es": "Me encanta esta mochila nueva, es genial, ¡muchas gracias!",
    "fr": "J'adore ce nouveau sac à dos, il est génial, merci beaucoup !",
    "it": "Adoro questo zaino nuovo, è fantastico, grazie mille!",
    "pt": "Adoro esta mochila nova, é ótima, muito obrigado!",
}


def opened_folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the weights' folders, as they are opened from now on."""
    folders: list[str] = []
    make = Tagger.__init__

    def noting(self: Tagger, topics: Sequence[object], threads: int | None, weights: object) -> None:
        folders.append(str(weights).rsplit("/", 1)[-1])
        make(self, topics, threads, weights)  # type: ignore[arg-type]

    monkeypatch.setattr(Tagger, "__init__", noting)
    return folders


def test_the_multilingual_encoder_is_loaded_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = opened_folders(monkeypatch)
    analyser = Bundled([], threads=1)
    analyser.tags([ENGLISH_TEXT, "", "  "])
    assert folders == ["english"]
    analyser.tags([IN_OTHER_WORDS["de"]])
    analyser.tags([IN_OTHER_WORDS["fr"]])
    assert folders == ["english", MULTILINGUAL]


@pytest.mark.parametrize("language", IN_OTHER_WORDS)
def test_other_languages_are_read(analyser: Bundled, language: str) -> None:
    late = analyser.tags([IN_OTHER_WORDS[language]])[0]
    assert late.language == language
    assert late.sentiment.label is Sentiment.NEGATIVE


@pytest.mark.parametrize("language", HAPPY)
def test_joy_is_joy_in_other_languages(analyser: Bundled, language: str) -> None:
    happy = analyser.tags([HAPPY[language]])[0]
    assert happy.language == language
    assert happy.sentiment.label is Sentiment.POSITIVE


def test_mixed_languages_come_in_order(analyser: Bundled) -> None:
    texts = [ENGLISH_TEXT, *HAPPY.values(), ENGLISH_TEXT.upper(), *IN_OTHER_WORDS.values()]
    languages = [tags.language for tags in analyser.tags(texts)]
    assert languages == ["en", *HAPPY, "en", *IN_OTHER_WORDS]


def test_embeddings_of_one_meaning_are_near_across_languages(analyser: Bundled) -> None:
    texts = [ENGLISH_TEXT, *IN_OTHER_WORDS.values(), *HAPPY.values()]
    vectors = np.stack([np.frombuffer(tags.embedding, "<f2").astype(np.float32) for tags in analyser.tags(texts)])
    late, happy = vectors[1 : 1 + len(IN_OTHER_WORDS)], vectors[1 + len(IN_OTHER_WORDS) :]
    assert (late @ vectors[0]).min() > (happy @ vectors[0]).max()


def test_another_taxonomy_serves_both_encoders(analyser: Bundled) -> None:
    said = analyser.tags([ENGLISH_TEXT, IN_OTHER_WORDS["de"]])
    changed = analyser.with_topics(default_topics()[:3])
    stored = [tags.embedding for tags in said], [tags.language for tags in said]
    anew = Bundled(default_topics()[:3], threads=1).topics(*stored)
    # Beside other phrases in its batch an int8 vector differs a little.
    assert [[one.name for one in found[:1]] for found in changed.topics(*stored)] == [
        [one.name for one in found[:1]] for found in anew
    ]
    assert [found[0].name for found in anew] == ["Delivery", "Delivery"]
