"""The node's API carried out: each call a job of the keeper."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

import msgspec

from holdfast import __version__
from holdfast.core.caps import BadAddress, Home
from holdfast.core.finding import SAYS, Finding
from holdfast.core.seal import rest
from holdfast.core.seal.link import BadLink, Link
from holdfast.drive.fetch import Look, fetch, look
from holdfast.drive.logs import CaughtUp, Connect, Down, Received, Refused
from holdfast.node import (
    comparing,
    effects,
    files,
    groups,
    homes,
    inviting,
    messages,
    renewing,
    talking,
    views,
)
from holdfast.node.calls import Calls
from holdfast.node.database import (
    TooNew,
    WrongKey,
    close_database,
    open_database,
    row,
    rows,
)
from holdfast.node.depot import Depot
from holdfast.node.desk import Desk
from holdfast.node.engine import Engine
from holdfast.node.group_api import GroupCalls
from holdfast.node.keeper import Keeper, StorageFailed, Work
from holdfast.node.measuring import heard_lately
from holdfast.node.networks import Networks
from holdfast.node.page import page
from holdfast.node.reporting import NAME as REPORTING
from holdfast.node.reporting import CannotReport, Fetch, Lists, Reporter, load
from holdfast.node.ringing import story as call_story
from holdfast.node.rpc import ApiError
from holdfast.node.saving import Saving
from holdfast.node.schema import (
    Backup,
    Call,
    CallStory,
    Contact,
    Diagnosis,
    Event,
    Fact,
    FileKind,
    Hit,
    Invitation,
    KnownNetwork,
    KnownPath,
    Message,
    Page,
    Reporting,
    ReportPlace,
    ServicePage,
    Settings,
    Simulator,
    Status,
    StatusChanged,
    Switch,
    Verification,
)
from holdfast.node.sound import SoundSession
from holdfast.node.vault import Vault, VaultError
from holdfast.paths.base import Channel

if TYPE_CHECKING:
    from holdfast.drive.mdns import Discovery

T = TypeVar("T")

INTRODUCED: Final = (0.0, 2.0, 30.0, 300.0)
"""Seconds before each attempt to accept an invitation that came from within a group."""
FETCH_SECONDS: Final = 30.0
"""How long an invitation's relays may take to give what the link promises."""


class Censor(Protocol):
    """A pretended one, see `lab.switchboard`."""

    @property
    def switches(self) -> dict[str, bool]:
        """What it can do, and whether it does."""

    def turn(self, switch: str, on: bool) -> None:
        """Do it, or stop."""


