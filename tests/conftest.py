"""What holds for every test."""

import asyncio


def pytest_configure() -> None:
    # Without a word of ours the first asynchronous test makes asyncio create a loop that nobody ever closes; that
    # warning then fails whichever test happens to run when it is collected.
    asyncio.set_event_loop(None)
