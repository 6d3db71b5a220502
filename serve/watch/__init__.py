"""Those who are told what became of each request, by whichever door: the access log, and traces."""
