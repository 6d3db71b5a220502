"""What `docker/fleet.yaml` starts, as processes of this machine: `make fleet-test`."""
