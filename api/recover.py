"""`python -m api.recover USERNAME` prints a one-time link that sets a new password: whoever runs it has the machine."""

from __future__ import annotations

import sys

from api.site import Site
from dialogue import accounts, start
from dialogue.context import DialogueError


def main(arguments: list[str]) -> None:
    """The command line."""
    import settings as configuration

    if len(arguments) != 1 or not arguments[0]:
        sys.exit("usage: python -m api.recover USERNAME   (or: make recover USERNAME=…)")
    try:
        settings = configuration.load()
        ctx = start.context(settings, triggers=False)
        start.prepare(ctx)
        token = accounts.recovery_link(ctx, arguments[0])
    except (configuration.SettingsError, DialogueError) as error:
        sys.exit(f"samtal: {error}")
    site = Site(ctx, host=settings.host, port=settings.port, public_url=settings.public_url)
    print(f"Open this link within {accounts.RECOVERY_MINUTES} minutes to set a new password:\n{site.link(token)}")


if __name__ == "__main__":
    main(sys.argv[1:])
