from __future__ import annotations

import pytest

from analysis.language import LANGUAGES, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Third parcel in a row that never arrived", "en"),
        ("Die Lieferung kam schon wieder zu spät an", "de"),
        ("Mon colis n'est toujours pas arrivé", "fr"),
        ("El pedido llegó roto y nadie contesta", "es"),
        ("نسخة تجريبية من النص العربي", "ar"),
        ("これはとても良い製品です", "ja"),
        ("Pakkinn minn kom aldrei til skila", "is"),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "ok", "lol", "12345", "😀😀", "@user http", "!!! ??? ..."])
def test_what_is_too_short_to_tell_is_not_guessed(text: str) -> None:
    assert language_of(text) == "und"


def test_names_and_links_do_not_make_a_text_english() -> None:
    assert language_of("@user @user http " * 10 + "Das Rad fährt sich sehr gut") == "de"


def test_codes_are_two_letters_and_known_to_the_identifier() -> None:
    assert all(len(code) == 2 for code in LANGUAGES)
    assert len(set(LANGUAGES)) == len(LANGUAGES)
