"""What other commands do on a Ray cluster: `make cluster-predict-test`."""
