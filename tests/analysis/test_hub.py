"""Sentiment by a checkpoint of the hub: what it says is what is shown, and whatever is wrong with it is one line."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from analysis import Analyser, HubModel, Rereads, Sentiment, SentimentScores, Tags, Topic, hub, open_analyser
from analysis.bundled import Bundled
from analysis.hub import HubAnalyser, HubError, fetch, meanings
from tests.analysis.checkpoints import ORDER, WORDS, checkpoint, needs_torch, tokenizer
from tests.analysis.fake_hub import COMMIT, FakeHub
from tests.hostile import HOSTILE

ROOT = Path(__file__).parents[2]
TEXTS = ["Third parcel in a row that never arrived", "lovely thanks", "", "awful and late @anna", "the table at nine"]
NEGATIVE, NEUTRAL, POSITIVE = Sentiment


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    hub.load.cache_clear()
    yield
    hub.load.cache_clear()


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    from huggingface_hub import constants

    with FakeHub() as made:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, made.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", made.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield made


@pytest.fixture
def open_hub(analyser: Bundled) -> Callable[..., HubAnalyser]:
    """Lays a checkpoint over the bundled analyser, which is opened once for all."""

    def opened(name: Path | str, revision: str | None = None, labels: str | None = None) -> HubAnalyser:
        return HubAnalyser(analyser, HubModel(str(name), revision, labels))

    return opened


def moods(tags: Sequence[Tags]) -> list[str]:
    return [one.sentiment.label.value for one in tags]


def all_but_sentiment(tags: Sequence[Tags]) -> list[tuple[object, ...]]:
    return [(one.language, one.intent, one.topics, one.embedding) for one in tags]


# The line, and the bundled model goes on ------------------------------------------------------------------------------


def test_without_the_optional_packages_the_bundled_model_goes_on(
    analyser: Bundled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    opened = open_analyser(threads=1, sentiment=HubModel("acme/mood"))
    assert isinstance(opened, HubAnalyser)
    words = (
        "The sentiment model acme/mood cannot be used: the package torch is not installed. Run `make hub` and start "
        "again. The bundled model goes on."
    )
    assert opened.trouble == words
    assert opened.tags(TEXTS) == analyser.tags(TEXTS)
    opened.tags(TEXTS)
    assert [record.getMessage() for record in caplog.records if record.name == "analysis.hub"] == [words]
    assert opened.model == analyser.model


class Moody:
    """A checkpoint that is always sure, until it is told to fail."""

    name, device = "moody 1", "cpu"

    def __init__(self) -> None:
        self.trouble = ""

    def moods(self, texts: Sequence[str]) -> list[SentimentScores | None]:
        if self.trouble:
            raise HubError(self.trouble)
        return [SentimentScores(POSITIVE, 0.0, 0.0, 1.0) if text else None for text in texts]


def test_a_checkpoint_that_fails_later_is_set_aside_and_tried_again(
    open_hub: Callable[..., HubAnalyser], analyser: Bundled, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    moody, now = Moody(), [1_000.0]
    monkeypatch.setattr(hub, "load", lambda *_: moody)
    monkeypatch.setattr("analysis.hub.time.monotonic", lambda: now[0])
    opened = open_hub("moody")
    assert moods(opened.tags(TEXTS)) == ["positive", "positive", "neutral", "positive", "positive"]
    assert {one.model for one in opened.tags(TEXTS)} == {f"{analyser.model}, sentiment moody 1"}
    moody.trouble = "memory ran out."
    assert opened.tags(TEXTS) == analyser.tags(TEXTS)
    assert opened.trouble == "The sentiment model moody cannot be used: memory ran out. The bundled model goes on."
    moody.trouble = ""
    assert opened.tags(TEXTS) == analyser.tags(TEXTS), "it is not tried for each batch"
    now[0] += hub.AGAIN_SECONDS
    assert moods(opened.tags(TEXTS))[0] == "positive"
    assert opened.trouble == ""
    moody.trouble = "memory ran out."
    for _ in range(3):
        opened.tags(TEXTS)
        now[0] += hub.AGAIN_SECONDS
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 2, "once for each time that it begins"


# Labels ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "meant"),
    [
        (["negative", "neutral", "positive"], [NEGATIVE, NEUTRAL, POSITIVE]),
        (["Positive", "NEGATIVE", "Neutral"], [POSITIVE, NEGATIVE, NEUTRAL]),
        (["NEG", "NEU", "POS"], [NEGATIVE, NEUTRAL, POSITIVE]),
        (["LABEL_0", "LABEL_1", "LABEL_2"], [NEGATIVE, NEUTRAL, POSITIVE]),
        (["POSITIVE", "NEGATIVE"], [POSITIVE, NEGATIVE]),
        (["Very Negative", "Negative", "Neutral", "Positive", "Very_Positive"],
         [NEGATIVE, NEGATIVE, NEUTRAL, POSITIVE, POSITIVE]),
        (["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], [NEGATIVE, NEGATIVE, NEUTRAL, POSITIVE, POSITIVE]),
        (["5", "4", "3", "2", "1"], [POSITIVE, POSITIVE, NEUTRAL, NEGATIVE, NEGATIVE]),
    ],
)  # fmt: skip
def test_labels_that_say_what_they_mean(labels: list[str], meant: list[Sentiment]) -> None:
    assert meanings(labels) == meant


@pytest.mark.parametrize(
    "labels",
    [["LABEL_0", "LABEL_1"], ["joy", "anger", "fear"], ["neutral", "neutral"], ["1 star", "2 stars", "3 stars"], [],
     ["LABEL_0"], ["positive"], ["toxic\nINFO forged line"]],
)  # fmt: skip
def test_labels_that_do_not_are_named_with_the_setting(labels: list[str]) -> None:
    with pytest.raises(HubError, match="SENTIMENT_LABELS") as raised:
        meanings(labels)
    assert all(" ".join(label.split()) in str(raised.value) for label in labels)
    assert "\n" not in str(raised.value)


def test_labels_are_told() -> None:
    told = " Joy = positive, anger=NEGATIVE ,a=b=neutral,"
    assert meanings(["joy", "anger", "a=b"], told) == [POSITIVE, NEGATIVE, NEUTRAL]


@pytest.mark.parametrize("told", ["joy=positive", "joy=good,anger=negative", "joy", ",", "joy=positive,x=negative"])
def test_labels_told_wrongly_are_named(told: str) -> None:
    with pytest.raises(HubError, match="must name each of its labels \\(joy, anger\\) once"):
        meanings(["joy", "anger"], told)


# The hub --------------------------------------------------------------------------------------------------------------

CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "id2label": {str(n): name for n, name in enumerate(ORDER)},
}


def files(**config: Any) -> dict[str, bytes]:
    """What lies on the hub for a checkpoint, its weights a few letters."""
    return {
        "README.md": b"# Mood",
        "model.safetensors": b"weights",
        "pytorch_model.bin": b"never read",
        "config.json": json.dumps(CONFIG | config).encode(),
        "tokenizer.json": b"{}",
        "onnx/model.onnx": b"large",
        "modeling_mood.py": b"raise SystemExit('never run')",
    }


def test_only_what_is_needed_is_fetched_and_only_once(fake_hub: FakeHub) -> None:
    fake_hub.holds("acme/mood", files())
    folder = fetch(HubModel("acme/mood", "main"))
    assert folder.name == COMMIT
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    asked = len(fake_hub.asked)
    assert fetch(HubModel("acme/mood", "main")) == folder
    assert fake_hub.asked[asked:] == ["/api/models/acme/mood/revision/main", "/acme/mood/resolve/main/config.json"]


@pytest.mark.parametrize(
    ("name", "revision", "words"),
    [
        ("acme/nobody", None, "the hub has no such checkpoint"),
        ("acme/mood", "v9\nx", "it has no revision 'v9 x'"),
        ("acme/secret", None, "set HF_TOKEN"),
        ("what is this?", None, "neither a folder nor the name of a checkpoint"),
    ],
)
def test_what_the_hub_does_not_have(fake_hub: FakeHub, name: str, revision: str | None, words: str) -> None:
    fake_hub.holds("acme/mood", files())
    fake_hub.refuses("acme/secret")
    with pytest.raises(HubError, match=words) as raised:
        fetch(HubModel(name, revision))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (files(architectures=["BertForMaskedLM"]), r"made for another task \(BertForMaskedLM\)"),
        (files(architectures=None), "made for another task"),
        (files(id2label={"0": "joy", "1": "anger"}), "joy, anger.*SENTIMENT_LABELS"),
        (files(id2label=["joy"]), "config.json cannot be read"),
        (files() | {"config.json": b"{"}, "config.json cannot be read"),
        (files() | {"config.json": b"[]"}, "config.json cannot be read"),
        ({"model.safetensors": b""}, "has no config.json"),
        ({"config.json": b"{}", "pytorch_model.bin": b""}, "pickled.*only safetensors are read"),
        ({"config.json": b"{}", "adapter_model.safetensors": b""}, "no weights as safetensors"),
    ],
)
def test_what_cannot_be_used_is_told_before_its_weights_are_downloaded(
    fake_hub: FakeHub, held: dict[str, bytes], words: str
) -> None:
    fake_hub.holds("acme/mood", held)
    with pytest.raises(HubError, match=words):
        fetch(HubModel("acme/mood"))
    assert not [path for path in fake_hub.asked if path.endswith(("safetensors", "bin"))]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("trouble", ["no route", "silence", "offline"])
def test_without_a_network_it_is_told_soon_and_what_was_fetched_before_will_do(
    fake_hub: FakeHub, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    fake_hub.holds("acme/mood", files())
    folder = fetch(HubModel("acme/mood"))
    if trouble == "silence":
        monkeypatch.setattr(hub, "REPLY_SECONDS", 0.3)
        fake_hub.falls_silent()
    elif trouble == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{probe.getsockname()[1]}")
    asked = len(fake_hub.asked)
    with pytest.raises(HubError, match=r"the hub cannot be reached \(.+\), and it is not on this machine"):
        fetch(HubModel("acme/other"))
    assert fetch(HubModel("acme/mood")) == folder
    assert len(fake_hub.asked) - asked <= 2, "one question each, and no retries"


def test_a_commit_that_is_there_asks_nobody(fake_hub: FakeHub) -> None:
    fake_hub.holds("acme/mood", files())
    folder = fetch(HubModel("acme/mood", COMMIT))
    asked = len(fake_hub.asked)
    assert fetch(HubModel("acme/mood", COMMIT)) == folder
    assert len(fake_hub.asked) == asked


# With torch -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def mood(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that nobody changes."""
    return checkpoint(tmp_path_factory.mktemp("checkpoints") / "mood")


