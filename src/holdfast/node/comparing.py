"""Jobs of comparing emoji with a contact."""

from __future__ import annotations

from holdfast.core.chat import content
from holdfast.core.seal.verification import FINAL
from holdfast.core.seal.verification import Verification as Machine
from holdfast.node import effects
from holdfast.node.database import row
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Verification, VerificationChanged


def view(cid: str, machine: Machine) -> Verification:
    """The comparison as the API shows it."""
    return Verification(contact=cid, state=machine.state, emoji=machine.emoji)


def start(desk: Desk, work: Work, cid: str) -> Verification:
    """Ask, or join the other's asking."""
    (state,) = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    if state != "active":
        raise ApiError("not-allowed", "emoji can be compared once both are connected")
    machine = desk.verifications.get(cid)
    if machine is None or machine.state in FINAL:
        machine = _new(desk, work, cid)
    return _answer(desk, work, cid, machine, machine.start(work.now, desk.entropy))


def confirm(desk: Desk, work: Work, cid: str, match: bool) -> Verification:
    """What the person says of the seven emoji."""
    machine = desk.verifications.get(cid)
    if machine is None:
        raise ApiError("not-found", "no comparison is going on with this contact")
    if machine.state != "compare":
        raise ApiError("not-allowed", "there is nothing to confirm now; start the comparison again")
    return _answer(desk, work, cid, machine, machine.confirm(match, work.now))


def step(desk: Desk, work: Work, cid: str, body: bytes) -> None:
    """A step of the other side."""
    machine = desk.verifications.get(cid)
    if machine is None or machine.state in FINAL:
        machine = _new(desk, work, cid)
    _answer(desk, work, cid, machine, machine.handle(body, work.now))


def expire(desk: Desk, work: Work) -> None:
    """Comparisons that nobody goes on with end."""
    for cid, machine in list(desk.verifications.items()):
        before = machine.state
        out = machine.expire(work.now)
        if machine.state != before:
            _answer(desk, work, cid, machine, out)


def _new(desk: Desk, work: Work, cid: str) -> Machine:
    session = desk.session(work, cid)
    machine = desk.verifications[cid] = Machine(session.me, session.peer)
    return machine


def _answer(desk: Desk, work: Work, cid: str, machine: Machine, out: list[bytes]) -> Verification:
    """Send what the machine says, keep what it found out. A failed job ends it: the other
    side's next step is then answered with a cancel."""
    work.undo.append(lambda: desk.forget_verification(cid))
    for body in out:
        desk.say(work, cid, content.Verify(body))
    verified, root = row(work.db, "SELECT verified, root FROM contact WHERE id = ?", cid)
    if machine.state == "done" and machine.verified == root != verified:
        work.db.execute("UPDATE contact SET verified = root WHERE id = ?", (cid,))
        desk.note(work, cid, "verified")
        desk.touch_contact(work, cid)
    elif machine.state == "mismatch" and verified is not None:
        work.db.execute("UPDATE contact SET verified = NULL, direct = 0 WHERE id = ?", (cid,))
        desk.note(work, cid, "unverified")
        desk.touch_contact(work, cid)
    shown = view(cid, machine)
    work.after.append(effects.Tell(VerificationChanged(shown)))
    return shown
