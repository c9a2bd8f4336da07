"""The node's database: one encrypted SQLite file, its tables and how they changed.

Times are milliseconds, byte strings are blobs. Secrets with state (identity, ratchets,
invitations) are wrapped once more inside, see `core.seal.rest.Rows`, with a counter
that rises at every write. Source: spec/seal.md, "At rest"; SQLite3MC (cipher chacha20
with a raw key).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import apsw

STATEMENTS: Final = 1_000
"""Kept prepared: all that a node asks. With fewer, each minute's work pushes out a message's."""
SCHEMA: Final = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE relay (
        address TEXT PRIMARY KEY, mine INTEGER NOT NULL, added INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE contact (
        id TEXT PRIMARY KEY,
        root BLOB NOT NULL,
        name TEXT NOT NULL DEFAULT '',      -- given here, empty for theirs
        own_name TEXT NOT NULL,
        state TEXT NOT NULL,
        verified BLOB,                      -- the root key that was compared
        echo INTEGER NOT NULL DEFAULT 0,
        added INTEGER NOT NULL,
        active INTEGER NOT NULL,            -- last thing that happened, for the order
        timer INTEGER NOT NULL DEFAULT 0,
        inbox BLOB NOT NULL,                -- what I read: secrets and homes
        outbox BLOB NOT NULL,               -- what I append to
        session BLOB NOT NULL,
        counter INTEGER NOT NULL,
        accept BLOB                         -- the answer to their link, until a relay has it
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX contact_root ON contact(root);
    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        cursor INTEGER NOT NULL,
        mine INTEGER NOT NULL,
        mid BLOB NOT NULL,
        kind TEXT NOT NULL,
        note TEXT NOT NULL DEFAULT '',
        text TEXT NOT NULL DEFAULT '',
        at INTEGER NOT NULL,
        received INTEGER NOT NULL,
        until INTEGER NOT NULL DEFAULT 0,
        count INTEGER NOT NULL DEFAULT 0,
        edited INTEGER NOT NULL DEFAULT 0,
        deleted INTEGER NOT NULL DEFAULT 0,
        reply_mid BLOB,
        reply_mine INTEGER,
        state TEXT NOT NULL,
        seen INTEGER NOT NULL DEFAULT 0,    -- read here (theirs)
        read_at INTEGER NOT NULL DEFAULT 0,
        timer INTEGER NOT NULL DEFAULT 0,
        expires INTEGER NOT NULL DEFAULT 0,
        seq INTEGER,                        -- of the record that carries it, if mine
        client_key TEXT
    );
    CREATE INDEX message_contact ON message(contact, id);
    CREATE UNIQUE INDEX message_mid ON message(contact, mine, mid);
    CREATE INDEX message_cursor ON message(cursor);
    CREATE INDEX message_expires ON message(expires) WHERE expires > 0;
    CREATE INDEX message_unseen ON message(contact) WHERE seen = 0 AND mine = 0;
    CREATE INDEX message_waiting ON message(contact, seq) WHERE state IN ('waiting', 'sent');
    CREATE INDEX message_unsent ON message(contact) WHERE state = 'waiting';
    CREATE INDEX message_gap ON message(contact, at) WHERE note = 'gap';
    CREATE UNIQUE INDEX message_key ON message(contact, client_key) WHERE client_key IS NOT NULL;
    CREATE TABLE reaction (
        message INTEGER NOT NULL REFERENCES message(id) ON DELETE CASCADE,
        mine INTEGER NOT NULL, emoji TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (message, mine)
    ) WITHOUT ROWID;
    -- Sealed records until the peer has acknowledged them, and the homes that lack them.
    CREATE TABLE outgoing (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        seq INTEGER NOT NULL, rid BLOB NOT NULL, blob BLOB NOT NULL,
        PRIMARY KEY (contact, seq)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX outgoing_rid ON outgoing(rid);
    CREATE TABLE unsent (
        rid BLOB NOT NULL, home TEXT NOT NULL, contact TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (rid, home)
    ) WITHOUT ROWID;
    CREATE INDEX unsent_contact ON unsent(contact, seq);
    -- How far each log was read at each home.
    CREATE TABLE position (
        locator BLOB NOT NULL, home TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (locator, home)
    ) WITHOUT ROWID;
    -- Logs that a home does not have yet, or still has.
    CREATE TABLE wanted (
        locator BLOB NOT NULL, home TEXT NOT NULL, caps BLOB NOT NULL, most INTEGER NOT NULL,
        PRIMARY KEY (locator, home)
    ) WITHOUT ROWID;
    CREATE TABLE unwanted (
        locator BLOB NOT NULL, home TEXT NOT NULL, caps BLOB NOT NULL, since INTEGER NOT NULL,
        PRIMARY KEY (locator, home)
    ) WITHOUT ROWID;
    CREATE TABLE invitation (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        secret BLOB NOT NULL,
        counter INTEGER NOT NULL,
        bundle BLOB NOT NULL,               -- locators, to know whose record came
        accept BLOB NOT NULL,
        label TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        used_by TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    CREATE VIRTUAL TABLE found USING fts5(
        text, content='message', content_rowid='id',
        tokenize="unicode61 remove_diacritics 2", prefix='2 3'
    );
    INSERT INTO found(found, rank) VALUES('secure-delete', 1);
    CREATE TRIGGER found_new AFTER INSERT ON message WHEN new.kind = 'text' BEGIN
        INSERT INTO found(rowid, text) VALUES (new.id, new.text);
    END;
    CREATE TRIGGER found_gone AFTER DELETE ON message WHEN old.kind = 'text' BEGIN
        INSERT INTO found(found, rowid, text) VALUES ('delete', old.id, old.text);
    END;
    CREATE TRIGGER found_changed AFTER UPDATE OF text ON message WHEN old.kind = 'text' BEGIN
        INSERT INTO found(found, rowid, text) VALUES ('delete', old.id, old.text);
        INSERT INTO found(rowid, text) VALUES (new.id, new.text);
    END;
    """,
    """
    -- A file that a message carries, or an upload that is in no message yet. Its chunks are
    -- in the folder `files` under its id.
    CREATE TABLE file (
        id TEXT PRIMARY KEY,
        message INTEGER UNIQUE REFERENCES message(id) ON DELETE SET NULL,
        contact TEXT,
        mine INTEGER NOT NULL,
        kind TEXT NOT NULL DEFAULT 'file',
        name TEXT NOT NULL DEFAULT '',
        media TEXT NOT NULL DEFAULT '',
        size INTEGER NOT NULL,
        chunk INTEGER NOT NULL,
        secret BLOB NOT NULL,
        root BLOB NOT NULL,
        homes TEXT NOT NULL DEFAULT '',     -- addresses, by spaces
        thumb BLOB NOT NULL DEFAULT x'',
        width INTEGER NOT NULL DEFAULT 0,
        height INTEGER NOT NULL DEFAULT 0,
        duration INTEGER NOT NULL DEFAULT 0,
        wave BLOB NOT NULL DEFAULT x'',
        state TEXT NOT NULL,
        done INTEGER NOT NULL DEFAULT 0,    -- chunks
        have BLOB NOT NULL DEFAULT x'',     -- a bit for each chunk that came
        added INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX file_state ON file(state);
    -- How many chunks of a file of mine a home has for certain.
    CREATE TABLE file_home (
        file TEXT NOT NULL REFERENCES file(id) ON DELETE CASCADE,
        home TEXT NOT NULL, upto INTEGER NOT NULL,
        PRIMARY KEY (file, home)
    ) WITHOUT ROWID;
    -- Calls that were offered to us or by us, so that none rings twice.
    CREATE TABLE call (
        id BLOB PRIMARY KEY,
        contact TEXT NOT NULL,
        mine INTEGER NOT NULL,
        at INTEGER NOT NULL,
        secret BLOB NOT NULL DEFAULT x'',   -- of my call's logs, while they are there
        homes TEXT NOT NULL DEFAULT '',
        talked INTEGER NOT NULL DEFAULT 0,
        outcome TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    """,
    """
    -- The contact that told of a relay, empty for the person; whether it is never to be used for
    -- logs of this node's; when it was reached last.
    ALTER TABLE relay ADD COLUMN origin TEXT NOT NULL DEFAULT '';
    ALTER TABLE relay ADD COLUMN off INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE relay ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
    -- The homes of my inbox that a contact was told of, by spaces; empty: those of the invitation.
    ALTER TABLE contact ADD COLUMN said TEXT NOT NULL DEFAULT '';
    -- The relays that it was told of besides, by spaces, and when last.
    ALTER TABLE contact ADD COLUMN told TEXT NOT NULL DEFAULT '';
    ALTER TABLE contact ADD COLUMN told_at INTEGER NOT NULL DEFAULT 0;
    -- How often it has moved its own inbox since when.
    ALTER TABLE contact ADD COLUMN moves INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contact ADD COLUMN moves_since INTEGER NOT NULL DEFAULT 0;
    -- Homes that an inbox has left, until its contact has acknowledged record `seq`, which said so.
    CREATE TABLE leaving (
        locator BLOB NOT NULL, home TEXT NOT NULL,
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        caps BLOB NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (locator, home)
    ) WITHOUT ROWID;
    """,
    """
    -- How a call went, as JSON.
    ALTER TABLE call ADD COLUMN story TEXT NOT NULL DEFAULT '';
    """,
    """
    -- A conversation is with a person or a group. A group's `root` is its name, its states are
    -- group, left and removed; who is in it stands in its entries.
    ALTER TABLE contact ADD COLUMN kind TEXT NOT NULL DEFAULT 'person';
    ALTER TABLE contact ADD COLUMN members INTEGER NOT NULL DEFAULT 0;
    -- The group through which somebody is known.
    ALTER TABLE contact ADD COLUMN via TEXT NOT NULL DEFAULT '';
    -- Who wrote it: a root, empty for the contact and for me.
    ALTER TABLE message ADD COLUMN author BLOB NOT NULL DEFAULT x'';
    ALTER TABLE message ADD COLUMN reply_author BLOB NOT NULL DEFAULT x'';
    -- Written by somebody who did not know yet that a member had been removed.
    ALTER TABLE message ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;
    DROP INDEX message_mid;
    CREATE UNIQUE INDEX message_mid ON message(contact, mine, author, mid);
    CREATE TABLE reaction_of (
        message INTEGER NOT NULL REFERENCES message(id) ON DELETE CASCADE,
        mine INTEGER NOT NULL, author BLOB NOT NULL, emoji TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (message, mine, author)
    ) WITHOUT ROWID;
    INSERT INTO reaction_of SELECT message, mine, x'', emoji, at FROM reaction;
    DROP TABLE reaction;
    ALTER TABLE reaction_of RENAME TO reaction;
    -- The log that a record of mine is for, if it is not the contact's inbox.
    ALTER TABLE outgoing ADD COLUMN caps BLOB;
    CREATE TABLE groups (
        contact TEXT PRIMARY KEY REFERENCES contact(id) ON DELETE CASCADE,
        secret BLOB NOT NULL, counter INTEGER NOT NULL,
        sent INTEGER NOT NULL DEFAULT 0,    -- numbers records of mine
        asked INTEGER NOT NULL DEFAULT 0,   -- when entries or keys were asked for
        told INTEGER NOT NULL DEFAULT 0     -- when somebody who was behind was last told
    ) WITHOUT ROWID;
    CREATE TABLE group_entry (
        place INTEGER PRIMARY KEY,
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        hash BLOB NOT NULL, body BLOB NOT NULL
    );
    CREATE UNIQUE INDEX group_entry_hash ON group_entry(contact, hash);
    -- Entries that cannot be taken yet, of groups that are not here or whose earlier ones are not.
    CREATE TABLE group_stray (
        groupid BLOB NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (groupid, hash)
    ) WITHOUT ROWID;
    CREATE TABLE group_log (
        locator BLOB PRIMARY KEY,
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        log BLOB NOT NULL,                  -- secrets and homes
        until INTEGER NOT NULL DEFAULT 0    -- when it is left, 0 for the present one
    ) WITHOUT ROWID;
    -- Sessions of members' devices. A row stays when its session is over: none begins twice.
    CREATE TABLE group_sender (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        device BLOB NOT NULL, session BLOB NOT NULL, count INTEGER NOT NULL,
        root BLOB NOT NULL, epoch BLOB NOT NULL, state BLOB NOT NULL, counter INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (contact, device, session)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX group_sender_count ON group_sender(contact, device, count);
    CREATE TABLE group_card (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        root BLOB NOT NULL, at INTEGER NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (contact, root)
    ) WITHOUT ROWID;
    -- Records that came before what opens them.
    CREATE TABLE group_waiting (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        rid BLOB NOT NULL, blob BLOB NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (contact, rid)
    ) WITHOUT ROWID;
    -- What I said while there was no key to say it under.
    CREATE TABLE group_queue (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        seq INTEGER NOT NULL, content BLOB NOT NULL,
        PRIMARY KEY (contact, seq)
    ) WITHOUT ROWID;
    """,
    """
    -- Whether calls with this contact may go straight, which shows each the other's address.
    ALTER TABLE contact ADD COLUMN direct INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- The contact that an invitation is for, which goes on with this device after a backup.
    ALTER TABLE invitation ADD COLUMN renews TEXT NOT NULL DEFAULT '';
    """,
    """
    -- Groups that I was given a key of and whose roster is still read from their log.
    CREATE TABLE group_early (
        groupid BLOB PRIMARY KEY, contact TEXT NOT NULL, said BLOB NOT NULL, log BLOB NOT NULL,
        at INTEGER NOT NULL
    ) WITHOUT ROWID;
    -- A link that leads into a group, and whether an admin admits everybody by hand.
    ALTER TABLE invitation ADD COLUMN groupid TEXT NOT NULL DEFAULT '';
    ALTER TABLE invitation ADD COLUMN approve INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE group_request (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        person TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE, at INTEGER NOT NULL,
        PRIMARY KEY (contact, person)
    ) WITHOUT ROWID;
    ALTER TABLE message ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE message ADD COLUMN mention INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE poll (
        message INTEGER PRIMARY KEY REFERENCES message(id) ON DELETE CASCADE,
        options TEXT NOT NULL, many INTEGER NOT NULL
    );
    CREATE TABLE vote (
        message INTEGER NOT NULL REFERENCES message(id) ON DELETE CASCADE,
        mine INTEGER NOT NULL, author BLOB NOT NULL, choices TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (message, mine, author)
    ) WITHOUT ROWID;
    """,
    """
    -- Whether I may do in a group what admins do.
    ALTER TABLE contact ADD COLUMN leads INTEGER NOT NULL DEFAULT 1;
    """,
    """
    -- Messages of a session that later ones came before, since when, and how many were told of.
    ALTER TABLE group_sender ADD COLUMN gap INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE group_sender ADD COLUMN gap_since INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE group_sender ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- What proves who wrote a message of a group, at first and as it was changed last: the session
    -- with what its device signed, and the message of Megolm behind its key.
    ALTER TABLE group_sender ADD COLUMN statement BLOB NOT NULL DEFAULT x'';
    ALTER TABLE group_sender ADD COLUMN signature BLOB NOT NULL DEFAULT x'';
    CREATE TABLE evidence (
        message INTEGER NOT NULL REFERENCES message(id) ON DELETE CASCADE,
        changed INTEGER NOT NULL, device BLOB NOT NULL, session BLOB NOT NULL,
        proof BLOB NOT NULL,
        PRIMARY KEY (message, changed)
    ) WITHOUT ROWID;
    -- Who removed a message for all.
    ALTER TABLE message ADD COLUMN remover BLOB NOT NULL DEFAULT x'';
    -- What members reported to me, who lead the group. Answered ones stay, without their words.
    CREATE TABLE report (
        id TEXT PRIMARY KEY,
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        reporter BLOB NOT NULL, author BLOB NOT NULL, mid BLOB NOT NULL,
        text TEXT NOT NULL, words TEXT NOT NULL, at INTEGER NOT NULL, received INTEGER NOT NULL,
        state TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX report_contact ON report(contact, state);
    """,
    """
    -- Whether somebody came unasked and was not accepted yet.
    ALTER TABLE contact ADD COLUMN request INTEGER NOT NULL DEFAULT 0;
    -- Whose messages in groups are not taken.
    CREATE TABLE blocked (root BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    """,
    """
    -- Where a message stands in its conversation: as it came, or in a group by its author's clock;
    -- and the clocks of what was said last of it.
    ALTER TABLE message ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
    UPDATE message SET place = id;
    CREATE INDEX message_place ON message(contact, place);
    CREATE TRIGGER message_new AFTER INSERT ON message WHEN new.place = 0 BEGIN
        UPDATE message SET place = new.id WHERE id = new.id;
    END;
    ALTER TABLE message ADD COLUMN edit_clock INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE message ADD COLUMN pin_clock INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE reaction ADD COLUMN clock INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE vote ADD COLUMN clock INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE groups ADD COLUMN clock INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE group_queue ADD COLUMN clock INTEGER NOT NULL DEFAULT 0;
    -- What somebody (`by`) said of a message that is not here yet.
    CREATE TABLE ahead (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        author BLOB NOT NULL, mid BLOB NOT NULL, clock INTEGER NOT NULL, by BLOB NOT NULL,
        data BLOB NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (contact, author, mid, clock, by)
    ) WITHOUT ROWID;
    """,
    """
    -- A channel: a conversation of kind `channel`, whose `root` is its name and whose state is
    -- `channel`. What it is, the number signed last and shown last, when its owner was heard.
    CREATE TABLE channel (
        contact TEXT PRIMARY KEY REFERENCES contact(id) ON DELETE CASCADE,
        secret BLOB NOT NULL, counter INTEGER NOT NULL,
        about TEXT NOT NULL DEFAULT '', comments TEXT NOT NULL DEFAULT '',
        sample INTEGER NOT NULL DEFAULT 0,
        head INTEGER NOT NULL DEFAULT 0, shown INTEGER NOT NULL DEFAULT 0,
        heard INTEGER NOT NULL DEFAULT 0, forked INTEGER NOT NULL DEFAULT 0,
        moved TEXT NOT NULL DEFAULT '', moved_key BLOB NOT NULL DEFAULT x'',
        sent INTEGER NOT NULL DEFAULT 0,    -- numbers records of mine
        mark_at INTEGER NOT NULL DEFAULT 0, -- when I say in this week that I read it
        marked INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE channel_post (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        number INTEGER NOT NULL, hash BLOB NOT NULL, prev BLOB NOT NULL, at INTEGER NOT NULL,
        kind TEXT NOT NULL, data BLOB,      -- until it is shown
        done INTEGER NOT NULL,
        mid BLOB, rid BLOB NOT NULL, record BLOB NOT NULL, -- of mine, to append it again
        posted INTEGER NOT NULL,
        PRIMARY KEY (contact, number)
    ) WITHOUT ROWID;
    CREATE INDEX channel_post_waiting ON channel_post(contact, number) WHERE NOT done;
    -- What readers of mine said, each once a week.
    CREATE TABLE channel_mark (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        week INTEGER NOT NULL, nonce BLOB NOT NULL, weight INTEGER NOT NULL,
        PRIMARY KEY (contact, week, nonce)
    ) WITHOUT ROWID;
    """,
    """
    -- A row is also a session: a further device of a contact (kind `device`, which `belongs` to
    -- theirs) or another device of this person (kind `own`). `device` is the one that the session
    -- is with; `through` the own device that leads there while there is none; `listed` a contact's
    -- newest device list.
    ALTER TABLE contact ADD COLUMN belongs TEXT NOT NULL DEFAULT '';
    ALTER TABLE contact ADD COLUMN device BLOB NOT NULL DEFAULT x'';
    ALTER TABLE contact ADD COLUMN through TEXT NOT NULL DEFAULT '';
    ALTER TABLE contact ADD COLUMN listed BLOB NOT NULL DEFAULT x'';
    DROP INDEX contact_root;
    CREATE UNIQUE INDEX contact_root ON contact(root) WHERE kind NOT IN ('device', 'own');
    CREATE UNIQUE INDEX contact_device ON contact(kind, root, device)
        WHERE kind IN ('device', 'own');
    -- What a contact says is passed on to an own device until that hears it by itself.
    CREATE TABLE passing (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        own TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        PRIMARY KEY (contact, own)
    ) WITHOUT ROWID;
    """,
    """
    -- The group from within which I write to somebody who has not answered, and an invitation into
    -- such a conversation; a request of 2 is one of the other side.
    ALTER TABLE contact ADD COLUMN frank TEXT NOT NULL DEFAULT '';
    ALTER TABLE invitation ADD COLUMN within TEXT NOT NULL DEFAULT '';
    ALTER TABLE report ADD COLUMN private INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- A channel of mine from a backup, until what was posted since was read.
    ALTER TABLE channel ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- Who somebody is, which devices are theirs and which are mine is asked with every message.
    CREATE INDEX contact_who ON contact(root, kind);
    CREATE INDEX contact_state ON contact(state, kind);
    CREATE INDEX contact_named ON contact(belongs, added, kind, name, own_name);
    CREATE INDEX contact_accept ON contact(id) WHERE accept IS NOT NULL;
    """,
    """
    -- What appends to the logs of a file of mine and drops them; who is given the file does not get
    -- it. Of files of before it is what everybody has.
    ALTER TABLE file ADD COLUMN writes BLOB NOT NULL DEFAULT x'';
    UPDATE file SET writes = secret WHERE mine;
    """,
    """
    -- Each device of a member has a card of its own; the name alone is of none.
    CREATE TABLE group_card_of (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        root BLOB NOT NULL, at INTEGER NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
        device BLOB NOT NULL DEFAULT x'',
        PRIMARY KEY (contact, root, device)
    ) WITHOUT ROWID;
    INSERT INTO group_card_of (contact, root, at, name, body)
        SELECT contact, root, at, name, body FROM group_card;
    DROP TABLE group_card;
    ALTER TABLE group_card_of RENAME TO group_card;
    """,
    """
    -- What the owner of an open group removed; with an empty `mid` all of a writer's.
    CREATE TABLE channel_removed (
        contact TEXT NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        writer BLOB NOT NULL, mid BLOB NOT NULL,
        PRIMARY KEY (contact, writer, mid)
    ) WITHOUT ROWID;
    """,
    """
    -- Of an open group, whether I have a name in it: `reads` or `writes`.
    ALTER TABLE contact ADD COLUMN open TEXT NOT NULL DEFAULT '';
    """,
)
"""One script a version; a database is brought up from whichever it has."""


