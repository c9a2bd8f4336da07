"""The arguments of every command. `run` names the function that carries it out."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from holdfast import __version__

FLAG: dict[str, Any] = {"action": "store_true"}


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="holdfast",
        description="Private messages that keep working.",
        epilog="Exit codes and examples: docs/cli.md",
    )
    parser.add_argument("--version", action="version", version=f"holdfast {__version__}")
    home = os.environ.get("HOLDFAST_HOME")
    parser.set_defaults(home=Path(home) if home else None, json=False)
    _everywhere(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _programs(commands)
    _own(commands)
    _reporting(commands)
    _invitations(commands)
    _contacts(commands)
    _groups(commands)
    _channels(commands)
    _devices(commands)
    _messages(commands)
    _files(commands)
    _calls(commands)
    return parser


def _everywhere(parser: argparse.ArgumentParser) -> None:
    """Options that may stand before the command and after it."""
    parser.add_argument(
        "--home",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,  # else a command's default would undo what stood before it
        help="the node's folder (or the environment's HOLDFAST_HOME)",
    )
    parser.add_argument("--json", **FLAG, default=argparse.SUPPRESS, help="one JSON object a line")


def _call(commands: Any, name: str, run: str, help: str) -> argparse.ArgumentParser:
    """One command."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.set_defaults(run=run)
    _everywhere(parser)
    return parser


