"""The console: the pages at `/console`, as the browser gets them; `serve.rest.console` hands them out."""