class WrongKey(Exception):
    """The key does not open this database, or it is damaged."""


class TooNew(Exception):
    """The database was written by a newer Holdfast."""


def open_database(path: Path, key: bytes, vfs: str | None = None) -> apsw.Connection:
    """Open, or make, and bring up to date. `vfs` is a registered SQLite VFS, for tests.

    Raises `WrongKey`, `TooNew`, `apsw.Error` for the disk's own trouble.
    """
    connection = apsw.Connection(str(path), vfs=vfs, statementcachesize=STATEMENTS)
    try:
        connection.pragma("cipher", "chacha20")
        connection.pragma("key", f"raw:{key.hex()}")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except (apsw.NotADBError, apsw.CorruptError):
        connection.close()
        raise WrongKey(
            f"{path} does not open with its key: one of the two was replaced or damaged"
        ) from None
    for name, value in (
        ("journal_mode", "wal"),
        ("synchronous", "full"),
        ("temp_store", "memory"),
        ("secure_delete", 1),
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("wal_autocheckpoint", 400),
        ("journal_size_limit", 0),
    ):
        connection.pragma(name, value)
    connection.set_busy_timeout(5_000)
    _migrate(connection, path)
    return connection


def _migrate(connection: apsw.Connection, path: Path) -> None:
    version = int(connection.pragma("user_version"))
    if version > len(SCHEMA):
        connection.close()
        raise TooNew(f"{path} was written by a newer Holdfast; update this one")
    for number in range(version, len(SCHEMA)):
        with connection:
            connection.execute(SCHEMA[number])
            connection.pragma("user_version", number + 1)


def close_database(connection: apsw.Connection) -> None:
    """Close, with nothing left in the write-ahead log."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


def row(connection: apsw.Connection, sql: str, *values: Any) -> Any:
    """The first row as a tuple, or None."""
    return connection.execute(sql, values).fetchone()


def rows(connection: apsw.Connection, sql: str, *values: Any) -> list[Any]:
    """All rows as tuples."""
    return connection.execute(sql, values).fetchall()
