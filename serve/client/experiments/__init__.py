"""`adaptact experiment`: experiments of a running server, their feedback and their reports."""
