"""The node: its directory, its engine, and the calls about itself."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from holdfast import __version__
from holdfast.core.caps import BadAddress, Home
from holdfast.core.finding import SAYS, Finding
from holdfast.core.seal import rest
from holdfast.core.seal.identity import NotFirst
from holdfast.drive.fetch import Look, fetch, look
from holdfast.drive.logs import Connect
from holdfast.node import (
    homes,
    talking,
    views,
)
from holdfast.node.api.channels import Channels
from holdfast.node.api.conversations import Conversations
from holdfast.node.api.devices import Devices
from holdfast.node.api.groups import Groups
from holdfast.node.api.telling import Telling
from holdfast.node.database import (
    TooNew,
    WrongKey,
    close_database,
    open_database,
)
from holdfast.node.depot import Depot
from holdfast.node.desk import Desk
from holdfast.node.engine import Engine
from holdfast.node.keeper import Keeper, Work
from holdfast.node.measuring import heard_lately
from holdfast.node.networks import Networks
from holdfast.node.reporting import NAME as REPORTING
from holdfast.node.reporting import Fetch, Reporter, load
from holdfast.node.rpc import ApiError
from holdfast.node.saving import Saving
from holdfast.node.schema import (
    Backup,
    Diagnosis,
    Event,
    Fact,
    KnownNetwork,
    KnownPath,
    Message,
    Settings,
    Simulator,
    Status,
    StatusChanged,
    Switch,
)
from holdfast.node.sound import SoundSession
from holdfast.node.vault import Vault, VaultError
from holdfast.paths.base import Channel

if TYPE_CHECKING:
    from holdfast.drive.mdns import Discovery


class Censor(Protocol):
    """A pretended one, see `lab.switchboard`."""

    @property
    def switches(self) -> dict[str, bool]:
        """What it can do, and whether it does."""

    def turn(self, switch: str, on: bool) -> None:
        """Do it, or stop."""


class Node(Devices, Conversations, Groups, Channels, Telling):
    """One node on its directory; `rpc.Served`. `connect` is the path to relays."""

    def __init__(
        self,
        vault: Vault,
        connect: Connect,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        relays: tuple[Home, ...] = (),
        echo_link: str | None = None,
        vfs: str | None = None,
    ) -> None:
        super().__init__(vault, clock, echo_link)
        self._connect = connect
        self._entropy = entropy
        self._given = relays
        self._vfs = vfs
        self._depot: Depot | None = None
        self.finding: Callable[[], Finding] = lambda: Finding("unknown")
        """What is known of the network."""
        self.hops: Callable[[list[Home]], None] = lambda homes: None
        """Told through which relays others may be reached."""
        self.lend: Callable[[Home, Channel], None] = lambda home, channel: None
        """Told of connections on which datagrams would be of use."""
        self.stand_by: Callable[[set[Home]], None] = lambda homes: None
        """Told to which relays a second connection should be ready."""
        self.straight = False
        """Whether calls may go straight, where people allow it: not behind a proxy."""
        self.discovery: Callable[[], Discovery] | None = None
        """Makes what finds contacts on the local network."""
        self.doubt: Callable[[], None] = lambda: None
        """Told that connections may stand in name alone."""
        self.networks: Networks | None = None
        """Remembers how relays were reached on which network."""
        self.fetch: Fetch = fetch
        """Asks an observatory."""
        self.see: Callable[[str], Awaitable[Look]] = look
        """Looks at a page of a service that is measured."""
        self.censor: Censor | None = None
        """Pretended, on this machine."""
        self.saving = Saving(vault.home, entropy, self._tell)
        """Makes and takes backups."""
        self.launch: Callable[[], str] | None = None
        """Makes a link to the web interface, once that is served."""
        self.keeper: type[Keeper] = Keeper
        """Keeps the database; simulations have one without a thread."""
        self._heard: dict[object, Callable[[Event], None]] = {}
        self._opening = asyncio.Lock()

    async def start(self, name: str | None = None) -> None:
        """Open what opens without a passphrase; with a name, make what is not there."""
        self.saving.tidy()
        if self._vault.phase == "ready":
            async with self._opening:
                clean = None if name is None else talking.own_name(name)
                await self._open(self._vault.open(), clean)
        elif self._vault.phase == "new" and name is not None:
            await self.set_up(name)

    async def stop(self) -> None:
        """Everything committed, the database closed, the directory free."""
        for task in self._accepting:
            task.cancel()
        for task in list(self._renewing.values()):
            task.cancel()
        if self._reporter is not None:
            await self._reporter.stop()
        if self._engine is not None:
            await self._engine.stop()
        if self._keeper is not None:
            await self._keeper.stop()
        self._vault.release()

    async def _open(
        self,
        key: bytes,
        name: str | None,
        restore: Callable[[Desk, Work], None] | None = None,
    ) -> None:
        folder = self._vault.home / "files"
        folder.mkdir(mode=0o700, exist_ok=True)
        desk = Desk(key, self._entropy, folder)
        desk.echo = self._echo_link is not None
        engine = Engine(desk, self._connect, self._clock, self._tell)
        engine.relays.finding, engine.renew = self.finding, self._renew
        engine.hops, engine.lend = self.hops, self.lend
        engine.networks, engine.stand_by = self.networks, self.stand_by
        engine.calls.straight = self.straight
        if self.discovery is not None:
            engine.near.discovery = self.discovery()
            engine.relays.finds = True
        engine.doubt = self.doubt
        engine.relays.simulator = self.censor is not None
        keeper = self.keeper(
            lambda: open_database(self._vault.database, key, self._vfs),
            close_database,
            self._clock,
            engine.follow,
        )
        try:
            await keeper.start()
        except (WrongKey, TooNew) as error:
            raise VaultError(str(error)) from None

        def begin(work: Work) -> bool:
            if desk.get(work, "identity") is None:
                if restore is not None:
                    restore(desk, work)
                elif name is not None:
                    desk.make_identity(work, name)
                else:
                    return False
            for home in self._given:
                homes.add(work, home)
            return True

        self._key = key
        try:
            begun = await keeper.run(begin)
        except BaseException:
            await keeper.stop()
            raise
        if not begun:
            await keeper.stop()
            return
        self._desk, self._engine, self._keeper = desk, engine, keeper
        engine.introduced = self._introduced
        self._depot = Depot(folder, self._entropy, keeper.run)
        await engine.start(keeper)
        self._reporter = Reporter(
            load(await keeper.run(lambda work: desk.get(work, REPORTING))),
            lambda text: keeper.run(lambda work: desk.put(work, REPORTING, text)),
            self.fetch,
            self._clock,
            self.finding,
            lambda: engine.relays.online,
            lambda: keeper.run(heard_lately),
            self.see,
        )
        self._reporter.start()

    def _tell(self, event: Event) -> None:
        for hear in list(self._heard.values()):
            hear(event)

    # What is served besides the calls.

    def subscribe(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        """Tell `hear` every event from now on; the answer ends that."""
        name = object()
        self._heard[name] = hear

        def end() -> None:
            self._heard.pop(name, None)

        return end

    async def changes(self, since: int | None) -> tuple[list[Message], int]:
        """Every message changed after the cursor, and the cursor reached."""

        def job(desk: Desk, work: Work) -> tuple[list[Message], int]:
            reached = int(desk.get(work, "cursor") or 0)
            if since is None:
                return [], reached
            return views.messages(work.db, "WHERE cursor > ? ORDER BY cursor", since), reached

        if self._keeper is None:
            return [], 0
        return await self._do(job)

    async def listen(self, since: int | None = None) -> int:
        """Answered by the connection that asks, see `rpc.Session`."""
        return (await self.changes(None))[1]

    @property
    def depot(self) -> Depot | None:
        """Takes and gives the bytes of files."""
        return self._depot

    def join_sound(self, call: str) -> SoundSession | None:
        """The sound of a call for an interface."""
        return None if self._engine is None else self._engine.calls.join(call)

    # The node itself.

    async def status(self) -> Status:
        """What works now."""
        engine = self._engine
        if engine is None:
            return Status(version=__version__, phase="new" if self._is_new else "locked")
        return await self._do(engine.relays.status)

    async def diagnose(self) -> Diagnosis:
        """What the network does, and why one thinks so."""
        found = self.finding()
        return Diagnosis(
            network=found.verdict,
            evidence=[str(fact) for fact in found.evidence],
            facts=[msgspec.convert(fact._asdict(), Fact) for fact in found.evidence],
        )

    async def known_networks(self) -> list[KnownNetwork]:
        """What was learnt of networks."""
        await self._do(lambda desk, work: None)
        if self.networks is None:
            return []
        return [
            KnownNetwork(
                id=id[:16],
                current=id == self.networks.current,
                seen=known.seen,
                relays=[
                    KnownPath(
                        relay=name,
                        path=place.last,
                        trouble=[
                            f"{path}: {SAYS[how.kind]}"
                            for path, how in place.paths.items()
                            if how.kind in SAYS
                        ],
                    )
                    for name, place in known.places.items()
                ],
            )
            for id, known in self.networks.seen().items()
        ]

    async def forget_networks(self) -> None:
        """Forget it."""
        await self._do(lambda desk, work: None)
        if self._engine is not None:
            self._engine.forget_networks()

    async def simulator(self) -> Simulator:
        """The pretended censor's switches."""
        if self.censor is None:
            raise ApiError("not-found", "there is no simulator here; `make run` has one")
        all = self.censor.switches.items()
        return Simulator(switches=[Switch(name=name, on=on) for name, on in all])

    async def simulate(self, switch: str, on: bool) -> Simulator:
        """Turn one of them."""
        if self.censor is None or switch not in self.censor.switches:
            raise ApiError("not-found", "there is no such switch")
        self.censor.turn(switch, on)
        if self._engine is not None:
            self._engine.retry()
        return await self.simulator()

    async def set_up(self, name: str, passphrase: str | None = None) -> Status:
        """Make the identity."""
        clean = talking.own_name(name)
        return await self._begin(passphrase, lambda key: self._open(key, clean))

    async def restore(self, passphrase: str, path: str = "") -> Status:
        """Begin with a backup."""

        async def begin(job: Callable[[Desk, Work], None]) -> Status:
            return await self._begin(None, lambda key: self._open(key, None, job))

        if not self._is_new:
            raise ApiError("phase", "there is an identity here already")
        return await self.saving.restore(passphrase, path, begin)

    async def _begin_with(
        self, passphrase: str | None, job: Callable[[Desk, Work], None]
    ) -> Status:
        return await self._begin(passphrase, lambda key: self._open(key, None, job))

    async def _begin_anew(self, job: Callable[[Desk, Work], None]) -> None:
        async with self._opening:
            await self._do(job)
            keeper, engine, reporter = self._keeper, self._engine, self._reporter
            self._keeper = self._engine = self._desk = self._reporter = self._depot = None
            if reporter is not None:
                await reporter.stop()
            if engine is not None:
                await engine.stop()
            if keeper is not None:
                await keeper.stop()
        await self._changed()

    async def back_up(self, passphrase: str, path: str = "", files: bool = True) -> Backup:
        """Write a backup."""

        def check(desk: Desk, work: Work) -> None:
            if desk.identity(work).root is None:
                raise ApiError("not-allowed", str(NotFirst()))

        await self._do(check)
        return await self.saving.back_up(self._do, passphrase, path, files)

    async def _begin(
        self, passphrase: str | None, begin: Callable[[bytes], Awaitable[None]]
    ) -> Status:
        async with self._opening:
            if not self._is_new:
                raise ApiError("phase", "there is an identity here already")
            try:
                key = self._key
                if key:
                    await asyncio.to_thread(self._vault.keep, key, passphrase)
                elif self._vault.database.exists():
                    raise VaultError(
                        f"{self._vault.home} has a database without its key; put the file `key`"
                        " back, or choose another directory with --home"
                    )
                else:
                    key = await asyncio.to_thread(self._vault.make, passphrase)
                await begin(key)
            except (VaultError, OSError) as error:
                raise ApiError("storage", str(error)) from None
        return await self._changed()

    async def unlock(self, passphrase: str) -> Status:
        """Open the database."""
        async with self._opening:
            if self._keeper is not None or self._vault.phase != "locked":
                raise ApiError("phase", "it is not locked")
            try:
                key = await asyncio.to_thread(self._vault.open, passphrase)
                await self._open(key, None)
            except rest.WrongPassphrase as error:
                raise ApiError("wrong-passphrase", str(error)) from None
            except VaultError as error:
                raise ApiError("storage", str(error)) from None
        return await self._changed()

    async def _changed(self) -> Status:
        status = await self.status()
        self._tell(StatusChanged(status))
        return status

    async def launch_link(self) -> str:
        """A new link that opens the interface."""
        if self.launch is None:
            raise ApiError("phase", "the web interface is not served")
        return self.launch()

    async def settings(self) -> Settings:
        """What was chosen."""
        return await self._do(self._settings)

    def _settings(self, desk: Desk, work: Work) -> Settings:
        locked = self._vault.kept == "passphrase"
        return msgspec.structs.replace(desk.settings(work), passphrase=locked)

    async def update_settings(
        self,
        language: Literal["auto", "en", "ru"] | None = None,
        theme: Literal["auto", "light", "dark"] | None = None,
        read_receipts: bool | None = None,
        delivery_receipts: bool | None = None,
        typing: bool | None = None,
        single_keys: bool | None = None,
        near: bool | None = None,
        timer: int | None = None,
        admit: bool | None = None,
    ) -> Settings:
        """Change what is given."""
        given: dict[str, Any] = {
            "language": language,
            "theme": theme,
            "read_receipts": read_receipts,
            "delivery_receipts": delivery_receipts,
            "typing": typing,
            "single_keys": single_keys,
            "near": near,
            "timer": timer,
            "admit": admit,
        }
        if timer is not None and not 0 <= timer <= talking.MAX_TIMER:
            raise ApiError("bad-params", "a message lasts at most a year, or for ever with 0")
        changes = {key: value for key, value in given.items() if value is not None}
        chosen = await self._do(
            lambda desk, work: desk.set_settings(
                work, msgspec.structs.replace(self._settings(desk, work), **changes)
            )
        )
        if self._engine is not None:
            self._engine.near.use(chosen.near)
        return chosen

    async def set_passphrase(self, new: str | None, current: str | None = None) -> Settings:
        """Set, change or remove it."""
        async with self._opening:
            await self._do(lambda desk, work: None)
            if self._vault.kept == "passphrase":
                try:
                    key = await asyncio.to_thread(self._vault.open, current)
                except rest.WrongPassphrase as error:
                    raise ApiError("wrong-passphrase", str(error)) from None
                if not hmac.compare_digest(key, self._key):
                    raise ApiError("wrong-passphrase", "the passphrase is not right")
            try:
                await asyncio.to_thread(self._vault.keep, self._key, new)
            except VaultError as error:
                raise ApiError("storage", str(error)) from None
        return await self._do(
            lambda desk, work: desk.set_settings(work, self._settings(desk, work))
        )

    async def rename_me(self, name: str) -> Status:
        """Change one's own name."""
        await self._do(lambda desk, work: talking.rename_me(desk, work, name))
        return await self._changed()

    async def add_relay(self, address: str) -> Status:
        """Make a relay one of this node's homes."""
        try:
            home = Home.parse(address.strip())
        except BadAddress as error:
            raise ApiError("bad-params", str(error)) from None
        await self._do(lambda desk, work: homes.add(work, home))
        return await self._changed()

    async def remove_relay(self, id: str) -> Status:
        """Make no more logs there, or forget that it was told of."""
        await self._do(lambda desk, work: homes.remove(desk, work, id))
        return await self._changed()

    async def set_relay(self, id: str, mine: bool | None = None, off: bool | None = None) -> Status:
        """Make a contact's relay one's own, or turn it off."""
        await self._do(lambda desk, work: homes.change(desk, work, id, mine, off))
        return await self._changed()
