/* First contact, envelope and roster change, as a bounded model for Spin (http://spinroot.com).

   Symbolic (Dolev and Yao): cryptography is perfect, the network is the adversary M, who keeps what
   was sent and sends what it likes of what it can make. Bounds: one inviter (A), one acceptor (B) and
   M as a third person with keys of its own, who may also be invited by A; one session each; three
   records from B to A; a group of these three, one removal.

   What stands for what (spec/seal.md):
     a bundle        who (root), the answer log it is for, a hash that the link carries
     an answer       who, for which bundle, who it answers (bound inside Olm by the hash of details)
     a record        sender, recipient, conversation, number, key epoch; sealed for the recipient
     an epoch key    the group's, minted after the removal, given to whom the head names
   Properties: `assert`s below. Compile with -DBROKEN_HASH, -DBROKEN_BINDING, -DBROKEN_CONTEXT or
   -DBROKEN_REMOVAL to leave a defence out: Spin must then find a counterexample.
*/

#define A 1
#define B 2
#define M 3
#define RECORDS 3

/* What the network holds; M sees all of it and may replay any of it to anybody. */
byte bundle_root = 0;          /* root in the bundle that the relay hands out */
byte bundle_sent = 0;          /* the genuine one is there */
byte link_hash = 0;            /* root that the link's hash stands for: out of band, not M's */

byte answer_from = 0, answer_to = 0, answer_bundle = 0;
bool answered = false;

byte a_peer = 0, b_peer = 0;   /* whom each believes to have met */
byte a_conv = 0, b_conv = 0;   /* conversations are named by both inboxes */

byte sent_b = 0;               /* records B has sealed for A in its conversation */
byte took_a = 0;               /* A has taken so many in order */
bool m_sealed = false;         /* M has sealed something for A in a conversation of its own */

byte epoch = 1;                /* of the group: the key in use */
bool knows2_A = false, knows2_B = false, knows2_M = false;
bool removed_M = false;        /* A, the admin, has signed it */
bool b_has_removal = false;

inline conv(x, y, out) { out = x * 4 + y }

proctype Inviter()
{
    bundle_sent = 1;
    atomic {                                     /* B's link comes from A, or from M */
        if :: link_hash = A :: link_hash = M fi;
        bundle_root = link_hash
    }
    answered && answer_to == A;
    atomic {
        /* Root and device of the answer are signed; Olm authenticates that they are whom the
           session is with, and that they answer this bundle. */
#ifdef BROKEN_BINDING
        if :: answer_to == A -> a_peer = answer_from :: else fi;
#else
        if :: answer_to == A && answer_bundle == A -> a_peer = answer_from :: else fi;
#endif
        conv(a_peer, A, a_conv);
        assert(a_peer == 0 || a_peer == B || a_peer == M);
        /* Agreement: whoever A met meant A, and if it is B, B meant to meet A. */
        assert(a_peer != B || b_peer == A);
    }
}

proctype Acceptor()
{
    byte seen;
    bundle_root != 0 && link_hash != 0;
    atomic {
        seen = bundle_root;
#ifdef BROKEN_HASH
        b_peer = seen;
#else
        if :: seen == link_hash -> b_peer = seen :: else fi;
#endif
        assert(b_peer == 0 || b_peer == link_hash);      /* a swapped bundle aborts */
        if
        :: b_peer != 0 ->
            conv(B, b_peer, b_conv);
            if
            :: !answered ->
                answer_from = B; answer_to = b_peer; answer_bundle = b_peer; answered = true
            :: else                              /* somebody was first: the link is used */
            fi
        :: else
        fi
    }
    do
    :: sent_b < RECORDS && b_peer == A -> sent_b++
    :: break
    od
}

/* Records: M delivers any it holds, in any order, as often as it likes, or one of its own. */
proctype Reader()
{
    byte number, from, made_for, i;
    for (i : 1 .. RECORDS + 2) {
        atomic {
            if
            :: sent_b > 0 -> select(number : 1 .. 3); from = B; made_for = b_conv;
                if :: number > sent_b -> number = sent_b :: else fi
            :: number = took_a + 1; from = M; conv(M, A, made_for); m_sealed = true
            :: true -> number = 0
            fi;
            /* Opened only under the session's own key, in its own place, next in order. */
            if
#ifdef BROKEN_CONTEXT
            :: number != 0 && a_peer != 0 && number == took_a + 1 ->
#else
            :: number != 0 && a_peer != 0 && number == took_a + 1 &&
               from == a_peer && made_for == a_conv ->
#endif
                took_a++;
                assert(from == a_peer);              /* never from anybody else */
                assert(from != B || took_a <= sent_b) /* never what was not sent, never twice */
            :: else
            fi
        }
    }
}

proctype Network()
{
    do
    :: atomic { bundle_sent == 1 && link_hash == A -> bundle_root = M }  /* swaps the bundle */
    :: atomic { link_hash == A -> bundle_root = A }
    :: atomic {                                   /* M, who has seen the link, answers first */
        bundle_sent == 1 && !answered ->
        answer_from = M; answer_to = A; answer_bundle = A; answered = true }
    :: atomic {                                   /* passes on an answer of B's to M as if to A */
        b_peer == M && answer_to != A ->
        answer_from = B; answer_to = A; answer_bundle = M; answered = true }
    :: break
    od
}

/* A group of A (admin), B and M; A removes M and mints a new epoch, M withholds from B. */
proctype Admin()
{
    removed_M = true;
#ifdef BROKEN_REMOVAL
    /* The new key is derived from the old one, as after an addition. */
    atomic { epoch = 2; knows2_A = true; knows2_M = true }
#else
    atomic { epoch = 2; knows2_A = true }
#endif
    if
    :: b_has_removal = true; knows2_B = true      /* delivered */
    :: skip                                       /* withheld */
    fi;
    /* A writes: under the newest epoch whose head it holds. */
    assert(!(removed_M && epoch == 2 && knows2_M))
}

proctype Member()
{
    byte under;
    do
    :: atomic {
        if :: b_has_removal -> under = 2 :: else -> under = 1 fi;
        /* Whoever holds the removal never encrypts to the removed. */
        assert(!b_has_removal || under == 2);
        assert(under != 2 || !knows2_M) }
    :: break
    od
}

init
{
    atomic { run Inviter(); run Acceptor(); run Reader(); run Network(); run Admin(); run Member() }
}