@needs_torch
def test_the_checkpoint_says_the_sentiment_and_the_bundled_model_all_else(
    mood: Path, open_hub: Callable[..., HubAnalyser], analyser: Bundled
) -> None:
    opened = open_hub(mood)
    found = opened.tags(TEXTS)
    assert moods(found)[1:] == ["positive", "neutral", "negative", "neutral"]
    assert all_but_sentiment(found) == all_but_sentiment(analyser.tags(TEXTS))
    assert found[2].sentiment == analyser.tags([""])[0].sentiment, "nothing to read is neutral, as ever"
    assert {one.model for one in found} == {opened.model}
    assert opened.model.startswith(f"{analyser.model}, sentiment mood ")
    assert opened.trouble == ""


@needs_torch
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_labels_in_any_order_mean_the_same(
    order: tuple[int, ...], tmp_path: Path, open_hub: Callable[..., HubAnalyser]
) -> None:
    folder = checkpoint(tmp_path / "mood", [ORDER[number].upper() for number in order], order)
    words = [word for known in WORDS.values() for word in known]
    expected = [mood for mood, known in WORDS.items() for _ in known]
    assert moods(open_hub(folder).tags(words)) == expected


@needs_torch
@pytest.mark.parametrize(
    ("labels", "rows", "told"),
    [
        (["LABEL_0", "LABEL_1", "LABEL_2"], (0, 1, 2), None),
        (["5 stars", "4 stars", "3 stars", "2 stars", "1 star"], (2, 2, 1, 0, 0), None),
        (["joy", "anger", "calm"], (2, 0, 1), "anger=negative,calm=neutral,joy=positive"),
    ],
)
def test_other_labels(
    labels: list[str], rows: tuple[int, ...], told: str | None, tmp_path: Path, open_hub: Callable[..., HubAnalyser]
) -> None:
    opened = open_hub(checkpoint(tmp_path / "mood", labels, rows), labels=told)
    assert moods(opened.tags(["awful", "table", "lovely"])) == ORDER


