"""`sipyard lsp` as an editor meets it: a process on pipes, and a client that nobody here wrote."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

URI = "file:///etc/sipyard/ser.cfg"
SCRIPT = """loadmodule "sl"
loadmodule "tm"
loadmodule "maxfwd"
loadmodule "usrloc"
loadmodule "registrar"
modparam("usrloc", "db_mode", 0)
debug=1
flags FLAG_ACC;
# 😀 beyond the first plane: two units for an editor that counts UTF-16
route {
    if (!mf_process_maxfwd_header("10")) { sl_reply("483", "Too Many Hops"); drop; }
    /* 😀 */ if (!lookp("location")) { sl_reply("483", "Temporarily Unavailable"); drop; }
    $caller = @from.uri.user;
    setflag(FLAG_ACC);
    t_on_failure("BUSY");
    route(OUT);
}
route[OUT] {
    t_relay();
    drop;
}
failure_route[BUSY] {
    append_branch();
    t_relay();
}
"""


class Editor(LanguageClient):
    """A client that keeps the diagnostics that it was sent."""

    def __init__(self) -> None:
        super().__init__("editor", "1")
        self.diagnostics: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()
        self.version = 1

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: types.PublishDiagnosticsParams) -> None:
            self.diagnostics.put_nowait(params)

    async def open(self, text: str) -> list[types.Diagnostic]:
        """Open the script; what the server thinks of it."""
        document = types.TextDocumentItem(URI, "ser", self.version, text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(document))
        return list((await self.diagnostics.get()).diagnostics)

    async def change(self, changes: list[Any]) -> list[types.Diagnostic]:
        """Edit it."""
        self.version += 1
        document = types.VersionedTextDocumentIdentifier(version=self.version, uri=URI)
        self.text_document_did_change(types.DidChangeTextDocumentParams(document, changes))
        published = await self.diagnostics.get()
        assert published.version == self.version
        return list(published.diagnostics)


def in_editor(session: Callable[[Editor], Awaitable[None]]) -> None:
    """Start the server, run a session against it, and see it go."""

    async def run() -> None:
        editor = Editor()
        await editor.start_io(sys.executable, "-m", "sipyard.cli", "lsp")
        await editor.initialize_async(
            types.InitializeParams(types.ClientCapabilities(), process_id=None, root_uri=None)
        )
        editor.initialized(types.InitializedParams())
        await session(editor)
        await editor.shutdown_async(None)
        editor.exit(None)
        await editor.stop()
        assert editor._server is not None
        assert editor._server.returncode == 0
        assert editor._server.stderr is not None
        assert b"Traceback" not in await editor._server.stderr.read()

    asyncio.run(run())


def position(text: str, marked: str, before: str = "") -> types.Position:
    """Where `marked` stands in a text, behind `before`; in UTF-16 units, as editors count."""
    at = text.index(marked) + len(before)
    line = text.count("\n", 0, at)
    start = text.rfind("\n", 0, at) + 1
    return types.Position(line, len(text[start:at].encode("utf-16-le")) // 2)


def test_diagnostics_on_open_and_on_change() -> None:
    async def session(editor: Editor) -> None:
        first, second = await editor.open(SCRIPT)
        start = position(SCRIPT, "lookp")
        assert (first.message, first.severity, first.source) == (
            "function lookp is not known\ndid you mean lookup?",
            types.DiagnosticSeverity.Error,
            "sipyard",
        )
        assert first.range == types.Range(start, types.Position(start.line, start.character + 5))
        assert (second.code, second.severity) == ("status-reason", types.DiagnosticSeverity.Warning)
        assert second.message.splitlines()[1:] == [
            "483 is Too Many Hops",
            "machines read the number and people the phrase: they are told different things"
            " (RFC 3261 §7.2, §21)",
        ]
        end = types.Position(start.line, start.character + 5)
        (left,) = await editor.change(
            [types.TextDocumentContentChangePartial(types.Range(start, end), "lookup")]
        )
        assert left.code == "status-reason"
        mended = SCRIPT.replace("lookp", "lookup").replace('"483", "Temp', '"480", "Temp')
        assert await editor.change([types.TextDocumentContentChangeWholeDocument(mended)]) == []

    in_editor(session)


COMPLETIONS = [
    ("    t_rel|", ["t_relay", "t_release"], types.CompletionItemKind.Function, True),
    ("    setfl|", ["setflag"], types.CompletionItemKind.Function, False),
    ("    route(O|", ["OUT"], types.CompletionItemKind.Reference, False),
    ('    t_on_failure("B|', ["BUSY"], types.CompletionItemKind.Reference, False),
    ("    setflag(FL|", ["FLAG_ACC"], types.CompletionItemKind.Constant, False),
    ("    if (@fro|", ["@from"], types.CompletionItemKind.Field, False),
    ("    if (@from.uri.us|", ["@from.uri.user"], types.CompletionItemKind.Field, False),
    ("    if ($ca|", ["$caller"], types.CompletionItemKind.Variable, False),
]
TOP_COMPLETIONS = [
    ('loadmodule "reg|', ["registrar"], types.CompletionItemKind.Module, False),
    ('modparam("usr|', ["usrloc"], types.CompletionItemKind.Module, True),
    ('modparam("usrloc", "db_mo|', ["db_mode"], types.CompletionItemKind.Property, True),
    ("log_std|", ["log_stderror"], types.CompletionItemKind.Property, True),
    ("failure_ro|", ["failure_route"], types.CompletionItemKind.Keyword, False),
]


@pytest.mark.parametrize("where", ["in a route", "at the top"])
def test_completion(where: str) -> None:
    table = COMPLETIONS if where == "in a route" else TOP_COMPLETIONS

    async def session(editor: Editor) -> None:
        await editor.open(SCRIPT)
        for typed, labels, kind, has_manual in table:
            line = typed.rstrip("|")
            before = "    $caller" if where == "in a route" else "flags FLAG"
            text = SCRIPT.replace(before, f"{line}\n{before}", 1)
            await editor.change([types.TextDocumentContentChangeWholeDocument(text)])
            cursor = position(text, line + "\n", line)
            found = await editor.text_document_completion_async(
                types.CompletionParams(types.TextDocumentIdentifier(URI), cursor)
            )
            assert isinstance(found, types.CompletionList)
            items = {item.label: item for item in found.items}
            assert set(labels) <= set(items), typed
            item = items[labels[0]]
            assert item.kind == kind, typed
            assert (item.documentation is not None) or not has_manual, typed
            edit = item.text_edit
            assert isinstance(edit, types.TextEdit)
            written = line[: edit.range.start.character] + edit.new_text
            assert written.endswith(labels[0]), typed
            assert len(written) >= len(line), typed

    in_editor(session)


HOVERS = [
    ("t_relay();", "Relay to the Request-URI", "module **tm**"),
    ("append_branch", "statement of the language", "may stand in"),
    ('db_mode"', "modparam", "default `"),
    ('registrar"', "module **registrar**", "functions"),
    ("debug=1", "log threshold", "SER 0.9 and 2.0"),
    ("@from.uri.user", "select of the core", "@from.uri.user"),
    ("OUT);", "route[OUT], line 18", ""),
]


def test_hover_shows_the_module_reference() -> None:
    async def session(editor: Editor) -> None:
        await editor.open(SCRIPT)
        for marked, *expected in HOVERS:
            params = types.HoverParams(types.TextDocumentIdentifier(URI), position(SCRIPT, marked, "x"))
            found = await editor.text_document_hover_async(params)
            assert found is not None, marked
            assert isinstance(found.contents, types.MarkupContent)
            for text in expected:
                assert text in found.contents.value, marked
        nothing = types.HoverParams(types.TextDocumentIdentifier(URI), position(SCRIPT, "$caller", "x"))
        assert await editor.text_document_hover_async(nothing) is None

    in_editor(session)


def test_definition_of_routes() -> None:
    async def session(editor: Editor) -> None:
        await editor.open(SCRIPT)
        for marked, before, target in (
            ("route(OUT)", "route(O", "route[OUT]"),
            ('failure("BUSY")', 'failure("B', "failure_route[BUSY]"),
        ):
            cursor = position(SCRIPT, marked, before)
            params = types.DefinitionParams(types.TextDocumentIdentifier(URI), cursor)
            found = await editor.text_document_definition_async(params)
            assert isinstance(found, types.Location)
            assert (found.uri, found.range.start) == (URI, position(SCRIPT, target))
        params = types.DefinitionParams(types.TextDocumentIdentifier(URI), position(SCRIPT, "t_relay", "t"))
        assert await editor.text_document_definition_async(params) is None

    in_editor(session)


def test_without_pygls_it_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['pygls'] = None; from sipyard.cli import main; main(['lsp'])"
    outcome = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)
    assert outcome.returncode == 1
    assert outcome.stderr == 'sipyard lsp needs pygls: pip install "sipyard[lsp]"\n'
