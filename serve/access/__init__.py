"""Who may do what, and how often: the same for REST and gRPC, which only read the key from the request."""
