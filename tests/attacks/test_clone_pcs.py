"""clone-pcs: a device's state is copied, and the copy goes on reading and writing for ever.

Elsewhere: Cremers, Fairoze, Kiesl and Naska 2020; Cremers, Jacomme and Naska 2023. A copy is shut
out by the first exchange that it was no part of; until then it reads, and if it writes, both
ends see that there are two.
"""

from contextlib import suppress

from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.pairwise import CannotSend, Pairwise
from holdfast.testing.pairs import DAY, NOW, deliver, meet, seeded, settle

DRAW = seeded("clone-pcs")


def heard(receiver: Pairwise, sender: Pairwise, content: bytes) -> bool:
    """Whether one takes what the other seals."""
    with suppress(Unopenable, CannotSend):
        blob = sender.seal(content, NOW, DRAW).blob
        return content in [message.content for message in receiver.open(blob, NOW).messages]
    return False


def cloned(exchanges: int) -> tuple[Pairwise, Pairwise, bytes]:
    """Anna, Boris, and Boris's state as it was before so many exchanges."""
    anna, boris = meet("clone-pcs").pair
    settle(anna, boris, NOW + DAY)
    copy = boris.dump(DRAW)
    for number in range(exchanges):
        deliver(anna, boris, b"there %d" % number)
        deliver(boris, anna, b"and back %d" % number)
    return anna, boris, copy


def test_after_an_exchange_the_copy_reads_nothing() -> None:
    anna, boris, copy = cloned(2)
    blob = anna.seal(b"for Boris alone", NOW, DRAW).blob
    thief = Pairwise.load(copy)
    with suppress(Unopenable):
        assert not thief.open(blob, NOW).messages
    assert boris.open(blob, NOW).messages


def test_after_an_exchange_the_copy_says_nothing() -> None:
    anna, _, copy = cloned(2)
    assert not heard(anna, Pairwise.load(copy), b"from the copy")


def test_a_copy_that_speaks_is_noticed() -> None:
    """Before there was an exchange nothing tells the two apart; the next word of the other does."""
    anna, boris, copy = cloned(0)
    assert heard(anna, Pairwise.load(copy), b"from the copy")
    assert not heard(anna, boris, b"from Boris")
    assert not heard(boris, anna, b"who are you?") or anna.frozen or boris.frozen


def test_twin_without_an_exchange_the_copy_reads() -> None:
    anna, _, copy = cloned(0)
    assert heard(Pairwise.load(copy), anna, b"for Boris alone")
