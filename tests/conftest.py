"""Coroutine tests run on a fresh event loop each; nothing else is global."""

import asyncio
import functools
import inspect
import itertools

import pytest
from browser import browser, town
from cryptography.hazmat.primitives.asymmetric import rsa

from holdfast.core.tokens import EXPONENT, SIZE

__all__ = ["browser", "town"]


@functools.cache
def issuer_keys() -> tuple[rsa.RSAPrivateKey, ...]:
    """As many as an observatory's windows need, made once."""
    return tuple(rsa.generate_private_key(EXPONENT, SIZE * 8) for _ in range(80))


@pytest.fixture
def ready_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Observatories of this test get keys that were made before, each another one."""
    keys = itertools.cycle(issuer_keys())
    monkeypatch.setattr(rsa, "generate_private_key", lambda *_: next(keys))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def test_...` to its end."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
