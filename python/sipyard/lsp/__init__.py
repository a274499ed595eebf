"""The language server: what `sipyard check` knows, said to an editor while the script is written.

`spot.py` finds out what stands at the cursor, `manual.py` and `vocabulary.py` answer from the declarations,
`server.py` speaks the protocol (with pygls, which is installed by the extra `lsp`).
"""
