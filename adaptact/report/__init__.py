"""Reports: one page that needs nothing else, in one look and in the reader's language, or Markdown."""