class Node(GroupCalls):
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
        self._vault = vault
        self._connect = connect
        self._clock = clock
        self._entropy = entropy
        self._given = relays
        self._echo_link = echo_link
        self._vfs = vfs
        self._key = b""
        """The database's; without a desk, of a set-up that a crash interrupted."""
        self._desk: Desk | None = None
        self._engine: Engine | None = None
        self._keeper: Keeper | None = None
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
        self._reporter: Reporter | None = None
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
        self._accepting: set[asyncio.Task[None]] = set()
        self._renewing: dict[str, asyncio.Task[None]] = {}

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

    @property
    def _is_new(self) -> bool:
        """No identity yet."""
        return self._keeper is None and (self._vault.phase == "new" or bool(self._key))

    def _tell(self, event: Event) -> None:
        for hear in list(self._heard.values()):
            hear(event)

    async def _do(self, job: Callable[[Desk, Work], T]) -> T:
        keeper, desk = self._keeper, self._desk
        if keeper is None or desk is None:
            text = "choose a name first" if self._is_new else "unlock it first"
            raise ApiError("phase", text)
        try:
            return await keeper.run(lambda work: job(desk, work))
        except StorageFailed as error:
            raise ApiError("storage", str(error)) from None

    async def _of(self, contact: str, job: Callable[[Desk, Work, str], T]) -> T:
        """A job about one contact, given by id or by name."""
        return await self._do(lambda desk, work: job(desk, work, views.resolve(work.db, contact)))

    async def _with(self, person: str, job: Callable[[Desk, Work, str], T]) -> T:
        """The same for what only a person can be asked, and no group."""
        return await self._do(lambda desk, work: job(desk, work, views.person(work.db, person)))

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

    async def back_up(self, passphrase: str, path: str = "", files: bool = True) -> Backup:
        """Write a backup."""
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

    # Invitations.

    async def create_invitation(
        self, many: bool = False, hours: int = 72, label: str = ""
    ) -> Invitation:
        """A new link."""
        return await self._do(lambda desk, work: inviting.create(desk, work, many, hours, label))

    async def invitations(self) -> list[Invitation]:
        """All that are open, and those that ended lately."""

        def job(desk: Desk, work: Work) -> list[Invitation]:
            listed = "SELECT id FROM invitation WHERE renews = '' ORDER BY created DESC, id"
            found = rows(work.db, listed)
            return [views.invitation(work.db, desk.rows, id, work.now) for (id,) in found]

        return await self._do(job)

    async def revoke_invitation(self, id: str) -> Invitation:
        """End it."""

        def job(desk: Desk, work: Work) -> Invitation:
            found = row(work.db, "SELECT state FROM invitation WHERE id = ?", id)
            if found is not None and found[0] not in ("open", "preparing"):
                return views.invitation(work.db, desk.rows, id, work.now)
            return inviting.end(desk, work, id, "revoked")

        return await self._do(job)

    async def accept_invitation(self, link: str) -> Contact:
        """Become contacts."""
        return await self._accept(link, echo=False)

    async def add_echo(self) -> Contact:
        """Add Echo."""
        if self._echo_link is None:
            raise ApiError("not-found", "Echo is not running beside this node")
        return await self._accept(self._echo_link, echo=True)

    async def _accept(self, text: str, echo: bool) -> Contact:
        try:
            link = Link.parse(text, self._clock())
        except BadLink as error:
            code = "expired" if error.reason == "expired" else "bad-link"
            raise ApiError(code, str(error)) from None

        def check(desk: Desk, work: Work) -> None:
            if not desk.homes(work):
                raise ApiError("no-relay", "this node has no relay yet; add one in the settings")
            if row(work.db, "SELECT 1 FROM invitation WHERE accept = ?", link.accept.locator):
                raise ApiError("own-link", "this is your own invitation; send it to somebody else")

        await self._do(check)
        record = await self._fetch(link)

        def job(desk: Desk, work: Work) -> Contact:
            cid = inviting.accept(desk, work, link, record, echo)
            return views.contact(work.db, cid)

        return await self._do(job)

    def _renew(self, contact: str) -> None:
        """A contact goes on with another device: follow, in the background."""
        if contact not in self._renewing:
            task = asyncio.get_running_loop().create_task(self._follow(contact))
            self._renewing[contact] = task
            task.add_done_callback(lambda _: self._renewing.pop(contact, None))

    async def _follow(self, contact: str) -> None:
        link = await self._do(lambda desk, work: renewing.link_of(desk, work, contact))
        if link is None:
            return
        try:
            record = await self._fetch(link)
            await self._do(lambda desk, work: renewing.follow(desk, work, contact, link, record))
        except ApiError as error:
            if error.code not in ("no-relay", "storage"):  # then it is tried again
                await self._do(lambda desk, work: renewing.forget(work, contact))

    def _introduced(self, who: effects.Introduced) -> None:
        """A member of a group invites me: accept, as soon as a relay has the invitation."""

        async def accept() -> None:
            for wait in INTRODUCED:
                await asyncio.sleep(wait)
                try:
                    contact = await self._accept(who.link, echo=False)
                except ApiError as error:
                    if error.code not in ("no-relay", "used"):
                        return
                    continue
                await self._do(partial(come, cid=contact.id))
                return

        def come(desk: Desk, work: Work, cid: str) -> None:
            (root,) = row(work.db, "SELECT root FROM contact WHERE id = ?", cid)
            if root != who.root:
                # The link leads to somebody else than the member who sent it.
                inviting.delete_contact(desk, work, cid)
                return
            work.db.execute("UPDATE contact SET via = ? WHERE id = ?", (who.group, cid))
            desk.touch_contact(work, cid)

        task = asyncio.create_task(accept())
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _fetch(self, link: Link) -> bytes:
        """The bundle that the link promises, from whichever home has it."""
        engine = self._engine
        assert engine is not None
        caps = link.bundle
        queue = engine.fetch(caps.locator)
        left = {str(home) for home in link.homes}
        denied, why = 0, "it does not answer"
        try:
            for home in link.homes:
                engine.logs.follow(caps, home, 0)
            async with asyncio.timeout(FETCH_SECONDS):
                while left:
                    match await queue.get():
                        case Received(_, _, _, _, body):
                            if hashlib.sha256(body).digest() == link.bundle_hash:
                                return body
                        case CaughtUp(_, home):
                            left.discard(str(home))
                            why = "it does not have what the link promises yet"
                        case Refused(_, home, "attach", code, text):
                            left.discard(str(home))
                            denied, why = denied + (code == "denied"), text
                        case Down(home, text) if str(home) in left:
                            left.discard(str(home))
                            why = text
        except TimeoutError:
            pass
        finally:
            engine.fetched(caps.locator)
            for home in link.homes:
                engine.logs.unfollow(caps, home)
            engine.follow([effects.Relays()])
        if denied == len(link.homes):
            raise ApiError("used", "This invitation has been used. Ask for a new one.")
        raise ApiError(
            "no-relay",
            f"the invitation could not be fetched from its relay: {why}. Try again a little later",
        )

    # Contacts.

    async def contacts(self) -> list[Contact]:
        """Newest conversation first."""
        return await self._do(
            lambda desk, work: views.contacts(work.db, "ORDER BY active DESC, id")
        )

    async def contact(self, contact: str) -> Contact:
        """One."""
        return await self._of(contact, lambda desk, work, cid: views.contact(work.db, cid))

    async def rename_contact(self, contact: str, name: str) -> Contact:
        """Your own name for them."""
        return await self._of(
            contact, lambda desk, work, cid: talking.rename(desk, work, cid, name)
        )

    async def set_timer(self, contact: str, seconds: int) -> Contact:
        """Lifetime of messages from now on."""

        def job(desk: Desk, work: Work, cid: str) -> Contact:
            if views.contact(work.db, cid).kind == "group":
                groups.change(desk, work, cid, timer=seconds)
                return views.contact(work.db, cid)
            return talking.set_timer(desk, work, cid, seconds)

        return await self._of(contact, job)

    async def block_contact(self, contact: str, blocked: bool = True) -> Contact:
        """Stop reading what they send."""
        return await self._with(
            contact, lambda desk, work, cid: talking.block(desk, work, cid, blocked)
        )

    async def allow_direct(self, contact: str, allowed: bool) -> Contact:
        """Let calls go straight, or by relays alone."""
        return await self._of(
            contact, lambda desk, work, cid: talking.allow_direct(desk, work, cid, allowed)
        )

    async def delete_contact(self, contact: str) -> None:
        """Delete the conversation, its keys and its logs."""

        def job(desk: Desk, work: Work, cid: str) -> None:
            is_group = views.contact(work.db, cid).kind == "group"
            (groups.delete if is_group else renewing.delete_contact)(desk, work, cid)

        await self._of(contact, job)

    # Messages.

    async def messages(self, contact: str, before: int | None = None, limit: int = 50) -> Page:
        """A conversation backwards."""
        return await self._of(
            contact, lambda desk, work, cid: talking.page(work, cid, before, limit)
        )

    async def messages_around(self, contact: str, id: str, limit: int = 50) -> Page:
        """The neighbourhood of one message."""
        return await self._of(
            contact, lambda desk, work, cid: talking.page_around(work, cid, id, limit)
        )

    async def send(
        self, contact: str, text: str, reply_to: str | None = None, key: str | None = None
    ) -> Message:
        """Write."""
        return await self._of(
            contact, lambda desk, work, cid: talking.send(desk, work, cid, text, reply_to, key)
        )

    async def edit(self, id: str, text: str) -> Message:
        """Change a message of mine."""
        return await self._do(lambda desk, work: talking.edit(desk, work, id, text))

    async def delete(self, id: str, for_both: bool = True) -> Message | None:
        """Take a message back, or remove it here."""
        return await self._do(lambda desk, work: talking.delete(desk, work, id, for_both))

    async def react(self, id: str, emoji: str | None) -> Message:
        """Set or remove my reaction."""
        return await self._do(lambda desk, work: talking.react(desk, work, id, emoji))

    async def mark_read(self, contact: str, upto: str) -> Contact:
        """Everything up to this message has been seen."""
        return await self._of(
            contact, lambda desk, work, cid: talking.mark_read(desk, work, cid, upto)
        )

    async def set_typing(self, contact: str, typing: bool) -> None:
        """Tell them."""
        await self._of(contact, lambda desk, work, cid: talking.typing(desk, work, cid, typing))

    async def search(self, words: str, contact: str | None = None, limit: int = 50) -> list[Hit]:
        """Newest first."""

        def job(desk: Desk, work: Work) -> list[Hit]:
            cid = None if contact is None else views.resolve(work.db, contact)
            return talking.search(work, words, cid, limit)

        return await self._do(job)

    async def export(self, contact: str) -> list[Message]:
        """A whole conversation."""
        return await self._of(
            contact,
            lambda desk, work, cid: views.messages(work.db, "WHERE contact = ? ORDER BY id", cid),
        )

    async def export_page(self, contact: str, language: Literal["en", "ru"] = "en") -> str:
        """A whole conversation as a web page."""

        def job(desk: Desk, work: Work, cid: str) -> str:
            found = views.messages(work.db, "WHERE contact = ? ORDER BY id", cid)
            return page(views.contact(work.db, cid), found, language, work.now)

        return await self._of(contact, job)

    # Telling an observatory.

    async def reporting(self) -> Reporting:
        """What was chosen, and what waits."""
        return self._reporting(await self._ready())

    async def observatory(self, url: str) -> Reporting:
        """What it knows."""
        try:
            lists = await (await self._ready()).look(url)
        except CannotReport as error:
            raise ApiError("not-allowed", str(error)) from None
        return Reporting(url=url.rstrip("/"), **_places(lists))

    async def set_reporting(
        self,
        url: str,
        region: str = "",
        operator: str = "",
        automatic: bool = False,
        services: list[str] | None = None,
    ) -> Reporting:
        """Choose one, or none."""
        reporter = await self._ready()
        try:
            await reporter.choose(url, region, operator, automatic, services or [])
        except CannotReport as error:
            raise ApiError("not-allowed", str(error)) from None
        return self._reporting(reporter)

    async def complain(self, functions: list[str]) -> Reporting:
        """Tell what does not work."""
        reporter = await self._ready()
        try:
            counted = await reporter.complain(functions)
        except CannotReport as error:
            raise ApiError("not-allowed", str(error)) from None
        return msgspec.structs.replace(self._reporting(reporter), counted=counted)

    async def measure_now(self) -> Reporting:
        """Measure, and tell it."""
        reporter = await self._ready()
        try:
            counted = await reporter.measure()
        except CannotReport as error:
            raise ApiError("not-allowed", str(error)) from None
        return msgspec.structs.replace(self._reporting(reporter), counted=counted)

    async def _ready(self) -> Reporter:
        await self._do(lambda desk, work: None)
        assert self._reporter is not None
        return self._reporter

    def _reporting(self, reporter: Reporter) -> Reporting:
        chosen = reporter.chosen
        return Reporting(
            url=chosen.url,
            region=chosen.region,
            operator=chosen.operator,
            automatic=chosen.automatic,
            measured=chosen.services,
            tokens=len(chosen.spare),
            keys=chosen.keys,
            waiting=len(chosen.waiting),
            trouble=chosen.trouble,
            **(_places(chosen.lists) if chosen.lists else {}),
        )

    # Files.

    async def send_file(
        self,
        contact: str,
        upload: str,
        name: str,
        kind: FileKind = "file",
        type: str = "",
        thumb: str = "",
        width: int = 0,
        height: int = 0,
        duration: int = 0,
        wave: list[int] | None = None,
        reply_to: str | None = None,
        key: str | None = None,
    ) -> Message:
        """Send what was uploaded."""
        small = files.thumb_bytes(thumb)
        offer = files.Offer(name, kind, type, small, width, height, duration, bytes(wave or ()))

        def job(desk: Desk, work: Work, cid: str) -> Message:
            return files.send(desk, work, cid, upload, offer, reply_to, key)

        return await self._of(contact, job)

    async def discard_upload(self, upload: str) -> None:
        """Delete an upload."""
        await self._do(lambda desk, work: files.discard(work, upload))

    async def fetch_file(self, id: str) -> Message:
        """Get a file that was offered."""
        return await self._do(lambda desk, work: files.fetch(desk, work, id))

    async def cancel_file(self, id: str) -> Message:
        """Take mine back, or stop getting theirs."""

        def job(desk: Desk, work: Work) -> Message:
            if views.message(work.db, messages.number(id)).mine:
                taken = talking.delete(desk, work, id, True)
                assert taken is not None
                return taken
            return files.cancel(desk, work, id)

        return await self._do(job)

    # Calls.

    def _calls(self) -> Calls:
        if self._engine is None:
            raise ApiError("phase", "choose a name first" if self._is_new else "unlock it first")
        return self._engine.calls

    async def calls(self) -> list[Call]:
        """The call that is going on."""
        return self._calls().current()

    async def start_call(self, contact: str) -> Call:
        """Ring them."""
        id = await self._with(contact, lambda desk, work, cid: cid)
        return await self._calls().start(id, self._do)

    async def accept_call(self, id: str) -> Call:
        """Answer."""
        return self._calls().accept(id)

    async def decline_call(self, id: str) -> Call:
        """Do not answer."""
        return self._calls().decline(id)

    async def hang_up(self, id: str) -> Call:
        """End it."""
        return self._calls().hang_up(id)

    async def call_story(self, message: str) -> CallStory:
        """How a call went."""
        return await self._do(lambda desk, work: call_story(work, message))

    async def mute_call(self, id: str, muted: bool) -> Call:
        """Send silence, or sound again."""
        return self._calls().mute(id, muted)

    # Verification.

    async def start_verification(self, contact: str) -> Verification:
        """Ask to compare emoji, or join."""
        return await self._with(contact, comparing.start)

    async def verification(self, contact: str) -> Verification | None:
        """The comparison in progress."""

        def job(desk: Desk, work: Work, cid: str) -> Verification | None:
            machine = desk.verifications.get(cid)
            return None if machine is None else comparing.view(cid, machine)

        return await self._of(contact, job)

    async def confirm_verification(self, contact: str, match: bool) -> Verification:
        """Say whether the seven emoji were the same."""
        return await self._with(
            contact, lambda desk, work, cid: comparing.confirm(desk, work, cid, match)
        )


def _places(lists: Lists) -> dict[str, Any]:
    """An observatory's lists as `Reporting` has them."""
    return {
        "regions": [ReportPlace(code=one.code, en=one.en, ru=one.ru) for one in lists.regions],
        "operators": [
            ReportPlace(code=one.code, en=one.name, ru=one.name) for one in lists.operators
        ],
        "services": list(lists.services),
        "looks": [ServicePage(name=name, url=url) for name, url in lists.looks.items()],
    }
