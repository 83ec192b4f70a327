"""Who comes in, who does not, and that what is taken away is gone at once."""

from __future__ import annotations

import threading

import pytest
from sqlmodel import select

from db.tables import ApiToken, SignInLink, SignInSession
from dialogue import accounts
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Role
from tests.conftest import Clock

PASSWORD = "correct horse battery"


def first_admin(ctx: Context) -> tuple[Actor, str]:
    """Ada, who used the first link, and her session."""
    link = accounts.first_link(ctx)
    assert link is not None
    session = accounts.redeem(ctx, link, "Ada", "Ada Admin", PASSWORD)
    ada = accounts.actor_of(ctx, session)
    assert ada is not None
    return ada, session


def invited(ctx: Context, admin: Actor, username: str, role: Role) -> tuple[Actor, str]:
    """A colleague who accepted an invitation, and her session."""
    link = accounts.invite(ctx, admin, username, username.title(), role)
    session = accounts.redeem(ctx, link, "", "", PASSWORD)
    actor = accounts.actor_of(ctx, session)
    assert actor is not None
    return actor, session


def test_the_first_link_is_the_same_at_every_start_until_it_makes_the_administrator(any_ctx: Context) -> None:
    link = accounts.first_link(any_ctx)
    assert link is not None
    assert accounts.first_link(any_ctx) == link

    session = accounts.redeem(any_ctx, link, "Ada", "Ada Admin", PASSWORD)

    assert accounts.actor_of(any_ctx, session) == Actor(1, "Ada Admin", Role.ADMIN)
    assert accounts.first_link(any_ctx) is None
    assert accounts.link_info(any_ctx, link) is None
    with pytest.raises(accounts.SignInError, match="used before"):
        accounts.redeem(any_ctx, link, "eve", "Eve", PASSWORD)


