"""Management: one registry of commands, served by whichever doors are open."""
