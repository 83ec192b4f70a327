"""What the crowds of the theme tests speak of: twelve things, in three sentences, and nothing in particular."""

from __future__ import annotations

SAID = ("The {} has not come for {} weeks", "Where is the {}, number {}?", "{} again, day {}")
NOUNS = tuple("refund battery parcel pedal invoice lamp saddle helmet voucher brake mirror tyre".split())
CHATTER = "sun table river walk music green window early paper stone cloud bread yellow quiet corner winter".split()
