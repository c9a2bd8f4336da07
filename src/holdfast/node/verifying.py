"""Jobs of comparing emoji with a contact."""

from __future__ import annotations

from holdfast.core.chat import content
from holdfast.core.seal.verification import FINAL, Verification
from holdfast.node import effects
from holdfast.node.database import row
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Verification as View
from holdfast.node.schema import VerificationChanged


def start(desk: Desk, work: Work, cid: str) -> View:
    """Ask the contact to compare, or join their asking."""
    (state,) = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    if state != "active":
        raise ApiError(
            "not-allowed", "wait until they have answered your first message"
        )
    machine = _current(desk, work, cid)
    _say(desk, work, cid, machine.start(work.now, desk.entropy))
    return _tell(desk, work, cid, machine)


def step(desk: Desk, work: Work, cid: str, body: bytes) -> None:
    """The contact's node took a step."""
    machine = _current(desk, work, cid)
    _say(desk, work, cid, machine.handle(body, work.now))
    _settle(desk, work, cid, machine)
    _tell(desk, work, cid, machine)


def confirm(desk: Desk, work: Work, cid: str, match: bool) -> View:
    """The person said whether the emoji were the same."""
    machine = desk.verifications.get(cid)
    if machine is None or machine.state != "compare":
        raise ApiError("not-allowed", "there is nothing to compare now; start again")
    _say(desk, work, cid, machine.confirm(match, work.now))
    _settle(desk, work, cid, machine)
    return _tell(desk, work, cid, machine)


def view(desk: Desk, cid: str) -> View | None:
    """The comparison in progress, or the last one since the start of the program."""
    machine = desk.verifications.get(cid)
    return None if machine is None else _view(cid, machine)


def _current(desk: Desk, work: Work, cid: str) -> Verification:
    machine = desk.verifications.get(cid)
    if (
        machine is not None
        and machine.state not in FINAL
        and not machine.expire(work.now)
    ):
        return machine
    session = desk.session(work, cid)
    machine = desk.verifications[cid] = Verification(session.me, session.peer)
    work.undo.append(lambda: desk.forget_verification(cid))
    return machine


def _say(desk: Desk, work: Work, cid: str, steps: list[bytes]) -> None:
    for body in steps:
        desk.say(work, cid, content.Verify(body))


def _settle(desk: Desk, work: Work, cid: str, machine: Verification) -> None:
    """The mark follows the key that was compared, not the name."""
    (verified,) = row(work.db, "SELECT verified FROM contact WHERE id = ?", cid)
    if machine.verified is not None and machine.verified != verified:
        work.db.execute(
            "UPDATE contact SET verified = ? WHERE id = ?", (machine.verified, cid)
        )
        desk.note(work, cid, "verified")
        desk.touch_contact(work, cid)
    elif machine.state == "mismatch" and verified is not None:
        work.db.execute("UPDATE contact SET verified = NULL WHERE id = ?", (cid,))
        desk.note(work, cid, "unverified")
        desk.touch_contact(work, cid)


def _view(cid: str, machine: Verification) -> View:
    return View(contact=cid, state=machine.state, emoji=machine.emoji)


def _tell(desk: Desk, work: Work, cid: str, machine: Verification) -> View:
    found = _view(cid, machine)
    work.after.append(effects.Tell(VerificationChanged(found)))
    return found
