"""The worst moment to die: the answer has left, and nobody has written down that it arrived."""

from __future__ import annotations

import psutil

from benchmarks.at_network import Account, AtNetwork
from dialogue import replies
from listeners import registry
from tests.e2e.colleague import NEWS_PATIENCE
from tests.e2e.conftest import Comes, Started
from tests.e2e.feed import Feed

SLACK = 60.0
"""Seconds on top of what the rules say, for a busy machine."""


def test_a_worker_killed_between_sending_and_recording_sends_once(
    network: AtNetwork, company: Account, jane: Account, feed: Feed, start: Started, comes: Comes, word: str
) -> None:
    question = f"When does the {word} trailer ship?"
    answer = "It ships on Monday, and you will have a mail with the number of the parcel."
    post = jane.posts(question)
    network.until(lambda: network.search(word))
    samtal = start(SAMTAL_CHAOS_POINT="deliver.sent_not_recorded")
    ada = comes(samtal)
    ada.comes_in()
    ada.connects_and_listens(company, word)
    ada.goes_to("Inbox")
    ada.awaits(question)
    ada.opens(question)
    doomed = samtal.worker()
    assert doomed is not None

    # The answer leaves, and the worker dies before it can say so.
    ada.writes(answer)
    ada.marks_the_page()
    ada.send_button().click()
    standing = network.until(lambda: network.replies_to(post), NEWS_PATIENCE / 1000)
    assert [reply.text for reply in standing] == [answer]
    psutil.wait_procs([doomed], timeout=10)
    assert not doomed.is_running()
    ada.follows(answer, until="Being sent now")

    # Another worker takes its place. All else goes on, and the answer is looked for before anything is sent.
    samtal.says("The worker ended by itself with code -9")
    feed.says("Our trailer won a prize.")
    second = ada.another_tab()
    second.listens_to_a_feed(feed.url)
    second.goes_to("Inbox")
    second.awaits("Our trailer won a prize.")
    heir = samtal.worker()
    assert heir is not None and heir.pid != doomed.pid

    # It ends as sent, in the page that was open all along; and there is one reply, not two.
    patience = replies.LEASE + registry.capability("bluesky").find_lag
    ada.follows(answer, until="Sent.", milliseconds=(patience.total_seconds() + SLACK) * 1000)
    assert ada.did_not_reload()
    assert [(reply.handle, reply.text) for reply in network.replies_to(post)] == [(company.handle, answer)]
    assert company.written() == [answer], "it was not written a second time anywhere"