@needs_torch
def test_two_labels_leave_nothing_neutral(tmp_path: Path, open_hub: Callable[..., HubAnalyser]) -> None:
    found = open_hub(checkpoint(tmp_path / "mood", ["NEGATIVE", "POSITIVE"], (0, 2))).tags(["awful", "lovely", ""])
    assert moods(found) == ["negative", "positive", "neutral"]
    assert [one.sentiment.neutral for one in found] == [0.0, 0.0, 1.0]


@needs_torch
def test_order_length_and_company_change_nothing(mood: Path, open_hub: Callable[..., HubAnalyser]) -> None:
    opened = open_hub(mood)
    texts = [" ".join(["lovely", "awful", "odd"][: 1 + n % 3] * (1 + n * 7 % 29)) for n in range(80)] + [
        "",
        "odd " * 9_000,
    ]
    together = opened.tags(texts)
    for text, tags in zip(texts, together, strict=True):
        alone = opened.tags([text])[0].sentiment
        assert tags.sentiment.negative == pytest.approx(alone.negative, abs=1e-4)
        assert sum((alone.negative, alone.neutral, alone.positive)) == pytest.approx(1, abs=1e-12)


@needs_torch
def test_equal_texts_are_read_once(
    mood: Path, open_hub: Callable[..., HubAnalyser], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_hub(mood)
    read: list[str] = []
    seen = hub.Checkpoint.probabilities

    def counted(self: hub.Checkpoint, texts: Sequence[str]) -> Any:
        read.extend(texts)
        return seen(self, texts)

    monkeypatch.setattr(hub.Checkpoint, "probabilities", counted)
    found = opened.tags(["lovely", "awful", "lovely", " lovely\n", "thanks @anna", "thanks @bo", ""])
    assert read == ["lovely", "awful", "thanks @user"]
    assert found[0].sentiment == found[2].sentiment == found[3].sentiment


@needs_torch
def test_hostile_text_is_read_by_a_checkpoint_too(mood: Path, open_hub: Callable[..., HubAnalyser]) -> None:
    opened = open_hub(mood)
    for tags in opened.tags(list(HOSTILE.values())):
        shares = (tags.sentiment.negative, tags.sentiment.neutral, tags.sentiment.positive)
        assert sum(shares) == pytest.approx(1, abs=1e-9)
        assert shares[list(Sentiment).index(tags.sentiment.label)] == max(shares)
    assert opened.trouble == ""


@needs_torch
def test_several_threads_may_read(mood: Path, open_hub: Callable[..., HubAnalyser]) -> None:
    opened = open_hub(mood)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: moods(opened.tags(["lovely " * (1 + number % 40)])), range(40)))
    assert found == [["positive"]] * 40
    assert opened.trouble == ""