def _programs(commands: Any) -> None:
    relay = _call(commands, "relay", "programs:relay", "run a relay, or take care of one")
    relay.add_argument(
        "what",
        nargs="?",
        choices=["run", "status", "verify", "compact", "backup", "drain", "restart", "invite"],
        default="run",
        help="run it; say how it is; check all that it keeps; give room back; copy it into --to;"
        " stop it; replace its processes one by one; make an address that may make logs",
    )
    relay.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML: every setting that no flag gives"
    )
    relay.add_argument("--data", type=Path, metavar="DIR", help="all that the relay keeps")
    relay.add_argument("--listen", metavar="HOST:PORT")
    relay.add_argument("--to", type=Path, metavar="DIR", help="of backup: a new directory")
    relay.add_argument(
        "--udp",
        action=argparse.BooleanOptionalAction,
        help="HTTP/3 on the UDP port too, which is so unless --decoy is a web server",
    )
    relay.add_argument("--cert", type=Path, metavar="FILE", help="PEM certificate chain")
    relay.add_argument("--key", type=Path, metavar="FILE", help="PEM key of --cert")
    relay.add_argument(
        "--acme",
        metavar="EMAIL",
        help="get a certificate for the name of --advertise from Let's Encrypt, and agree to its"
        " terms; '' gives no address of yours",
    )
    relay.add_argument(
        "--acme-directory", metavar="URL", help="of another authority that speaks ACME"
    )
    relay.add_argument(
        "--decoy",
        metavar="DIR|URL",
        help="what strangers see: a folder of pages, or a web server at http://HOST:PORT,"
        " https://HOST or unix:PATH",
    )
    relay.add_argument(
        "--decoy-h2", metavar="URL", help="where that web server speaks HTTP/2 without TLS"
    )
    relay.add_argument(
        "--decoy-tls",
        metavar="URL",
        help="where it speaks TLS: answers who comes to the port without",
    )
    relay.add_argument(
        "--rate", type=float, metavar="MIB", help="MiB a second that one connection may bring (128)"
    )
    relay.add_argument(
        "--proxy",
        metavar="URL",
        help="take nodes to other relays through socks5h://HOST:PORT or http://HOST:PORT",
    )
    relay.add_argument(
        "--store",
        metavar="URL",
        help="nats://HOST:PORT,HOST:PORT of a cluster that keeps the logs, so that many relays"
        " can be one",
    )
    relay.add_argument(
        "--connections",
        type=float,
        metavar="N",
        help="of nodes at a time, a quarter of them from one address (10,000)",
    )
    relay.add_argument(
        "--admit",
        metavar="HOW",
        help="who may make logs: open (everybody), or some of invitation,tokens,work",
    )
    relay.add_argument(
        "--work", type=float, metavar="BITS", help="of admission by work; 20 is a second or so"
    )
    relay.add_argument(
        "--logs", type=int, metavar="N", help="of invite: how many it may make a month (200)"
    )
    relay.add_argument(
        "--processes",
        metavar="N|auto",
        help="share connections and logs out to so many processes; auto: one for each core (1)",
    )
    relay.add_argument("--advertise", metavar="HOST:PORT", help="where nodes reach it")
    relay.add_argument(
        "--log", metavar="text|json", help="how events are written to standard error"
    )
    node = _call(commands, "node", "programs:node", "run a node: your side of Holdfast")
    node.add_argument("--relay", metavar="ADDRESS", action="append", default=[])
    node.add_argument("--name", help="what others call you; without it, the interface asks")
    node.add_argument(
        "--port", type=int, default=0, help="of the interface on 127.0.0.1 (any free one)"
    )
    node.add_argument("--no-browser", **FLAG, help="do not open the interface in a browser")
    node.add_argument(
        "--proxy",
        metavar="URL",
        help="reach relays through socks5h://HOST:PORT or http://HOST:PORT",
    )
    node.add_argument(
        "--control",
        metavar="KIND=HOST",
        action="append",
        default=[],
        help="a place that nobody blocks (domestic=… or foreign=…), looked at, rarely, when relays"
        " cannot be reached, to tell why",
    )
    node.add_argument(
        "--direct",
        **FLAG,
        help="reach every relay directly: quicker, and each sees this machine's address",
    )
    node.add_argument(
        "--no-near", **FLAG, help="never look for contacts on the local network, whatever is set"
    )
    node.add_argument(
        "--simulator", **FLAG, help="a pretended censor before relays of this machine, to try out"
    )
    node.add_argument("--echo", metavar="LINK", help="invitation of a contact that answers")
    lab = commands.add_parser("lab", help="a network that blocks, on this machine alone")
    labs = lab.add_subparsers(metavar="COMMAND", required=True)
    what = _call(labs, "list", "lab:scenarios", "what can be played")
    what.add_argument("--page", type=Path, metavar="FILE", help="put the table into that page")
    run = _call(labs, "run", "lab:run", "play scenarios with real programs")
    run.add_argument("scenario", nargs="*", metavar="SCENARIO", help="or several at once: A+B")
    run.add_argument("--all", **FLAG, help="every scenario")
    run.add_argument("--random", type=int, default=0, metavar="N", help="so many that are drawn")
    run.add_argument("--megabytes", type=float, default=10, help="of the file (10)")
    run.add_argument("--peer", action="append", metavar="PEER", help="who; see docs/lab.md")
    run.add_argument("--column", action="append", metavar="COLUMN", help="only this; may repeat")
    run.add_argument("--record", type=Path, metavar="FILE", help="keep rows, and go on from them")
    run.add_argument("--readme", type=Path, metavar="FILE", help="put the matrix into that page")
    play = _call(labs, "play", "lab:play", "put any program into a scenario")
    play.add_argument("scenario", metavar="SCENARIO", help="or several at once: A+B")
    play.add_argument("--at-home", default="", metavar="COMMAND", help="what runs there: a shell")
    play.add_argument("--at-server", default="", metavar="COMMAND", help="and at server.test")
    play.add_argument("--after", type=float, default=0, metavar="S", help="seconds until it begins")
    play.add_argument("--lasts", type=float, default=0, metavar="S", help="seconds until it ends")
    play.add_argument("--capture", type=Path, metavar="FILE", help="packets of home.test, as pcap")
    play.add_argument("--box", **FLAG, help="in user space: a SOCKS5 proxy, until Ctrl-C")
    play.add_argument(
        "--place", action="append", default=[], metavar="NAME:PORT=HOST:PORT",
        help="with --box: what can be reached, and where it is",
    )  # fmt: skip
    for one in (run, play):
        one.add_argument("--seed", type=int, default=0, help="for whatever is left to chance")
        one.add_argument("--draw", **FLAG, help="draw parameters from their ranges, by the seed")
        one.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER")
    _watch(commands)
    completion = _call(commands, "completion", "programs:completion", "a script for your shell")
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def _watch(commands: Any) -> None:
    watch = _call(commands, "watch", "watch:run", "run an observatory, or check what one said")
    watch.add_argument("--data", type=Path, metavar="DIR", help="its folder")
    watch.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:0")
    watch.add_argument("--places", type=Path, metavar="FILE", help="regions and operators, JSON")
    watch.add_argument("--name", default="Observatory", help="what it calls itself")
    watch.add_argument("--root", default="", metavar="URL", help="where the public finds it")
    watch.add_argument("--cert", type=Path, metavar="FILE", help="PEM certificate chain")
    watch.add_argument("--key", type=Path, metavar="FILE", help="PEM key of --cert")
    watch.add_argument(
        "--no-wait", **FLAG, help="new installations get tokens at once, not from tomorrow on"
    )
    watch.add_argument(
        "--simulate", type=int, metavar="SEED", help="a made-up country's last month, and on"
    )
    watch.add_argument("--days", type=int, default=31, help="of --simulate, at most 400")
    watch.add_argument("--webhook", action="append", default=[], metavar="URL")
    watch.add_argument(
        "--with", action="append", default=[], dest="others", metavar="URL=KEY",
        help="add up with another observatory, whose key it is",
    )  # fmt: skip
    parts = watch.add_subparsers(metavar="COMMAND")
    verify = _call(parts, "verify", "watch:verify", "check the evidence for an event, offline")
    verify.add_argument("file", type=Path, metavar="FILE")
    again = _call(parts, "replay", "watch:replay", "play the past again and compare the events")
    again.add_argument("--data", type=Path, metavar="DIR", required=True)
    again.add_argument("--simulated", **FLAG, help="there is no journal of it")
    merge = _call(parts, "merge", "watch:merge", "events that several observatories see together")
    merge.add_argument("folder", nargs="+", type=Path, metavar="DIR")
    find = _call(parts, "detect", "watch:detect", "what the detectors find in a CSV file's series")
    find.add_argument("file", type=Path, metavar="FILE")
    find.add_argument(
        "--control", action="append", default=[], type=Path, metavar="FILE",
        help="a series that nobody throttles, for what creeps in over weeks",
    )  # fmt: skip
    find.add_argument("--time", default="", metavar="COLUMN", help="with the times")
    find.add_argument("--value", default="", metavar="COLUMN", help="with the values")
    find.add_argument("--by", default="", metavar="COLUMN", help="a series for each of its values")
    find.add_argument("--zone", default="UTC", help="of times without one, and of the days")
    find.add_argument(
        "--holidays", type=Path, metavar="FILE", help="a day like 2026-01-01 a line: like Sundays"
    )
    find.add_argument(
        "--what", action="append", default=[], choices=("failing", "fall", "leap", "slow"),
        help="only this; else by what the series is",
    )  # fmt: skip
    find.add_argument("--ok", **FLAG, help="of yes-or-no values, 1 says that it worked")
    archive = _call(parts, "archive", "watch:archive", "reports and rollups as ClickHouse tables")
    archive.add_argument("--data", type=Path, metavar="DIR", required=True)
    archive.add_argument("--follow", **FLAG, help="go on, once a minute")
    ask = _call(parts, "ask", "watch:ask", "ask the archive in SQL")
    ask.add_argument("--data", type=Path, metavar="DIR", required=True)
    ask.add_argument("sql", metavar="SQL")
    made = _call(parts, "statements", "watch:statements", "print what makes the archive's tables")
    for one in (archive, ask, made):
        one.add_argument("--cluster", default="", metavar="NAME", help="as its configuration says")
    for one in (archive, ask):
        one.add_argument("--into", default="", metavar="URL", help="a server, not this process")
    editor = _call(parts, "editor", "watch:editor", "make an editor's key, or show it")
    editor.add_argument("file", type=Path, metavar="FILE")
    events = _call(parts, "events", "watch:events", "what an observatory says, or suspects")
    events.add_argument("url", metavar="URL", help="the observatory's address")
    events.add_argument("--editor", type=Path, metavar="FILE", help="the key: suspected ones, too")
    edit = _call(parts, "edit", "watch:edit", "confirm, annotate or reject an event")
    edit.add_argument("url", metavar="URL", help="the observatory's address")
    edit.add_argument("event", metavar="EVENT")
    edit.add_argument("what", choices=("confirm", "annotate", "reject"))
    edit.add_argument("note", nargs="?", default="")
    edit.add_argument("--editor", type=Path, metavar="FILE", required=True, help="the key")


