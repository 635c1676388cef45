"""What holds for every test."""

import asyncio

from hypothesis import HealthCheck, settings

# How fast a machine draws examples is no property of the code: on a cold one the first text takes more than a second.
settings.register_profile(
    "outboxrelay",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("outboxrelay")


def pytest_configure() -> None:
    # Without a word of ours the first asynchronous test makes asyncio create a loop that nobody ever closes; that
    # warning then fails whichever test happens to run when it is collected.
    asyncio.set_event_loop(None)