@needs_torch
def test_a_checkpoint_of_the_hub_is_named_with_its_commit(
    fake_hub: FakeHub, mood: Path, open_hub: Callable[..., HubAnalyser]
) -> None:
    fake_hub.holds("acme/mood", mood)
    opened = open_hub("acme/mood")
    assert opened.trouble == ""
    assert opened.model.endswith(f", sentiment acme/mood {COMMIT[:8]}")
    assert moods(opened.tags(["lovely"])) == ["positive"]


@needs_torch
def test_a_folder_trained_again_has_another_name(tmp_path: Path, open_hub: Callable[..., HubAnalyser]) -> None:
    first = open_hub(checkpoint(tmp_path / "our topics")).model
    assert ", sentiment our-topics " in first, "blanks part the names that a tag is stored under"
    hub.load.cache_clear()
    assert open_hub(tmp_path / "our topics").model == first
    hub.load.cache_clear()
    assert open_hub(checkpoint(tmp_path / "our topics", rows=(2, 1, 0))).model != first


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (checkpoint(folder) / name).unlink()


def with_config(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = checkpoint(folder) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), "utf-8")

    return change


def cut(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = checkpoint(folder) / name
        path.write_bytes(path.read_bytes()[:100])

    return change


def made_for_another_task(folder: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=15, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def its_classifier_is_missing(folder: Path) -> None:
    made_for_another_task(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | CONFIG), "utf-8")


@needs_torch
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (without("config.json"), "it has no config.json"),
        (without("model.safetensors"), "it has no weights as safetensors"),
        (without("tokenizer.json"), "it cannot be loaded|more words"),
        (cut("config.json"), "its config.json cannot be read"),
        (cut("model.safetensors"), "it cannot be loaded"),
        (cut("tokenizer.json"), "it cannot be loaded"),
        (with_config(model_type="unheard-of"), "it cannot be loaded"),
        (with_config(vocab_size=8), "it cannot be loaded|more words"),
        (with_config(id2label={"0": "a", "1": "b", "2": "c"}), "a, b, c.*SENTIMENT_LABELS"),
        (lambda folder: checkpoint(folder, broken="nan"), "its answers are no numbers"),
        (lambda folder: checkpoint(folder, broken="pickled"), "pickled.*only safetensors are read"),
        (made_for_another_task, "made for another task \\(BertForMaskedLM\\)"),
        (its_classifier_is_missing, "answer by chance"),
        (lambda folder: None, "there is no such folder"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_used_is_one_line(
    make: Callable[[Path], object], words: str, tmp_path: Path, open_hub: Callable[..., HubAnalyser], analyser: Bundled
) -> None:
    make(tmp_path / "mood")
    opened = open_hub(tmp_path / "mood")
    assert re.search(words, opened.trouble), opened.trouble
    assert opened.trouble.startswith(f"The sentiment model {tmp_path / 'mood'} cannot be used: ")
    assert "\n" not in opened.trouble
    assert len(opened.trouble) < 800
    assert opened.tags(TEXTS) == analyser.tags(TEXTS)


@needs_torch
@pytest.mark.parametrize(("kind", "opens"), [("evil", False), ("bert", True)])
def test_a_checkpoint_never_runs_code_of_its_own(
    kind: str, opens: bool, tmp_path: Path, open_hub: Callable[..., HubAnalyser]
) -> None:
    folder = checkpoint(tmp_path / "mood")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\nclass Net: pass\n")
    for name in ("config.json", "tokenizer_config.json"):
        config = json.loads((folder / name).read_text("utf-8"))
        config["auto_map"] = {
            "AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Net",
            "AutoTokenizer": ["evil.Net", "evil.Net"],
        }  # fmt: skip
        (folder / name).write_text(json.dumps(config | ({"model_type": kind} if name == "config.json" else {})))
    assert (open_hub(folder).trouble == "") is opens
    assert not (tmp_path / "ran").exists()


# The command line -----------------------------------------------------------------------------------------------------


def run(*arguments: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "analysis", "--threads", "1", *arguments],
        input=given, capture_output=True, cwd=ROOT, check=False, timeout=250,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


def test_the_command_line_says_so_once_and_goes_on() -> None:
    answer = run("--model", "acme/mood", given=b"best commuter I have owned\n" * 600)
    assert answer.returncode == 0
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(found) == 600
    assert {one["sentiment"]["label"] for one in found} == {"positive"}
    assert {"sentiment acme" in one["model"] for one in found} == {False}
    assert answer.stderr.startswith(b"python -m analysis: The sentiment model acme/mood cannot be used: ")
    assert answer.stderr.count(b"\n") == 1


@needs_torch
def test_the_command_line_reads_with_a_checkpoint(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mood", ["joy", "anger"], (2, 0))
    told = run("--model", str(folder), "--labels", "joy=positive,anger=negative", given=b"awful\nlovely\n\n")
    assert told.stderr == b""
    found = [json.loads(line) for line in told.stdout.splitlines()]
    assert [one["sentiment"]["label"] for one in found] == ["negative", "positive", "neutral"]
    assert "sentiment mood" in found[0]["model"]


def test_the_analyser_keeps_the_contract(analyser: Bundled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "load", lambda *_: Moody())
    opened: Analyser = hub.over(analyser, HubModel("moody"))
    assert opened.tags([]) == []
    assert len(opened.tags(["a", "a", ""])) == 3


def test_other_topics_keep_the_checkpoint(analyser: Bundled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "load", lambda *_: Moody())
    opened = hub.over(analyser, HubModel("moody"))
    assert isinstance(opened, Rereads)
    other = opened.with_topics([Topic("Parcels", ("my parcel never arrived",))])
    (tags,) = other.tags(TEXTS[:1])
    assert [topic.name for topic in tags.topics] == ["Parcels"]
    assert tags.sentiment.label is POSITIVE
    assert other.topics([tags.embedding], [tags.language]) == [tags.topics]  # type: ignore[attr-defined]
    assert [topic.name for topic in opened.tags(TEXTS[:1])[0].topics] == ["Delivery"]
    assert not isinstance(hub.over(Moody(), HubModel("moody")), Rereads)  # type: ignore[arg-type]