def _own(commands: Any) -> None:
    _call(commands, "status", "own:status", "what works now")
    _call(commands, "doctor", "own:doctor", "what the network does to your connections, and why")
    known = _call(commands, "networks", "own:networks", "what was learnt of networks")
    known.add_argument("--forget", **FLAG, help="forget it first")
    simulate = _call(commands, "simulate", "own:simulate", "turn the pretended censor's switches")
    simulate.add_argument("switch", nargs="?", metavar="SWITCH", help="without one: show all")
    simulate.add_argument("--off", **FLAG, help="stop it")
    _call(commands, "open", "own:open_interface", "print a new link to the interface")
    start = _call(commands, "setup", "own:set_up", "make the identity of a new node")
    start.add_argument("name")
    _passphrase(start, "--passphrase-file")
    _passphrase(_call(commands, "unlock", "own:unlock", "open a locked node"), "--passphrase-file")
    saved = _call(commands, "backup", "own:back_up", "write an encrypted copy of everything")
    saved.add_argument("file", type=Path, metavar="FILE")
    saved.add_argument("--no-files", **FLAG, help="without the files that messages carry")
    _passphrase(saved, "--passphrase-file")
    restored = _call(commands, "restore", "own:restore", "begin with a backup, as a new device")
    restored.add_argument("file", type=Path, metavar="FILE")
    _passphrase(restored, "--passphrase-file")
    word = _call(commands, "passphrase", "own:passphrase", "set, change or remove the passphrase")
    word.add_argument("--remove", **FLAG)
    _passphrase(word, "--passphrase-file")
    _passphrase(word, "--new-passphrase-file")
    _call(commands, "name", "own:name", "change your own name").add_argument("name")
    settings = _call(commands, "settings", "own:settings", "show or change settings")
    settings.add_argument("change", nargs="*", metavar="NAME=VALUE")
    relays = _call(commands, "relays", "own:relays", "list, add or remove relays")
    choices = ("list", "add", "remove", "use", "off", "on")
    relays.add_argument("what", nargs="?", choices=choices, default="list")
    relays.add_argument("relay", nargs="?", metavar="ADDRESS|ID")


