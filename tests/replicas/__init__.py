"""`adaptact serve --cluster` on a Ray cluster of three nodes on this machine: `make cluster-test`."""
