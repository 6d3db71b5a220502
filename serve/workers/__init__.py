"""Several processes on one port: connections are dealt out, and what one worker is told reaches all."""
