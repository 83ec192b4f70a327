"""The main job from one end to the other, as a person does it: a source, a post, an answer, an idea, a sentence."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from benchmarks.at_network import Account, AtNetwork
from tests.e2e.colleague import NEWS_PATIENCE
from tests.e2e.conftest import Comes, Started


def test_from_a_post_on_the_network_to_an_answer_there_and_an_idea_on_the_board(
    network: AtNetwork, company: Account, jane: Account, start: Started, comes: Comes, word: str
) -> None:
    earlier = f"The {word} saddle is lovely, best I ever had."
    idea = f"Please add a bell to the {word} bikes, I wish it had one."
    answer = "Thank you Jane, a bell is a fine idea. We pass it on to our workshop."
    jane.posts(earlier)
    network.until(lambda: network.search(word))
    ada = comes(start())

    # An account that says who we are, and a source that shows what it finds.
    ada.comes_in()
    ada.begins_a_source("Bluesky")
    ada.connects(company)
    found = ada.looks_what_it_finds("Words to search for", word)
    expect(found).to_contain_text(earlier)
    assert network.search(word), "a look stores nothing and takes nothing"
    ada.tests_the_account(says=company.handle)
    ada.adds_it()

    # What was said before arrives, tagged; what is said now arrives in the open page.
    ada.goes_to("Inbox")
    ada.marks_the_page()
    expect(ada.awaits(earlier)).to_contain_text("▲", timeout=NEWS_PATIENCE)
    post = jane.posts(idea)
    expect(ada.awaits(idea)).to_contain_text("idea", timeout=NEWS_PATIENCE)

    # Who wrote it and what they said before stands beside it.
    ada.opens(idea)
    beside = ada.page.locator(".st-key-person")
    expect(beside).to_contain_text("Jane Lind")
    expect(beside).to_contain_text(jane.handle)
    expect(ada.page.locator(".st-key-history")).to_contain_text(earlier)

    # Two quick clicks on Send make one reply, which the page follows until it is sent.
    ada.writes(answer)
    ada.send_button().dblclick()
    ada.follows(answer, until="can be undone")
    ada.follows(answer, until="Sent.")
    standing = network.until(lambda: network.replies_to(post))
    assert [(reply.handle, reply.text) for reply in standing] == [(company.handle, answer)]
    assert company.written() == [answer], "nothing else was written in our name"

    # The idea stands on the board in her words.
    ada.carries_in(idea, title="A bell on every bike")
    assert ada.did_not_reload(), "all this happened in one page, without a reload"
    ada.goes_to("Feedback")
    item = ada.page.locator("[class*='st-key-item-']").filter(has_text="A bell on every bike")
    expect(item).to_contain_text(idea)
    expect(item).to_contain_text("idea")
    expect(item).to_contain_text("1 person asked")

    # The summary says how people feel, in a sentence that rests on these two mentions.
    ada.goes_to("Summary", heading="")
    expect(ada.page.get_by_role("heading", level=1)).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    expect(ada.page.get_by_text(re.compile("2 mentions")).first).to_be_visible()
    assert [reply.text for reply in network.replies_to(post)] == [answer], "the network still holds exactly one reply"
