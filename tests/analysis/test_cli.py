from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "analysis", "--threads", "1", *arguments],
        input=given, capture_output=True, cwd=ROOT, check=False, timeout=100,
    )  # fmt: skip


def test_a_line_in_an_object_out(tmp_path: Path) -> None:
    given = (
        b"best commuter I have owned\n\nThird parcel in a row that never arrived\r\n"
        b"bad \xff\xfe bytes \x00\n\xed\xa0\x80\n" + b"x" * 200_000 + b"\n"
        + "مرحبا بالعالم".encode() + b"\nno newline at the end"
    )  # fmt: skip
    answer = run(given=given)
    assert answer.returncode == 0
    assert answer.stderr == b""
    found = [json.loads(line) for line in answer.stdout.decode("utf-8").splitlines()]
    assert len(found) == 8
    assert [one["text"] for one in found[:3]] == [
        "best commuter I have owned",
        "",
        "Third parcel in a row that never arrived",
    ]
    assert found[0]["sentiment"]["label"] == "positive"
    assert found[2]["topics"][0]["name"] == "Delivery"
    assert found[5]["text"] == "x" * 200_000
    assert found[-1]["text"] == "no newline at the end"
    assert list(found[1]) == ["text", "language", "sentiment", "intent", "topics", "model"]
    assert found[1] | {"model": ""} == {
        "text": "", "language": "und", "intent": {"label": "other", "score": 1.0}, "topics": [], "model": "",
        "sentiment": {"label": "neutral", "negative": 0.0, "neutral": 1.0, "positive": 0.0},
    }  # fmt: skip


def test_input_and_topics_from_files(tmp_path: Path) -> None:
    source, topics = tmp_path / "texts.txt", tmp_path / "topics.toml"
    source.write_text("the brakes squeal\n", "utf-8")
    topics.write_text('[[topic]]\nname = "Brakes"\nphrases = ["squeaky brakes"]\n', "utf-8")
    answer = run("--input", str(source), "--topics", str(topics))
    assert answer.returncode == 0
    assert [topic["name"] for topic in json.loads(answer.stdout)["topics"]] == ["Brakes"]


def test_a_line_without_end_is_cut_and_the_next_one_is_read() -> None:
    answer = run(given=b"y" * 3_000_000 + b"\nthe next line\n")
    first, second = [json.loads(line) for line in answer.stdout.splitlines()]
    assert first["text"] == "y" * 1_048_576
    assert second["text"] == "the next line"


def test_nothing_in_nothing_out() -> None:
    answer = run()
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"", b"")


def test_an_unreadable_file_is_one_clear_line(tmp_path: Path) -> None:
    for arguments, words in [
        (("--input", str(tmp_path / "nowhere.txt")), b"nowhere.txt: No such file or directory"),
        (("--input", str(tmp_path)), b"Is a directory"),
        (("--topics", str(tmp_path / "nowhere.toml")), b"cannot read the topics file"),
    ]:
        answer = run(*arguments)
        assert answer.returncode == 2
        assert answer.stdout == b""
        assert words in answer.stderr
        assert answer.stderr.count(b"\n") == 1


def test_a_reader_that_stops_reading_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "analysis", "--threads", "1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"a text\n" * 2_000)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=100) == 0


def test_the_help_is_plain_words() -> None:
    help_words = run("--help").stdout.decode()
    assert "a text a line in" in help_words
    assert "`" not in help_words
