"""Where feedback and alerts go: issue trackers, webhooks, mail, chat. A leaf.

Nothing goes out yet: the room is empty.
"""
