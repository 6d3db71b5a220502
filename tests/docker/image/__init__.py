"""The test of the real CPU image, on a machine that need have no container engine: `make image-test`."""