def _reporting(commands: Any) -> None:
    complain = _call(
        commands, "complain", "reporting:complain", "tell the observatory what does not work"
    )
    complain.add_argument(
        "function", nargs="+", help="text voice calls video media internet, or service:NAME"
    )
    observatory = _call(
        commands, "observatory", "reporting:observatory", "choose whom to tell what does not work"
    )
    observatory.add_argument("url", nargs="?", metavar="URL")
    observatory.add_argument("--region", metavar="CODE")
    observatory.add_argument("--operator", metavar="CODE")
    observatory.add_argument(
        "--automatic", **FLAG, help="tell once an hour what the network does, too"
    )
    observatory.add_argument(
        "--measure", action="append", default=[], metavar="SERVICE", help="look at its page, too"
    )
    observatory.add_argument("--now", **FLAG, help="measure and tell it now, once an hour at most")
    observatory.add_argument("--off", **FLAG, help="tell nobody, and forget it")


def _passphrase(parser: argparse.ArgumentParser, option: str) -> None:
    parser.add_argument(
        option, type=Path, metavar="FILE", help="the passphrase is its first line; else it is asked"
    )


def _invitations(commands: Any) -> None:
    invite = _call(commands, "invite", "inviting:invite", "make an invitation and print its link")
    invite.add_argument("--many", **FLAG, help="may be used by many people")
    invite.add_argument("--hours", type=int, default=72, help="until it expires (72)")
    invite.add_argument("--label", default="", help="a note for yourself")
    invite.add_argument("--timeout", type=float, default=30, help="seconds for a relay (30)")
    accept = _call(commands, "accept", "inviting:accept", "accept an invitation")
    accept.add_argument("link", help="the link, or - to read it from standard input")
    _call(commands, "invitations", "inviting:invitations", "list invitations")
    _call(commands, "revoke", "inviting:revoke", "end an invitation").add_argument("id")
    _call(commands, "echo", "inviting:echo", "add Echo, a contact that answers")


