"""Who is in a group: a graph of signed entries, folded the same way in every order.

An entry is taken if its author could make it by what the author had seen (its ancestors).
Of entries that did not know of each other, a removal or demotion makes void what the one
who is struck did meanwhile; of two who strike each other the senior one stays (the owner,
then who was appointed first, then the lower hash). Removal beats an addition that did
not know of it. Sets of entries are integers, one bit an entry. Source: spec/seal.md, "Roster".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from holdfast.core.group.entries import (
    MAX_LISTS,
    Add,
    Appoint,
    BadEntry,
    Body,
    Cut,
    Devices,
    Entry,
    Found,
    Leave,
    Remove,
    Role,
    Set,
    Unban,
)
from holdfast.core.seal import keys
from holdfast.core.seal.identity import DeviceList

MAX_MEMBERS: Final = 4_000
MAX_ENTRIES: Final = 8_000

Rank = tuple[int, int, bytes]


class Unknown(BadEntry):
    """The entry follows entries that are not here."""


@dataclass(frozen=True)
class Member:
    """Somebody in the group, at some set of entries."""

    root: bytes
    role: Role
    name: str
    devices: DeviceList
    since: int
    """By the clock of who added them (ms)."""


@dataclass(frozen=True)
class Void:
    """An entry that does not count, since its author was removed or demoted meanwhile."""

    entry: Entry
    by: Entry


class Roster:
    """All entries of a group that are here. The first one is its founding."""

    def __init__(self, founding: Entry) -> None:
        if not isinstance(founding.body.ops[0], Found):
            raise BadEntry("a group begins with its founding")
        self.id = founding.hash
        self.entries: list[Entry] = []
        self.index: dict[bytes, int] = {}
        self._past: list[int] = []
        """Ancestors of each, itself among them."""
        self._depth: list[int] = []
        self._grants: dict[bytes, list[int]] = {}
        self._powers: dict[bytes, list[int]] = {}
        self._ends: dict[bytes, int] = {}
        self._strikes: dict[bytes, int] = {}
        self._drops: dict[bytes, int] = {}
        """Entries that take a device from the list of its person."""
        self._striking = 0
        self._bans: dict[bytes, int] = {}
        self._unbans: dict[bytes, int] = {}
        self._owners: list[int] = []
        self._settings: dict[str, list[int]] = {}
        self._lists: dict[bytes, list[tuple[int, DeviceList]]] = {}
        self._effective: dict[int, int] = {0: 0}
        self._tips = 0
        self.all = 0
        """The set of all entries."""
        self._put(founding, 0)

    # What is here.

    def __contains__(self, hash: bytes) -> bool:
        return hash in self.index

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def tips(self) -> tuple[bytes, ...]:
        """Entries that nothing follows, in order: what the next one names as its parents."""
        return self.tips_of(self.all)

    @property
    def head(self) -> bytes:
        """The name of what is here now, 32 bytes."""
        return self.head_of(self.all)

    def tips_of(self, known: int) -> tuple[bytes, ...]:
        """The last entries of a set."""
        if known == self.all:
            return tuple(sorted(self.entries[i].hash for i in bits(self._tips)))
        inner = 0
        for i in bits(known):
            inner |= self._past[i] & ~(1 << i)
        return tuple(sorted(self.entries[i].hash for i in bits(known & ~inner)))

    def head_of(self, known: int) -> bytes:
        """The name of a set."""
        return head(self.tips_of(known))

    def past(self, tips: Iterable[bytes]) -> int:
        """The set that ends with these entries. Raises `Unknown`."""
        known = 0
        for hash in tips:
            if hash not in self.index:
                raise Unknown("entries are missing")
            known |= self._past[self.index[hash]]
        return known

    def missing(self, entry: Entry) -> list[bytes]:
        """Parents that are not here."""
        return [hash for hash in entry.body.parents if hash not in self.index]

    # Growing.

    def add(self, entry: Entry) -> bool:
        """Take an entry; False if it is here. Raises `BadEntry`, `Unknown`."""
        if entry.hash in self.index:
            return False
        if entry.body.group != self.id or len(self.entries) >= MAX_ENTRIES:
            raise BadEntry("an entry of another group, or one too many")
        known = self.past(entry.body.parents)
        if len(entry.body.parents) > 1 and self.tips_of(known) != entry.body.parents:
            raise BadEntry("a parent is an ancestor of another")
        View(self, known).require(entry)
        self._put(entry, known)
        return True

    def _put(self, entry: Entry, known: int) -> None:
        number = len(self.entries)
        bit = 1 << number
        self.entries.append(entry)
        self.index[entry.hash] = number
        self._past.append(known | bit)
        self._depth.append(
            1 + max((self._depth[self.index[hash]] for hash in entry.body.parents), default=-1)
        )
        lists = iter(entry.lists)
        for op in entry.body.ops:
            match op:
                case Found():
                    self._grant(entry.body.root, number, next(lists), True)
                case Add():
                    listed = next(lists)
                    self._grant(listed.root, number, listed, op.role == "admin")
                case Devices():
                    after = next(lists)
                    if entry.renewed is None:
                        before = View(self, known).devices(entry.body.root)
                        for device in dropped(before, after):
                            self._drops[device] = self._drops.get(device, 0) | bit
                            self._striking |= bit
                    self._lists.setdefault(entry.body.root, []).append((number, after))
                case Remove():
                    self._ends[op.root] = self._ends.get(op.root, 0) | bit
                    if op.ban:
                        self._bans[op.root] = self._bans.get(op.root, 0) | bit
                case Leave():
                    root = entry.body.root
                    self._ends[root] = self._ends.get(root, 0) | bit
                case Unban():
                    self._unbans[op.root] = self._unbans.get(op.root, 0) | bit
                case Set():
                    self._settings.setdefault(op.key, []).append(number)
                case Appoint() if op.role != "member":
                    self._powers.setdefault(op.root, []).append(number)
                    if op.role == "owner":
                        self._owners.append(number)
        for root in entry.strikes:
            self._strikes[root] = self._strikes.get(root, 0) | bit
            self._striking |= bit
        # Nothing in an entry's own past is unknown to it: it adds itself and changes nothing.
        self._effective[known | bit] = self.effective(known) | bit
        self.all |= bit
        self._tips = (self._tips & ~known) | bit

    def _grant(self, root: bytes, number: int, listed: DeviceList, power: bool) -> None:
        self._grants.setdefault(root, []).append(number)
        self._lists.setdefault(root, []).append((number, listed))
        if power:
            self._powers.setdefault(root, []).append(number)

    # Folding.

    def effective(self, known: int) -> int:
        """Those of a set that count."""
        found = self._effective.get(known)
        if found is None:
            found = self._effective[known] = self._fold(known)
        return found

    def order(self, known: int) -> list[int]:
        """A set's entries, ancestors first, the same everywhere."""
        return sorted(bits(known), key=self.place)

    def place(self, number: int) -> tuple[int, bytes]:
        """Where an entry stands in that order."""
        return self._depth[number], self.entries[number].hash

    def _killers(self, number: int, known: int) -> int:
        """Strikes at an entry's author, or at the device, that neither knew of the other."""
        body = self.entries[number].body
        strikes = self._strikes.get(body.root, 0) | self._drops.get(body.device, 0)
        strikes &= known
        if not strikes:
            return 0
        strikes &= ~self._past[number]
        return sum(1 << i for i in bits(strikes) if not self._past[i] >> number & 1)

    def _fold(self, known: int) -> int:
        order = self.order(known)
        killers = {i: self._killers(i, known) for i in order}
        effective = resolved = 0
        open = order
        while open:
            later = []
            for i in open:
                ready = not self._past[i] & ~(1 << i) & ~resolved
                if ready and not killers[i] & ~resolved:
                    resolved |= 1 << i
                    if not killers[i] & effective and self._may(i, effective):
                        effective |= 1 << i
                else:
                    later.append(i)
            if len(later) == len(open):
                # They strike each other: the most senior one's act counts.
                first = self._senior(open, resolved, effective)
                resolved |= 1 << first
                if self._may(first, effective):
                    effective |= 1 << first
                later.remove(first)
            open = later
        return effective

    def _may(self, number: int, effective: int) -> bool:
        """Whether an entry's author may make it, by what counts of its past."""
        past = self._past[number] & ~(1 << number)
        if not past:
            return True
        try:
            View(self, past, effective & past).require(self.entries[number])
        except BadEntry:
            return False
        return True

    def _senior(self, open: list[int], resolved: int, effective: int) -> int:
        first = [i for i in open if not self._past[i] & ~(1 << i) & ~resolved]
        strikes = [i for i in first if self._striking >> i & 1] or first

        def key(i: int) -> tuple[Rank, bytes]:
            past = self._past[i] & ~(1 << i)
            view = View(self, past, effective & past)
            return view.rank(self.entries[i].body.root), self.entries[i].hash

        return min(strikes, key=key)

    # Looking.

    def had_device(self, root: bytes, device: bytes) -> bool:
        """Whether this has ever been a device of somebody's who was a member."""
        return any(
            one.ed25519 == device
            for _, listed in self._lists.get(root, ())
            for one in listed.devices
        )

    def view(self, tips: Iterable[bytes] | None = None) -> View:
        """How the group is at these entries, or now. Raises `Unknown`."""
        return View(self, self.all if tips is None else self.past(tips))

    def voided(self) -> list[Void]:
        """What does not count, and why."""
        effective = self.effective(self.all)
        found = []
        for i in self.order(self.all & ~effective):
            killers = self._killers(i, self.all) & effective
            by = next(iter(self.order(killers)), None)
            if by is not None:
                found.append(Void(self.entries[i], self.entries[by]))
        return found

    # Epochs: from which entry or set a set's secret follows.

    def source(self, known: int) -> int | None:
        """The set from whose secret that of `known` is derived; `known` itself if its one last
        entry brings a fresh one. None: somebody has to renew the key first."""
        tips = [self.index[hash] for hash in self.tips_of(known)]
        if len(tips) == 1:
            bit = 1 << tips[0]
            return known if self.entries[tips[0]].body.renewal else known & ~bit
        shared = known
        for i in tips:
            shared &= self._past[i]
        renewed = [i for i in bits(known & ~shared) if self.entries[i].body.renewal]
        if not renewed:
            return shared if self._is_safe(shared, known) else None
        effective = self.effective(known)
        removals = sum(1 << i for i in bits(effective) if self.entries[i].removes)
        fit = [
            i
            for i in renewed
            if effective >> i & 1
            and not removals & ~self._past[i]
            and self._is_safe(self._past[i], known)
        ]
        last = [i for i in fit if not any(self._past[j] >> i & 1 for j in fit if j != i)]
        best = min(last, key=lambda i: self.entries[i].hash, default=None)
        return None if best is None else self._past[best]

    def _is_safe(self, before: int, known: int) -> bool:
        """Whether nobody was added by then, and no device, whose addition does not count any
        more."""
        void = self.effective(before) & ~self.effective(known)
        return not any(
            isinstance(op, Add | Devices) for i in bits(void) for op in self.entries[i].body.ops
        )

    def is_stuck(self, known: int) -> bool:
        """Whether nothing can be said before somebody renews the key."""
        return self.renewal(known) is None

    def renewal(self, known: int) -> Entry | None:
        """The entry whose fresh secret a set's secret follows from; None if there is none."""
        while True:
            source = self.source(known)
            if source is None:
                return None
            if source == known:
                (tip,) = self.tips_of(known)
                return self.entries[self.index[tip]]
            known = source


