"""The language server on standard input and output (Language Server Protocol 3.17, by pygls)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument

from sipyard import __version__
from sipyard.errors import Place
from sipyard.lsp.spot import Spot, spot_at
from sipyard.lsp.vocabulary import Completion, Sort, Vocabulary
from sipyard.script.check import Checked, inspect_text
from sipyard.script.source import Problem, Severity, Source

_SEVERITIES: Final = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.NOTE: types.DiagnosticSeverity.Information,
}
_KINDS: Final = {
    Sort.FUNCTION: types.CompletionItemKind.Function,
    Sort.KEYWORD: types.CompletionItemKind.Keyword,
    Sort.MODULE: types.CompletionItemKind.Module,
    Sort.PARAMETER: types.CompletionItemKind.Property,
    Sort.SELECT: types.CompletionItemKind.Field,
    Sort.ATTRIBUTE: types.CompletionItemKind.Variable,
    Sort.ROUTE: types.CompletionItemKind.Reference,
    Sort.FLAG: types.CompletionItemKind.Constant,
    Sort.SETTING: types.CompletionItemKind.Property,
}


class Scripts(LanguageServer):
    """The server and the scripts that are open in the editor."""

    def __init__(self) -> None:
        super().__init__("sipyard", __version__)
        self._checked: dict[str, tuple[str, Checked]] = {}

    def checked(self, document: TextDocument) -> Checked:
        """A document checked, once for each of its texts."""
        text = document.source
        known = self._checked.get(document.uri)
        if known is None or known[0] != text:
            file = Path(to_fs_path(document.uri) or document.uri).name
            known = self._checked[document.uri] = (text, inspect_text(text, file))
        return known[1]

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self._checked.pop(uri, None)

    def publish(self, uri: str) -> None:
        """Send the diagnostics of a document."""
        document = self.workspace.get_text_document(uri)
        problems = self.checked(document).report.problems
        found = [_diagnostic(document, each) for each in problems]
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found, document.version))

    def ask(self, uri: str, position: types.Position) -> tuple[Vocabulary, Spot, int]:
        """What can be said about a position of a document."""
        document = self.workspace.get_text_document(uri)
        offset = document.offset_at_position(position)
        spot = spot_at(Source(document.uri, document.source), offset)
        return Vocabulary(self.checked(document)), spot, offset


def _range(document: TextDocument, place: Place) -> types.Range:
    """A place in the client's units."""
    last = place.end_line or place.line
    end = place.end_column if place.end_column else place.column + 1
    inside = types.Range(
        types.Position(place.line - 1, place.column - 1), types.Position(last - 1, max(end - 1, 0))
    )
    return document.position_codec.range_to_client_units(document.lines, inside)


def _diagnostic(document: TextDocument, problem: Problem) -> types.Diagnostic:
    lines = [problem.message]
    if problem.hint:
        lines.append(problem.hint)
    if problem.reason:
        lines.append(f"{problem.reason} ({problem.reference})")
    is_dead = problem.rule in ("unreachable", "route-unused", "route-unarmed")
    return types.Diagnostic(
        range=_range(document, problem.place),
        message="\n".join(lines),
        severity=_SEVERITIES[problem.severity],
        code=problem.rule,
        source="sipyard",
        tags=[types.DiagnosticTag.Unnecessary] if is_dead else None,
    )


def _item(document: TextDocument, offset: int, found: Completion) -> types.CompletionItem:
    here = types.Range(
        document.client_position_at_offset(offset - found.replaces),
        document.client_position_at_offset(offset),
    )
    return types.CompletionItem(
        label=found.label,
        kind=_KINDS[found.sort],
        detail=found.detail or None,
        documentation=types.MarkupContent(types.MarkupKind.Markdown, found.doc) if found.doc else None,
        text_edit=types.TextEdit(here, found.label),
    )


def make_server() -> Scripts:
    """A server with all its features."""
    server = Scripts()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(scripts: Scripts, params: types.DidOpenTextDocumentParams) -> None:
        scripts.publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(scripts: Scripts, params: types.DidChangeTextDocumentParams) -> None:
        scripts.publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(scripts: Scripts, params: types.DidCloseTextDocumentParams) -> None:
        scripts.forget(params.text_document.uri)

    triggers = types.CompletionOptions(trigger_characters=["@", "$", ".", '"', "("])

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, triggers)
    def complete(scripts: Scripts, params: types.CompletionParams) -> types.CompletionList:
        vocabulary, spot, offset = scripts.ask(params.text_document.uri, params.position)
        document = scripts.workspace.get_text_document(params.text_document.uri)
        found = vocabulary.completions(spot, offset)
        return types.CompletionList(False, [_item(document, offset, each) for each in found])

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(scripts: Scripts, params: types.HoverParams) -> types.Hover | None:
        vocabulary, spot, _ = scripts.ask(params.text_document.uri, params.position)
        entry = vocabulary.hover(spot)
        return None if entry is None else types.Hover(types.MarkupContent(types.MarkupKind.Markdown, entry))

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def define(scripts: Scripts, params: types.DefinitionParams) -> types.Location | None:
        vocabulary, spot, _ = scripts.ask(params.text_document.uri, params.position)
        route = vocabulary.definition(spot)
        uri = params.text_document.uri
        document = scripts.workspace.get_text_document(uri)
        return None if route is None else types.Location(uri, _range(document, route.place))

    return server


def serve() -> None:
    """Speak to the editor that started this process, until it goes."""
    make_server().start_io()
