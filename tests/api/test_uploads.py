"""Files that people hand in, on their way to the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dialogue import accounts, uploads
from dialogue.context import Context, Role
from tests.api.site import BASE, browser, first_admin, invited

ORIGIN = {"Origin": BASE}
CSV = b"text,author\nThe hinge squeaks,bjork\n"


@pytest.fixture
def admin(ctx: Context) -> tuple[TestClient, str]:
    """Ada's browser, and the token of her forms."""
    _, session = first_admin(ctx)
    csrf = accounts.csrf_of(ctx, session)
    assert csrf is not None
    return browser(ctx, session), csrf


def kept(ctx: Context) -> list[Path]:
    folder = ctx.data_dir / "uploads"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_a_file_is_kept_and_its_columns_are_matched_next(ctx: Context, admin: tuple[TestClient, str]) -> None:
    client, csrf = admin
    answer = client.post("/uploads", data={"csrf": csrf}, files={"file": ("survey.csv", CSV)}, headers=ORIGIN)
    assert answer.status_code == 303
    path, _, upload_id = answer.headers["location"].partition("?upload=")
    assert path == "/sources"
    (file,) = kept(ctx)
    assert file.read_bytes() == CSV
    ada = accounts.actor_of(ctx, client.cookies["samtal_session"])
    assert ada is not None
    found = uploads.preview(ctx, ada, upload_id)
    assert (found.name, found.columns) == ("survey.csv", ("text", "author"))


def _multipart(csrf: str, file: Iterator[bytes], boundary: bytes = b"xYzZY") -> Iterator[bytes]:
    yield b'--%b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n%b\r\n' % (boundary, csrf.encode())
    yield b'--%b\r\nContent-Disposition: form-data; name="file"; filename="big.csv"\r\n\r\n' % boundary
    yield from file
    yield b"\r\n--%b--\r\n" % boundary


FORM = {"Content-Type": "multipart/form-data; boundary=xYzZY", **ORIGIN}


def test_a_large_file_arrives_whole(ctx: Context, admin: tuple[TestClient, str]) -> None:
    client, csrf = admin
    line = b"The hinge -- squeaks\r\n--xYz is no boundary\r\n" * 2_000
    body = _multipart(csrf, (line for _ in range(100)))
    assert client.post("/uploads", content=body, headers=FORM).status_code == 303
    (file,) = kept(ctx)
    assert file.stat().st_size == len(line) * 100


def test_a_form_of_somebody_else_is_refused_and_nothing_stays(ctx: Context, admin: tuple[TestClient, str]) -> None:
    client, csrf = admin
    for given in ("", "guessed", csrf[:-1]):
        answer = client.post("/uploads", data={"csrf": given}, files={"file": ("a.csv", CSV)}, headers=ORIGIN)
        assert answer.status_code == 400
        assert "open for too long" in answer.text
    elsewhere = {"Origin": "https://evil.example"}
    answer = client.post("/uploads", data={"csrf": csrf}, files={"file": ("a.csv", CSV)}, headers=elsewhere)
    assert answer.status_code == 403
    assert kept(ctx) == []


def test_only_an_administrator_hands_files_in(ctx: Context, admin: tuple[TestClient, str]) -> None:
    ada = accounts.actor_of(ctx, admin[0].cookies["samtal_session"])
    assert ada is not None
    _, session = invited(ctx, ada, "bo", Role.APPROVER)
    csrf = accounts.csrf_of(ctx, session)
    answer = browser(ctx, session).post("/uploads", data={"csrf": csrf}, files={"file": ("a.csv", CSV)}, headers=ORIGIN)
    assert answer.status_code == 403
    assert browser(ctx).post("/uploads", files={"file": ("a.csv", CSV)}, headers=ORIGIN).status_code == 401
    assert kept(ctx) == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", CSV),
        ("multipart/form-data", CSV),
        ("multipart/form-data; boundary=x", b"no form at all"),
        ("multipart/form-data; boundary=x", b""),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\na',
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 10 + b"\r\nvalue\r\n--x--"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 20),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n' + b"x" * 100_000 + b"\r\n--x--\r\n",
        ),
    ],
)
def test_what_is_no_form_of_ours_is_told(
    ctx: Context, admin: tuple[TestClient, str], content_type: str, body: bytes
) -> None:
    answer = admin[0].post("/uploads", content=body, headers={"Content-Type": content_type, **ORIGIN})
    assert answer.status_code == 400
    assert "The file was not taken" in answer.text
    assert kept(ctx) == []


def test_an_upload_that_breaks_off_leaves_nothing(ctx: Context, admin: tuple[TestClient, str]) -> None:
    client, csrf = admin
    whole = b"".join(_multipart(csrf, iter([CSV * 1_000])))
    answer = client.post("/uploads", content=iter([whole[:5_000], whole[5_000:9_000]]), headers=FORM)
    assert answer.status_code == 400
    assert kept(ctx) == []


def test_an_empty_file_and_a_hostile_name(ctx: Context, admin: tuple[TestClient, str]) -> None:
    client, csrf = admin
    answer = client.post("/uploads", data={"csrf": csrf}, files={"file": ("a.csv", b"")}, headers=ORIGIN)
    assert answer.status_code == 400
    name = "../../<script>\n.csv"
    answer = client.post("/uploads", data={"csrf": csrf}, files={"file": (name, CSV)}, headers=ORIGIN)
    assert answer.status_code == 303
    (file,) = kept(ctx)
    assert file.parent == ctx.data_dir / "uploads"


def test_a_report_that_is_not_there(ctx: Context, admin: tuple[TestClient, str]) -> None:
    for given in ("1", "x", "9" * 30, "-1"):
        assert admin[0].get(f"/uploads/rejections/{given}").status_code == 404
    assert browser(ctx).get("/uploads/rejections/1").status_code == 401


def test_a_report_is_downloaded_as_a_file(ctx: Context, admin: tuple[TestClient, str], tmp_path: Path) -> None:
    from db.tables import WorkerRequest

    ada = accounts.actor_of(ctx, admin[0].cookies["samtal_session"])
    assert ada is not None
    with ctx.database.transaction() as tx:
        tx.session.add(WorkerRequest(kind="import", state="done", user_id=ada.user_id, created_at=ctx.clock()))
    (ctx.data_dir / "uploads").mkdir(exist_ok=True)
    uploads._report(ctx, 1).write_text("line,reason\n2,no text\n")
    answer = admin[0].get("/uploads/rejections/1")
    assert answer.status_code == 200
    assert answer.text.splitlines()[1] == "2,no text"
    assert "attachment" in answer.headers["content-disposition"]
