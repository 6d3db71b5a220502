"""Texts that a file or a client may choose, and what a terminal must never be sent of them."""

TITLE = "\x1b]0;x\x07"  # names a terminal's window
CLEAR = "\x1b[2J"
REVERSED = "\u202e"  # the rest of the line reads from right to left
CSI = "\x9b31m"  # the one-byte form of ESC [
HOSTILE = (TITLE, CLEAR, REVERSED, CSI, "\r", "\x08", "\x7f", "\udcff")
MARKUP = "[red]x[/y] :smile:"