def _contacts(commands: Any) -> None:
    contacts = _call(commands, "contacts", "contacts:contacts", "list contacts")
    contacts.add_argument("--requests", **FLAG, help="only who came unasked and waits")
    _one(_call(commands, "contact", "contacts:contact", "show one contact"))
    rename = _one(_call(commands, "rename", "contacts:rename", "give a contact your own name"))
    rename.add_argument("name", help="empty goes back to theirs")
    timer = _one(_call(commands, "timer", "contacts:timer", "disappearing messages"))
    timer.add_argument("seconds", type=int, help="0 turns it off")
    _one(_call(commands, "accept-request", "contacts:let_in", "accept who came unasked"))
    block = _one(_call(commands, "block", "contacts:block", "stop reading a contact"))
    block.add_argument("--undo", **FLAG)
    direct = _one(
        _call(
            commands, "direct", "contacts:direct", "let calls with a verified contact go straight"
        )
    )
    direct.add_argument("--undo", **FLAG, help="by relays alone again")
    forget = _one(_call(commands, "forget", "contacts:forget", "delete contact and conversation"))
    forget.add_argument("--yes", **FLAG, help="do not ask")
    verify = _one(_call(commands, "verify", "contacts:verify", "compare emoji with a contact"))
    verify.add_argument("--yes", **FLAG, help="say that they match without asking")
    verify.add_argument("--show", **FLAG, help="only show a comparison in progress")
    verify.add_argument("--timeout", type=float, default=120, help="seconds to wait (120)")


def _channels(commands: Any) -> None:
    channel = commands.add_parser(
        "channel", help="channels: one writes, everybody with the link reads"
    )
    parts = channel.add_subparsers(metavar="WHAT", required=True)
    create = _call(parts, "create", "channels:create", "a channel of your own, at your relays")
    create.add_argument("title")
    create.add_argument("--about", default="", help="what it is")
    create.add_argument(
        "--open", metavar="NAME", help="an open group: who has its link writes; you as NAME"
    )
    _one(_call(parts, "show", "channels:channel", "what it is, its link, and what is missing"))
    follow = _call(parts, "follow", "channels:follow", "read a channel; nobody learns that you do")
    follow.add_argument("link")
    follow.add_argument("--name", help="write in an open group, under this name")
    silence = _one(
        _call(
            parts, "silence", "channels:silence", "leave out all of a writer's, in your open group"
        )
    )
    silence.add_argument("writer", help="the id of a message's author, see `read --json`")
    change = _one(_call(parts, "set", "channels:change", "say anew what it is"))
    change.add_argument("--title")
    change.add_argument("--about")
    change.add_argument("--comments", help="a group of yours for comments; empty for none")
    move = _one(_call(parts, "move", "channels:move", "go on under a new link; the old one ends"))
    move.add_argument("--public", **FLAG, help="show the new link to all who have the old one")
    _one(_call(parts, "leave", "channels:leave", "read it no longer, or end your own"))


def _devices(commands: Any) -> None:
    device = commands.add_parser("device", help="your devices: link one, remove one")
    parts = device.add_subparsers(metavar="WHAT", required=True)
    _call(parts, "list", "devices:listed", "your devices")
    link = _call(parts, "link", "devices:link", "show a code for a new device, and compare")
    link.add_argument("--from-now-on", **FLAG, help="without what was said before")
    join = _call(parts, "join", "devices:join", "make this fresh node a device of whose code it is")
    join.add_argument("code", metavar="CODE", help="or - to read it from standard input")
    join.add_argument("--name", default="Second device", help="what this device is called")
    _passphrase(join, "--passphrase-file")
    for each in (link, join):
        each.add_argument("--yes", **FLAG, help="say that the emoji match without asking")
        each.add_argument("--timeout", type=float, default=900.0, metavar="S")
    _call(parts, "status", "devices:status", "how far a linking is")
    _call(parts, "cancel", "devices:cancel", "stop linking")
    rename = _call(parts, "rename", "devices:rename", "call a device something")
    rename.add_argument("device", metavar="ID")
    rename.add_argument("name")
    remove = _call(parts, "remove", "devices:remove", "end a device, on the first one")
    remove.add_argument("device", metavar="ID")
    remove.add_argument("--yes", **FLAG, help="without asking")


