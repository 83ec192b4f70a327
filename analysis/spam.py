"""Whether a text is likely spam, and why: a few kinds of evidence, each with a weight and a reason in words.

No single oddity is enough, and what a text says matters less than what it lacks: spam brings links, hashtags or a way
to be reached, and nothing of its own. Evidence is added up; `SPAM` or more is spam. Wrong would be worse than late: a
customer's mention set aside is an answer that somebody waits for. So a complaint, a review and whoever we have answered
before get the benefit of the doubt, and a text that many people share is not spam because they do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from analysis.text import clean, mask

SPAM = 1.0
"""The weight of evidence from which on a text is likely spam."""

CROWD = 5
"""People who say the same within a day, from which on that is evidence."""
REPEATS = 4
"""Times that one person says the same within a day, from which on that is evidence."""

_LINK = re.compile(r"(?:https?://|www\.)([^\s/]{1,253})\S{0,2048}|\bhttp\b", re.IGNORECASE)
_HASHTAG = re.compile(r"(?<![\w&])#\w{2,}")
_WORD = re.compile(r"[^\W\d_]{2,}(?:['\u2019][^\W\d_]+)?")
_MONEY = r"(?:[$\u20ac\u00a3]\s?\d[\d.,]*k?|\d[\d.,]*\s?(?:[$\u20ac\u00a3]|dollars?|euros?|usd|eur|usdt|btc))"
_PITCHES = {
    "promises money": (
        rf"(?:earn|earning|make|making|made|win|gana|gane|gagnez|verdien\w*|ganhe|guadagna)\b[^.!?]{{0,40}}{_MONEY}",
        r"make money (?:online|fast|from home)",
        r"work from home and earn|passive income|financial freedom",
        r"gana dinero|geld verdienen|ganhe dinheiro|gagner de l'argent",
    ),
    "promises returns": (
        r"(?:double|triple|10x|100x) your (?:money|investment|btc|bitcoin|crypto)",
        r"guaranteed (?:profit|return)s?",
        r"(?:crypto|bitcoin|forex|fx) (?:giveaway|airdrop|signals?|investment platform|trader|expert)",
        r"free (?:airdrop|bitcoin|btc|crypto|nft)s?",
        r"recover(?:ed)? (?:my|your) (?:lost|stolen) (?:funds|crypto)",
    ),
    "sells followers": (
        r"(?:buy|get|gain|free|\d[\d.,]*k?)\b[^.!?]{0,20}\b(?:followers|likes|subscribers|views)\b[^.!?]{0,40}"
        r"\b(?:cheap|instant\w*|free|fast|now|today|guaranteed)",
        r"follow\s*(?:4|for|=)\s*follow(?:ers|back)?|teamfollowback|f4f",
    ),
    "offers a loan": (
        r"(?:instant|urgent|quick|easy) loans?",
        r"loans? (?:approved|without|no credit check)",
    ),
    "pushes gambling": (
        r"online casino|free spins|no deposit bonus|betting tips|sure odds|fixed match(?:es)?",
    ),
    "sells pills": (
        r"(?:buy|cheap|order|discount)\b[^.!?]{0,20}\b(?:viagra|cialis|xanax|tramadol|weight loss pills?)",
    ),
    "offers sex": (
        r"hot (?:girls|singles|babes)|nudes?|onlyfans|sexcam|xxx (?:video|pic)s?",
    ),
    "offers prizes": (
        r"(?:congratulations|congrats)\b[^.!?]{0,30}\b(?:won|selected|winner)",
        r"claim (?:your|the) (?:free )?\w+ ?(?:prize|gift ?card|reward|voucher|iphone)",
        r"free (?:gift ?cards?|iphone|v-?bucks|robux)",
    ),
}  # fmt: skip


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(rf"\b(?:{phrase})\b" for phrase in phrases), re.IGNORECASE)


_PITCH = {why: _any_of(*phrases) for why, phrases in _PITCHES.items()}
_REACHED = re.compile(
    r"\b(?:whats\s?app|telegram|signal|wickr)\b[^.!?]{0,25}(?:\+?\d[\d\s().-]{6,}|@\w{3,}|t\.me/|\blink\b)"
    r"|\b(?:t\.me|wa\.me)/\S+|\b(?:text|call|contact|whatsapp)\b[^.!?]{0,20}\+\d[\d\s().-]{7,}",
    re.IGNORECASE,
)
_CALL = _any_of(
    r"(?:dm|inbox|message|text|contact|write) (?:me|us|him|her|now)",
    r"link in (?:my |the )?(?:bio|profile)",
    r"check (?:out )?my (?:bio|profile|page|channel)",
    r"click (?:here|now|below|(?:on )?(?:the|this) link)",
    r"(?:sign up|join|register|order|buy|apply|shop|claim) (?:now|today|here)",
    r"limited (?:time )?(?:offer|slots?|spots?)",
    r"(?:promo|discount|coupon) code",
    r"\d\d ?% off",
    r"hurry(?: up)?|act (?:now|fast)|don'?t miss (?:out|this)",
)
_GLITTER = frozenset("💰💸🤑🚀🔥✅👇🎁💯💋🔞💵💲⚡")
_LOOK_ALIKES = str.maketrans("аеорсухіѕјԁАВЕКМНОРСТХΑΒΕΗΙΚΜΝΟΡΤΥΧο", "aeopcyxisjdABEKMHOPCTXABEHIKMNOPTYXo")
_HIDDEN = re.compile("(?<=\\w)[\u200b\u2060\ufeff\u00ad](?=\\w)")


@dataclass(frozen=True, slots=True)
class Said:
    """A text, and what is known of how it was said.

    authors: people who said the same within a day of it, its own counted; new_authors: those of them never heard
    before. repeats: how often its author said the same within that day. known: we have answered them before. complaint,
    rated: it is one, or a review. marked_by: the colleague who set the same text aside, or "".
    """

    text: str
    authors: int = 1
    new_authors: int = 0
    repeats: int = 1
    known: bool = False
    complaint: bool = False
    rated: bool = False
    personal: bool = False
    marked_by: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The weight of the evidence, and the reasons in words, the weightiest first."""

    score: float
    reasons: tuple[str, ...]

    @property
    def spam(self) -> bool:
        return self.score >= SPAM