class View:
    """The group at one set of entries. Cheap to make; what is asked for is looked up."""

    def __init__(self, roster: Roster, known: int, effective: int | None = None) -> None:
        self._roster = roster
        self.known = known
        self._set = roster.effective(known) if effective is None else effective

    @property
    def tips(self) -> tuple[bytes, ...]:
        """The last entries."""
        return self._roster.tips_of(self.known)

    @property
    def head(self) -> bytes:
        """Its name."""
        return head(self.tips)

    def _grant(self, root: bytes) -> int | None:
        ends = self._roster._ends.get(root, 0) & self._set
        for i in reversed(self._roster._grants.get(root, ())):
            if self._set >> i & 1 and not ends & ~self._roster._past[i]:
                return i
        return None

    def _power(self, root: bytes) -> int | None:
        """The entry by which somebody is an admin: the first of those that hold."""
        ends = (self._roster._strikes.get(root, 0) | self._roster._ends.get(root, 0)) & self._set
        held = [
            i
            for i in self._roster._powers.get(root, ())
            if self._set >> i & 1 and not ends & ~self._roster._past[i]
        ]
        return min(held, key=self._roster.place, default=None)

    @property
    def owner(self) -> bytes:
        """Whose group it is."""
        passed = [
            (*self._roster.place(i), op.root)
            for i in self._roster._owners
            if self._set >> i & 1
            for op in self._roster.entries[i].body.ops
            if isinstance(op, Appoint) and op.role == "owner"
        ]
        return max(passed)[2] if passed else self._roster.entries[0].body.root

    def holds(self, root: bytes) -> bool:
        """Whether somebody is a member."""
        return self._grant(root) is not None

    def role(self, root: bytes) -> Role | None:
        """Somebody's role, or None."""
        if not self.holds(root):
            return None
        if root == self.owner:
            return "owner"
        return "member" if self._power(root) is None else "admin"

    def rank(self, root: bytes) -> Rank:
        """Lower is more senior."""
        power = self._power(root)
        if power is None:
            return (2, 0, root)
        entry = self._roster.entries[power].hash
        return (0 if root == self.owner else 1, self._roster._depth[power], entry)

    def devices(self, root: bytes) -> DeviceList | None:
        """A member's device list as it is known."""
        grant = self._grant(root)
        if grant is None:
            return None
        lists = [listed for i, listed in self._roster._lists.get(root, ()) if self._set >> i & 1]
        return max(lists, key=lambda listed: (listed.version, listed.head))

    def has_device(self, root: bytes, device: bytes) -> bool:
        """Whether a member has this device."""
        listed = self.devices(root)
        return listed is not None and any(one.ed25519 == device for one in listed.devices)

    def is_banned(self, root: bytes) -> bool:
        """Whether nobody may add them."""
        bans = self._roster._bans.get(root, 0) & self._set
        for i in bits(self._roster._unbans.get(root, 0) & self._set if bans else 0):
            bans &= ~self._roster._past[i]
        return bool(bans)

    @property
    def banned(self) -> list[bytes]:
        """Whom nobody may add."""
        return [root for root in self._roster._bans if self.is_banned(root)]

    def member(self, root: bytes) -> Member | None:
        """One of them."""
        grant, role, devices = self._grant(root), self.role(root), self.devices(root)
        if grant is None or role is None or devices is None:
            return None
        entry = self._roster.entries[grant]
        lists = iter(entry.lists)
        for op in entry.body.ops:
            if isinstance(op, Found | Add) and next(lists).root == root:
                return Member(root, role, op.name, devices, entry.body.at)
        return None

    def members(self) -> list[Member]:
        """All of them, as they came in."""
        found = [self.member(root) for root in self._roster._grants]
        return [one for one in found if one is not None]

    def roots(self) -> list[bytes]:
        """The members' roots, as they came in."""
        return [root for root in self._roster._grants if self.holds(root)]

    def setting(self, key: str) -> str:
        """A setting, empty if it was never set."""
        held = [i for i in self._roster._settings.get(key, ()) if self._set >> i & 1]
        if held:
            ops = self._roster.entries[max(held, key=self._roster.place)].body.ops
            return next(op.value for op in reversed(ops) if isinstance(op, Set) and op.key == key)
        founding = self._roster.entries[0].body.ops[0]
        return founding.title if key == "title" and isinstance(founding, Found) else ""

    def number(self, key: str) -> int:
        """A setting that is a number."""
        value = self.setting(key)
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0

    def cuts(self, root: bytes) -> tuple[Cut, ...] | None:
        """Up to where somebody who was removed was heard; None if they were not removed."""
        ends = self._roster._strikes.get(root, 0) & self._roster._ends.get(root, 0) & self._set
        if self.holds(root) or not ends:
            return None
        return tuple(
            cut
            for i in bits(ends)
            for op in self._roster.entries[i].body.ops
            if isinstance(op, Remove) and op.root == root
            for cut in op.cuts
        )

    def require(self, entry: Entry) -> None:
        """Raises `BadEntry` if the entry's author may not make it here."""
        body = entry.body
        role, listed = self.role(body.root), self.devices(body.root)
        if role is None or listed is None:
            raise BadEntry("its author is no member")
        renewed = entry.renewed
        if renewed is not None:
            self._require_renewed(listed, renewed, body.device)
        elif listed.head != body.head or not self.has_device(body.root, body.device):
            raise BadEntry("not one of its author's devices")
        lists = iter(entry.lists)
        leads, drops = role != "member", False
        for op in body.ops:
            match op:
                case Leave():
                    fine = role != "owner" or len(self.roots()) == 1
                case Devices():
                    after = next(lists)
                    drops = renewed is None and bool(dropped(listed, after))
                    follows = renewed is not None or is_later(listed, after)
                    fine = follows and len(self._roster._lists[body.root]) < MAX_LISTS
                    fine = fine and (body.renewal is not None or not drops)
                case Add():
                    fine = self._may_add(next(lists).root, op, leads)
                case Remove():
                    fine = leads and op.root not in (self.owner, body.root) and self.holds(op.root)
                case Appoint():
                    fine = self._may_appoint(op, role)
                case Unban() | Set():
                    fine = leads
                case Found():
                    fine = False
            if not fine:
                raise BadEntry("its author may not do that")
        may_renew = leads or drops or self._roster.is_stuck(self.known)
        if body.renewal is not None and not may_renew:
            raise BadEntry("only admins renew the key")

    def _require_renewed(self, listed: DeviceList, renewed: DeviceList, device: bytes) -> None:
        """The root key alone says who goes on, with a list later than any that is known."""
        if not is_later(listed, renewed):
            raise BadEntry("not a later device list of its author's")
        if not any(one.ed25519 == device for one in renewed.devices):
            raise BadEntry("not one of its author's devices")

    def _may_add(self, root: bytes, op: Add, leads: bool) -> bool:
        if not leads and (self.setting("adding") != "members" or op.role != "member"):
            return False
        if len(self._roster._grants) >= MAX_MEMBERS and len(self.roots()) >= MAX_MEMBERS:
            return False
        return not self.holds(root) and not self.is_banned(root)

    def _may_appoint(self, op: Appoint, role: Role) -> bool:
        if op.role == "owner":
            return role == "owner" and self.holds(op.root) and op.root != self.owner
        return role != "member" and self.holds(op.root) and op.root != self.owner


def is_later(listed: DeviceList, after: DeviceList) -> bool:
    """Whether a list may take the place of one of the same person's in a group, where some between
    them may never have been said."""
    same = (after.root, after.recovery) == (listed.root, listed.recovery)
    return same and after.version > listed.version


def dropped(before: DeviceList | None, after: DeviceList) -> list[bytes]:
    """The devices that a list lacks."""
    left = {one.ed25519 for one in after.devices}
    return [one.ed25519 for one in before.devices if one.ed25519 not in left] if before else []


def bits(known: int) -> Iterator[int]:
    """The numbers of a set's entries, rising."""
    while known:
        low = known & -known
        yield low.bit_length() - 1
        known ^= low


def head(tips: Iterable[bytes]) -> bytes:
    """The name of the set that ends with these entries."""
    tips = tuple(tips)
    return tips[0] if len(tips) == 1 else keys.digest("group-head/1", *tips)


def first_body(
    founder: DeviceList, device: bytes, title: str, name: str, nonce: bytes, at: int
) -> Body:
    """What founds a group, but for its renewal."""
    found = Found(title, name, founder.encode(), nonce)
    return Body(1, b"", (), founder.root, device, founder.head, at, (found,))