def _groups(commands: Any) -> None:
    group = commands.add_parser("group", help="groups: make one, and who is in it")
    parts = group.add_subparsers(metavar="WHAT", required=True)
    create = _call(parts, "create", "groups:create", "a group with these contacts")
    create.add_argument("title")
    create.add_argument("members", nargs="*", metavar="CONTACT")
    _one(_call(parts, "show", "groups:group", "who is in it and who can read it"))
    add = _one(_call(parts, "add", "groups:add", "add contacts"))
    add.add_argument("members", nargs="+", metavar="CONTACT")
    remove = _one(_call(parts, "remove", "groups:remove", "remove a member, with a fresh key"))
    remove.add_argument("member")
    remove.add_argument("--ban", **FLAG, help="nobody adds them again")
    judge = _one(_call(parts, "judge", "groups:judge", "answer a report, or leave it"))
    judge.add_argument("id", help="of the report, as `group show` has it")
    judge.add_argument("--remove", **FLAG, help="the message, for everybody")
    judge.add_argument("--expel", **FLAG, help="its author from the group")
    judge.add_argument("--ban", **FLAG, help="and nobody adds them again")
    block = _one(_call(parts, "block", "groups:block", "take nothing of what a member says"))
    block.add_argument("member")
    block.add_argument("--undo", **FLAG)
    unban = _one(_call(parts, "unban", "groups:unban", "let somebody be added again"))
    unban.add_argument("member")
    role = _one(_call(parts, "role", "groups:role", "make a member, an admin, or the owner"))
    role.add_argument("member")
    role.add_argument("role", choices=["member", "admin", "owner"])
    change = _one(_call(parts, "set", "groups:change", "change what holds in it"))
    change.add_argument("--title")
    change.add_argument("--timer", type=int, metavar="SECONDS", help="lifetime of messages")
    change.add_argument("--slow", type=int, metavar="SECONDS", help="between two of a member's")
    change.add_argument("--history", type=int, metavar="N", help="messages newcomers are given")
    change.add_argument("--adding", choices=["admins", "members"], help="who may add")
    link = _one(_call(parts, "link", "groups:link", "make a link that leads into it"))
    link.add_argument("--admit", **FLAG, help="whoever has the link is in it at once")
    link.add_argument("--hours", type=int, default=72)
    for name, help in (("admit", "admit somebody who came by a link"), ("refuse", "do not")):
        answer = _one(_call(parts, name, f"groups:{name}", help))
        answer.add_argument("person")
    write = _one(_call(parts, "write", "groups:write", "become a contact of a member"))
    write.add_argument("member")
    _one(_call(parts, "renew", "groups:renew", "begin with a fresh key"))
    _one(_call(parts, "leave", "groups:leave", "leave a group"))