def judge(said: Said) -> Verdict:
    """What there is to say against a text of any length."""
    if said.known:
        return Verdict(0.0, ())
    if said.marked_by:
        return Verdict(SPAM, (f"{said.marked_by} set aside the same text",))
    traits = _traits(said.text)
    found = sorted([*_emptiness(traits), *_pitch(traits), *_spread(said, traits)], key=lambda one: -one[0])
    doubt = 0.3 * (said.complaint + said.rated + said.personal) + (0.2 if traits.words >= 60 else 0.0)
    score = max(0.0, sum(weight for weight, _ in found) - doubt) if found else 0.0
    return Verdict(round(score, 2), tuple(why for _, why in found))


@dataclass(frozen=True, slots=True)
class _Traits:
    """A text in numbers. `words` are those beside links, hashtags and user names."""

    words: int
    links: int
    sites: int
    hashtags: int
    named: int
    glitter: int
    disguised: int
    pitches: tuple[str, ...]
    reached: bool
    calls: bool

    @property
    def heap(self) -> bool:
        return self.hashtags >= 8 and self.hashtags > self.words

    @property
    def leads_away(self) -> bool:
        return self.links > 0 or self.reached


def _traits(text: str) -> _Traits:
    read = clean(text)
    links = [*_LINK.finditer(read)]
    disguised = len(_HIDDEN.findall(text[:2_000])) + sum(map(_mixes_alphabets, _WORD.findall(read)))
    if disguised:
        read = clean(unicodedata.normalize("NFKC", _HIDDEN.sub("", text[:2_000])).translate(_LOOK_ALIKES))
    masked = mask(_HASHTAG.sub(" ", _LINK.sub(" ", read)))
    words = _WORD.findall(masked.replace("@user", " "))
    return _Traits(
        words=len(words),
        links=len(links),
        sites=len({(link[1] or str(place)).lower() for place, link in enumerate(links)}),
        hashtags=len(_HASHTAG.findall(read)),
        named=masked.count("@user"),
        glitter=sum(character in _GLITTER for character in read),
        disguised=disguised,
        pitches=tuple(why for why, how in _PITCH.items() if how.search(read)),
        reached=_REACHED.search(read) is not None,
        calls=_CALL.search(read) is not None,
    )


def _mixes_alphabets(word: str) -> bool:
    """Whether Latin letters stand beside those that only look like them."""
    if word.isascii():
        return False
    alphabets = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
    return "LATIN" in alphabets and bool(alphabets & {"CYRILLIC", "GREEK", "MATHEMATICAL"})


# Evidence: (weight, reason) -------------------------------------------------------------------------------------------


def _emptiness(traits: _Traits) -> Iterator[tuple[float, str]]:
    """Links, hashtags and names, and next to nothing beside them."""
    beside = f"{traits.words} other words" if traits.words != 1 else "one other word"
    if traits.links >= 4 and traits.sites >= 3 and traits.words < 6 * traits.links:
        yield 1.0 if traits.words < 3 * traits.links else 0.7, f"{traits.links} links and {beside}"
    if traits.heap:
        # Not enough by itself: people do describe their pictures in hashtags alone.
        yield 0.6, f"{traits.hashtags} hashtags and {beside}"
        if traits.leads_away:
            yield 0.2, "a link below a heap of hashtags"
    if traits.named >= 6 and traits.links and traits.words < 2 * traits.named:
        yield 0.5, f"names {traits.named} people, with a link and {beside}"


def _pitch(traits: _Traits) -> Iterator[tuple[float, str]]:
    """It sells, and shows the way."""
    yield from ((0.5 if place == 0 else 0.3, why) for place, why in enumerate(traits.pitches))
    if traits.reached:
        yield 0.4, "gives a number or channel to be reached at"
    if traits.calls and (traits.pitches or traits.heap):
        yield 0.3, "calls on people to act at once"
    if traits.pitches and traits.links:
        yield 0.2, "leads to another site"
    if traits.pitches and traits.glitter >= 3:
        yield 0.2, "glitters with emoji"
    if traits.disguised >= 2:
        yield 0.4, "disguises its words with look-alike or invisible characters"


def _spread(said: Said, traits: _Traits) -> Iterator[tuple[float, str]]:
    """The same from many, or over and over. Petitions and jokes spread, too: without a way to lead people away, or
    something to sell, it never suffices.
    """
    sells = bool(traits.pitches) or traits.heap or (traits.leads_away and traits.calls)
    if said.authors >= CROWD and said.new_authors >= 0.8 * said.authors:
        weight = (0.7 if said.authors >= 4 * CROWD else 0.5) if sells else 0.3
        yield weight, f"the same text from {said.new_authors} new accounts within a day"
    if said.repeats >= REPEATS:
        weight = (0.8 if said.repeats >= 2 * REPEATS else 0.6) if traits.leads_away else 0.3
        yield weight, f"posted {said.repeats} times by the same account within a day"
    if traits.calls and traits.leads_away and not traits.pitches and (said.authors >= CROWD or said.repeats >= REPEATS):
        yield 0.4, "calls on people to follow a link"
