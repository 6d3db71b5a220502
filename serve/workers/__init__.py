"""Several processes on one port: connections are distributed, and a change in one worker reaches all."""