def _one(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("contact", help="exact name, or id")
    return parser


def _messages(commands: Any) -> None:
    send = _one(_call(commands, "send", "messages:send", "write to a contact"))
    send.add_argument("text", nargs="*", help="the text, or - to read it from standard input")
    what = send.add_mutually_exclusive_group()
    what.add_argument("--file", type=Path, metavar="FILE", help="send it, before any text")
    what.add_argument(
        "--voice", type=Path, metavar="FILE", help="send a sound file as a voice note"
    )
    send.add_argument("--key", help="the same key twice is the same message")
    send.add_argument("--wait", choices=("durable", "sent", "delivered"), default="durable")
    send.add_argument(
        "--timeout",
        type=float,
        default=60,
        help="seconds for --wait (60); for a file: without progress",
    )
    reply = _call(commands, "reply", "messages:reply", "answer one message")
    reply.add_argument("id")
    reply.add_argument("text", nargs="+")
    edit = _call(commands, "edit", "messages:edit", "change a message of yours")
    edit.add_argument("id")
    edit.add_argument("text", nargs="+")
    delete = _call(commands, "delete", "messages:delete", "take a message back")
    delete.add_argument("id")
    delete.add_argument("--here", **FLAG, help="remove it from this machine only")
    react = _call(commands, "react", "messages:react", "react to a message")
    react.add_argument("id")
    react.add_argument("emoji", nargs="?", help="none removes the reaction")
    poll = _one(_call(commands, "poll", "groups:poll", "ask something with answers to choose"))
    poll.add_argument("question")
    poll.add_argument("options", nargs="+", metavar="ANSWER")
    poll.add_argument("--many", **FLAG, help="everybody may choose several")
    vote = _call(commands, "vote", "groups:vote", "choose answers of a poll, by number from 1")
    vote.add_argument("id")
    vote.add_argument("choices", nargs="*", type=int, metavar="N")
    report = _call(commands, "report", "groups:report", "tell who leads a group what was written")
    report.add_argument("id")
    report.add_argument("words", nargs="?", default="")
    pin = _call(commands, "pin", "groups:pin", "keep a message in sight for everybody")
    pin.add_argument("id")
    pin.add_argument("--undo", **FLAG)
    read = _one(_call(commands, "read", "messages:read", "show the end of a conversation"))
    read.add_argument("--limit", type=int, default=20)
    place = read.add_mutually_exclusive_group()
    place.add_argument("--before", type=int, metavar="ORDER")
    place.add_argument("--around", metavar="ID")
    place.add_argument("--pinned", **FLAG, help="what is pinned in a group")
    read.add_argument("--mark", **FLAG, help="mark what is shown as read")
    typing = _one(_call(commands, "typing", "messages:typing", "say that you are typing"))
    typing.add_argument("--stop", **FLAG)
    search = _call(commands, "search", "messages:search", "find messages")
    search.add_argument("words", nargs="+")
    search.add_argument("--contact")
    search.add_argument("--limit", type=int, default=50)
    listen = _call(commands, "listen", "messages:listen", "print what happens, until stopped")
    listen.add_argument("--since", type=int, metavar="ID", help="cursor of the last one seen")
    export = _one(_call(commands, "export", "messages:export", "print a whole conversation"))
    export.add_argument("--html", **FLAG, help="as a web page")


def _files(commands: Any) -> None:
    fetch = _call(commands, "fetch", "files:fetch", "get a file that a message carries")
    fetch.add_argument("id")
    fetch.add_argument("--to", type=Path, metavar="PATH", required=True, help="a file or a folder")
    fetch.add_argument("--force", **FLAG, help="overwrite what is there")
    fetch.add_argument("--timeout", type=float, default=60, help="seconds without progress (60)")
    cancel = _call(commands, "cancel", "files:cancel", "stop getting a file, or take yours back")
    cancel.add_argument("id")


def _calls(commands: Any) -> None:
    call = _one(_call(commands, "call", "sounding:call", "ring a contact and talk"))
    _sound(call)
    answer = _call(commands, "answer", "sounding:answer", "wait for calls and answer them")
    _sound(answer)
    answer.add_argument("--once", **FLAG, help="end after one call")
    calls = _call(commands, "calls", "sounding:calls", "show the call that is going on")
    calls.add_argument("--of", metavar="MESSAGE", help="how the call of this entry went instead")
    _call(commands, "decline", "sounding:decline", "do not answer the call that rings")
    _call(commands, "hangup", "sounding:hang_up", "end the call, or stop ringing")
    mute = _call(commands, "mute", "sounding:mute", "send silence in the call")
    mute.add_argument("--undo", **FLAG)


def _sound(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--in",
        dest="input",
        type=Path,
        metavar="FILE",
        required=True,
        help="sound file that is spoken",
    )
    parser.add_argument("--format", help="of --in, if it is raw; FFmpeg's name, such as g722")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", required=True, help="WAV file of what is heard"
    )
    parser.add_argument("--force", **FLAG, help="overwrite --out")
    parser.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        help="to talk at most; else until --in was over for a second",
    )
