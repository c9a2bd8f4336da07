"""How a pair begins: the acceptor's first Olm message, and the inviter's reading of it.

The message carries a share of the first outer key and the hash of the rest of the
answer, so that Olm authenticates all of it. Source: spec/seal.md, "Two people".
"""

from __future__ import annotations

from holdfast.core.seal import Entropy, hpke, keys, trail
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import DeviceList, Party
from holdfast.core.seal.inner import Inner, Malformed, context
from holdfast.core.seal.olm import AccountState, Ciphertext, Session
from holdfast.core.seal.outer import OuterState
from holdfast.core.seal.pairwise import PairState, Pairwise


def initiate(
    me: Party,
    peer: Party,
    peer_list: DeviceList,
    conv_id: bytes,
    account: AccountState,
    one_time: bytes,
    mine: hpke.HpkeKey,
    theirs: bytes,
    binding: bytes,
    entropy: Entropy,
) -> tuple[Pairwise, Ciphertext]:
    """The acceptor's end, and the prekey message (sequence 1) for the accept record.

    `theirs` is the invitation's HPKE key, `binding` a hash of the rest of the record.
    Raises `BadKey`.
    """
    session = Session.outbound(account, peer.curve25519, one_time)
    transcript = _transcript(conv_id, session.id, me, peer, mine.public, theirs, binding)
    outer = OuterState(True, transcript, entropy(32), mine.secret, theirs)
    state = PairState(1, me, peer, peer_list.encode(), conv_id, session.id, outer, sent=1)
    about = context(conv_id, session.id, hpke.key_id(theirs), me, peer)
    inner = Inner(1, 0, me.head, about, share=outer.share, content=binding)
    message = session.encrypt(inner.encode())
    state.said = trail.longer(trail.START, message.body)
    return Pairwise(state, session), message


def respond(
    me: Party,
    peer: Party,
    peer_list: DeviceList,
    conv_id: bytes,
    account: AccountState,
    message: Ciphertext,
    mine: hpke.HpkeKey,
    theirs: bytes,
    binding: bytes,
    now: int,
    entropy: Entropy,
) -> Pairwise:
    """The inviter's end, from the accept record's prekey message. Raises `Unopenable`."""
    session, plain = Session.inbound(account, peer.curve25519, message)
    about = context(conv_id, session.id, hpke.key_id(mine.public), peer, me)
    try:
        inner = Inner.decode(plain)
    except Malformed:
        raise Unopenable from None
    expected = Inner(1, 0, peer.head, about, share=inner.share, content=binding)
    if inner.share is None or inner != expected:
        raise Unopenable
    transcript = _transcript(conv_id, session.id, peer, me, theirs, mine.public, binding)
    outer = OuterState(False, transcript, entropy(32), mine.secret, theirs)
    state = PairState(1, me, peer, peer_list.encode(), conv_id, session.id, outer, received=1)
    state.heard = trail.longer(trail.START, message.body)
    state.owed, state.owed_since, state.urgent = 1, now, True
    pairwise = Pairwise(state, session)
    pairwise.outer.begin(inner.share, now)
    return pairwise


def _transcript(
    conv_id: bytes,
    session_id: bytes,
    initiator: Party,
    responder: Party,
    initiator_key: bytes,
    responder_key: bytes,
    binding: bytes,
) -> bytes:
    return keys.digest(
        "opening/1",
        conv_id,
        session_id,
        initiator.root,
        initiator.device,
        responder.root,
        responder.device,
        hpke.key_id(initiator_key),
        hpke.key_id(responder_key),
        binding,
    )
