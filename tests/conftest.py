"""Coroutine tests run on a fresh event loop each, some in made time; nothing else is global."""

import asyncio
import inspect
import itertools

import pytest
from browser import browser, town
from cryptography.hazmat.primitives.asymmetric import rsa

from holdfast.core.tokens import EXPONENT, SIZE
from holdfast.testing.virtual import VirtualLoop

__all__ = ["browser", "town"]


ISSUER_KEYS: list[rsa.RSAPrivateKey] = []


@pytest.fixture
def ready_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Observatories of this test get keys that others had before, each another one."""
    make, number = rsa.generate_private_key, itertools.count()

    def next_one(*_: object) -> rsa.RSAPrivateKey:
        if (wanted := next(number)) >= len(ISSUER_KEYS):
            ISSUER_KEYS.append(make(EXPONENT, SIZE * 8))
        return ISSUER_KEYS[min(wanted, len(ISSUER_KEYS) - 1)]

    monkeypatch.setattr(rsa, "generate_private_key", next_one)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def test_...` to its end."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    time = pyfuncitem.get_closest_marker("time")
    loop = VirtualLoop if time is not None and time.args == ("made",) else None
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