def test_a_stranger_at_the_sign_in_waits_for_no_writer(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    link = accounts.first_link(ctx)
    assert link is not None
    accounts.redeem(ctx, link, "ada", "Ada", "correct horse battery")
    monkeypatch.setattr("db.engine.BUSY_TIMEOUT_MS", 50)
    with ctx.database.transaction():
        assert accounts.first_link(ctx) is None


def test_an_old_first_link_gives_way_to_a_new_one(ctx: Context, clock: Clock) -> None:
    old = accounts.first_link(ctx)
    assert old is not None
    clock.forward(days=accounts.LINK_DAYS + 1)
    assert accounts.first_link(ctx) != old
    assert accounts.link_info(ctx, old) is None


def test_of_two_who_use_one_link_at_once_one_comes_in(any_ctx: Context) -> None:
    link = accounts.first_link(any_ctx)
    assert link is not None
    sessions: list[str] = []
    refused: list[Exception] = []
    together = threading.Barrier(2)

    def use(name: str) -> None:
        together.wait(10)
        try:
            sessions.append(accounts.redeem(any_ctx, link, name, name, PASSWORD))
        except accounts.SignInError as error:
            refused.append(error)

    threads = [threading.Thread(target=use, args=(name,)) for name in ("ada", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(sessions), len(refused)) == (1, 1)


def test_no_token_is_stored_in_clear(ctx: Context) -> None:
    link = accounts.first_link(ctx)
    assert link is not None
    session = accounts.redeem(ctx, link, "ada", "Ada", PASSWORD)
    ada = accounts.actor_of(ctx, session)
    assert ada is not None
    token = accounts.create_token(ctx, ada, "reports")
    with ctx.database.reading() as tx:
        stored = [
            *tx.session.exec(select(SignInLink.token_hash)),
            *tx.session.exec(select(SignInSession.token_hash)),
            *tx.session.exec(select(ApiToken.token_hash)),
        ]
    assert len(stored) == 3
    assert not {link, session, token} & set(stored)


@pytest.mark.parametrize(
    ("username", "password", "words"),
    [
        ("ada", "short", "at least 10"),
        ("ada.lovelace", "ada.lovelace", "is the user name"),
        ("ada", "aaaaaaaaaaaa", "too few"),
        ("ada", "x" * 1_001, "at most"),
        ("ada lovelace", PASSWORD, "user name has"),
        ("", PASSWORD, "user name has"),
        ("a" * 65, PASSWORD, "user name has"),
        ("<script>", PASSWORD, "user name has"),
    ],
)
def test_a_bad_field_is_named_and_the_link_stays_good(ctx: Context, username: str, password: str, words: str) -> None:
    link = accounts.first_link(ctx)
    assert link is not None
    with pytest.raises(DialogueError, match=words):
        accounts.redeem(ctx, link, username, "Ada", password)
    assert accounts.link_info(ctx, link) is not None


def test_signing_in_and_out(any_ctx: Context) -> None:
    first_admin(any_ctx)
    session = accounts.sign_in(any_ctx, " ADA ", PASSWORD, "192.0.2.1")
    assert accounts.actor_of(any_ctx, session) is not None
    accounts.sign_out(any_ctx, session)
    assert accounts.actor_of(any_ctx, session) is None
    accounts.sign_out(any_ctx, session)


def test_a_password_typed_on_another_keyboard_is_the_same(ctx: Context) -> None:
    link = accounts.first_link(ctx)
    assert link is not None
    accounts.redeem(ctx, link, "ada", "Ada", "pa\u00e5sword \u00e9t\u00e9")
    assert accounts.sign_in(ctx, "ada", "paa\u030asword e\u0301te\u0301", "")


def test_a_sign_in_ends_the_browsers_old_session(ctx: Context) -> None:
    _, old = first_admin(ctx)
    new = accounts.sign_in(ctx, "ada", PASSWORD, "", replaces=old)
    assert new != old
    assert accounts.actor_of(ctx, old) is None


def test_unknown_user_and_wrong_password_get_the_same_words(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    accounts.invite(ctx, ada, "bo", "Bo", Role.VIEWER)
    words = set()
    for username, password in [("ada", "wrong wrong"), ("nobody", PASSWORD), ("bo", PASSWORD), ("\x00", "\ud800")]:
        with pytest.raises(accounts.SignInError) as caught:
            accounts.sign_in(ctx, username, password, "192.0.2.1")
        words.add(str(caught.value))
    assert len(words) == 1


def test_an_unknown_user_is_hashed_for_as_well(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    first_admin(ctx)
    asked: list[str] = []
    real = accounts._HASHER

    class Watched:
        def verify(self, hashed: str, password: bytes) -> bool:
            asked.append(hashed)
            return real.verify(hashed, password)

        def hash(self, password: str) -> str:
            return real.hash(password)

    monkeypatch.setattr(accounts, "_HASHER", Watched())
    for username in ("ada", "nobody"):
        with pytest.raises(accounts.SignInError):
            accounts.sign_in(ctx, username, "wrong wrong", "")
    assert [h.split("$")[:4] for h in asked][0] == [h.split("$")[:4] for h in asked][1]


def test_guessing_is_slowed_down_per_user_and_the_waits_grow(any_ctx: Context, clock: Clock) -> None:
    first_admin(any_ctx)
    for n in range(5):
        with pytest.raises(accounts.SignInError, match="go together"):
            accounts.sign_in(any_ctx, "ada", "wrong wrong", f"192.0.2.{n}")
    with pytest.raises(accounts.TooManyTries) as first:
        accounts.sign_in(any_ctx, "ada", PASSWORD, "192.0.2.99")
    clock.forward(seconds=first.value.seconds)
    with pytest.raises(accounts.SignInError, match="go together"):
        accounts.sign_in(any_ctx, "ada", "wrong wrong", "192.0.2.99")
    with pytest.raises(accounts.TooManyTries) as second:
        accounts.sign_in(any_ctx, "ada", PASSWORD, "192.0.2.99")
    assert second.value.seconds > first.value.seconds
    clock.forward(seconds=second.value.seconds)
    assert accounts.sign_in(any_ctx, "ada", PASSWORD, "192.0.2.99")


def test_guessing_is_slowed_down_per_address(ctx: Context) -> None:
    first_admin(ctx)
    for n in range(20):
        with pytest.raises(accounts.SignInError, match="go together"):
            accounts.sign_in(ctx, f"user{n}", "wrong wrong", "192.0.2.1")
    with pytest.raises(accounts.TooManyTries):
        accounts.sign_in(ctx, "ada", PASSWORD, "192.0.2.1")
    assert accounts.sign_in(ctx, "ada", PASSWORD, "192.0.2.2")


def test_tries_at_the_same_time_all_count(any_ctx: Context) -> None:
    first_admin(any_ctx)
    outcomes: list[type[Exception]] = []
    together = threading.Barrier(12)

    def guess() -> None:
        together.wait(10)
        try:
            accounts.sign_in(any_ctx, "ada", "wrong wrong", "192.0.2.1")
        except accounts.SignInError as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes.count(accounts.SignInError) == 5
    assert outcomes.count(accounts.TooManyTries) == 7


def test_a_session_ends_after_a_month_and_after_a_week_of_silence(ctx: Context, clock: Clock) -> None:
    _, session = first_admin(ctx)
    for _ in range(4):
        clock.forward(days=6)
        assert accounts.actor_of(ctx, session) is not None
    clock.forward(days=7)
    assert accounts.actor_of(ctx, session) is None
    silent = accounts.sign_in(ctx, "ada", PASSWORD, "")
    clock.forward(days=8)
    assert accounts.actor_of(ctx, silent) is None


def test_a_demotion_and_a_disabling_count_in_an_open_tab(any_ctx: Context) -> None:
    ada, _ = first_admin(any_ctx)
    bo, session = invited(any_ctx, ada, "bo", Role.RESPONDER)
    assert bo.user_id is not None
    token = accounts.create_token(any_ctx, bo, "script")

    accounts.set_role(any_ctx, ada, bo.user_id, Role.VIEWER)
    demoted = accounts.actor_of(any_ctx, session)
    assert demoted is not None
    assert demoted.role is Role.VIEWER
    by_token = accounts.actor_of_token(any_ctx, token)
    assert by_token is not None
    assert by_token.role is Role.VIEWER

    accounts.disable(any_ctx, ada, bo.user_id, True)
    assert accounts.actor_of(any_ctx, session) is None
    assert accounts.actor_of_token(any_ctx, token) is None
    with pytest.raises(accounts.SignInError, match="go together"):
        accounts.sign_in(any_ctx, "bo", PASSWORD, "")

    accounts.disable(any_ctx, ada, bo.user_id, False)
    assert accounts.actor_of(any_ctx, session) is None, "an ended session must not come back"
    assert accounts.sign_in(any_ctx, "bo", PASSWORD, "")


def test_the_last_administrator_stays_one(any_ctx: Context) -> None:
    ada, _ = first_admin(any_ctx)
    assert ada.user_id is not None
    with pytest.raises(DialogueError, match="last administrator"):
        accounts.set_role(any_ctx, ada, ada.user_id, Role.VIEWER)
    with pytest.raises(DialogueError, match="last administrator"):
        accounts.disable(any_ctx, ada, ada.user_id, True)
    accounts.invite(any_ctx, ada, "bo", "Bo", Role.ADMIN)
    with pytest.raises(DialogueError, match="last administrator"):  # Bo cannot sign in yet
        accounts.set_role(any_ctx, ada, ada.user_id, Role.VIEWER)
    invited(any_ctx, ada, "cy", Role.ADMIN)
    accounts.set_role(any_ctx, ada, ada.user_id, Role.VIEWER)
    assert [c.role for c in accounts.colleagues(any_ctx, ada) if c.username == "ada"] == [Role.VIEWER]


def test_only_an_administrator_keeps_people_and_roles(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    bo, _ = invited(ctx, ada, "bo", Role.APPROVER)
    assert ada.user_id is not None
    assert bo.user_id is not None
    with pytest.raises(NotAllowed):
        accounts.invite(ctx, bo, "eve", "Eve", Role.ADMIN)
    with pytest.raises(NotAllowed):
        accounts.set_role(ctx, bo, bo.user_id, Role.ADMIN)
    with pytest.raises(NotAllowed):
        accounts.disable(ctx, bo, ada.user_id, True)
    with pytest.raises(NotAllowed):
        accounts.sign_out_everywhere(ctx, bo, ada.user_id)
    with pytest.raises(NotAllowed):
        accounts.audit(ctx, bo)
    assert accounts.sign_out_everywhere(ctx, bo, bo.user_id) == 1


def test_a_second_invitation_replaces_the_first(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    old = accounts.invite(ctx, ada, "bo", "Bo", Role.VIEWER)
    new = accounts.invite(ctx, ada, "bo", "Bo", Role.RESPONDER)
    assert accounts.link_info(ctx, old) is None
    assert accounts.link_info(ctx, new) == accounts.LinkInfo("invitation", "bo", "Bo")
    accounts.redeem(ctx, new, "someone-else", "Bo Berg", PASSWORD)
    bo = next(c for c in accounts.colleagues(ctx, ada) if c.username == "bo")
    assert (bo.display_name, bo.role, bo.accepted) == ("Bo Berg", Role.RESPONDER, True)
    with pytest.raises(DialogueError, match="already"):
        accounts.invite(ctx, ada, "bo", "Bo", Role.ADMIN)


def test_an_invitation_dies_with_its_account(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    link = accounts.invite(ctx, ada, "bo", "Bo", Role.VIEWER)
    bo = next(c for c in accounts.colleagues(ctx, ada) if c.username == "bo")
    accounts.disable(ctx, ada, bo.id, True)
    assert accounts.link_info(ctx, link) is None


def test_a_password_change_ends_the_other_sessions(ctx: Context) -> None:
    ada, here = first_admin(ctx)
    elsewhere = accounts.sign_in(ctx, "ada", PASSWORD, "")
    with pytest.raises(accounts.SignInError, match="current password"):
        accounts.change_password(ctx, ada, "wrong wrong", "another good one", keep_session=here)
    accounts.change_password(ctx, ada, PASSWORD, "another good one", keep_session=here)
    assert accounts.actor_of(ctx, here) is not None
    assert accounts.actor_of(ctx, elsewhere) is None
    with pytest.raises(accounts.SignInError):
        accounts.sign_in(ctx, "ada", PASSWORD, "")
    assert accounts.sign_in(ctx, "ada", "another good one", "")


def test_a_recovery_link_sets_a_new_password_and_ends_every_session(ctx: Context, clock: Clock) -> None:
    _, session = first_admin(ctx)
    link = accounts.recovery_link(ctx, "ADA")
    new = accounts.redeem(ctx, link, "", "", "another good one")
    assert accounts.actor_of(ctx, session) is None
    assert accounts.actor_of(ctx, new) == Actor(1, "Ada Admin", Role.ADMIN)
    late = accounts.recovery_link(ctx, "ada")
    clock.forward(minutes=accounts.RECOVERY_MINUTES)
    assert accounts.link_info(ctx, late) is None
    with pytest.raises(Missing):
        accounts.recovery_link(ctx, "nobody")


def test_tokens_of_the_api(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    bo, _ = invited(ctx, ada, "bo", Role.VIEWER)
    token = accounts.create_token(ctx, ada, "reports")
    assert token.startswith("samtal_")
    assert accounts.actor_of_token(ctx, token) == ada
    assert accounts.actor_of_token(ctx, token[:-1]) is None
    assert accounts.actor_of_token(ctx, None) is None
    (info,) = accounts.api_tokens(ctx, ada)
    assert (info.name, info.owner, info.last_used_at) == ("reports", "Ada Admin", ctx.clock())
    assert accounts.api_tokens(ctx, bo) == []
    with pytest.raises(Missing):
        accounts.revoke_token(ctx, bo, info.id)
    accounts.revoke_token(ctx, ada, info.id)
    assert accounts.actor_of_token(ctx, token) is None
    assert accounts.api_tokens(ctx, ada) == []


def test_a_session_is_no_token_and_a_token_no_session(ctx: Context) -> None:
    ada, session = first_admin(ctx)
    token = accounts.create_token(ctx, ada, "reports")
    assert accounts.actor_of(ctx, token) is None
    assert accounts.actor_of_token(ctx, session) is None


def test_each_write_leaves_a_row_in_the_trail(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    bo, _ = invited(ctx, ada, "bo", Role.VIEWER)
    assert bo.user_id is not None
    accounts.set_role(ctx, ada, bo.user_id, Role.PRODUCT)
    newest, *older = accounts.audit(ctx, ada)
    assert (newest.who, newest.action, newest.subject) == ("Ada Admin", "changed the role", "user 2")
    assert newest.detail_words == "before: viewer, after: product"
    assert [entry.action for entry in older] == ["used a link", "invited", "used a link"]
    assert accounts.audit(ctx, ada, before_id=newest.id, limit=1) == older[:1]


def test_strangers_do_not_decide_how_much_memory_is_taken(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    first_admin(ctx)
    monkeypatch.setattr(accounts, "_HASHING", threading.BoundedSemaphore(1))
    accounts._HASHING.acquire()
    monkeypatch.setattr(accounts._HASHING, "acquire", lambda timeout: False)
    with pytest.raises(accounts.TooManyTries):
        accounts.sign_in(ctx, "ada", PASSWORD, "192.0.2.1")


def test_a_new_password_that_will_not_do_counts_as_no_failed_try(ctx: Context) -> None:
    link = accounts.first_link(ctx)
    assert link is not None
    ada = accounts.actor_of(ctx, accounts.redeem(ctx, link, "ada", "Ada", "correct horse battery"))
    assert ada is not None
    for _ in range(6):
        with pytest.raises(DialogueError, match="at least"):
            accounts.change_password(ctx, ada, "correct horse battery", "short")
    accounts.change_password(ctx, ada, "correct horse battery", "another horse battery")
